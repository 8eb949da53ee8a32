"""Phase rasters that are not in radians, and products of the wrong sign, are told; those that are right pass."""

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.products.isce import write_rdr
from tests.products.scene import make_scene
from tests.products.snap import write_dim

from groundshift.errors import DamagedFileError, GroundshiftError, NoDataError, ProductError
from groundshift.io import open_stack
from groundshift.io.plausible import judge_phase, judge_signs, usable_phase
from groundshift.io.stack import Problem
from groundshift.types import Window
from groundshift.unwrap import choose_unwrapper

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

Y, X = np.mgrid[:96, :128].astype(np.float64)
TURN = 2 * np.pi


def wrap(phase: NDArray[Any]) -> NDArray[np.float64]:
    return np.angle(np.exp(1j * phase))


def noisy(phase: NDArray[Any], sigma: float, seed: int = 0) -> NDArray[np.float64]:
    return phase + np.random.default_rng(seed).normal(0, sigma, phase.shape)


FRINGES = wrap(noisy(0.11 * X - 0.07 * Y, 0.4))
NOISE = np.random.default_rng(1).uniform(-np.pi, np.pi, X.shape)
BOWL = 14 * np.exp(-((X - 60) ** 2 + (Y - 50) ** 2) / (2 * 18**2))
SCENES = {"fringes": FRINGES, "noise": NOISE, "bowl": wrap(noisy(BOWL, 0.3)), "one fringe": wrap(noisy(0.06 * X, 0.2))}


def kind(values: NDArray[Any], **options: Any) -> str | None:
    found = judge_phase(values, **options)
    return None if found is None else found.kind


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("wrapped", [True, False])
def test_radians_pass_whichever_turn_they_lie_in(name: str, wrapped: bool) -> None:
    phase = SCENES[name]
    for values in (phase, phase.astype(np.float32), np.mod(phase, TURN), phase - 2.0, -phase):
        assert judge_phase(values, wrapped_expected=wrapped) is None


UNITS: dict[str, tuple[Callable[[NDArray[Any]], NDArray[Any]], str, str]] = {
    "degrees": (np.degrees, "degrees", "like degrees (-180 to 180); convert it to radians (times pi / 180)"),
    "degrees from 0": (lambda p: np.degrees(np.mod(p, TURN)), "degrees", "like degrees (0 to 360); "),
    "whole degrees": (lambda p: np.rint(np.degrees(p)).astype(np.int16), "degrees", "like degrees (-180 to 180); "),
    "cycles": (lambda p: p / TURN, "cycles", "like cycles (-0.50 to 0.50); convert it to radians (times 2 pi)"),
    "cycles from 0": (lambda p: np.mod(p / TURN, 1), "cycles", "like cycles (0.00 to 1.00); "),
    "half cycles": (lambda p: p / np.pi, "cycles", "like multiples of pi (-1.00 to 1.00); "),
    "bytes": (lambda p: np.floor((p + np.pi) / TURN * 255.99).astype(np.uint8), "bytes", "scaled to bytes ("),
    "bytes as floats": (lambda p: np.floor((p + np.pi) / TURN * 255.99), "bytes", "scaled to bytes ("),
    "signed bytes": (lambda p: np.floor(p / np.pi * 127.99).astype(np.int8), "bytes", "scaled to bytes (-128"),
    "16 bits": (lambda p: np.floor(p / np.pi * 32767.9).astype(np.int16), "scaled", "scaled to 16 bits ("),
    "16 bits from 0": (lambda p: ((p + np.pi) / TURN * 65535.9).astype(np.uint16), "scaled", "scaled to 16 bits ("),
    "times 10,000": (lambda p: np.rint(p * 1e4).astype(np.int16), "scaled", "like radians times 10000 ("),
    "times 100": (lambda p: np.rint(p * 100).astype(np.int16), "scaled", "like radians times 100 (-314 to 314); "),
    "times 1000 as floats": (lambda p: np.mod(p, TURN) * 1000, "scaled", "like radians times 1000 ("),
}  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("wrapped", [True, False])
def test_other_units_are_named_with_their_remedy(unit: str, name: str, wrapped: bool) -> None:
    turned, expected, text = UNITS[unit]
    found = judge_phase(turned(SCENES[name]), wrapped_expected=wrapped)
    assert found is not None
    assert found.kind == expected
    assert not found.usable
    if name == "noise":  # fills its circle to the last degree
        assert found.text.startswith("phase looks " + text)


