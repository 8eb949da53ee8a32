"""Sets made of the raw set, of stacks and of simulated zones: what they hold, how they go on, what they refuse."""

import re
from datetime import date

import geopandas
import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine
from shapely import box

from groundshift.errors import DamagedFileError, NoDataError, OutputError
from groundshift.io import open_stack
from groundshift.io.isslide import find_patches, read_patch
from groundshift.io.rasters import write_geotiff
from groundshift.types import MapGrid, Pair
from groundshift.workflows import making_segments
from groundshift.workflows.config import SettingError
from groundshift.workflows.making_segments import preview_segments, run_segments
from groundshift.workflows.progress import Reporter
from groundshift.workflows.segment_zones import MakeSegmentsConfig

QUIET = Reporter(quiet=True)
SIZE = 1.315e-4
SHAPE = (150, 160)
GRID = MapGrid(SHAPE, Affine(SIZE, 0, 101.9, 0, -SIZE, 30.9), "EPSG:4326")
DAYS = [date(2020, 6, d) for d in (3, 15, 27)]
PAIRS = [Pair(DAYS[0], DAYS[1]), Pair(DAYS[1], DAYS[2]), Pair(DAYS[0], DAYS[2])]


def cells(top, left, height, width):
    """Outline pixels of the grid, a hair within their edges."""
    west, north = GRID.transform @ (left, top)
    east, south = GRID.transform @ (left + width, top + height)
    return box(west + 1e-7, south + 1e-7, east - 1e-7, north - 1e-7)


def phase_of(number):
    return np.random.default_rng(number).uniform(-3, 3, SHAPE).astype(np.float32)


def coherence_of(number):
    return np.random.default_rng([number, 1]).uniform(0.1, 1, SHAPE).astype(np.float32)


def put_polygons(path, **fields):
    shapes = [cells(50, 60, 20, 20), cells(100, 110, 12, 12)]
    geopandas.GeoDataFrame({"id": [4, 9], **fields}, geometry=shapes, crs="EPSG:4326").to_file(path)
    return path


@pytest.fixture
def stack(tmp_path):
    """Three interferograms of a plain folder, 12, 12 and 24 days."""
    folder = tmp_path / "danba"
    folder.mkdir()
    for number, pair in enumerate(PAIRS):
        write_geotiff(folder / f"{pair.name}_phase.tif", phase_of(number), GRID, nodata=float("nan"))
        write_geotiff(folder / f"{pair.name}_coh.tif", coherence_of(number), GRID, nodata=float("nan"))
    return folder


def config_of(tmp_path, stack, **further):
    given = {"inputs": (stack,), "output": tmp_path / "set", "polygons": tmp_path / "moves.gpkg", **further}
    return MakeSegmentsConfig(**given)


# Stacks of a user


def test_patches_of_a_stack_are_its_pixels_around_the_polygons(tmp_path, stack):
    put_polygons(tmp_path / "moves.gpkg")
    done = run_segments(config_of(tmp_path, stack), QUIET)
    assert (done.zones, done.interferograms, done.patches, done.made, done.quiet) == (1, 3, 6, 6, 0)
    patches, problems = find_patches(tmp_path / "set")
    assert problems == []
    assert {(p.delay, p.dates) for p in patches} == {
        ("12days", "03Jun2020_15Jun2020"), ("12days", "15Jun2020_27Jun2020"), ("24days", "03Jun2020_27Jun2020"),
    }  # fmt: skip
    assert {(p.zone, p.move_id, p.place) for p in patches} == {("danba", 4, 0), ("danba", 9, 1)}
    first = patches[0]
    with rasterio.open(first.path) as source:
        left, top = (round(v) for v in ~GRID.transform @ (source.transform.c, source.transform.f))
    # Around the middle of the larger polygon, row 60 and column 70, but for the cells that it is drawn on.
    assert (abs(top - 10) <= 1, abs(left - 20) <= 1) == (True, True)
    part = (slice(top, top + 100), slice(left, left + 100))
    planes = read_patch(first)
    np.testing.assert_allclose(planes.wrapped, phase_of(0)[part], atol=1e-4)
    np.testing.assert_allclose(planes.coherence, coherence_of(0)[part], atol=1e-4)
    truth = np.zeros(SHAPE, bool)
    truth[50:70, 60:80] = truth[100:112, 110:122] = True
    wide = np.zeros(SHAPE, bool)
    wide[49:71, 59:81] = wide[99:113, 109:123] = True
    mask = planes.mask
    assert mask[truth[part]].all()
    assert not mask[~wide[part]].any()


