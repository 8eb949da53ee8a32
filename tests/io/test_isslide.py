"""Sets of patches in the layout of ISSLIDE: what is found, read, refused and written."""

import math
import re
from datetime import date

import numpy as np
import pytest
import rasterio
from affine import Affine

from groundshift.errors import DamagedFileError, MissingFileError, NoDataError, OutputError
from groundshift.io import isslide
from groundshift.io.isslide import (
    PatchPlanes,
    dates_text,
    delay_text,
    find_patches,
    is_written,
    read_patch,
    read_patches,
    write_patches,
)
from groundshift.types import MapGrid, Pair

GRID = MapGrid((100, 100), Affine(1.315e-4, 0, 6.85, 0, -1.315e-4, 44.75), "EPSG:4326")
FIRST, SECOND = "02Jul2018_08Jul2018", "08Jul2018_14Jul2018"
PHASE = np.linspace(-3, 3, 10_000, dtype=np.float32).reshape(100, 100)
COHERENCE = np.linspace(0.1, 1, 10_000, dtype=np.float32).reshape(100, 100)
MASK = np.zeros((100, 100), np.uint8)
MASK[40:60, 45:70] = 1


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "count": 1, "height": values.shape[0], "width": values.shape[1]}
    with rasterio.open(
        path, "w", dtype=values.dtype.name, crs=GRID.crs, transform=GRID.transform, **profile
    ) as sink:  # fmt: skip
        sink.write(values, 1)


def put(root, place, *, phase=PHASE, coherence=COHERENCE, mask=MASK):
    """Write a patch, `delay/zone/dates/name`, by hand; what is None is left out."""
    delay, zone, dates, name = place.split("/")
    home = root / delay / zone
    for folder, values in ((home / dates / "phase", phase), (home / dates / "coherence", coherence),
                           (home / "Segmentations" / dates, mask)):  # fmt: skip
        if values is not None:
            write(folder / f"{name}.tif", values)


# Finding


def test_patches_come_in_the_order_of_the_text_with_day_before_month(tmp_path):
    for place in ("6days/Vanoise/02Jul2018_08Jul2018/7_10", "6days/Vanoise/02Jul2018_08Jul2018/7_9",
                  "6days/Queyras/31Jul2018_06Aug2018/3_0", "6days/Queyras/01Aug2018_07Aug2018/3_0",
                  "12days/Queyras/02Jul2018_14Jul2018/12_1"):  # fmt: skip
        put(tmp_path, place)
    found, problems = find_patches(tmp_path)
    assert problems == []
    assert [(p.delay, p.zone, p.dates[:9], p.move_id, p.place) for p in found] == [
        ("12days", "Queyras", "02Jul2018", 12, 1),
        ("6days", "Queyras", "01Aug2018", 3, 0),
        ("6days", "Queyras", "31Jul2018", 3, 0),
        ("6days", "Vanoise", "02Jul2018", 7, 9),
        ("6days", "Vanoise", "02Jul2018", 7, 10),
    ]
    first = found[0]
    assert (first.reference, first.secondary, first.scene) == (date(2018, 7, 2), date(2018, 7, 14), "Queyras")
    assert first.has_mask


def test_names_with_30_october_are_passed_over_as_published_only(tmp_path):
    put(tmp_path, f"6days/Queyras/{FIRST}/1_0")
    put(tmp_path, "6days/Queyras/24Oct2018_30Oct2018/1_0")
    assert len(find_patches(tmp_path)[0]) == 2
    assert [p.dates for p in find_patches(tmp_path, as_published=True)[0]] == [FIRST]


def test_what_cannot_be_used_is_named_in_one_line_and_the_good_ones_are_used(tmp_path):
    put(tmp_path, f"6days/Queyras/{FIRST}/1_0")
    put(tmp_path, f"6days/Queyras/{FIRST}/1_1", coherence=None)
    put(tmp_path, f"6days/Queyras/{FIRST}/1_2", phase=PHASE[:90])
    put(tmp_path, f"6days/Queyras/{FIRST}/1_3", mask=MASK[:, :64])
    put(tmp_path, f"6days/Queyras/{FIRST}/move")
    put(tmp_path, f"6days/Queyras/{FIRST}/1_4")
    (tmp_path / f"6days/Queyras/{FIRST}/coherence/1_4.tif").write_bytes(b"no raster")
    (tmp_path / f"6days/Queyras/{SECOND}/phase").mkdir(parents=True)
    (tmp_path / "6days/Queyras/later").mkdir()
    found, problems = find_patches(tmp_path)
    assert [(p.move_id, p.place) for p in found] == [(1, 0)]
    home = tmp_path / "6days/Queyras"
    assert sorted(p.message for p in problems) == sorted([
        f"{home / FIRST / 'coherence/1_1.tif'}: no such file; every phase needs its coherence",
        f"{home / FIRST / 'phase/1_2.tif'}: expected 1 x 100 x 100 pixels, instead got 1 x 90 x 100; cut it again",
        f"{home / 'Segmentations' / FIRST / '1_3.tif'}: expected 1 x 100 x 100 pixels, instead got 1 x 100 x 64; "
        "cut it again",
        f"{home / FIRST / 'phase/move.tif'}: expected a name such as 17_3.tif, movement and place; rename it",
        f"{home / FIRST / 'coherence/1_4.tif'}: not a readable raster; fetch the file again",
        f"{home / SECOND / 'phase'}: no *.tif in it; put the phase here, or remove {home / SECOND}",
        f"{home / 'later'}: expected two dates such as 02Jul2018_08Jul2018; rename the folder",
    ])  # fmt: skip
    assert all(p.skipped for p in problems)