@pytest.mark.parametrize("unit", ["degrees", "cycles", "bytes", "16 bits"])
@settings(max_examples=30, deadline=None)
@given(rates=st.tuples(st.floats(0.1, 1.5), st.floats(-1.5, 1.5)), sigma=st.floats(0.4, 1.5), seed=st.integers(0, 1000))
def test_unit_of_any_fringes_is_told_and_radians_are_not(
    unit: str, rates: tuple[float, float], sigma: float, seed: int
) -> None:
    phase = wrap(noisy(rates[0] * X + rates[1] * Y, sigma, seed))
    turned, expected, _ = UNITS[unit]
    assert kind(turned(phase)) == expected
    assert judge_phase(phase) is None


FLAT = {
    "constant": np.full(X.shape, 0.5),
    "constant of one": np.ones(X.shape),
    "half a radian of noise": noisy(np.zeros(X.shape), 0.165),
    "a radian of noise": noisy(np.zeros(X.shape), 0.33),
    "a small bowl": noisy(0.9 * BOWL / 14 + 0.05, 0.02),
    "a step of one radian": noisy(np.where(X > 40, 0.5, -0.5), 0.002),
    "a slope of one radian": X / X.max() + 1e-3,
    "a coherence of one": np.clip(1 - np.abs(noisy(np.zeros(X.shape), 0.1)), 0.001, 1),
}


@pytest.mark.parametrize("name", FLAT)
def test_small_range_of_radians_is_not_taken_for_cycles(name: str) -> None:
    assert judge_phase(FLAT[name]) is None
    assert judge_phase(FLAT[name] - 0.3) is None


def test_overshoot_of_interpolation_at_the_seam_passes() -> None:
    """Cubic convolution overshoots a step of 2 pi by up to 7 % at either side."""
    phase = SCENES["bowl"].copy()
    phase[:, ::7] *= 1.07
    assert np.abs(phase).max() > 1.05 * np.pi
    assert judge_phase(phase) is None


def test_too_few_pixels_tell_nothing() -> None:
    values = np.full((20, 20), np.nan)
    values.flat[:64] = np.degrees(NOISE).flat[:64]
    assert kind(values) == "degrees"
    values.flat[0] = 0  # no data
    assert judge_phase(values) is None
    assert judge_phase(np.zeros((50, 50))) is None
    assert judge_phase(np.full((3, 3), 90.0)) is None


def test_gaps_of_any_kind_do_not_matter() -> None:
    for gap in (0.0, np.nan, np.inf, -np.inf):
        for values, expected in ((FRINGES, None), (np.degrees(FRINGES), "degrees"), (3 + BOWL, "unwrapped")):
            holed = values.copy()
            holed[10:60, 20:90] = gap
            assert kind(holed) == expected


def test_unwrapped_phase_is_told_where_a_wrapped_one_is_expected_and_stays_usable() -> None:
    unwrapped = noisy(0.3 * X - 0.1 * Y, 0.4)
    found = judge_phase(unwrapped)
    assert found is not None
    assert (found.kind, found.usable) == ("unwrapped", True)
    assert found.text.startswith("phase is unwrapped already (-")
    assert found.text.endswith(" to 38.3), and is only wrapped again; give the wrapped phase, or name a GeoTIFF unw")
    assert judge_phase(unwrapped, wrapped_expected=False) is None
    assert kind(noisy(BOWL, 0.3)) == "unwrapped"
    assert kind(noisy(BOWL / 3, 0.3)) is None  # within a turn


def test_range_beyond_which_a_phase_is_not_wrapped() -> None:
    """A turn and an eighth: 2.25 pi from end to end, or as far from zero."""
    slope = X / X.max()
    assert judge_phase(2.24 * np.pi * (slope - 0.5)) is None
    assert kind(2.28 * np.pi * (slope - 0.5)) == "unwrapped"
    assert judge_phase(1.24 * np.pi + np.pi * slope) is None
    assert kind(1.28 * np.pi + np.pi * slope) == "unwrapped"


def test_noise_that_was_unwrapped_is_not_taken_for_another_unit() -> None:
    """Minimum-cost flow leaves steps beyond pi at one in seven neighbours, unwrapping by lines at nearly half."""
    noise = NOISE.astype(np.float32)
    flow = choose_unwrapper("whirlwind").unwrap(noise, np.full(noise.shape, 0.1, np.float32), 4.0).unwrapped
    torn = np.mean(np.abs(np.concatenate([np.diff(flow, axis=axis).ravel() for axis in (0, 1)])) > np.pi)
    assert 0.1 < torn < 0.16
    assert kind(flow) in (None, "unwrapped")
    assert judge_phase(flow, wrapped_expected=False) is None
    lines = np.unwrap(np.unwrap(NOISE, axis=0), axis=1)
    assert np.mean(np.abs(np.diff(lines, axis=0)) > np.pi) > 0.8
    assert judge_phase(lines, wrapped_expected=False) is None
    assert kind(lines) == "neither"