def test_a_movement_counts_in_the_pairs_of_its_days_and_quiet_patches_stay(tmp_path, stack):
    put_polygons(tmp_path / "moves.gpkg", start=["2020-06-15", None], end=[None, "2020-06-10"])
    done = run_segments(config_of(tmp_path, stack), QUIET)
    assert done.patches == 6
    shown = {}
    for patch in find_patches(tmp_path / "set")[0]:
        mask = read_patch(patch).mask
        shown[patch.dates, patch.place] = bool(mask[45:55, 45:55].any())
    assert shown == {
        ("03Jun2020_15Jun2020", 0): False, ("03Jun2020_15Jun2020", 1): True,
        ("15Jun2020_27Jun2020", 0): True, ("15Jun2020_27Jun2020", 1): False,
        ("03Jun2020_27Jun2020", 0): True, ("03Jun2020_27Jun2020", 1): True,
    }  # fmt: skip


def test_a_movement_at_the_border_has_a_whole_patch(tmp_path, stack):
    shapes = [cells(140, 2, 8, 8)]
    geopandas.GeoDataFrame({"id": [1]}, geometry=shapes, crs="EPSG:4326").to_file(tmp_path / "moves.gpkg")
    assert run_segments(config_of(tmp_path, stack), QUIET).patches == 3
    planes = read_patch(find_patches(tmp_path / "set")[0][0])
    np.testing.assert_allclose(planes.wrapped, phase_of(0)[50:, :100], atol=1e-4)
    assert planes.mask[90:98, 2:10].all()


def test_ground_that_rests_leaves_patches_with_empty_masks(tmp_path, stack):
    put_polygons(tmp_path / "moves.gpkg", start=["2020-06-15", "2020-06-15"])
    done = run_segments(config_of(tmp_path, stack), QUIET)
    assert (done.patches, done.quiet) == (6, 2)


def test_a_stack_in_metres_is_taken_to_degrees(tmp_path):
    utm = MapGrid((200, 160), Affine(15.0, 0, 394_000, 0, -15.0, 3_419_000), "EPSG:32648")
    folder = tmp_path / "utm"
    folder.mkdir()
    y, x = np.mgrid[:200, :160]
    longitude, latitude = utm.lonlat(y, x)
    middle = longitude[100, 80], latitude[100, 80]
    phase = ((longitude - middle[0]) * 50 + (latitude - middle[1]) * 70).astype(np.float32)
    write_geotiff(folder / f"{PAIRS[0].name}_phase.tif", phase, utm, nodata=float("nan"))
    write_geotiff(folder / f"{PAIRS[0].name}_coh.tif", np.full(utm.shape, 0.7, np.float32), utm, nodata=float("nan"))
    shape = box(middle[0] - 1e-3, middle[1] - 1e-3, middle[0] + 1e-3, middle[1] + 1e-3)
    geopandas.GeoDataFrame({"move": [3]}, geometry=[shape], crs="EPSG:4326").to_crs("EPSG:3857").to_file(
        tmp_path / "moves.gpkg"
    )
    run_segments(config_of(tmp_path, folder, id_field="move", zone=("here",)), QUIET)
    (patch,) = find_patches(tmp_path / "set")[0]
    assert (patch.zone, patch.move_id) == ("here", 3)
    planes = read_patch(patch)
    with rasterio.open(patch.path) as source:
        row, column = np.mgrid[:100, :100] + 0.5
        lon, lat = source.transform.c + column * SIZE, source.transform.f - row * SIZE
    wanted = (lon - middle[0]) * 50 + (lat - middle[1]) * 70
    known = np.isfinite(planes.wrapped)
    assert known.mean() > 0.9
    np.testing.assert_allclose(planes.wrapped[known], wanted[known], atol=2e-3)
    np.testing.assert_allclose(planes.coherence[known], 0.7, atol=1e-3)
    assert abs(patch_centre(planes.mask)[0] - 49.5) < 1.5


def patch_centre(mask):
    return [float(axis.mean()) for axis in np.nonzero(mask)]


def test_pairs_of_other_delays_are_left_out(tmp_path, stack):
    put_polygons(tmp_path / "moves.gpkg")
    run_segments(config_of(tmp_path, stack, delays=(24,)), QUIET)
    assert {p.delay for p in find_patches(tmp_path / "set")[0]} == {"24days"}


# Going on


def test_a_run_goes_on_where_it_stopped_and_does_nothing_twice(tmp_path, stack, monkeypatch):
    put_polygons(tmp_path / "moves.gpkg")
    config = config_of(tmp_path, stack)
    write, written = making_segments.write_patches, []

    def stop_after_two(root, delay, zone, dates, patches):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(dates)
        write(root, delay, zone, dates, patches)

    monkeypatch.setattr(making_segments, "write_patches", stop_after_two)
    with pytest.raises(KeyboardInterrupt):
        run_segments(config, QUIET)
    monkeypatch.setattr(making_segments, "write_patches", write)
    assert preview_segments(config, QUIET)["interferograms_there"] == 2
    done = run_segments(config, QUIET)
    assert (done.made, done.patches) == (2, 6)
    assert run_segments(config, QUIET).made == 0


