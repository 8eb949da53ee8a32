"""Sums on disk: all that was put in comes back, what is unfinished stays so, and other folders are refused."""

import json
import re
import shutil
from datetime import date

import numpy as np
import pytest

from groundshift.errors import DamagedFileError
from groundshift.gradients.differences import directions_of
from groundshift.gradients.noise import Likeness, NoiseShare
from groundshift.gradients.store import SumsFile, open_sums
from groundshift.gradients.sums import StackPlan, add_pairs, empty_sums, finish, plan_window
from groundshift.types import LookGeometry, Looks, Pair

SHAPE = (23, 17)
DESCENDING = LookGeometry(192.5, 38.9)
PAIRS = (
    Pair(date(2019, 12, 20), date(2020, 1, 1), -31.25),
    Pair(date(2019, 12, 20), date(2020, 1, 13), None),
    Pair(date(2020, 1, 1), date(2020, 1, 13), 104.5),
    Pair(date(2020, 1, 13), date(2020, 2, 18), 0.0),
)


def make_plan(grid, look=DESCENDING, **directions):
    noise = NoiseShare(0.21, 0.58)
    windows = (plan_window("all", range(4), PAIRS, noise), plan_window("2020", [2, 3], PAIRS, noise, equal=True))
    likeness = {4040: Likeness(0.1 + 0.2, 12.0), 4041: Likeness(-1 / 3, 7.5)}
    return StackPlan(
        "T135-IW1", grid, 0.0554, PAIRS, windows, directions_of(grid.axis_names, **directions), 3, noise, look, likeness
    )


def make_sums(plan):
    rng = np.random.default_rng(0)
    igrams = rng.uniform(0.2, 0.9, (4, *SHAPE)) * np.exp(1j * rng.uniform(-2, 2, (4, *SHAPE)))
    sums = empty_sums(plan, SHAPE)
    add_pairs(plan, range(4), igrams.astype(np.complex64), sums)
    return sums


@pytest.fixture(params=["map", "radar", "radar without lookup"])
def grid(request, map_grid, radar_grid):
    # A grid that was multilooked and shifted on the way, as those of a survey are.
    if request.param == "map":
        return map_grid((46, 51)).multilooked(Looks(2, 3))
    found = radar_grid((46, 51), spacing=(14.0, 11.5)).multilooked(Looks(2, 3))
    if request.param == "radar":
        return found
    return type(found)(found.shape, found.spacing)


def assert_same_plan(found, plan):
    for name in ("track", "wavelength", "pairs", "directions", "smoothing", "noise", "look", "likeness"):
        assert getattr(found, name) == getattr(plan, name), name
    assert [w.name for w in found.windows] == [w.name for w in plan.windows]
    for one, other in zip(found.windows, plan.windows, strict=True):
        np.testing.assert_array_equal(one.members, other.members)
        np.testing.assert_array_equal(one.weights, other.weights)
    assert type(found.grid) is type(plan.grid)
    assert found.grid.shape == plan.grid.shape
    assert found.grid.spacing == plan.grid.spacing
    rows, columns = np.mgrid[-0.5:22:5.5, -0.5:16:4.25]
    np.testing.assert_allclose(found.grid.lonlat(rows, columns), plan.grid.lonlat(rows, columns), rtol=0, atol=1e-12)


@pytest.mark.parametrize("look", [DESCENDING, LookGeometry(-12.0, 33.0, right_looking=False), None])
def test_plan_comes_back_as_it_was(tmp_path, grid, look):
    plan = make_plan(grid, look, diagonals=True, step=3)
    SumsFile.create(tmp_path / "gradients.zarr", plan, "mark", 8, None)
    found = open_sums(tmp_path / "gradients.zarr")
    assert found.fingerprint == "mark"
    assert_same_plan(found.plan, plan)


