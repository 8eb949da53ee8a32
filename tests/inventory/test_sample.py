import math
from dataclasses import replace
from xml.etree import ElementTree as ET

import geopandas
import numpy as np
import pytest

from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.inventory import precision_interval, read_verdicts, verification_sample, write_sample


@pytest.fixture
def inventory(target):
    return [replace(target(102 + 0.01 * i), id=f"t{i:03d}") for i in range(60)]


def test_a_sample_is_drawn_once_each_and_the_same_for_a_seed(inventory):
    drawn = verification_sample(inventory, 20, seed=5)
    assert len({t.id for t in drawn}) == 20
    assert verification_sample(inventory[::-1], 20, seed=5) == drawn
    assert verification_sample(inventory, 20, seed=6) != drawn
    assert {t.id for t in verification_sample(inventory, 100)} == {t.id for t in inventory}
    assert verification_sample([], 5) == []


def test_every_target_is_as_likely_as_any_other(inventory):
    counts = dict.fromkeys((t.id for t in inventory), 0)
    draws = 600
    for seed in range(draws):
        for t in verification_sample(inventory, 15, seed=seed):
            counts[t.id] += 1
    share = 15 / 60
    sigma = math.sqrt(draws * share * (1 - share))
    assert np.abs(np.array(list(counts.values())) - draws * share).max() < 4.5 * sigma


def test_the_files_hold_the_same_targets_and_empty_columns_to_fill(tmp_path, inventory):
    drawn = verification_sample(inventory, 12)
    table, earth, package = write_sample(tmp_path, drawn)
    lines = table.read_text().splitlines()
    assert lines[0] == "number,id,longitude,latitude,area_m2,verdict,checker,remark"
    assert [line.split(",")[1] for line in lines[1:]] == [t.id for t in drawn]
    assert all(line.endswith(",,,") for line in lines[1:])
    kml = ET.fromstring(earth.read_text())
    names = [p.find("{*}name").text for p in kml.iter("{http://www.opengis.net/kml/2.2}Placemark")]
    assert names == [f"{i}: {t.id}" for i, t in enumerate(drawn, start=1)]
    frame = geopandas.read_file(package)
    assert frame["id"].tolist() == [t.id for t in drawn]
    assert frame["verdict"].isna().all()
    assert all(a.equals(t.geometry) for a, t in zip(frame.geometry, drawn, strict=True))
    assert not {"score", "velocity_los_mm_yr"} & set(frame.columns)


@pytest.mark.parametrize(("separator", "start"), [(",", ""), (";", "\ufeff")])
def test_verdicts_are_counted_as_spreadsheets_save_them(tmp_path, inventory, separator, start):
    words = ["landslide"] * 5 + ["Other "] * 2 + ["unclear"] + [""] * 4
    path = tmp_path / "filled.csv"
    rows = [separator.join(["id", "verdict", "remark"])]
    rows += [separator.join([t.id, w, '"old; quarry, or\nnot"']) for t, w in zip(inventory, words, strict=False)]
    path.write_text(start + "\r\n".join(rows), encoding="utf-8")
    assert read_verdicts(path) == (5, 2, 1)


def test_a_sheet_just_written_has_no_verdicts(tmp_path, inventory):
    table, _, _ = write_sample(tmp_path, inventory[:3])
    assert read_verdicts(table) == (0, 0, 0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no column 'verdict'; restore the first line"),
        (b"id,result\na,landslide\n", "no column 'verdict'; restore the first line"),
        (b"id,verdict\na,yes\n", "line 2: verdict must be landslide, other or unclear, instead got 'yes'; correct it"),
        (b"id,verdict\na,\xff\xfe\n", "not a readable text file; save it as CSV in UTF-8"),
    ],
)
def test_says_what_is_wrong_with_a_sheet(tmp_path, content, message):
    path = tmp_path / "verification.csv"
    path.write_bytes(content)
    with pytest.raises(DamagedFileError, match=f"^{path}: {message}$"):
        read_verdicts(path)


def test_a_missing_sheet_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.csv: no such file; write the sample first$"):
        read_verdicts(tmp_path / "none.csv")


def wilson(k, n, z=1.959963984540054):
    p = k / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return middle - half, middle + half


@pytest.mark.parametrize(("confirmed", "other", "undecided"), [(72, 8, 20), (0, 3, 0), (5, 0, 0), (1, 1, 1), (0, 0, 4)])
def test_the_interval_is_wilsons_with_the_undecided_either_way(confirmed, other, undecided):
    n = confirmed + other + undecided
    got = precision_interval(confirmed, other, undecided)
    assert got.low == pytest.approx(wilson(confirmed, n)[0], abs=1e-12)
    assert got.high == pytest.approx(wilson(confirmed + undecided, n)[1], abs=1e-12)
    assert (got.estimate_low, got.estimate_high) == (confirmed / n, (confirmed + undecided) / n)


def test_more_confidence_or_fewer_targets_widen_the_interval():
    usual = precision_interval(72, 28)
    assert precision_interval(72, 28, confidence=0.99).low < usual.low
    assert precision_interval(18, 7).high > usual.high


def test_refuses_counts_that_say_nothing():
    with pytest.raises(NoDataError, match=r"^no target of the sample has a verdict; fill in the column 'verdict'$"):
        precision_interval(0, 0, 0)
    with pytest.raises(ValueError, match=r"^counts must not be negative, instead got 1, -1 and 0$"):
        precision_interval(1, -1)
    with pytest.raises(ValueError, match=r"^n must be at least 1, instead got 0$"):
        verification_sample([], 0)