def test_a_folder_keeps_to_one_set(tmp_path, stack):
    put_polygons(tmp_path / "moves.gpkg")
    run_segments(config_of(tmp_path, stack), QUIET)
    with pytest.raises(OutputError, match=re.escape("holds a set of another delays; choose another output folder")):
        run_segments(config_of(tmp_path, stack, delays=(12,)), QUIET)
    (tmp_path / "moves.gpkg").unlink()
    put_polygons(tmp_path / "moves.gpkg", start=["2020-06-15", None])
    with pytest.raises(OutputError, match="holds a set of another polygons"):
        run_segments(config_of(tmp_path, stack), QUIET)
    (tmp_path / "set/segments.yaml").unlink()
    with pytest.raises(OutputError, match=r"holds patches and no segments.yaml that tells of what"):
        run_segments(config_of(tmp_path, stack), QUIET)


def test_a_dry_run_leaves_nothing(tmp_path, stack):
    put_polygons(tmp_path / "moves.gpkg")
    facts = preview_segments(config_of(tmp_path, stack), QUIET)
    assert facts["zones"] == ["danba: 3 interferograms, 2 places"]
    assert (facts["patches_at_most"], facts["interferograms_there"]) == (6, 0)
    assert not (tmp_path / "set").exists()


# Bad input


def test_a_damaged_interferogram_is_told_and_the_others_are_cut(tmp_path, stack):
    put_polygons(tmp_path / "moves.gpkg")
    path = stack / f"{PAIRS[1].name}_coh.tif"
    path.write_bytes(path.read_bytes()[:9000])
    with Reporter(quiet=True, log=tmp_path / "log.jsonl") as reporter:
        done = run_segments(config_of(tmp_path, stack), reporter)
    assert done.interferograms == 2
    assert "15Jun2020_27Jun2020 left out" in (tmp_path / "log.jsonl").read_text()


def test_what_cannot_be_made_is_said_in_one_line(tmp_path, stack):
    with pytest.raises(SettingError, match="no polygons given; name a vector file"):
        run_segments(config_of(tmp_path, stack, polygons=None), QUIET)
    far = geopandas.GeoDataFrame({"id": [1]}, geometry=[box(10, 50, 10.1, 50.1)], crs="EPSG:4326")
    far.to_file(tmp_path / "moves.gpkg")
    with pytest.raises(NoDataError, match=r"danba: no polygon of .*moves.gpkg lies on it"):
        run_segments(config_of(tmp_path, stack), QUIET)
    (tmp_path / "moves.gpkg").unlink()
    put_polygons(tmp_path / "moves.gpkg", start=["soon", None])
    with pytest.raises(DamagedFileError, match=r"moves.gpkg: start: expected a date, YYYY-MM-DD, instead got 'soon'"):
        run_segments(config_of(tmp_path, stack), QUIET)
    (tmp_path / "moves.gpkg").unlink()
    put_polygons(tmp_path / "moves.gpkg")
    with pytest.raises(NoDataError, match="no interferogram has the days of the polygons; check --polygons and"):
        run_segments(config_of(tmp_path, stack, delays=(6,)), QUIET)
    with pytest.raises(NoDataError, match="danba: 20 x 22 pixels, fewer than the 100 x 100 of a patch; lower --pixel"):
        run_segments(config_of(tmp_path, stack, pixel_deg=1e-3), QUIET)
    with pytest.raises(SettingError, match="--zone: expected a name for each of 1 track"):
        run_segments(config_of(tmp_path, stack, zone=("a", "b")), QUIET)


@pytest.mark.real
def test_patches_of_a_real_stack_in_radar_geometry_have_the_phase_of_the_pixels_that_they_show(tmp_path, real_data):
    stack = open_stack(real_data / "danba")
    longitude, latitude = (float(v[0]) for v in stack.grid.lonlat(np.array([50.0]), np.array([90.0])))
    shape = box(longitude - 1e-3, latitude - 1e-3, longitude + 1e-3, latitude + 1e-3)
    geopandas.GeoDataFrame({"id": [5]}, geometry=[shape], crs="EPSG:4326").to_file(tmp_path / "moves.gpkg")
    config = config_of(tmp_path, real_data / "danba", delays=(12,), pixel_deg=1e-4)
    assert run_segments(config, QUIET).patches == sum(pair.days == 12 for pair in stack.pairs)
    patch = find_patches(tmp_path / "set")[0][0]
    planes = read_patch(patch)
    igram = stack.read(next(pair for pair in stack.pairs if pair.days == 12 and pair.reference == patch.reference))
    with rasterio.open(patch.path) as source:
        transform = source.transform
    # Pixels of the radar, and the patch at their places: interpolation differs where noise is strong.
    y, x = np.mgrid[10:95:3, 10:165:4]
    column, row = ~transform @ stack.grid.lonlat(y, x)
    column, row = np.floor(column).astype(int), np.floor(row).astype(int)
    inside = (row >= 0) & (row < 100) & (column >= 0) & (column < 100)
    shown, truth = planes.wrapped[row[inside], column[inside]], igram[y[inside], x[inside]]
    sure = np.isfinite(shown) & (np.abs(truth) > 0.6)
    assert sure.sum() > 20
    assert np.median(np.abs(np.angle(np.exp(1j * shown[sure]) * np.conj(truth[sure])))) < 0.3
    assert planes.mask[45:55, 45:55].any()