def test_sums_and_stacks_come_back_as_they_were(tmp_path, grid):
    plan = make_plan(grid)
    sums = make_sums(plan)
    file = SumsFile.create(tmp_path / "gradients.zarr", plan, "mark", 8, None)
    for first in (0, 8, 16):
        file.write_rows(first, sums[:, :, first : first + 8])
    found = open_sums(tmp_path / "gradients.zarr")
    assert found.rows_done == [(0, 8), (8, 16), (16, 23)]
    for k, stack in enumerate(found.stacks()):
        np.testing.assert_array_equal(found.read(k), sums[k])
        expected = finish(plan, k, sums[k])
        for name in ("rate", "sigma", "effective_pairs", "n_pairs", "mean_coherence", "residues"):
            np.testing.assert_array_equal(getattr(stack, name), getattr(expected, name))
        assert stack.window == plan.windows[k].name
        assert stack.total_years == expected.total_years
        assert stack.grid.shape == grid.shape


def test_heights_come_back_with_their_gaps(tmp_path, grid):
    height = np.random.default_rng(1).uniform(1800, 4200, SHAPE).astype(np.float32)
    height[3:5, 2:9] = np.nan
    SumsFile.create(tmp_path / "with.zarr", make_plan(grid), "mark", 8, height)
    SumsFile.create(tmp_path / "without.zarr", make_plan(grid), "mark", 8, None)
    np.testing.assert_array_equal(open_sums(tmp_path / "with.zarr").read_height(), height)
    assert open_sums(tmp_path / "without.zarr").read_height() is None


def test_unfinished_rows_are_remembered(tmp_path, map_grid):
    plan = make_plan(map_grid(SHAPE))
    sums = make_sums(plan)
    path = tmp_path / ".gradients.zarr.partial"
    SumsFile.create(path, plan, "mark", 8, None).write_rows(8, sums[:, :, 8:16])
    # Opened anew, as after a kill, and gone on with.
    again = open_sums(path)
    assert again.rows_done == [(8, 16)]
    np.testing.assert_array_equal(again.read(1)[:, 8:16], sums[1, :, 8:16])
    assert not again.read(0)[:, :8].any()
    again.write_rows(0, sums[:, :, :8])
    again.write_rows(16, sums[:, :, 16:])
    found = open_sums(path)
    assert found.rows_done == [(8, 16), (0, 8), (16, 23)]
    np.testing.assert_array_equal(found.read(0), sums[0])


def test_new_file_replaces_the_one_that_stood_there(tmp_path, map_grid):
    plan = make_plan(map_grid(SHAPE))
    path = tmp_path / "gradients.zarr"
    SumsFile.create(path, plan, "old", 8, np.ones(SHAPE, np.float32)).write_rows(0, make_sums(plan)[:, :, :8])
    SumsFile.create(path, plan, "new", 8, None)
    found = open_sums(path)
    assert found.fingerprint == "new"
    assert found.rows_done == []
    assert not found.read().any()
    assert found.read_height() is None


def test_pair_can_be_added_to_sums_on_disk(tmp_path, map_grid):
    plan = make_plan(map_grid(SHAPE))
    rng = np.random.default_rng(2)
    igrams = (rng.uniform(0.2, 0.9, (4, *SHAPE)) * np.exp(1j * rng.uniform(-2, 2, (4, *SHAPE)))).astype(np.complex64)
    path = tmp_path / "gradients.zarr"
    first = empty_sums(plan, SHAPE)
    add_pairs(plan, [0, 1, 2], igrams[:3], first)
    SumsFile.create(path, plan, "mark", 23, None).write_rows(0, first)
    found = open_sums(path)
    sums = np.stack([found.read(k) for k in range(2)])
    add_pairs(found.plan, [3], igrams[3:], sums)
    whole = empty_sums(plan, SHAPE)
    add_pairs(plan, range(4), igrams, whole)
    np.testing.assert_allclose(sums, whole, atol=1e-5)


def test_rows_of_a_window_are_those_of_the_whole(tmp_path, map_grid):
    plan = make_plan(map_grid(SHAPE))
    file = SumsFile.create(tmp_path / "gradients.zarr", plan, "mark", 8, None)
    file.write_rows(0, make_sums(plan))
    found = open_sums(file.path)
    for window in range(2):
        np.testing.assert_array_equal(found.read_rows(window, 5, 19), found.read(window)[:, 5:19])


