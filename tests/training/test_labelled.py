"""Real maps with truth drawn by people, as samples."""

import json
import math

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from pyproj import Transformer
from rasterio.features import rasterize

from groundshift.detect.planes import PLANES, network_planes
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError
from groundshift.gradients.store import open_sums
from groundshift.training import labelled
from groundshift.training.coco import coco_samples, planes_of_radians
from groundshift.training.labelled import Outline, label_outlines, open_samples, read_outlines
from groundshift.training.samples import IGNORED


def lonlat_of(grid):
    y, x = np.mgrid[: grid.shape[0], : grid.shape[1]].astype(float)
    return grid.lonlat(y, x)


def outlines_of(*polygons, judged=True, velocity=math.nan):
    return [Outline(polygon, judged, velocity) for polygon in polygons]


@pytest.fixture
def on_map(map_grid):
    """A grid of the map, and the way from its nodes (column, row) to longitude and latitude."""
    grid = map_grid((60, 80), 40.0)
    back = Transformer.from_crs(grid.crs, "EPSG:4326", always_xy=True)

    def place(shape):
        """Move a shape from columns and rows, first node at (0, 0), to EPSG:4326."""
        t = grid.transform
        xy = shapely.transform(shape, lambda p: np.column_stack(t @ (p[:, 0] + 0.5, p[:, 1] + 0.5)))
        return shapely.transform(xy, lambda p: np.column_stack(back.transform(p[:, 0], p[:, 1])))

    return grid, place


# Polygons


def test_a_polygon_holds_the_nodes_whose_centres_lie_inside(on_map):
    grid, place = on_map
    rng = np.random.default_rng(2)
    for _ in range(10):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 9))
        radii = rng.uniform(5, 18, 9)
        shape = shapely.Polygon(np.column_stack([40 + radii * np.cos(angles), 30 + radii * np.sin(angles)]))
        labels, bodies = label_outlines(outlines_of(place(shape)), *lonlat_of(grid), 1600.0)
        # Nodes are pixels around whole numbers here.
        expected = rasterize([shape], grid.shape, transform=Affine.translation(-0.5, -0.5))
        assert (labels != expected).mean() < 0.001
        assert len(bodies) == 1


def test_polygons_lie_right_in_radar_geometry(radar_grid):
    grid = radar_grid((50, 70))
    lon, lat = lonlat_of(grid)
    corners = [(10, 20), (10, 45), (30, 45), (30, 20)]
    # Between nodes, so that no centre lies on an edge.
    edge = [(lon[y, x] + lon[y + 1, x + 1], lat[y, x] + lat[y + 1, x + 1]) for y, x in corners]
    labels, bodies = label_outlines(outlines_of(shapely.Polygon(np.array(edge) / 2)), lon, lat, 1600.0)
    expected = np.zeros(grid.shape, np.uint8)
    expected[11:31, 21:46] = 1
    np.testing.assert_array_equal(labels, expected)
    assert bodies[0].length_m == pytest.approx(25 * 40, rel=0.02)
    assert bodies[0].width_m == pytest.approx(20 * 40, rel=0.02)


def test_small_and_cut_polygons_are_not_judged(on_map):
    grid, place = on_map
    small, cut = shapely.box(9.5, 9.5, 11.5, 11.5), shapely.box(60.5, 20.5, 200, 40.5)
    labels, bodies = label_outlines(outlines_of(place(small), place(cut)), *lonlat_of(grid), 1600.0)
    assert bodies == ()
    assert (labels == IGNORED).sum() == 4 + 19 * 20
    assert set(np.unique(labels)) == {0, IGNORED}


def test_smaller_polygons_lie_above_and_velocities_are_kept(on_map):
    grid, place = on_map
    large, small = shapely.box(10.5, 10.5, 40.5, 40.5), shapely.box(20.5, 20.5, 30.5, 30.5)
    outlines = [*outlines_of(place(small), velocity=-12.0), *outlines_of(place(large), velocity=30.0)]
    labels, bodies = label_outlines(outlines, *lonlat_of(grid), 1600.0)
    assert [(labels == k).sum() for k in (1, 2)] == [800, 100]
    assert [b.velocity for b in bodies] == [30.0, -12.0]


def write_layer(path, rows, layer="slides", crs="EPSG:4326"):
    frame = geopandas.GeoDataFrame(
        [{k: v for k, v in r.items() if k != "shape"} for r in rows], geometry=[r["shape"] for r in rows], crs=crs
    )
    frame.to_file(path, layer=layer, driver="GPKG")


