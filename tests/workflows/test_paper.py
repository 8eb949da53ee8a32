"""Paper mode from files to maps: the unwrapped stack stands beside the direct sum, and says where they differ."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from scipy import ndimage

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.errors import DamagedFileError, ProductError
from groundshift.gradients.differences import take_looks, wrapped_differences
from groundshift.io import InterferogramStack, open_stack
from groundshift.types import Looks, MapGrid, Pair, RadarGrid
from groundshift.unwrap import UnwrappingError
from groundshift.workflows import paper
from groundshift.workflows.config import StackConfig
from groundshift.workflows.paper import paper_maps
from groundshift.workflows.progress import Reporter
from groundshift.workflows.stacking import StackOutput, stack_track

SHAPE = (90, 110)
CONFIG = StackConfig(working_pixel=40, smoothing=6)
"""Two by two looks of pixels of 20 m, and an averaging window of 3 working pixels."""


@pytest.fixture
def quiet():
    reporter = Reporter(quiet=True)
    yield reporter
    reporter.close()


def stack_of(igrams: dict[Pair, np.ndarray], grid, root: Path) -> InterferogramStack:
    """Interferograms in memory, as a reader would deliver them."""
    return InterferogramStack(
        product="arrays",
        root=root,
        track="T7",
        pairs=tuple(igrams),
        grid=grid,
        wavelength=SENTINEL1_WAVELENGTH,
        sign="grows when the ground moves away",
        coherence_source="product",
        read_pair=lambda pair, window: igrams[pair][window.rows, window.columns],
    )


def moving(pairs, peak: float, seed: int = 3) -> dict[Pair, np.ndarray]:
    """A body of `peak` radians a year in the middle, under a little noise; one corner without data."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    body = np.exp(-((y - 45) ** 2 + (x - 55) ** 2) / (2 * 12.0**2))
    found = {}
    for pair in pairs:
        phase = peak * pair.years * body + 0.1 * rng.standard_normal(SHAPE)
        igram = rng.uniform(0.4, 0.9, SHAPE) * np.exp(1j * phase)
        igram[:20, :24] = 0
        found[pair] = igram.astype(np.complex64)
    return found


@pytest.fixture(scope="module")
def pairs(join_dates):
    return join_dates(np.arange(16) * 12, 36)


@pytest.fixture
def located(pairs, map_grid, tmp_path):
    return stack_of(moving(pairs, 25.0), map_grid(SHAPE, 20.0), tmp_path / "source")


def direct_sum(source: InterferogramStack, result: StackOutput) -> np.ndarray:
    """The twin: all pairs at once, in plain NumPy, unweighted."""
    total = 0.0
    for pair in result.sums.plan.pairs:
        igram = take_looks(source.read(pair), result.looks)
        total = total + wrapped_differences(igram, result.sums.plan.smoothing, result.sums.plan.directions).angle
    return total


def read(path: Path) -> tuple[np.ndarray, MapGrid]:
    with rasterio.open(path) as found:
        return found.read(1), MapGrid(found.shape, found.transform, found.crs.to_string())


def test_unwrapping_of_a_small_smooth_signal_recovers_the_direct_sum(located, tmp_path, quiet):
    result = stack_track(located, CONFIG, tmp_path, quiet)
    assert (result.looks, result.sums.plan.smoothing) == (Looks(2, 2), 3)
    output = paper_maps(located, result, tmp_path, quiet)
    assert output.agreement == {"north": 1.0, "east": 1.0}
    assert output.steep == {"north": 0.0, "east": 0.0}
    assert output.pairs == len(located.pairs)
    assert output.nlooks == 36
    expected = direct_sum(located, result)
    assert np.nanmax(np.abs(expected)) > 1.2 * np.pi
    stack = result.sums.stack(0)
    for k, direction in enumerate(stack.directions):
        gradient, grid = read(tmp_path / f"paper_gradient_{direction.name}.tif")
        assert grid == stack.grid_of(direction)
        np.testing.assert_array_equal(np.isnan(gradient), np.isnan(expected[k]))
        np.testing.assert_allclose(gradient, expected[k], atol=1e-3)
        wrapped, grid = read(tmp_path / f"paper_wrapped_{direction.name}.tif")
        assert grid == stack.grid_of(direction)
        assert np.nanmin(wrapped) >= np.float32(-np.pi)
        assert np.nanmax(wrapped) < np.float32(np.pi)
        turns = (expected[k] - wrapped) / (2 * np.pi)
        known = np.isfinite(turns)
        np.testing.assert_allclose(turns[known], np.round(turns[known]), atol=1e-3)
        assert np.abs(turns[known]).max() > 0.9


