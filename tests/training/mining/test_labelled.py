"""Footprints that somebody drew: read as they are, split by scene, and refused in one line."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.io.estimate import phase_consistency
from groundshift.training.mining.labelled import checksum_of, read_labelled, split_labelled


def write(path, values, nodata=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", height=values.shape[0], width=values.shape[1], count=1, dtype=values.dtype,
        nodata=nodata, transform=Affine(10, 0, 0, 0, -10, 0),
    ) as file:  # fmt: skip
        file.write(values, 1)


@pytest.fixture
def folder(tmp_path, a_sample):
    """Three samples of two scenes, one with coherence."""
    for k, name in enumerate(("kunshan_1", "kunshan_2", "wuhai_1")):
        sample = a_sample(k)
        write(tmp_path / "phase" / f"{name}.tif", np.where(sample.known, sample.wrapped, np.nan).astype(np.float32))
        write(tmp_path / "mask" / f"{name}.tif", (255 * sample.footprint).astype(np.uint8))
    write(tmp_path / "coherence" / "wuhai_1.tif", a_sample(2).coherence)
    return tmp_path


def test_samples_are_those_of_the_files(folder, a_sample):
    found = read_labelled(folder)
    assert [s.scene for s in found] == ["kunshan", "kunshan", "wuhai"]
    for k, sample in enumerate(found):
        expected = a_sample(k)
        np.testing.assert_array_equal(sample.wrapped, expected.wrapped)
        np.testing.assert_array_equal(sample.known, expected.known)
        np.testing.assert_array_equal(sample.footprint, expected.footprint)
        assert np.isnan(sample.phase).all()
        assert np.isnan(sample.bowl).all()
        assert {plane.dtype for plane in sample[:5]} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(found[2].coherence, a_sample(2).coherence)
    estimated = phase_consistency(a_sample(0).wrapped, a_sample(0).known)
    np.testing.assert_array_equal(found[0].coherence, estimated)


def test_no_data_values_and_infinite_phase_are_no_data(tmp_path):
    phase = np.full((8, 9), 0.5, np.float32)
    phase[0], phase[1, 0], phase[1, 1] = -9999, np.inf, np.nan
    write(tmp_path / "phase" / "a.tif", phase, nodata=-9999)
    mask = np.ones((8, 9), np.float32)
    mask[7] = np.nan
    write(tmp_path / "mask" / "a.tif", mask)
    write(
        tmp_path / "coherence" / "a.tif",
        np.where(np.arange(9) < 8, 0.5, np.nan).astype(np.float32) * np.ones((8, 1), np.float32),
    )
    sample = read_labelled(tmp_path)[0]
    known = np.ones((8, 9), bool)
    known[0], known[1, :2], known[:, 8] = False, False, False
    np.testing.assert_array_equal(sample.known, known)
    assert (sample.wrapped[~known] == 0).all()
    assert (sample.footprint[:7] == 1).all()
    assert (sample.footprint[7] == 0).all()


def test_an_image_without_any_data_stops_nothing(tmp_path):
    write(tmp_path / "phase" / "a.tif", np.full((8, 9), np.nan, np.float32))
    write(tmp_path / "mask" / "a.tif", np.ones((8, 9), np.uint8))
    assert not read_labelled(tmp_path)[0].known.any()


def spoil_folder(folder, what):
    phase, mask, coherence = (folder / part / "wuhai_1.tif" for part in ("phase", "mask", "coherence"))
    match what:
        case "no phase":
            for file in (folder / "phase").iterdir():
                file.unlink()
        case "no mask":
            mask.unlink()
        case "degrees":
            write(phase, np.full((40, 48), 170.0, np.float32))
        case "complex":
            write(phase, np.ones((40, 48), np.complex64))
        case "not a raster":
            phase.write_text("phase")
        case "truncated":
            phase.write_bytes(phase.read_bytes()[:-3000])
        case "size":
            write(mask, np.ones((40, 47), np.uint8))
        case "percent":
            write(coherence, np.full((40, 48), 87, np.uint8))


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("no phase", MissingFileError, r"phase: no \*\.tif; expected wrapped phase here, and its .*mask"),
        (
            "no mask",
            MissingFileError,
            r"mask/wuhai_1\.tif: no such file; every phase/NAME\.tif needs its mask/NAME\.tif",
        ),
        ("degrees", DamagedFileError, r"expected wrapped phase in radians, -3\.142 to 3\.142, instead got 0 to 170"),
        ("complex", DamagedFileError, r"expected wrapped phase in radians, instead got complex numbers"),
        ("not a raster", DamagedFileError, r"wuhai_1\.tif: cannot be read as GeoTIFF; write the file again"),
        ("truncated", DamagedFileError, r"wuhai_1\.tif: cannot be read as GeoTIFF; write the file again"),
        ("size", DamagedFileError, r"expected 40 x 48 pixels as of its phase, instead got 40 x 47"),
        ("percent", DamagedFileError, r"coherence/wuhai_1\.tif: expected coherence, 0 to 1, instead got 0 to 87"),
    ],
)
def test_what_cannot_be_learned_from_is_named(folder, what, error, message):
    spoil_folder(folder, what)
    with pytest.raises(error, match=message) as told:
        read_labelled(folder)
    assert "\n" not in str(told.value)


def test_images_of_a_scene_stay_together(a_sample):
    samples = [a_sample(k, scene=f"s{k // 3}") for k in range(30)]
    learned, held = split_labelled(samples, 0)
    assert len(learned) + len(held) == 30
    assert len({s.scene for s in held}) == 2
    assert not {s.scene for s in held} & {s.scene for s in learned}
    assert [s.scene for s in split_labelled(samples[::-1], 0)[1]] == [s.scene for s in held][::-1]


def test_both_parts_must_show_ground_that_moves(a_sample):
    with pytest.raises(NoDataError, match=r"all masks are of one scene, .*; name files SCENE_NUMBER\.tif"):
        split_labelled([a_sample(0, scene="a"), a_sample(1, scene="a")], 0)
    blank = a_sample()._replace(footprint=np.zeros((40, 48), np.float32))
    # What lies where there are no data does not count.
    blank.footprint[0, 0] = 1
    scenes = [blank._replace(scene=name) for name in "abcde"]
    with pytest.raises(NoDataError, match=r"no mask to learn from \(.*\) marks ground with data; add scenes"):
        split_labelled(scenes, 0)
    held = split_labelled([a_sample(0, scene=name) for name in "abcde"], 0)[1][0].scene
    few = [a_sample(0, scene=name) if name != held else blank._replace(scene=name) for name in "abcde"]
    with pytest.raises(NoDataError, match=rf"no mask to validate on \({held}\) marks ground with data"):
        split_labelled(few, 0)


def test_other_samples_have_another_checksum(a_sample):
    samples = [a_sample(0), a_sample(1)]
    assert checksum_of(samples) == checksum_of([a_sample(0), a_sample(1)])
    others = [
        samples[::-1], samples[:1], [samples[0], samples[1]._replace(scene="x")],
        *([samples[0], samples[1]._replace(**{name: getattr(samples[1], name) + np.float32(0.1)})]
          for name in ("wrapped", "coherence", "footprint")),
    ]  # fmt: skip
    assert len({checksum_of(s) for s in (samples, *others)}) == 7