def test_an_inventory_that_was_reviewed_tells_what_is_true(tmp_path):
    box = shapely.box(102, 30, 102.01, 30.01)
    rows = [
        {"shape": box, "kind": "landslide", "review": "confirmed", "velocity_los_mm_yr": -20.0},
        {"shape": box, "kind": "landslide", "review": "rejected", "velocity_los_mm_yr": -20.0},
        {"shape": box, "kind": "landslide", "review": "unreviewed", "velocity_los_mm_yr": None},
        {"shape": box, "kind": "subsidence", "review": "confirmed", "velocity_los_mm_yr": 1.0},
    ]
    write_layer(tmp_path / "a.gpkg", rows)
    found = read_outlines(tmp_path / "a.gpkg")
    assert [o.judged for o in found] == [True, False, False]
    assert found[0].velocity == -20.0
    assert math.isnan(found[1].velocity)
    write_layer(tmp_path / "b.gpkg", rows[1:])
    with pytest.raises(NoDataError, match="no polygon of a landslide that is known to be true; set `review`"):
        read_outlines(tmp_path / "b.gpkg")


def test_polygons_of_another_system_are_moved(tmp_path, on_map):
    grid, place = on_map
    shape = shapely.box(10, 10, 40, 30)
    t = grid.transform
    on_grid = shapely.transform(shape, lambda p: np.column_stack(t @ (p[:, 0] + 0.5, p[:, 1] + 0.5)))
    write_layer(tmp_path / "a.gpkg", [{"shape": on_grid, "n": 1}], crs=grid.crs)
    found = read_outlines(tmp_path / "a.gpkg")[0].polygon
    assert found.symmetric_difference(place(shape)).area < 1e-6 * found.area


def test_wrong_vector_files_are_one_line(tmp_path):
    with pytest.raises(MissingFileError, match="no such file; check the spelling of --polygons"):
        read_outlines(tmp_path / "none.gpkg")
    (tmp_path / "bad.gpkg").write_bytes(b"SQLite format 3\x00 and no more")
    with pytest.raises(DamagedFileError, match=r"bad\.gpkg: cannot be read as a vector file"):
        read_outlines(tmp_path / "bad.gpkg")
    write_layer(tmp_path / "a.gpkg", [{"shape": shapely.Point(102, 30), "n": 1}], layer="springs")
    with pytest.raises(MissingFileError, match=r"no layer of polygons, only springs; name one with --layer"):
        read_outlines(tmp_path / "a.gpkg")
    with pytest.raises(MissingFileError, match=r"no layer slides, only springs"):
        read_outlines(tmp_path / "a.gpkg", "slides")


# Stacks


@pytest.fixture(scope="module")
def survey(simulated, tmp_path_factory):
    """Stacks of the small simulated scene."""
    from groundshift.workflows.config import StackConfig, SurveyConfig
    from groundshift.workflows.progress import Reporter
    from groundshift.workflows.stages import run_stack

    folder = tmp_path_factory.mktemp("stacked")
    stack = StackConfig(wet_months=(), sliding_years=None, windows={"early": ("2000-01-01", "2100-01-01")})
    run_stack(SurveyConfig(inputs=(simulated,), output=folder, stack=stack), Reporter(quiet=True))
    return folder


def test_stacks_with_polygons_are_samples_of_their_track(survey, simulated, monkeypatch):
    monkeypatch.setattr(labelled, "_SIDE", 40)
    found = list(open_samples(survey, polygons=simulated / "truth.gpkg"))
    sums = open_sums(next(survey.rglob("gradients.zarr")))
    stacks = list(sums.stacks())
    assert {s.scene for s in found} == {sums.plan.track}
    assert {s.window for s in found} == {stack.window for stack in stacks}
    for stack in stacks:
        planes = network_planes(stack)
        pieces = [s for s in found if s.window == stack.window]
        joined = np.block([[p.planes for p in pieces[k : k + 2]] for k in range(0, len(pieces), 2)])
        # Planes are kept in half precision.
        np.testing.assert_allclose(joined, planes, rtol=1e-3, atol=1e-3)
        step = pieces[0].pixel_m / 40
        expected = planes[[PLANES.index("gradient_y"), PLANES.index("gradient_x")]] * (pieces[0].radians * step)
        radians = np.block([[p.gradient_radians() for p in pieces[k : k + 2]] for k in range(0, len(pieces), 2)])
        np.testing.assert_allclose(radians, expected, rtol=1e-3, atol=1e-2)
    bodies = [b for s in found if s.window == "all" for b in s.bodies]
    assert len(bodies) >= 3
    assert all(b.behaviour == "unknown" and b.length_m >= b.width_m for b in bodies)


def test_stacks_need_truth_that_lies_on_them(survey, tmp_path):
    with pytest.raises(NoDataError, match="holds stacks but no truth; name a file of landslides with --polygons"):
        open_samples(survey)
    write_layer(tmp_path / "far.gpkg", [{"shape": shapely.box(0, 0, 0.1, 0.1), "n": 1}])
    with pytest.raises(NoDataError, match=r"far\.gpkg: no landslide lies on the stacks"):
        open_samples(survey, polygons=tmp_path / "far.gpkg")
    with pytest.raises(MissingFileError, match="no such file or folder"):
        open_samples(tmp_path / "nowhere")