def test_steep_gradients_are_unwrapped_wrongly_and_told(pairs, map_grid, tmp_path, quiet):
    """Per pair nothing aliases, yet neighbouring sums differ by more than pi: the second difference decides."""
    grid = map_grid(SHAPE, 20.0)
    calm = stack_of(moving(pairs, 0.0), grid, tmp_path)
    rng = np.random.default_rng(9)
    rough = ndimage.gaussian_filter(rng.standard_normal(SHAPE), 2.5)
    rough /= np.abs(np.diff(rough, axis=1)).max()
    igrams = {p: (calm.read(p) * np.exp(1j * rough)).astype(np.complex64) for p in pairs}
    source = stack_of(igrams, grid, tmp_path)
    result = stack_track(source, CONFIG, tmp_path, quiet)
    per_pair = wrapped_differences(take_looks(igrams[pairs[0]], result.looks), 3, result.sums.plan.directions).angle
    assert np.nanmax(np.abs(per_pair)) < np.pi - 0.3
    output = paper_maps(source, result, tmp_path, quiet)
    for axis in ("north", "east"):
        assert output.steep[axis] > 0.2
        assert output.agreement[axis] < 0.9


def test_blocks_of_rows_make_no_difference(located, tmp_path, quiet, monkeypatch):
    result = stack_track(located, CONFIG, tmp_path, quiet)
    whole = paper._sum_pairs(located, result.sums.plan, result.looks, quiet)
    monkeypatch.setattr(paper, "_BLOCK_PIXELS", 1)
    monkeypatch.setattr(paper, "_LEAST_ROWS", 7)
    parts = paper._sum_pairs(located, result.sums.plan, result.looks, quiet)
    assert whole.n_pairs.any()
    np.testing.assert_array_equal(parts.n_pairs, whole.n_pairs)
    for name in ("direct", "magnitude"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), atol=1e-4)


def test_finished_maps_of_the_same_sums_are_kept(located, tmp_path, quiet):
    result = stack_track(located, CONFIG, tmp_path, quiet)
    first = paper_maps(located, result, tmp_path, quiet, unwrapper="whirlwind")
    assert set(first.files) == {
        f"paper_{kind}_{axis}.tif" for kind in ("wrapped", "gradient") for axis in ("north", "east")
    }
    written = {name: (tmp_path / name).stat().st_mtime_ns for name in first.files}
    assert paper_maps(located, result, tmp_path, quiet, unwrapper="whirlwind") == first
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in first.files} == written
    (tmp_path / first.files[0]).unlink()
    assert paper_maps(located, result, tmp_path, quiet, unwrapper="whirlwind") == first
    assert (tmp_path / first.files[0]).exists()
    fewer = located.select(located.pairs[:-3])
    again = stack_track(fewer, CONFIG, tmp_path, quiet)
    assert paper_maps(fewer, again, tmp_path, quiet, unwrapper="whirlwind").pairs == first.pairs - 3


def test_record_tells_how_the_maps_were_made(located, tmp_path, quiet):
    result = stack_track(located, CONFIG, tmp_path, quiet)
    output = paper_maps(located, result, tmp_path, quiet, unwrapper="whirlwind")
    record = json.loads((tmp_path / "paper_mode.json").read_text(encoding="utf-8"))
    assert record["fingerprint"] == result.sums.fingerprint
    assert record["unwrapper"] == output.unwrapper == "whirlwind"
    assert record["agreement"] == output.agreement


def test_agreement_is_told_and_logged(located, tmp_path, capsys):
    reporter = Reporter(log=tmp_path / "log.jsonl")
    paper_maps(located, stack_track(located, CONFIG, tmp_path, reporter), tmp_path, reporter, unwrapper="whirlwind")
    reporter.close()
    line = "T7: paper mode, unwrapped by whirlwind: equal to the direct sum at 100% along north, 100% along east"
    said = capsys.readouterr()
    assert line in said.err
    assert said.out == ""
    events = [json.loads(text) for text in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    (event,) = [e for e in events if e.get("text") == line]
    assert event["paper_mode"]["agreement"] == {"north": 1.0, "east": 1.0}


def test_radar_grid_is_geocoded_like_the_other_maps(pairs, radar_grid, tmp_path, quiet):
    source = stack_of(moving(pairs, 25.0), radar_grid(SHAPE, (20.0, 20.0)), tmp_path)
    result = stack_track(source, CONFIG, tmp_path, quiet)
    output = paper_maps(source, result, tmp_path, quiet)
    assert output.agreement == {"azimuth": 1.0, "range": 1.0}
    gradient, grid = read(tmp_path / "paper_gradient_range.tif")
    wrapped, _ = read(tmp_path / "paper_wrapped_range.tif")
    assert grid.crs == "EPSG:4326"
    expected = direct_sum(source, result)[1]
    assert np.nanmax(gradient) == pytest.approx(np.nanmax(expected), rel=0.1)
    # Phasors and values are interpolated alike where the field is smooth.
    apart = np.angle(np.exp(1j * (gradient - wrapped)))
    assert np.nanmedian(np.abs(apart)) < 0.01
    assert np.nanmax(np.abs(apart)) < 0.5


def test_stack_without_a_place_on_earth_gets_pictures(pairs, tmp_path, quiet):
    source = stack_of(moving(pairs, 25.0), RadarGrid(SHAPE, (20.0, 20.0)), tmp_path)
    output = paper_maps(source, stack_track(source, CONFIG, tmp_path, quiet), tmp_path, quiet)
    assert output.files == (
        "paper_wrapped_azimuth.png",
        "paper_gradient_azimuth.png",
        "paper_wrapped_range.png",
        "paper_gradient_range.png",
    )
    for name in output.files:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.glob("*.tif"))