def test_numbers_that_are_no_phase_are_told() -> None:
    millimetres = noisy(BOWL * 3, 8.0)
    found = judge_phase(millimetres)
    assert found is not None
    assert (found.kind, found.usable) == ("neither", False)
    assert "are no radians, wrapped or unwrapped, for 7" in found.text
    assert found.text.endswith("of neighbours differ by more than pi; convert the phase to radians")
    assert kind(millimetres, wrapped_expected=False) == "neither"
    counts = np.rint(1000 + 40 * BOWL)
    assert kind(counts) == "whole"
    assert kind(np.rint(20 + 5 * BOWL).astype(np.uint8)) == "bytes"
    assert kind(np.rint(20 + 5 * BOWL) + 0.25) != "bytes"


def test_degrees_without_a_whole_fringe_are_told_by_their_steps() -> None:
    more, less = noisy(BOWL / 5 - 1.2, 0.2), noisy(BOWL / 7 - 1, 0.1)
    assert kind(np.degrees(more)) == "degrees"
    assert kind(np.degrees(less)) == "neither"  # not half a turn
    assert judge_phase(more) is None
    assert judge_phase(less) is None


@pytest.mark.parametrize("value", [-9999.0, 32767.0, -3.4028234663852886e38, 1e20])
def test_value_that_stands_for_no_data_is_told_and_the_others_are_judged(value: float) -> None:
    for values in (FRINGES, noisy(0.3 * X - 0.1 * Y, 0.4)):
        filled = values.copy()
        filled[:12, :48] = value
        found = judge_phase(filled, wrapped_expected=values is FRINGES)
        assert found is not None
        assert (found.kind, found.usable) == ("no-data", True)
        assert found.text == (
            f"the value {value:g}, in {12 * 48 / X.size:.1%} of the pixels, is taken for a phase; declare it as no "
            "data, or write NaN"
        )
    filled = np.degrees(FRINGES)
    filled[:12, :48] = value
    assert kind(filled) == "degrees"


def test_only_real_numbers_in_two_dimensions_are_judged() -> None:
    with pytest.raises(TypeError, match=r"^values must be real numbers, instead got complex ones$"):
        judge_phase(np.exp(1j * FRINGES))
    with pytest.raises(ValueError, match="must have shape"):
        judge_phase(FRINGES[np.newaxis])


# Readers: products whose rasters are rewritten as another program might have written them.

SCENE = make_scene()


