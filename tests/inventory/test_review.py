import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import geopandas
import pyogrio
import pytest
from shapely import box

from groundshift.errors import DamagedFileError, MissingFileError, OutputError, UnknownFormatError
from groundshift.inventory import carry_identity, is_current, read_inventory, review, write_inventory
from groundshift.inventory.review import (
    LONGEST_NOTE,
    ReviewConflictError,
    ReviewState,
    hold_reviews,
    read_reviews,
    set_review,
)

NEW = ReviewState("unreviewed", "")


@pytest.fixture
def inventory(target, tmp_path):
    path = tmp_path / "inventory.gpkg"
    write_inventory(path, [replace(target(102.0 + k / 10), id=name) for k, name in enumerate("abc")], [])
    return path


def write(path, name="a", now=("confirmed", "seen"), seen=NEW):
    return set_review(path, name, review=now[0], note=now[1], seen_review=seen[0], seen_note=seen[1])


def sql(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        for name in ("ST_IsEmpty", "ST_MinX", "ST_MaxX", "ST_MinY", "ST_MaxY"):
            connection.create_function(name, 1, lambda shape: None)
        return connection.execute(statement).fetchall()


def test_a_review_changes_its_two_columns_and_nothing_else(inventory, tmp_path):
    before = geopandas.read_file(inventory, layer="targets")
    assert write(inventory, "b", ("rejected", "Häuser; 裂缝\nline two")) == ("rejected", "Häuser; 裂缝\nline two")
    after = geopandas.read_file(inventory, layer="targets")
    assert after.drop(columns=["review", "note"]).equals(before.drop(columns=["review", "note"]))
    assert after.review.tolist() == ["unreviewed", "rejected", "unreviewed"]
    assert after.note.fillna("").tolist() == ["", "Häuser; 裂缝\nline two", ""]
    assert [(t.id, t.review) for t in read_inventory(inventory)][1] == ("b", "rejected")
    assert sorted(os.listdir(tmp_path)) == ["inventory.gpkg"]


def test_the_file_stays_a_valid_geopackage_with_a_working_spatial_index(inventory):
    stamp = "SELECT last_change FROM gpkg_contents WHERE table_name = 'targets'"
    index = "SELECT * FROM rtree_targets_geom ORDER BY id"
    before, boxes = sql(inventory, stamp), sql(inventory, index)
    write(inventory)
    assert sql(inventory, "PRAGMA integrity_check") == [("ok",)]
    assert sql(inventory, "PRAGMA foreign_key_check") == []
    assert sql(inventory, index) == boxes
    assert sql(inventory, stamp) >= before
    assert len(pyogrio.read_dataframe(inventory, layer="targets", bbox=(102.05, 30, 102.15, 31))) == 1
    # GDAL, which has the functions that the triggers name, can still change shapes in it.
    frame = geopandas.read_file(inventory, layer="targets", rows=1)
    pyogrio.write_dataframe(frame, inventory, layer="targets", append=True)
    assert len(sql(inventory, index)) == 4


def test_who_saw_something_else_is_told_what_stands_there_and_changes_nothing(inventory):
    write(inventory, now=("confirmed", "by the first"))
    with pytest.raises(ReviewConflictError) as told:
        write(inventory, now=("rejected", "by the second"))
    assert told.value.state == ("confirmed", "by the first")
    assert str(told.value) == (
        "target a: changed by somebody else meanwhile (review is confirmed now, you saw unreviewed; "
        "note is 'by the first' now, you saw ''); look and decide again"
    )
    assert read_reviews(inventory)["a"] == ("confirmed", "by the first")
    assert write(inventory, now=("rejected", "by the second"), seen=told.value.state).review == "rejected"


def test_of_many_who_saw_the_same_exactly_one_writes(inventory):
    outcomes = []

    def race(number):
        try:
            outcomes.append(write(inventory, now=("confirmed", f"{number}")))
        except ReviewConflictError:
            outcomes.append(None)

    threads = [threading.Thread(target=race, args=[k]) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [state for state in outcomes if state]
    assert len(outcomes) == 8
    assert winners == [read_reviews(inventory)["a"]]


def test_the_mark_of_a_survey_stays_whatever_is_typed(inventory, target):
    gone = carry_identity([], [replace(target(), id="a", last_seen=date(2021, 6, 27), note="steep")])[0]
    write_inventory(inventory, [gone], [])
    seen = ReviewState("unreviewed", "steep [not seen since 2021-06-27]")
    assert read_reviews(inventory) == {"a": seen}
    assert write(inventory, now=("confirmed", "flat"), seen=seen).note == "flat [not seen since 2021-06-27]"
    seen = read_reviews(inventory)["a"]
    assert write(inventory, now=("confirmed", ""), seen=seen).note == "[not seen since 2021-06-27]"
    assert not is_current(read_inventory(inventory)[0])


def test_what_is_typed_like_a_mark_is_none(inventory):
    assert write(inventory, now=("confirmed", "flat [not seen since 1999-01-01]")).note == "flat"
    assert is_current(read_inventory(inventory)[0])


def test_polygons_drawn_and_cut_by_hand_are_found_under_the_name_they_are_read_with(inventory, tmp_path):
    frame = geopandas.read_file(inventory, layer="targets")
    frame.loc[[0, 1], "id"] = [None, "c"]
    frame.loc[1, "geometry"] = box(102.9, 30.0, 103.0, 30.1)
    frame["review"] = ["", None, " Confirmed "]
    edited = tmp_path / "edited.gpkg"
    frame.to_file(edited, layer="targets")
    geopandas.read_file(inventory, layer="detections").to_file(edited, layer="detections")
    targets = read_inventory(edited)
    assert read_reviews(edited) == {t.id: (t.review, t.note) for t in targets}
    for number, target in enumerate(targets):
        write(edited, target.id, ("rejected", f"row {number}"), (target.review, target.note))
    assert [t.note for t in read_inventory(edited)] == ["row 0", "row 1", "row 2"]


def test_a_file_that_a_survey_replaces_in_the_middle_is_written_anew(inventory, tmp_path, monkeypatch):
    """The write goes to the file of that name, not to the one that was opened."""
    newer = tmp_path / "newer.gpkg"
    shutil.copy(inventory, newer)
    kept = inventory.open("rb")
    plain = review._write

    def interrupted(*given):
        state = plain(*given)
        if newer.exists():
            os.replace(newer, inventory)
        return state

    monkeypatch.setattr(review, "_write", interrupted)
    assert write(inventory) == ("confirmed", "seen")
    assert os.fstat(kept.fileno()).st_nlink == 0
    assert read_reviews(inventory)["a"] == ("confirmed", "seen")
    kept.close()


def test_no_review_falls_between_reading_and_replacing(inventory, monkeypatch):
    monkeypatch.setattr(review, "_PATIENCE", 0.05)
    with hold_reviews(inventory), pytest.raises(OutputError, match="a survey or another viewer is writing it"):
        write(inventory)
    assert write(inventory).review == "confirmed"


@pytest.mark.parametrize("begin", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_lock_of_another_program_is_one_line_and_leaves_everything(inventory, monkeypatch, begin):
    monkeypatch.setattr(review, "_PATIENCE", 0.05)
    other = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute(sys.argv[2]); "
    held = subprocess.Popen(
        [sys.executable, "-c", other + "print('held', flush=True); input()", inventory, begin],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with held:
        assert held.stdout.readline() == "held\n"
        with pytest.raises(OutputError) as told:
            write(inventory)
        held.communicate("\n")
    assert str(told.value) == (f"{inventory}: another program keeps it locked; save or close it there and try again")
    assert read_reviews(inventory)["a"] == NEW
    assert write(inventory).review == "confirmed"


def test_what_nobody_may_write_is_one_line(inventory):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copy(inventory, folder))
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # for an administrator nothing is read-only
        try:
            with pytest.raises(OutputError) as told:
                write(path)
        finally:
            os.seteuid(user)
            Path(folder).chmod(0o755)
        assert (
            str(told.value) == f"{path}: no permission to write it; change the permissions of the file and its folder"
        )
        assert read_reviews(path)["a"] == NEW


def test_a_damaged_or_foreign_file_is_one_line(inventory, tmp_path):
    good = inventory.read_bytes()
    with pytest.raises(MissingFileError, match="no target z any more; load the inventory again"):
        write(inventory, "z")
    sql(inventory, "UPDATE targets SET review = 'perhaps' WHERE id = 'a'")
    with pytest.raises(DamagedFileError, match="review of target a must be one of unreviewed, confirmed, rejected"):
        read_reviews(inventory)
    sql(inventory, "UPDATE groundshift_schema SET version = 99")
    with pytest.raises(UnknownFormatError, match="newer Groundshift"):
        write(inventory)
    inventory.write_bytes(good[: len(good) // 2])
    with pytest.raises(DamagedFileError):
        write(inventory)
    inventory.write_bytes(b"no database" * 100)
    with pytest.raises(DamagedFileError, match="not a readable GeoPackage"):
        write(inventory)
    sqlite3.connect(tmp_path / "other.gpkg").execute("CREATE TABLE t (a)").connection.close()
    with pytest.raises(UnknownFormatError, match="no layer 'targets'"):
        read_reviews(tmp_path / "other.gpkg")
    with pytest.raises(MissingFileError, match="no such file"):
        read_reviews(tmp_path / "none.gpkg")


def test_what_no_schema_knows_is_not_written(inventory):
    with pytest.raises(ValueError, match="review must be one of unreviewed, confirmed, rejected, instead got 'maybe'"):
        write(inventory, now=("maybe", ""))
    with pytest.raises(ValueError, match="note must have at most"):
        write(inventory, now=("confirmed", "x" * (LONGEST_NOTE + 1)))