# COCO


@pytest.fixture
def coco(tmp_path):
    """Write a COCO file with one image of 30 x 40 nodes in both forms."""
    rng = np.random.default_rng(7)
    radians = rng.normal(size=(2, 30, 40)).astype(np.float32)
    radians[:, 20:25, 30:] = np.nan

    def make(annotations, form="tif", **image):
        if form == "tif":
            with rasterio.open(
                tmp_path / "a.tif", "w", driver="GTiff", count=2, height=30, width=40, dtype="float32",
                crs="EPSG:32648", transform=Affine(20.0, 0, 210_000, 0, -20.0, 3_415_000), nodata=np.nan,
            ) as sink:  # fmt: skip
                sink.write(radians)
        else:
            np.savez(tmp_path / "a.npz", planes=planes_of_radians(radians, -2.0, 40.0), pixel_m=55.0)
        images = [{"id": 4, "file_name": f"a.{form}", "height": 30, "width": 40, **image}]
        marks = [{"id": k, "image_id": 4, "category_id": 1, **mark} for k, mark in enumerate(annotations)]
        path = tmp_path / "labels.json"
        path.write_text(json.dumps({"images": images, "annotations": marks, "categories": []}))
        return path

    make.radians = radians
    return make


def test_every_form_of_annotation_is_drawn(coco):
    corner = [2, 3, 12, 3, 12, 9, 2, 9]
    crowd = np.zeros((30, 40), int)
    crowd[22:28, 5:11] = 1
    flat = crowd.T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    path = coco(
        [
            {"segmentation": [corner], "bbox": [0, 0, 40, 30]},
            {"bbox": [20, 10, 8, 5]},
            {"segmentation": {"counts": counts, "size": [30, 40]}, "iscrowd": 1},
            {"segmentation": [[30, 2, 32, 2, 32, 4, 30, 4]]},
        ]
    )
    sample = coco_samples(path)[0]
    expected = np.zeros((30, 40), np.uint8)
    expected[3:9, 2:12], expected[10:15, 20:28] = 1, 2
    expected[22:28, 5:11], expected[2:4, 30:32] = IGNORED, IGNORED
    np.testing.assert_array_equal(sample.labels, expected)
    assert [(b.length_m, b.width_m) for b in sample.bodies] == [(200, 120), (160, 100)]
    assert (sample.scene, sample.window, sample.pixel_m) == ("a", "all", 20.0)


def test_radians_come_back_whatever_the_scale(coco):
    for given in ({}, {"radians": -7.5}, {"pixel_m": 80.0}):
        sample = coco_samples(coco([], **given))[0]
        known = np.isfinite(coco.radians).all(0)
        np.testing.assert_allclose(sample.gradient_radians()[:, known], coco.radians[:, known], rtol=1e-5)
        assert not sample.planes[:, ~known].any()
        assert (sample.planes[PLANES.index("known")] == known).all()
    spread = sample.planes[PLANES.index("significance_y")][known]
    assert np.median(np.abs(spread - np.median(spread))) == pytest.approx(1 / 1.4826, rel=1e-3)


def test_planes_are_taken_as_they_are(coco):
    sample = coco_samples(coco([{"bbox": [20, 10, 8, 5]}], form="npz", scene="track 1", window="wet"))[0]
    np.testing.assert_array_equal(sample.planes, planes_of_radians(coco.radians, -2.0, 40.0))
    assert (sample.scene, sample.window, sample.pixel_m) == ("track 1", "wet", 55.0)


def test_wrong_coco_files_are_one_line(coco, tmp_path):
    path = coco([{"segmentation": {"counts": "PXk1", "size": [30, 40]}}])
    with pytest.raises(DamagedFileError, match=r"annotation 0 of a\.tif cannot be drawn \(run lengths must be numbers"):
        coco_samples(path)[0]
    with pytest.raises(DamagedFileError, match=r"annotation 0 of .* cannot be drawn"):
        coco_samples(coco([{"category_id": 1}]))[0]
    path = coco([{"image_id": 5}])
    with pytest.raises(DamagedFileError, match=r"labels\.json: not a COCO file \(KeyError: 5\)"):
        coco_samples(path)
    path = coco([])
    (tmp_path / "a.tif").unlink()
    with pytest.raises(MissingFileError, match=r"a\.tif: no such image, though labels\.json names it"):
        coco_samples(path)[0]
    path.write_text("{")
    with pytest.raises(DamagedFileError, match="not a COCO file"):
        coco_samples(path)
    path.write_text('{"images": [], "annotations": []}')
    with pytest.raises(NoDataError, match="names no image"):
        coco_samples(path)