def test_what_the_sums_were_made_from_and_how_long_it_took_come_back(tmp_path, map_grid):
    plan, path = make_plan(map_grid(SHAPE)), tmp_path / "gradients.zarr"
    record = {"pairs": [["20200101_20200113", "/data", [["/data/a.tif", 7, 1_767_225_600_123_456_789]]]]}
    SumsFile.create(path, plan, "mark", 8, None, record)
    assert open_sums(path).record == record
    assert open_sums(path).seconds_per_pair is None
    open_sums(path).seconds_per_pair = 0.25
    assert open_sums(path).seconds_per_pair == 0.25


def break_nothing_there(path):
    shutil.rmtree(path)


def break_empty_folder(path):
    shutil.rmtree(path)
    path.mkdir()


def break_file_in_its_place(path):
    shutil.rmtree(path)
    path.write_bytes(b"no sums")


def break_garbled_attributes(path):
    (path / "zarr.json").write_text("{")


def break_empty_attributes(path):
    (path / "zarr.json").write_text("")


def break_binary_attributes(path):
    (path / "zarr.json").write_bytes(b"\xff\xfe\x00\x81")


def change_attributes(path, change):
    found = json.loads((path / "zarr.json").read_text())
    change(found["attributes"])
    (path / "zarr.json").write_text(json.dumps(found))


def break_no_plan(path):
    change_attributes(path, lambda a: a.pop("plan"))


def break_plan_of_another_kind(path):
    change_attributes(path, lambda a: a.update(plan=[1, 2]))


def break_pairs_the_wrong_way_round(path):
    change_attributes(path, lambda a: a["plan"].update(pairs=[["2020-02-01", "2020-01-01", None]]))


def break_look_of_one_number(path):
    change_attributes(path, lambda a: a["plan"].update(look=[1.0]))


def break_grid_without_shape(path):
    change_attributes(path, lambda a: a["plan"]["grid"].pop("shape"))


def break_no_sums(path):
    shutil.rmtree(path / "sums")


def break_sums_of_another_shape(path):
    change_attributes(path, lambda a: a["plan"]["grid"].update(shape=[5, 6]))


def break_no_list_of_rows(path):
    change_attributes(path, lambda a: a.pop("rows_done"))


def break_no_fingerprint(path):
    change_attributes(path, lambda a: a.pop("fingerprint"))


def break_no_record(path):
    change_attributes(path, lambda a: a.pop("record"))


def break_likeness_of_one_number(path):
    change_attributes(path, lambda a: a["plan"].update(likeness=[[4040, 1.0]]))


BREAKS = [value for name, value in list(globals().items()) if name.startswith("break_")]


@pytest.mark.parametrize("damage", BREAKS, ids=[f.__name__[6:] for f in BREAKS])
def test_broken_folder_is_named_in_one_line(tmp_path, map_grid, damage):
    path = tmp_path / "gradients.zarr"
    plan = make_plan(map_grid(SHAPE))
    SumsFile.create(path, plan, "mark", 8, None).write_rows(0, make_sums(plan)[:, :, :8])
    assert open_sums(path).rows_done == [(0, 8)]
    damage(path)
    line = re.escape(f"{path}: no sums of gradients here; run `groundshift stack` again")
    with pytest.raises(DamagedFileError, match=f"^{line}$"):
        open_sums(path)


def test_sums_of_another_version_are_refused(tmp_path, map_grid):
    path = tmp_path / "gradients.zarr"
    SumsFile.create(path, make_plan(map_grid(SHAPE)), "mark", 8, None)
    change_attributes(path, lambda a: a.update(version=99))
    line = re.escape(f"{path}: sums of version 99, expected 2; run the survey again")
    with pytest.raises(DamagedFileError, match=f"^{line}$"):
        open_sums(path)


def test_unreadable_sums_are_named_in_one_line(tmp_path, map_grid):
    path = tmp_path / "gradients.zarr"
    plan = make_plan(map_grid(SHAPE))
    SumsFile.create(path, plan, "mark", 23, None).write_rows(0, make_sums(plan))
    for chunk in (path / "sums" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:11])
    file = open_sums(path)
    line = re.escape(f"{path}: sums cannot be decoded; delete this folder and run `groundshift stack` again")
    with pytest.raises(DamagedFileError, match=f"^{line}$"):
        file.read(0)
