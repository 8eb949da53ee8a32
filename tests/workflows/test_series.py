"""Series of all targets: kept and used again, made anew when anything changes, and stopped by no target."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from shapely import Polygon, affinity
from tests.workflows.moving import CONFIG, PAIRS, SHAPE, SPEED, body, make_stack, make_target, outline, stacked

from groundshift.errors import OutputError, ProductError
from groundshift.geometry import pixels_within
from groundshift.gradients.store import open_sums
from groundshift.io.patches import read_patch
from groundshift.types import LookGeometry, Window
from groundshift.unwrap import UnwrappingError
from groundshift.workflows import series
from groundshift.workflows.progress import Reporter
from groundshift.workflows.series import Source, follow_targets


@pytest.fixture(scope="module")
def place(tmp_path_factory, map_grid):
    """Folder of the sums of the moving body on a map grid."""
    folder = tmp_path_factory.mktemp("stacks")
    stack, _ = make_stack(map_grid(SHAPE), folder)
    stacked(stack, folder / "T1")
    return folder


@pytest.fixture
def scene(place, tmp_path, map_grid):
    """Stack, what was read of it, sums and target; files of interferograms that a test may touch."""
    stack, reads = make_stack(map_grid(SHAPE), tmp_path)
    sums = open_sums(place / "T1" / "gradients.zarr")
    return stack, reads, sums, make_target(outline(stack.grid))


def run(folder, stack, sums, targets, config=CONFIG, log=None):
    with Reporter(quiet=True, log=log) as reporter:
        return follow_targets(targets, {"T1": Source(stack, sums, 2000.0)}, folder, config, reporter)


def one(folder, stack, sums, target, config=CONFIG):
    """Record of the only target."""
    [motion] = run(folder, stack, sums, [target], config)[target.id]
    return motion.record


def names_in(folder):
    return sorted(p.name for p in folder.iterdir()) if folder.exists() else []


def test_a_target_gets_its_series_on_disk_and_in_words(scene, tmp_path):
    stack, _, sums, target = scene
    found = run(tmp_path / "series", stack, sums, [target])
    [motion] = found[target.id]
    record = motion.record
    assert names_in(tmp_path / "series") == ["wm2x1nf-T1.json", "wm2x1nf-T1.nc"]
    patch = read_patch(tmp_path / "series" / "wm2x1nf-T1.nc")
    assert (patch.target, patch.track, patch.facts) == ("wm2x1nf", "T1", record.facts)
    # The patch is the target with its margin, at full resolution, and lies where the target lies.
    assert pixels_within(target.geometry, patch.grid)[1].sum() == patch.inside.sum()
    assert patch.grid.spacing == pytest.approx(stack.grid.spacing)
    truth = 1000 * SPEED * np.sort(body(SHAPE)[18:29, 22:35].ravel())[-patch.inside.sum() // 2 :]
    assert record.rate_mm_yr == pytest.approx(truth.mean(), abs=3 * record.rate_sigma_mm_yr)
    assert record.rate_sigma_mm_yr < 8
    assert len(record.dates) == len(record.displacement_mm) == len(record.sigma_mm) == len(record.groups) == 12
    assert record.displacement_mm[0] == 0
    assert record.facts["Rate"].startswith(f"{record.rate_mm_yr:+.1f} mm/yr towards the satellite, 95 % from ")
    assert record.facts["Pairs"] == f"{len(PAIRS)} used"
    assert record.facts["From stacking"].endswith("mm/yr over the same pixels, from the same reference")
    assert float(record.facts["From stacking"].split()[0]) == pytest.approx(record.rate_mm_yr, rel=0.25)
    content, kept = motion.content(), motion.series()
    assert [layer.name for layer in content.layers] == ["velocity, inverted", "velocity, stacked", "temporal coherence"]
    np.testing.assert_array_equal(content.displacement_mm, kept.displacement_mm)
    assert (content.breaks, content.reason) == ((), "")
    west, south, east, north = content.bounds
    assert Polygon([(west, south), (east, south), (east, north), (west, north)]).contains(target.geometry)
    # The fit runs through the series.
    assert np.std(content.fit_mm - content.displacement_mm) < 3


def test_what_is_kept_is_used_again_without_reading_anything(scene, tmp_path):
    stack, reads, sums, target = scene
    first = run(tmp_path / "series", stack, sums, [target])[target.id][0]
    assert sorted(reads) == sorted(p.name for p in PAIRS)
    stamp = {p: p.stat().st_mtime_ns for p in (tmp_path / "series").iterdir()}
    again = run(tmp_path / "series", stack, sums, [target])[target.id][0]
    assert len(reads) == len(PAIRS)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "series").iterdir()} == stamp
    assert again.record == first.record
    for a, b in zip(again.layers, first.layers, strict=True):
        np.testing.assert_array_equal(a.values, b.values)


CHANGES = {
    "a setting": lambda s: {"config": CONFIG.model_copy(update={"nlooks": 10.0})},
    "a file": lambda s: os.utime(s[0].files[PAIRS[3]][0], (1, 1)),
    "the outline": lambda s: {"target": replace(s[3], geometry=affinity.scale(s[3].geometry, 0.9, 0.9))},
    "a neighbour": lambda s: {
        "others": [make_target(affinity.translate(s[3].geometry, 0.01, 0), "neighbour", ("T2",))]
    },
    "the slope": lambda s: {"target": replace(s[3], aspect_deg=90.0)},
    "the pairs": lambda s: {"stack": s[0].select(PAIRS[:-2])},
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_is_kept_is_made_anew_when_something_changes(scene, tmp_path, what):
    stack, reads, sums, target = scene
    folder = tmp_path / "series"
    one(folder, stack, sums, target)
    changed = CHANGES[what](scene) or {}
    reads.clear()
    stack, target = changed.get("stack", stack), changed.get("target", target)
    run(folder, stack, sums, [target, *changed.get("others", ())], changed.get("config", CONFIG))
    assert set(reads) == {p.name for p in stack.pairs}


def test_other_sums_make_a_series_anew(scene, tmp_path):
    stack, reads, sums, target = scene
    one(tmp_path / "series", stack, sums, target)
    reads.clear()
    smoother = stacked(stack, tmp_path / "smoother", max_days=12)
    reads.clear()
    one(tmp_path / "series", stack, smoother, target)
    assert len(reads) == len(PAIRS)


@pytest.mark.parametrize("damage", ["no patch", "no record", "half a patch", "half a record"])
def test_what_is_damaged_is_made_anew(scene, tmp_path, damage):
    stack, reads, sums, target = scene
    folder = tmp_path / "series"
    record = one(folder, stack, sums, target)
    path = folder / ("wm2x1nf-T1.nc" if damage.endswith("patch") else "wm2x1nf-T1.json")
    content = path.read_bytes()
    path.unlink()
    if damage.startswith("half"):
        path.write_bytes(content[: len(content) // 2])
    reads.clear()
    assert one(folder, stack, sums, target) == record
    assert len(reads) == len(PAIRS)


def test_order_of_pairs_and_of_targets_does_not_matter(scene, tmp_path):
    stack, _, sums, target = scene
    near = [make_target(outline(stack.grid, c, 5, 5), f"near-{k}", ("T2",)) for k, c in enumerate([(23, 42), (9, 28)])]
    rng = np.random.default_rng(1)
    shuffled = stack.select([PAIRS[k] for k in rng.permutation(len(PAIRS))])
    first = run(tmp_path / "a", stack, sums, [target, *near])[target.id][0].record
    second = run(tmp_path / "b", shuffled, sums, [near[1], target, near[0]])[target.id][0].record
    assert second == first


def test_a_neighbour_is_no_reference(scene, tmp_path):
    stack, _, sums, target = scene
    # All but the west is another target, seen from another track.
    ring = [np.array(stack.grid.lonlat(y, x)) for y, x in [(0, 21), (0, 53), (47, 53), (47, 21)]]
    other = make_target(Polygon(ring).difference(target.geometry.buffer(1e-4)), "other", ("T2",))
    [motion] = run(tmp_path / "series", stack, sums, [target, other])[target.id]
    patch = read_patch(motion.patch)
    lon, _ = patch.grid.lonlat(*patch.reference.T.astype(float))
    assert (lon < stack.grid.lonlat(23.0, 21.0)[0]).all()
    assert other.id not in run(tmp_path / "series", stack, sums, [target, other])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"geometry": lambda g: outline(g, (300, 28))}, "no pixel of the track lies in the target"),
        ({"geometry": lambda g: outline(g, (47.6, 28), 3, 4)}, "only 3 pixels of the target have data, 4 are needed"),
        ({"config": {"series_days": 6}}, "no pair of up to 6 days; raise --series-days"),
        ({"select": PAIRS[:1]}, "only 2 dates, 4 are needed for a velocity"),
        ({"damaged": [p.name for p in PAIRS]}, "only 0 pixels of the target have data, 4 are needed"),
    ],
    ids=["beside the scene", "at the edge", "no short pair", "one pair", "nothing readable"],
)
def test_a_target_that_cannot_be_followed_has_a_reason_and_the_others_go_on(scene, tmp_path, map_grid, change, reason):
    stack, _, sums, good = scene
    config = CONFIG.model_copy(update=change.get("config", {}))
    if "damaged" in change:
        stack, _ = make_stack(map_grid(SHAPE), tmp_path, change["damaged"])
    stack = stack.select(change.get("select", PAIRS))
    bad = make_target(change.get("geometry", lambda g: outline(g, (20, 20)))(stack.grid), "bad")
    log = tmp_path / "log.jsonl"
    found = run(tmp_path / "series", stack, sums, [bad, good], config, log)
    [motion] = found["bad"]
    assert motion.record.reason == reason
    assert (motion.content().reason, motion.series(), motion.layers) == (reason, None, ())
    events = [json.loads(line) for line in log.read_text().splitlines()]
    assert {"target": "bad", "track": "T1", "reason": reason} in [
        {k: e.get(k) for k in ("target", "track", "reason")} for e in events if e["event"] == "no series"
    ]
    assert "wm2x1nf" in found
    if "geometry" in change:
        assert found["wm2x1nf"][0].record.reason == ""
    assert names_in(tmp_path / "series")[0] == "bad-T1.json"


def test_a_target_over_the_edge_is_followed_with_what_there_is(scene, tmp_path):
    stack, _, _, target = scene
    grid, windows = stack.grid.cropped(Window(20, 0, 28, 54)), []

    def read(pair, window):
        windows.append(window)
        return stack.read_pair(pair, Window(window.y + 20, window.x, window.height, window.width))

    cut = replace(stack, grid=grid, read_pair=read)
    found = one(tmp_path / "series", cut, stacked(cut, tmp_path / "cut"), target)
    assert found.reason == ""
    assert {w.y for w in windows[-len(PAIRS) :]} == {0}
    assert found.rate_mm_yr == pytest.approx(1000 * SPEED * 0.8, rel=0.3)


def test_an_unreadable_pair_is_named_and_the_rest_is_used(scene, tmp_path, map_grid):
    _, _, sums, target = scene
    stack, _ = make_stack(map_grid(SHAPE), tmp_path, [PAIRS[5].name])

    def lost(pair, window):
        if pair == PAIRS[9]:
            raise OSError(5, "Input/output error", "disk.tif")
        return stack.read_pair(pair, window)

    found = run(tmp_path / "series", replace(stack, read_pair=lost), sums, [target])[target.id][0]
    assert found.record.facts["Pairs"] == f"{len(PAIRS) - 2} used, 2 left out"
    assert dict(read_patch(found.patch).left_out) == {
        PAIRS[5].name: f"{PAIRS[5].name}.tif: not a readable raster; fetch the file again",
        PAIRS[9].name: "disk.tif: cannot be read (Input/output error)",
    }


def test_a_series_that_can_no_longer_be_made_is_not_left_behind(scene, tmp_path):
    stack, _, sums, target = scene
    one(tmp_path / "series", stack, sums, target)
    found = one(tmp_path / "series", stack, sums, target, CONFIG.model_copy(update={"series_days": 6}))
    assert found.reason == "no pair of up to 6 days; raise --series-days"
    assert names_in(tmp_path / "series") == ["wm2x1nf-T1.json"]


def test_interferograms_of_another_scene_are_refused(scene, tmp_path, map_grid):
    stack, _, sums, target = scene
    for other in (
        replace(stack, look=LookGeometry(350.0, 39.0)),
        replace(stack, grid=map_grid((50, 54))),
        replace(stack, grid=map_grid(SHAPE, 20.0)),
    ):
        with pytest.raises(ProductError, match=r"not the interferograms that .*gradients\.zarr was made from; name th"):
            run(tmp_path / "series", other, sums, [target])
    with pytest.raises(UnwrappingError, match="choose one of"):
        run(tmp_path / "series", stack, sums, [target], CONFIG.model_copy(update={"unwrapper": "none"}))
    assert names_in(tmp_path / "series") == []


def test_a_full_disk_stops_the_run_and_leaves_nothing_half_written(scene, tmp_path, monkeypatch):
    stack, reads, sums, target = scene
    folder = tmp_path / "series"
    config = CONFIG.model_copy(update={"nlooks": 10.0})
    one(folder, stack, sums, target, config)

    def full(path, *_):
        raise OutputError(f"{path}: the disk is full; free some space and run again, finished parts are kept")

    for writer, left in (("write_patch", ["wm2x1nf-T1.nc"]), ("write_text", ["wm2x1nf-T1.nc"])):
        with monkeypatch.context() as patched:
            patched.setattr(series, writer, full)
            with pytest.raises(OutputError, match="the disk is full"):
                one(folder, stack, sums, target)
        assert names_in(folder) == left
        # Neither the record of the earlier run nor the new patch passes for a series of those settings.
        reads.clear()
        one(folder, stack, sums, target, config)
        assert len(reads) == len(PAIRS)