def in_tif(file: Path, change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    with rasterio.open(file, "r+") as raster:
        raster.write(change(raster.read(1)).astype(np.float32), 1)


def licsar(root: Path, change: Callable[..., Any]) -> Path:
    in_tif(file := next(root.glob(f"interferograms/{NAME}/*.diff_pha.tif")), change)
    return file


def hyp3(root: Path, change: Callable[..., Any]) -> Path:
    in_tif(file := next(root.glob(f"*{NAME}*/*_wrapped_phase.tif")), change)
    return file


def geotiff_folder(root: Path, change: Callable[..., Any]) -> Path:
    in_tif(file := root / f"{NAME}_phase.tif", change)
    return file


def geotiff(root: Path, change: Callable[..., Any]) -> Path:
    in_tif(file := root / f"track87_{NAME.replace('_', '-')}_unw.tif", lambda v: change(wrapped_again(v)))
    return file


def wzp(root: Path, change: Callable[..., Any]) -> Path:
    file = next(root.glob(f"*{NAME.replace('_', '-')}.wzp"))
    change(np.fromfile(file, "<f4")).astype("<f4").tofile(file)
    return file


def mintpy(root: Path, change: Callable[..., Any]) -> Path:
    with h5py.File(file := root / "inputs" / "ifgramStack.h5", "r+") as sink:
        sink["unwrapPhase"][1] = change(wrapped_again(sink["unwrapPhase"][1]))
    return file


def wrapped_again(values: NDArray[Any]) -> NDArray[Any]:
    return np.where(values == 0, 0, wrap(values))


NAME = SCENE.layers[1].name
FILES = {
    "licsar": licsar,
    "hyp3": hyp3,
    "geotiff_folder": geotiff_folder,
    "geotiff": geotiff,
    "wzp": wzp,
    "mintpy": mintpy,
}
PARTS = {"mintpy": f"pair {NAME}: "}


def written(name: str, folder: Path) -> Path:
    writer = importlib.import_module(f"tests.products.{name}")
    return writer.write(folder, make_scene(getattr(writer, "CRS", "EPSG:4326")))


@pytest.mark.parametrize("name", FILES)
def test_pair_in_degrees_is_left_out_with_one_line(name: str, tmp_path: Path) -> None:
    root = written(name, tmp_path)
    whole = open_stack(root)
    assert [p for p in whole.problems if "radians" in p.message] == []
    file = FILES[name](root, np.degrees)
    stack = open_stack(root)
    (problem,) = [p for p in stack.problems if p.skipped]
    assert problem.path == file
    assert problem.message.startswith(f"{file}: {PARTS.get(name, '')}phase looks like degrees (")
    assert problem.message.endswith("; convert it to radians (times pi / 180)")
    assert stack.pairs == (whole.pairs[0], *whole.pairs[2:])
    with pytest.raises(ProductError) as caught:
        open_stack(root, strict=True)
    assert str(caught.value) == problem.message


@pytest.mark.parametrize("name", ["licsar", "hyp3", "geotiff_folder", "wzp"])
def test_unwrapped_phase_in_place_of_a_wrapped_one_is_noted_and_read(name: str, tmp_path: Path) -> None:
    root = written(name, tmp_path)
    whole = open_stack(root)
    file = FILES[name](root, lambda v: np.where(v == 0, 0, v + TURN * 4).astype(np.float32))
    stack = open_stack(root)
    (problem,) = [p for p in stack.problems if "unwrapped already" in p.message]
    assert (problem.path, problem.skipped) == (file, False)
    assert stack.pairs == whole.pairs
    np.testing.assert_allclose(stack.read(stack.pairs[1]), whole.read(whole.pairs[1]), atol=2e-5)


def test_unwrapped_bands_of_other_products_are_judged(tmp_path: Path) -> None:
    """GAMMA and ISCE2 store phase as real numbers only where it is unwrapped; SNAP wrapped as well."""
    layer = SCENE.layers[1]
    degrees = np.where(layer.valid, np.degrees(layer.wrapped), 0).astype(np.float32)
    for name in ("gamma", "isce", "snap"):
        (tmp_path / name).mkdir()
    gamma = written("gamma", tmp_path / "gamma")
    for one in SCENE.layers:
        (gamma / "diff" / f"{one.name}.diff.sm").unlink()
        values = degrees if one is layer else np.where(one.valid, one.unwrapped, 0)
        values.astype(">f4").tofile(gamma / "diff" / f"{one.name}.unw")
    isce = written("isce", tmp_path / "isce")
    for one in SCENE.layers:
        folder = isce / "merged" / "interferograms" / one.name
        (folder / "filt_fine.int").unlink()
        values = degrees if one is layer else np.where(one.valid, one.unwrapped, 0)
        write_rdr(folder / "filt_fine.unw", np.stack([one.valid, values]).astype(np.float32))
    snap = tmp_path / "snap"
    for one in SCENE.layers:
        write_dim(snap, one.name, [one], SCENE, unwrapped=True)
    next((snap / f"{NAME}.data").glob("Unw_Phase_ifg*.img")).write_bytes(degrees.astype(">f4").tobytes())
    for root in (gamma, isce, snap):
        stack = open_stack(root)
        (problem,) = [p for p in stack.problems if p.skipped]
        assert "phase looks like degrees" in problem.message
        assert [p.name for p in stack.pairs] == [one.name for one in SCENE.layers if one is not layer]


def test_product_that_is_all_in_bytes_is_refused_with_that_reason(tmp_path: Path) -> None:
    file = tmp_path / "20_20190120-20190201.wzp"
    UNITS["bytes as floats"][0](FRINGES[:20, :20]).astype("<f4").tofile(file)
    with pytest.raises(NoDataError) as caught:
        open_stack(tmp_path)
    assert str(caught.value).startswith(f"{file}: phase looks scaled to bytes (")


@pytest.mark.parametrize("corner", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_block_with_data_is_found_where_the_middle_has_none(corner: tuple[int, int], tmp_path: Path) -> None:
    shape = (400, 2600)
    values = np.zeros(shape)
    rows, columns = (slice(k * n // 2 + n // 5, k * n // 2 + 2 * n // 5) for k, n in zip(corner, shape, strict=True))
    values[rows, columns] = np.degrees(np.random.default_rng(0).uniform(-np.pi, np.pi, values[rows, columns].shape))
    seen: list[Window] = []

    def read(window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        seen.append(window)
        block = values[window.rows, window.columns]
        assert block.shape == (64, 512)
        return block, block != 0

    problems: list[Problem] = []
    assert not usable_phase(tmp_path, read, shape, problems)
    assert len(problems) == 1
    assert len(seen) <= 5
    seen.clear()
    values = np.resize(FRINGES, shape)
    assert usable_phase(tmp_path, read, shape, problems)
    assert len(seen) == 1


def test_file_that_cannot_be_read_is_left_to_who_reads_it(tmp_path: Path) -> None:
    def read(window: Window) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        raise DamagedFileError("truncated")

    problems: list[Problem] = []
    assert usable_phase(tmp_path, read, (100, 100), problems)
    assert problems == []


# Signs.


@pytest.mark.parametrize(("bowls", "rising"), [(10, 10), (15, 14), (20, 18), (30, 24), (100, 66)])
def test_more_rising_bowls_than_chance_explains_are_told(bowls: int, rising: int) -> None:
    peaks = [-4.0] * rising + [6.0] * (bowls - rising)
    told = judge_signs(peaks)
    assert told == (
        f"phase falls in {rising} of {bowls} bowls, as over rising ground, but ground over mines sinks: its sign seems "
        "to be turned; multiply it by -1, or form the pairs as reference * conj(secondary) with the earlier date as "
        "reference"
    )
    assert judge_signs([*peaks[1:], 4.0]) is None
    assert judge_signs([-p for p in peaks]) is None
    assert judge_signs([*peaks, 0.0, np.nan]) == told


def test_few_bowls_tell_no_sign() -> None:
    assert judge_signs([-5.0] * 9) is None
    assert judge_signs([]) is None


# Real data.


@pytest.mark.real
def test_real_wrapped_phases_pass_and_are_known_in_other_units(real_data: Path) -> None:
    raw = [np.fromfile(f, ">c8").reshape(101, 175) for f in sorted((real_data / "danba" / "diff").iterdir())]
    phases = [np.angle(one) for one in raw]
    phases.append(np.fromfile(next((real_data / "mining_phase").glob("*.wzp")), "<f4").reshape(300, 300))
    assert [k for k, phase in enumerate(phases) if judge_phase(phase) is not None] == []
    assert [k for k, phase in enumerate(phases) if judge_phase(phase, wrapped_expected=False) is not None] == []
    # A few pairs of Danba are flat over the whole scene, and do not reach the ends of their circle.
    for unit in ("degrees", "bytes", "times 10,000"):
        turned, expected, _ = UNITS[unit]
        kinds = [kind(turned(phase)) for phase in phases[::4]]
        assert None not in kinds
        assert kinds.count(expected) >= 0.9 * len(kinds)
    assert [kind(phase / TURN) for phase in phases[::4]].count("cycles") >= 0.9 * len(phases[::4])


@pytest.mark.real
def test_real_unwrapped_phases_are_told_where_they_leave_a_turn(real_data: Path) -> None:
    files = [*(real_data / "mexico_city").glob("*_unw.tif"), *(real_data / "sydney" / "tif").glob("*_unw.tif")]
    kinds = []
    for file in files:
        with rasterio.open(file) as source:
            phase = source.read(1)
        assert judge_phase(phase, wrapped_expected=False) is None
        assert judge_phase(wrap(phase) * (phase != 0)) is None
        kinds.append(kind(phase))
        low, high = np.quantile(phase[phase != 0], (0.001, 0.999))
        beyond = max(-low, high, high - low) > 2.25 * np.pi
        assert kinds[-1] == ("unwrapped" if beyond else None)
    assert kinds.count("unwrapped") >= 25


@pytest.mark.real
def test_real_pictures_of_phase_are_bytes(real_data: Path) -> None:
    files = sorted((real_data / "mining_masks" / "image").glob("*.png"))[::3]
    for file in files:
        with rasterio.open(file) as source:
            for band in source.read()[:3]:
                assert kind(band) == kind(band.astype(np.float32)) == "bytes"
    assert files


@pytest.mark.real
@pytest.mark.parametrize("folder", ["danba", "mexico_city", "sydney/tif", "sydney/gamma", "mining_phase"])
def test_readers_find_nothing_odd_about_real_products(real_data: Path, folder: str) -> None:
    try:
        stack = open_stack(real_data / folder)
    except GroundshiftError as error:  # pragma: no cover
        pytest.fail(str(error))
    assert [p.message for p in stack.problems if "radians" in p.message or "unwrapped" in p.message] == []