def test_a_patch_without_mask_is_used_and_named_where_its_neighbours_have_one(tmp_path):
    put(tmp_path, f"6days/Queyras/{FIRST}/1_0")
    put(tmp_path, f"6days/Queyras/{FIRST}/1_1", mask=None)
    put(tmp_path, f"6days/Queyras/{SECOND}/1_1", mask=None)
    found, problems = find_patches(tmp_path)
    assert [p.has_mask for p in found] == [True, False, False]
    assert [(p.message, p.skipped) for p in problems] == [
        (f"{tmp_path / '6days/Queyras/Segmentations' / FIRST / '1_1.tif'}: no such file; the patch has no mask", False)
    ]
    assert read_patch(found[1]).mask is None


def test_nothing_to_use_is_an_error_of_one_line(tmp_path):
    with pytest.raises(MissingFileError, match=re.escape(f"{tmp_path / 'x'}: no such folder; check the spelling")):
        find_patches(tmp_path / "x")
    with pytest.raises(NoDataError, match=re.escape(f"{tmp_path}: no usable patch; no DELAY/ZONE/DATES/phase/*.tif")):
        find_patches(tmp_path)
    put(tmp_path, f"6days/Queyras/{FIRST}/1_1", coherence=None)
    with pytest.raises(NoDataError, match=r"no usable patch; first of 1: .*1_1.tif: no such file; every phase needs"):
        find_patches(tmp_path)


# Reading


def only(root, **planes):
    put(root, f"6days/Queyras/{FIRST}/1_0", **planes)
    return find_patches(root)[0][0]


def test_planes_are_those_of_the_files_and_an_empty_mask_is_a_mask(tmp_path):
    got = read_patch(only(tmp_path, mask=0 * MASK))
    np.testing.assert_array_equal(got.wrapped, PHASE)
    np.testing.assert_array_equal(got.coherence, COHERENCE)
    assert got.mask is not None
    assert got.mask.dtype == bool
    assert not got.mask.any()
    assert (got.wrapped.dtype, got.coherence.dtype) == (np.float32, np.float32)


def test_without_data_the_phase_is_nan_and_the_coherence_zero(tmp_path):
    phase, coherence = PHASE.copy(), COHERENCE.copy()
    phase[0, :3] = (0, math.nan, 1)
    coherence[0, :3] = (0, 0.5, math.nan)
    phase[1, 0], coherence[1, 1] = 0, 0
    got = read_patch(only(tmp_path, phase=phase, coherence=coherence))
    assert np.isnan(got.wrapped[0, :3]).all()
    assert (got.coherence[0, :3] == 0).all()
    # A zero of one of them alone is a value.
    assert got.wrapped[1, 0] == 0
    assert np.isfinite(got.wrapped[1, 1])


@pytest.mark.parametrize(
    ("planes", "message"),
    [
        ({"phase": PHASE * 60}, "phase/1_0.tif: expected wrapped phase in radians, -3.142 to 3.142, instead got -180 "
         "to 180; convert it"),
        ({"coherence": COHERENCE * 255}, "coherence/1_0.tif: expected coherence, 0 to 1, instead got 25.5 to 255; "
         "convert it"),
        ({"mask": MASK * 255}, f"{FIRST}/1_0.tif: expected a mask of 0 and 1, instead got 255; write it again as 0 "
         "and 1"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused_in_one_line(tmp_path, planes, message):
    with pytest.raises(DamagedFileError, match=re.escape(message) + "$"):
        read_patch(only(tmp_path, **planes))


def test_reading_many_leaves_out_what_cannot_be_used_and_names_it(tmp_path):
    put(tmp_path, f"6days/Queyras/{FIRST}/1_0", mask=MASK * 7)
    put(tmp_path, f"6days/Queyras/{FIRST}/1_1")
    put(tmp_path, f"6days/Queyras/{FIRST}/1_2")
    patches, _ = find_patches(tmp_path)
    patches[2].coherence_path.unlink()
    problems = []
    assert [p.place for p, _ in read_patches(patches, problems)] == [1]
    assert ["7; write" in p.message or "no such file" in p.message for p in problems] == [True, True]


# Writing


def test_what_is_written_is_read_again_with_its_place_on_earth(tmp_path):
    wrapped = PHASE.copy()
    wrapped[5, 6] = math.nan
    planes = PatchPlanes(wrapped, np.where(np.isnan(wrapped), np.float32(0), COHERENCE), MASK > 0)
    write_patches(tmp_path, "6days", "Queyras", FIRST, [("17_3", GRID, planes)])
    assert is_written(tmp_path, "6days", "Queyras", FIRST)
    patches, problems = find_patches(tmp_path)
    assert problems == []
    assert (patches[0].move_id, patches[0].place) == (17, 3)
    for got, wanted in zip(read_patch(patches[0]), planes, strict=True):
        np.testing.assert_array_equal(got, wanted)
    with rasterio.open(patches[0].mask_path) as source:
        assert (source.shape, source.count, source.dtypes) == ((100, 100), 1, ("uint8",))
        assert source.transform.almost_equals(GRID.transform)
        assert source.crs == "EPSG:4326"


def test_an_interferogram_that_was_interrupted_does_not_count_as_written(tmp_path, monkeypatch):
    def full(path, values, grid):
        if values.dtype == np.float32 and values.max() > 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(isslide, "_write", full)
    planes = PatchPlanes(PHASE, COHERENCE, MASK > 0)
    with pytest.raises(OutputError, match="the disk is full"):
        write_patches(tmp_path, "6days", "Queyras", FIRST, [("17_3", GRID, planes)])
    assert not is_written(tmp_path, "6days", "Queyras", FIRST)


def test_names_are_those_of_the_set():
    pair = Pair(date(2018, 8, 31), date(2018, 9, 18))
    assert (dates_text(pair), delay_text(pair)) == ("31Aug2018_18Sep2018", "18days")