def test_stack_without_any_data_is_left_out(pairs, map_grid, tmp_path, capsys):
    source = stack_of(dict.fromkeys(pairs, np.zeros(SHAPE, np.complex64)), map_grid(SHAPE, 20.0), tmp_path)
    reporter = Reporter()
    assert paper_maps(source, stack_track(source, CONFIG, tmp_path, reporter), tmp_path, reporter) is None
    assert "T7: no node has data, paper mode is left out" in capsys.readouterr().err
    assert not list(tmp_path.glob("paper_*"))


def test_pair_that_went_away_since_is_named(located, tmp_path, quiet):
    result = stack_track(located, CONFIG, tmp_path, quiet)
    gone = located.pairs[4]
    with pytest.raises(ProductError) as caught:
        paper_maps(located.select([p for p in located.pairs if p != gone]), result, tmp_path, quiet)
    assert str(caught.value) == f"{located.root}: pair {gone.name} of the stack is not there any more; stack again"


def test_pair_that_cannot_be_read_any_more_stops_it(located, tmp_path, quiet):
    result = stack_track(located, CONFIG, tmp_path, quiet)

    def fail(pair, window):
        raise DamagedFileError("20160101.tif: truncated or unreadable raster; fetch the file again")

    broken = InterferogramStack(**{**vars(located), "read_pair": fail})
    with pytest.raises(DamagedFileError, match="truncated or unreadable raster"):
        paper_maps(broken, result, tmp_path, quiet)
    assert not list(tmp_path.glob("paper_*"))


def test_unknown_unwrapper_is_found_before_anything_is_read(located, tmp_path, quiet):
    result = stack_track(located, CONFIG, tmp_path, quiet)
    with pytest.raises(UnwrappingError, match="unknown unwrapper 'best'"):
        paper_maps(located, result, tmp_path, quiet, unwrapper="best")


def test_command_line_prints_nothing_but_the_result(groundshift, simulated, tmp_path):
    """Whichever unwrapper `auto` takes, what it prints stays off standard output."""
    ran = groundshift("stack", simulated, "-o", tmp_path / "out", "--paper-mode", "--json")
    assert ran.code == 0
    (track,) = json.loads(ran.out)["tracks"]
    folder = Path(track["folder"])
    record = json.loads((folder / "paper_mode.json").read_text(encoding="utf-8"))
    assert record["pairs"] == track["pairs"]
    for axis in ("north", "east"):
        gradient, grid = read(folder / f"paper_gradient_{axis}.tif")
        assert grid == read(folder / f"gradient_{axis}.tif")[1]
        assert np.isfinite(gradient).any()


@pytest.mark.real
def test_danba_cannot_be_unwrapped(real_data, tmp_path, quiet):
    """On the first paper's own ground many neighbouring sums differ by more than pi.

    With the paper's window of 10 x 10 pixels about a quarter of the nodes come back on a wrong cycle; with the working
    pixels and the window of a survey, more than half.
    """
    source = open_stack(real_data / "danba")
    fine = StackConfig(working_pixel=1, smoothing=10)
    for config, steep, wrong in ((fine, (0.15, 0.25), (0.2, 0.4)), (StackConfig(), (0.5, 0.65), (0.5, 0.75))):
        folder = tmp_path / str(config.working_pixel)
        output = paper_maps(source, stack_track(source, config, folder, quiet), folder, quiet, unwrapper="whirlwind")
        assert output.pairs == 84
        for axis in ("azimuth", "range"):
            assert steep[0] < output.steep[axis] < steep[1]
            assert wrong[0] < 1 - output.agreement[axis] < wrong[1]
