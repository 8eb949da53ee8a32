"""Windows made of interferograms with outlines, and of simulated scenes."""

import json

import geopandas
import numpy as np
import pytest
from shapely import box
from tests.workflows.test_classifying import SLIDE, write_stack

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.errors import DamagedFileError, NoDataError, OutputError  # noqa: E402
from groundshift.simulate.fringe_config import FringeConfig  # noqa: E402
from groundshift.training.fringes.config import CutConfig  # noqa: E402
from groundshift.training.fringes.patches import find_patches, read_patch  # noqa: E402
from groundshift.workflows.fringe_config import FringeInputConfig, FringeMakeConfig, FringeMakeRun  # noqa: E402
from groundshift.workflows.making_fringes import read_fringe_scene, run_fringe_making  # noqa: E402
from groundshift.workflows.progress import Reporter  # noqa: E402

CUT = CutConfig(least_data=0.3, near_pixels=30)


def outlines(path, rows, crs="EPSG:32654", **columns):
    """Write outlines of pixels (rows, columns) of the stack."""
    shapes = [
        box(400_000 + 28 * x.start, 4_250_000 - 28 * y.stop, 400_000 + 28 * x.stop, 4_250_000 - 28 * y.start)
        for y, x in rows
    ]
    geopandas.GeoDataFrame(columns, geometry=shapes, crs=crs).to_file(path, layer="candidates", driver="GPKG")
    return path


@pytest.fixture
def settings(tmp_path):
    def make(polygons, *, name="windows", **options):
        return FringeMakeConfig(
            inputs=(tmp_path / "in",), output=tmp_path / name, cut=CUT, take=FringeInputConfig(large_scale=0),
            run=FringeMakeRun(polygons=polygons, per_class=8, **options),
        )  # fmt: skip

    return make


def run(config):
    with Reporter(quiet=True, log=config.output / "log.jsonl") as reporter:
        return run_fringe_making(config, reporter)


def test_windows_of_outlines(tmp_path, settings):
    write_stack(tmp_path / "in", side=400)
    config = settings(outlines(tmp_path / "true.gpkg", [SLIDE]))
    made = run(config)
    assert made[1:] == (2, 2, 8, 8)
    patches, problems = find_patches(config.output)
    assert problems == []
    names = [p.path.stem for p in patches if p.positive and "20080220" in p.path.stem]
    assert names == [f"gassan_20080105-20080220_1{mark}" for mark in ("", "_pad1", "_pad2", "_pad3")]
    plain = next(read_patch(p) for p in patches if p.positive and not p.padded)
    # The middle of the slide lies in the middle of the window.
    slide = np.abs(plain.wrapped) > 1.5
    rows, columns = (v.mean() for v in np.nonzero(slide[40:110, 40:110]))
    assert (rows + 40, columns + 40) == pytest.approx((75, 75), abs=1.5)
    for patch in patches:
        middle = np.abs(read_patch(patch).wrapped)[60:90, 60:90]
        assert (middle > 1.5).any() == patch.positive


def test_outlines_of_one_pair_hold_for_it_alone(tmp_path, settings):
    write_stack(tmp_path / "in", side=400)
    path = outlines(
        tmp_path / "true.gpkg", [SLIDE, (slice(300, 330), slice(200, 230))], pair=["20080105_20080406", None]
    )
    made = run(settings(path))
    assert made.candidates == 3
    counts = {
        f.stem: len(read_fringe_scene(f).middles) for f in sorted((tmp_path / "windows" / "scenes").glob("*.tif"))
    }
    assert counts == {"gassan_20080105-20080220": 1, "gassan_20080105-20080406": 2}
    labels = read_fringe_scene(tmp_path / "windows" / "scenes" / "gassan_20080105-20080220.tif").labels
    assert set(np.unique(labels[300:330, 200:230])) == {1}
    assert (labels > 0).sum() == 900


def test_pairs_as_scenes_of_their_own(tmp_path, settings):
    write_stack(tmp_path / "in", side=400)
    config = settings(outlines(tmp_path / "true.gpkg", [SLIDE]), by_pair=True)
    run(config)
    assert {p.scene for p in find_patches(config.output)[0]} == {
        "gassan-20080105-20080220", "gassan-20080105-20080406",
    }  # fmt: skip


def test_slopes_go_with_the_scene(tmp_path, settings):
    write_stack(tmp_path / "in", side=400)
    config = settings(outlines(tmp_path / "true.gpkg", [SLIDE]))
    run(config)
    image = read_fringe_scene(next((config.output / "scenes").glob("*.tif")), CUT)
    assert np.nanmedian(image.slope[:, 300:]) == pytest.approx(np.degrees(np.arctan(0.6)), abs=0.5)
    assert np.nanmedian(image.slope[:, :100]) == pytest.approx(0, abs=0.5)


def test_running_again_changes_nothing_and_other_settings_are_refused(tmp_path, settings):
    write_stack(tmp_path / "in", side=400)
    path = outlines(tmp_path / "true.gpkg", [SLIDE])
    made = run(settings(path))
    before = {f: f.read_bytes() for f in (tmp_path / "windows").rglob("*.tif")}
    assert run(settings(path)) == made
    assert {f: f.read_bytes() for f in (tmp_path / "windows").rglob("*.tif")} == before
    with pytest.raises(OutputError, match="windows: holds windows made with other settings; choose another output"):
        run(settings(path, seed=5))


def test_what_cannot_be_used_is_said(tmp_path, settings):
    write_stack(tmp_path / "in", side=160, dem=False)
    far = outlines(tmp_path / "far.gpkg", [(slice(3000, 3050), slice(0, 50))])
    with pytest.raises(NoDataError, match=r"far.gpkg: no candidate lies on 2 interferograms; name those of its area$"):
        run(settings(far))
    log = (tmp_path / "windows" / "log.jsonl").read_text()
    assert "gassan: no heights, so slopes and flats are not told apart; name a DEM with --dem" in log
    all_of_it = outlines(tmp_path / "all.gpkg", [(slice(10, 150), slice(10, 150))])
    with pytest.raises(NoDataError, match="no window of 150 x 150 pixels without a candidate fits"):
        run(settings(all_of_it, name="other"))
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        nowhere = outlines(tmp_path / "nowhere.gpkg", [SLIDE], crs=None)
    with pytest.raises(DamagedFileError, match="does not tell its coordinate system"):
        run(settings(nowhere, name="third"))


def test_simulated_scenes_need_no_input(tmp_path):
    config = FringeMakeConfig(
        output=tmp_path / "out", cut=CutConfig(least_data=0.1), run=FringeMakeRun(simulated=3, per_class=6, seed=6),
        scenes=FringeConfig(side=240, pairs=2, slides=(8, 8)),
    )  # fmt: skip
    made = run(config)
    assert made.scenes == 6
    assert made.positive >= 6
    patches, problems = find_patches(config.output)
    assert problems == []
    assert len({p.scene for p in patches}) >= 2
    assert json.loads((config.output / "log.jsonl").read_text().splitlines()[-1])["seconds"] >= 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "expected inputs or --simulated, one of both"),
        ({"inputs": ("a",), "run": {"simulated": 3}}, "expected inputs or --simulated, one of both"),
        ({"inputs": ("a",)}, "--polygons: expected a vector file with the outlines of candidates on the inputs"),
    ],
)
def test_what_goes_together(given, message):
    with pytest.raises(ValueError, match=message):
        FringeMakeConfig.model_validate({"output": "out", **given})
