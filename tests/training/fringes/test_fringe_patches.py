"""Folders of windows: read, written, split, and what is wrong with them said in one line."""

import re

import numpy as np
import pytest
import rasterio
from affine import Affine

from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.training.fringes.patches import (
    FringeSample,
    Patch,
    checksum_of,
    find_patches,
    hold_back,
    read_patch,
    write_patch,
)

SIDE = 150


def made(seed=0, positive=True):
    rng = np.random.default_rng(seed)
    known = rng.random((SIDE, SIDE)) < 0.9
    wrapped = (rng.uniform(-np.pi, np.pi, (SIDE, SIDE)) * known).astype(np.float32)
    return FringeSample(wrapped, (rng.uniform(0.1, 1, (SIDE, SIDE)) * known).astype(np.float32), positive, "gassan")


def write(path, *bands):
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, columns = bands[0].shape
    with rasterio.open(
        path, "w", driver="GTiff", height=rows, width=columns, count=len(bands), dtype=bands[0].dtype,
        transform=Affine(28, 0, 0, 0, -28, 0),
    ) as file:  # fmt: skip
        for k, band in enumerate(bands, start=1):
            file.write(band, k)


@pytest.fixture
def folder(tmp_path):
    for name in ("positive", "negative"):
        for scene in ("gassan_1", "gassan_1_pad3", "kochi_1"):
            write_patch(tmp_path / name / f"{scene}.tif", made(len(scene)), 28.0)
    return tmp_path


def test_what_is_written_is_read(folder):
    patches, problems = find_patches(folder)
    assert problems == []
    assert [(p.path.stem, p.positive, p.padded) for p in patches[:3]] == [
        ("gassan_1", True, False), ("gassan_1_pad3", True, True), ("kochi_1", True, False),
    ]  # fmt: skip
    sample, wanted = read_patch(patches[0]), made(len("gassan_1"))
    np.testing.assert_array_equal(sample.wrapped, wanted.wrapped)
    np.testing.assert_array_equal(sample.coherence, wanted.coherence)
    assert (sample.positive, sample.scene) == (True, "gassan")


def test_without_coherence_it_is_told_from_the_phase(tmp_path):
    y, x = np.mgrid[:SIDE, :SIDE]
    ramp = np.angle(np.exp(0.2j * (x + y))).astype(np.float32)
    ramp[:20] = np.nan
    write(tmp_path / "a.tif", ramp)
    sample = read_patch(Patch(tmp_path / "a.tif", positive=False))
    assert (sample.coherence[:20] == 0).all()
    assert (sample.wrapped[:20] == 0).all()
    assert sample.coherence[30:-10, 10:-10].min() > 0.99


def test_other_sizes_and_damaged_files_are_named_and_the_good_ones_used(folder):
    write(folder / "positive" / "nara_1.tif", np.zeros((100, 120), np.float32))
    (folder / "positive" / "nara_2.tif").write_bytes(b"no image")
    patches, problems = find_patches(folder)
    assert len(patches) == 6
    assert [re.sub(r".*/", "", p) for p in problems] == [
        "nara_1.tif: expected 150 x 150 pixels, instead got 100 x 120; cut it anew",
        "nara_2.tif: cannot be read as GeoTIFF; write the file again",
    ]


def test_empty_class_folders_are_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"positive: no such folder; expected windows in positive and negative$"):
        find_patches(tmp_path)
    write_patch(tmp_path / "positive" / "a_1.tif", made(), 28.0)
    (tmp_path / "negative").mkdir()
    with pytest.raises(NoDataError, match=r"negative: no \*\.tif; put windows of 150 x 150 pixels here$"):
        find_patches(tmp_path)
    write(tmp_path / "negative" / "a_1.tif", np.zeros((10, 10), np.float32))
    with pytest.raises(NoDataError, match=r"negative: none of 1 windows can be used; the first: .*instead got 10 x 10"):
        find_patches(tmp_path)


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        (
            (np.full((SIDE, SIDE), 90, np.float32),),
            "expected wrapped phase in radians, -3.142 to 3.142, instead got 90 to",
        ),
        (
            (np.zeros((SIDE, SIDE), np.float32), np.full((SIDE, SIDE), 7, np.float32)),
            "expected coherence in its second",
        ),
        ((np.zeros((SIDE, SIDE), np.complex64),), "expected wrapped phase in radians, instead got complex numbers"),
    ],
)
def test_bands_that_hold_something_else(tmp_path, bands, message):
    write(tmp_path / "a.tif", *bands)
    with pytest.raises(DamagedFileError, match=message):
        read_patch(Patch(tmp_path / "a.tif", positive=True))


def test_scenes_stay_together(folder):
    patches, _ = find_patches(folder)
    learned, held = hold_back(patches, 0.5, 0)
    assert {p.scene for p in learned}.isdisjoint({p.scene for p in held})
    assert len(learned) + len(held) == 6
    assert hold_back(patches, 0, 0) == (patches, [])


def test_one_scene_cannot_be_split(folder):
    patches = [p for p in find_patches(folder)[0] if p.scene == "gassan"]
    with pytest.raises(NoDataError, match="all windows are of one scene, and some scenes are held back"):
        hold_back(patches, 0.2, 0)


def test_a_part_that_lacks_a_class_is_named(folder):
    patches = [p for p in find_patches(folder)[0] if p.positive or p.scene == "kochi"]
    with pytest.raises(NoDataError, match=r"no negative window to (learn from|validate on) \(gassan\)"):
        hold_back(patches, 0.5, 0)


def test_checksum_tells_windows_apart_and_not_where_they_lie(folder, tmp_path_factory):
    before = checksum_of(find_patches(folder)[0])
    moved = folder.rename(tmp_path_factory.mktemp("other") / "place")
    again, _ = find_patches(moved)
    assert checksum_of(again) == before
    assert checksum_of(again[1:]) != checksum_of(again)
