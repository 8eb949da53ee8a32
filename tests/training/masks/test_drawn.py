"""Masks that somebody drew: rasters and polygons, and what is said of wrong ones."""

import re
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from shapely import box

pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.detect.mask_network import amplitude_plane
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.io.estimate import phase_consistency
from groundshift.training.masks.drawn import checksum_of, read_drawn, split_drawn

SHAPE = (20, 30)
TRANSFORM = Affine(20, 0, 500_000, 0, -20, 3_400_000)
LAKE = np.s_[5:12, 8:20]


def write(folder, part, name, values, *, nodata=None, crs="EPSG:32648"):
    path = Path(folder) / part / f"{name}.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1, dtype=values.dtype,
        transform=TRANSFORM, crs=crs, nodata=nodata,
    ) as file:  # fmt: skip
        file.write(values, 1)
    return path


@pytest.fixture
def drawn(tmp_path):
    """One interferogram with a lake, whose first row lacks data and whose last one nobody has judged."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(-3, 3, SHAPE).astype(np.float32)
    phase[0] = np.nan
    mask = np.ones(SHAPE, np.uint8)
    mask[LAKE], mask[-1] = 0, 255
    write(tmp_path, "phase", "taihu_1", phase)
    write(tmp_path, "coherence", "taihu_1", rng.uniform(0.1, 1, SHAPE).astype(np.float32))
    write(tmp_path, "amplitude", "taihu_1", rng.uniform(10, 99, SHAPE).astype(np.float32))
    write(tmp_path, "mask", "taihu_1", mask, nodata=255)
    return tmp_path


def values_of(drawn, part):
    with rasterio.open(drawn / part / "taihu_1.tif") as source:
        return source.read(1)


def test_planes_are_those_of_the_files(drawn):
    (found,) = read_drawn(drawn)
    assert found.scene == "taihu"
    known = np.ones(SHAPE, bool)
    known[0] = False
    assert np.array_equal(found.known, known)
    assert np.array_equal(found.wrapped, np.nan_to_num(values_of(drawn, "phase")))
    assert np.array_equal(found.coherence[known], values_of(drawn, "coherence")[known])
    assert np.array_equal(found.amplitude[known], amplitude_plane(values_of(drawn, "amplitude"))[known])
    usable, judged = np.ones(SHAPE, bool), known.copy()
    usable[LAKE], judged[-1] = False, False
    assert np.array_equal(found.judged, judged)
    assert np.array_equal(found.coherent, judged & usable)
    assert np.array_equal(found.judged & ~found.coherent, judged & ~usable)


def test_coherence_and_amplitude_may_be_missing(drawn):
    for part in ("coherence", "amplitude"):
        (drawn / part / "taihu_1.tif").unlink()
    (found,) = read_drawn(drawn)
    phase = values_of(drawn, "phase")
    assert np.array_equal(found.coherence, phase_consistency(phase, np.isfinite(phase)))
    assert not found.amplitude.any()


def lake_file(path, crs="EPSG:32648", layer="water"):
    """The lake as a polygon along the edges of its pixels."""
    west, east = (TRANSFORM.c + 20 * column for column in (LAKE[1].start, LAKE[1].stop))
    south, north = (TRANSFORM.f - 20 * row for row in (LAKE[0].stop, LAKE[0].start))
    frame = geopandas.GeoDataFrame(geometry=[box(west, south, east, north)], crs="EPSG:32648")
    frame = frame.to_crs(crs) if crs else frame.set_crs(None, allow_override=True)
    frame.to_file(path, layer=layer, driver="GPKG")
    return path


@pytest.mark.parametrize("crs", ["EPSG:32648", "EPSG:4326"])
def test_polygons_of_a_lake_are_its_mask(drawn, crs):
    (raster,) = read_drawn(drawn)
    (found,) = read_drawn(drawn, lake_file(drawn / "lake.gpkg", crs), "water")
    assert np.array_equal(found.judged, found.known)
    assert np.array_equal(found.coherent[:-1], raster.coherent[:-1])
    assert found.coherent[-1].all()


def test_what_is_wrong_is_named_in_one_line(drawn):
    phase = values_of(drawn, "phase")
    checks = [
        (lambda: write(drawn, "mask", "taihu_1", np.full(SHAPE, 7, np.uint8)), "expected a mask of 0 and 1, 0 to 1, "),
        (lambda: write(drawn, "mask", "taihu_1", np.full(SHAPE, 0.5, np.float32)), "instead got values between"),
        (lambda: write(drawn, "mask", "taihu_1", np.ones((4, 5), np.uint8)), "expected 20 x 30 pixels as of its phase"),
        (lambda: write(drawn, "amplitude", "taihu_1", -phase), "expected amplitude, 0 to inf, instead got"),
        (lambda: write(drawn, "coherence", "taihu_1", 9 * np.abs(phase)), "expected coherence, 0 to 1, instead got"),
        (lambda: write(drawn, "phase", "taihu_1", 60 * phase), "expected wrapped phase in radians, -3.142 to 3.142"),
        (lambda: (drawn / "phase" / "taihu_1.tif").write_bytes(b"II*"), "cannot be read as GeoTIFF; write the file"),
    ]
    for spoil, told in checks:
        spoil()
        with pytest.raises(DamagedFileError, match=re.escape(told)) as error:
            read_drawn(drawn)
        assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_what_is_missing_is_named(drawn):
    lake = drawn / "lake.gpkg"
    with pytest.raises(MissingFileError, match=r"lake\.gpkg: no such file; check the spelling of --polygons"):
        read_drawn(drawn, lake)
    lake_file(lake)
    with pytest.raises(MissingFileError, match=r"no layer land, only water; name one with --layer"):
        read_drawn(drawn, lake, "land")
    write(drawn, "phase", "taihu_1", values_of(drawn, "phase"), crs=None)
    with pytest.raises(DamagedFileError, match=r"taihu_1\.tif: no coordinate system, so polygons have no place on it"):
        read_drawn(drawn, lake)
    lake.unlink()
    with pytest.raises(DamagedFileError, match="layer water does not tell its coordinate system; set it in a GIS"):
        read_drawn(drawn, lake_file(lake, crs=None))
    (drawn / "mask" / "taihu_1.tif").unlink()
    with pytest.raises(MissingFileError, match=r"mask/taihu_1\.tif: no such file; every phase/NAME\.tif needs its"):
        read_drawn(drawn)
    with pytest.raises(MissingFileError, match=r"no \*\.tif; expected wrapped phase here"):
        read_drawn(drawn / "phase")


def test_scenes_are_held_back_whole(drawn):
    (one,) = read_drawn(drawn)
    samples = [one._replace(scene=f"s{k // 2}") for k in range(10)]
    learned, held = split_drawn(samples, 0)
    assert {s.scene for s in learned} & {s.scene for s in held} == set()
    assert (len(learned), len(held)) == (8, 2)
    with pytest.raises(NoDataError, match=r"all masks are of one scene, .*; name files SCENE_NUMBER\.tif"):
        split_drawn([one, one], 0)
    dry = [s._replace(usable=np.ones(SHAPE, np.float32)) for s in samples]
    with pytest.raises(NoDataError, match=r"no mask to learn from .* tells of decorrelated ground with data"):
        split_drawn(dry, 0)


def test_a_checksum_tells_samples_apart(drawn):
    (one,) = read_drawn(drawn)
    assert checksum_of([one]) == checksum_of(read_drawn(drawn))
    assert len({checksum_of([s]) for s in (one, one._replace(usable=1 - one.usable), one._replace(scene="b"))}) == 3