# The raw set, and simulated ones


SMALL = {"shape": (96, 96), "dates": 4, "slides": (60, 60)}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A simulated set of two zones; not to be written to."""
    pytest.importorskip("torch", reason="needs torch (the train extra)").set_num_threads(1)
    from groundshift.workflows.simulating_segments import SimulatedSegmentsConfig, run_simulation

    folder = tmp_path_factory.mktemp("simulated")
    config = SimulatedSegmentsConfig(output=folder, scenes=2, seed=5, ground=SMALL)
    return config, run_simulation(config, QUIET)


def test_a_simulated_set_is_one_that_is_read(simulated):
    config, done = simulated
    patches, problems = find_patches(config.output)
    assert problems == []
    assert len(patches) == done.patches == done.made
    assert {p.zone for p in patches} == {"Queyras", "Vanoise"}
    assert {p.delay for p in patches} == {"6days", "12days", "18days"}
    masks = [read_patch(p).mask for p in patches]
    assert sum(not m.any() for m in masks) == done.quiet
    assert 0 < done.quiet < len(patches)
    # The same place at every date.
    per_place = {}
    for patch in patches:
        per_place.setdefault((patch.zone, patch.move_id, patch.place), []).append(patch.dates)
    assert {len(dates) for dates in per_place.values()} == {3 + 2 + 1}


def test_a_simulation_goes_on_and_takes_more_zones(simulated, tmp_path):
    from groundshift.workflows.simulating_segments import run_simulation

    config, done = simulated
    again = config.model_copy(update={"output": tmp_path / "one", "scenes": 1})
    first = run_simulation(again, QUIET)
    assert first.zones == 1
    more = run_simulation(again.model_copy(update={"scenes": 2}), QUIET)
    assert (more.patches, more.made) == (done.patches, done.patches - first.patches)
    with pytest.raises(OutputError, match="holds a set of another seed"):
        run_simulation(again.model_copy(update={"seed": 6}), QUIET)


def test_polygons_of_a_simulated_zone_make_its_masks_again_through_the_raw_set(simulated, tmp_path):
    from groundshift.simulate.segments.zones import draw_zone, set_seed

    config, _ = simulated
    zone = draw_zone(config.ground, set_seed(5, 0), 0)
    table = geopandas.read_file(config.output / "polygons/Queyras.gpkg")
    assert {"id", "start", "end", "kind", "velocity_los_mm_yr"} <= set(table.columns)
    raw = tmp_path / "raw"
    for index, pair in enumerate(zone.network.pairs):
        dates, delay = f"{pair.reference:%d%b%Y}_{pair.secondary:%d%b%Y}", f"{pair.days}days"
        for kind, end, values in zip(("phase", "coherence"), ("pha", "coh"), zone.view(index), strict=True):
            write_geotiff(raw / delay / "SW1" / kind / f"Orb_IW1_{dates}_{end}.tif", values, zone.grid)
        path = raw / delay / dates / f"Queyras_{delay}_{dates}.shp"
        path.parent.mkdir(parents=True)
        table[table["dates"] == dates][["id", "kind", "geometry"]].to_file(path, engine="pyogrio")
    done = run_segments(MakeSegmentsConfig(inputs=(raw,), output=tmp_path / "set"), QUIET)
    made = find_patches(tmp_path / "set")[0]
    wanted = [p for p in find_patches(config.output)[0] if p.zone == "Queyras"]
    assert done.made == len(made) == len(wanted)
    for mine, other in zip(made, wanted, strict=True):
        assert (mine.dates, mine.move_id, mine.place) == (other.dates, other.move_id, other.place)
        for got, truth in zip(read_patch(mine), read_patch(other), strict=True):
            np.testing.assert_array_equal(got, truth)


def test_a_record_says_what_a_set_is_made_of(simulated):
    config, _ = simulated
    record = yaml.safe_load((config.output / "segments.yaml").read_text())
    assert record["seed"] == 5
    assert record["ground"]["dates"] == 4
