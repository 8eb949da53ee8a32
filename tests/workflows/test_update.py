"""Updates: what they read, what they leave, and that it is what a survey of everything leaves."""

import json
import os
import re
import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from groundshift.errors import DamagedFileError, GroundshiftError
from groundshift.gradients.store import SumsFile, open_sums
from groundshift.inventory import read_inventory, read_runs, read_series
from groundshift.io import InterferogramStack, open_stack
from groundshift.pairs import half_year, select_pairs
from groundshift.simulate import SceneConfig, simulate_scene, to_stack, write_scene
from groundshift.types import MapGrid, Pair
from groundshift.workflows import at_hand, concluding, stacking, update
from groundshift.workflows.config import StackConfig, SurveyConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.resume import sources_of
from groundshift.workflows.stacking import Base, stack_track
from groundshift.workflows.survey import run_survey
from groundshift.workflows.update import preview_update, run_update

TRACK = "simulated-3"
LATER = date(2019, 10, 15)
"""Dates from here on are those that are added: the last third."""
SHOWN = ("id", "kind", "tracks", "first_seen", "last_seen", "n_pairs", "review", "note")
NONE = {"series": False}
RULES = {"detector": "rules"}
PLAIN = {"max_days": 72, "sliding_years": 1, "least_pairs": 8}
SCENE = SceneConfig(
    seed=3,
    shape=(64, 80),
    n_dates=27,
    interval_days=36,
    max_days=72,
    n_slides=3,
    gap_share=0,
    speed_mm_yr=(120.0, 160.0),
)
QUIET = Reporter(quiet=True)


def pair_of(path):
    """The pair that a file belongs to, or None."""
    found = re.match(r"(\d{8})_(\d{8})_", path.name)
    return None if found is None else Pair(*map(date.fromisoformat, found.groups()))


def part_of(full, folder, wanted):
    """A folder with the pairs that are `wanted`, and all else that belongs to the product."""
    folder.mkdir(parents=True)
    for path in full.iterdir():
        pair = pair_of(path)
        if pair is None or wanted(pair):
            shutil.copy2(path, folder / path.name)
    return folder


def survey(source, out, *, series=False, **stack):
    config = SurveyConfig.model_validate(
        {"inputs": [source], "output": out, "stack": PLAIN | stack, "detect": RULES, "series": {"series": series}}
    )
    return run_survey(config, QUIET, "groundshift survey")


def add(out, *inputs):
    return run_update(out, inputs, QUIET, "groundshift update")


def sums_in(out, track=TRACK):
    return open_sums(out / "stacks" / track / "gradients.zarr")


def assert_same_sums(found, expected):
    """Sums and plans of two files are the same, to what single precision leaves of them."""
    for name in ("track", "pairs", "smoothing", "directions", "look"):
        assert getattr(found.plan, name) == getattr(expected.plan, name), name
    assert found.fingerprint == expected.fingerprint
    assert found.plan.noise == pytest.approx(expected.plan.noise, abs=1e-9)
    assert [w.name for w in found.plan.windows] == [w.name for w in expected.plan.windows]
    for k, (one, other) in enumerate(zip(found.plan.windows, expected.plan.windows, strict=True)):
        np.testing.assert_array_equal(one.members, other.members)
        np.testing.assert_allclose(one.weights, other.weights, rtol=1e-6, atol=1e-12)
        ours, theirs = found.read(k), expected.read(k)
        np.testing.assert_array_equal(ours[3:5], theirs[3:5])
        scale = np.abs(theirs).max(axis=(1, 2), keepdims=True)
        assert (np.abs(ours - theirs) <= 1e-5 * scale).all()


def assert_same_targets(found, expected):
    found, expected = (read_inventory(out / "inventory.gpkg") for out in (found, expected))
    assert len(expected) > 0
    assert [tuple(getattr(t, n) for n in SHOWN) for t in found] == [
        tuple(getattr(t, n) for n in SHOWN) for t in expected
    ]
    for one, other in zip(found, expected, strict=True):
        for name in ("score", "area_m2", "velocity_los_mm_yr", "velocity_sigma_mm_yr", "mean_coherence"):
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-3), name
        assert one.geometry.intersection(other.geometry).area > 0.99 * other.geometry.area


@pytest.fixture(autouse=True, scope="module")
def plain():
    """Surveys without report and pictures, which cost most of the time here."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("write_report", "write_kmz"):
            patch.setattr(concluding, name, lambda *_, **__: None)
        yield


@pytest.fixture
def reads(monkeypatch):
    """The pairs that were read, by name: how many windows of each."""
    found = {}
    read = stacking._read

    def counted(stack, pair, window):
        found[pair.name] = found.get(pair.name, 0) + 1
        return read(stack, pair, window)

    monkeypatch.setattr(stacking, "_read", counted)
    return found


@pytest.fixture
def only_sums(monkeypatch):
    """Updates that end when the sums are done, for what concerns them alone."""
    monkeypatch.setattr(update, "detect_track", lambda *_, **facts: facts)
    monkeypatch.setattr(update, "conclude", lambda results, *_, **__: results)


@pytest.fixture(scope="module")
def scene():
    """Two and a half years of a small scene: 51 pairs."""
    return simulate_scene(SCENE)


@pytest.fixture(scope="module")
def full(scene, tmp_path_factory):
    """Its folder. Not to be written to."""
    folder = tmp_path_factory.mktemp("full") / "scene"
    write_scene(scene, folder)
    return folder


@pytest.fixture(scope="module")
def early(full, tmp_path_factory):
    """The first two thirds of it. Not to be written to."""
    return part_of(full, tmp_path_factory.mktemp("early") / "scene", lambda pair: pair.secondary < LATER)


@pytest.fixture(scope="module")
def before(early, tmp_path_factory):
    """A survey of them. Not to be written to."""
    return survey(early, tmp_path_factory.mktemp("before") / "out").folder


@pytest.fixture(scope="module")
def again(before, full, tmp_path_factory):
    """A survey of everything, from scratch, that goes on with the inventory of the first. Not to be written to."""
    out = shutil.copytree(before, tmp_path_factory.mktemp("again") / "out")
    shutil.rmtree(out / "stacks")
    return survey(full, out).folder


@pytest.fixture
def out(before, tmp_path):
    """A copy of the first survey, to be updated."""
    return Path(shutil.copytree(before, tmp_path / "out"))


# The law


@st.composite
def networks(draw):
    """Dates over some years with gaps, and which of their pairs come later."""
    steps = draw(st.lists(st.integers(6, 70), min_size=6, max_size=22))
    days = np.cumsum([0, *steps])
    start = date(2017, draw(st.integers(1, 12)), 1)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    height = rng.normal(0, 80, days.size)
    pairs = [
        Pair(start + timedelta(int(a)), start + timedelta(int(b)), float(height[j] - height[i]))
        for i, a in enumerate(days)
        for j, b in enumerate(days)
        if 0 < b - a <= 72
    ]
    if draw(st.booleans()):
        cut = pairs[draw(st.integers(2, len(pairs) - 1))].secondary
        late = [pair.secondary >= cut for pair in pairs]
    else:
        late = (rng.random(len(pairs)) < draw(st.sampled_from([0.05, 0.3, 0.7]))).tolist()
    late[:2] = [False, False]
    return pairs, late, rng


@given(networks(), st.sampled_from(["all", "sequential", "nearest"]), st.sampled_from(["network", "equal"]))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sums_that_were_added_to_are_those_of_everything_at_once(tmp_path_factory, map_grid, network, mode, weights):
    pairs, late, rng = network
    early = [p for p, new in zip(pairs, late, strict=True) if not new]
    assume(len(select_pairs(early, max_days=72, mode=mode, nearest=2)) >= 2)
    shape = (20, 22)
    igrams = {p.name: rng.uniform(0.2, 1, shape) * np.exp(1j * rng.normal(0, 0.7, shape)) for p in pairs}
    for igram in igrams.values():
        igram[rng.random(shape) < 0.1] = 0

    def stack(chosen):
        def read(pair, window):
            return igrams[pair.name][window.rows, window.columns].astype(np.complex64)

        return InterferogramStack(
            "made", Path("made"), "made", tuple(chosen), map_grid(shape), 0.0555, "ours", "product", read
        )

    config = StackConfig(
        max_days=72, pair_mode=mode, nearest=2, weights=weights, sliding_years=1, least_pairs=3, working_pixel=40,
        smoothing=3,
    )  # fmt: skip
    folder, quiet = tmp_path_factory.mktemp("law"), Reporter(quiet=True)
    everything = stack(pairs)
    whole = stack_track(everything, config, folder / "whole", quiet)
    some = stack_track(stack(early), config, folder / "out", quiet)
    held = {p.name for p in some.sums.plan.pairs}
    done = stack_track(everything, config, folder / "out", quiet, Base(some.sums, sources_of(everything)))
    assert_same_sums(done.sums, whole.sums)
    assert done.reused == (held == {p.name for p in whole.sums.plan.pairs})
    for k in range(len(whole.sums.plan.windows)):
        one, other = done.sums.stack(k), whole.sums.stack(k)
        np.testing.assert_array_equal(one.n_pairs, other.n_pairs)
        np.testing.assert_array_equal(one.effective_pairs > 0, other.effective_pairs > 0)
        known = (one.effective_pairs > 1.1) & (other.n_pairs > 2)
        scale = np.abs(other.rate[:, known]).max(initial=1)
        np.testing.assert_allclose(one.rate[:, known], other.rate[:, known], atol=1e-3 * scale)


def test_an_update_leaves_what_a_survey_of_everything_leaves(out, again, full):
    done = add(out, full)
    assert done.new_pairs == 51 - 33
    assert_same_sums(sums_in(out), sums_in(again))
    assert_same_targets(out, again)
    found, expected = (sorted(p.relative_to(o) for p in (o / "stacks").rglob("*.tif")) for o in (out, again))
    assert found == expected
    with (
        rasterio.open(out / "stacks" / TRACK / "velocity.tif") as one,
        rasterio.open(again / "stacks" / TRACK / "velocity.tif") as other,
    ):
        np.testing.assert_allclose(one.read(1), other.read(1), atol=0.02)
    run = read_runs(out / "inventory.gpkg")[-1]
    assert (run.command, run.n_pairs, run.last_date) == ("groundshift update", 51, date(2020, 7, 29))
    assert [path.name for path in out.rglob(".*")] == []


def test_what_is_stacked_in_parts_is_what_is_stacked_at_once(out, again, full, tmp_path):
    half = part_of(full, tmp_path / "half", lambda pair: pair.secondary < date(2020, 3, 1))
    assert add(out, half).new_pairs > 0
    assert add(out, full).new_pairs > 0
    assert_same_sums(sums_in(out), sums_in(again))
    assert_same_targets(out, again)
    assert [r.command for r in read_runs(out / "inventory.gpkg")] == ["groundshift survey", *2 * ["groundshift update"]]


# What is read


@pytest.mark.usefixtures("only_sums")
def test_only_new_pairs_and_those_of_their_time_are_read(out, full, reads):
    add(out, full)
    old = [pair for pair in open_stack(full).pairs if pair.secondary < LATER]
    near = {p.name for p in old if half_year(p) >= 2 * 2019}  # the half-year of the first new date and the one before
    new = {p.name for p in open_stack(full).pairs} - {p.name for p in old}
    assert set(reads) == near | new
    assert 0 < len(near) < len(old)
    # Each once for the sums; in half-years that have new pairs also on two squares, for the noise.
    moved = {p.name for p in old if half_year(p) == 2 * 2019 + 1}
    assert reads == {name: 3 if name in moved | new else 1 for name in near | new}


def stacked(source, folder, base=None, **stack):
    """Sums of a stack in memory, made at once or by adding to `base`."""
    base = None if base is None else Base(base.sums, sources_of(source))
    return stack_track(source, StackConfig.model_validate(PLAIN | stack), folder, QUIET, base)


def earlier(source):
    return source.select([pair for pair in source.pairs if pair.secondary < LATER])


def test_with_equal_weights_only_new_pairs_are_read(scene, tmp_path, reads):
    plain = {"weights": "equal", "sliding_years": None}
    base = stacked(earlier(to_stack(scene)), tmp_path / "out", **plain)
    before = set(reads)
    reads.clear()
    assert stacked(to_stack(scene), tmp_path / "out", base, **plain).pairs_read == len(reads)
    assert not before & set(reads)
    assert before | set(reads) == {pair.name for pair in scene.pairs}
    assert set(reads.values()) == {1}


def test_a_new_time_window_is_filled_from_the_pairs_it_holds(scene, tmp_path, reads):
    plain = {"weights": "equal", "sliding_years": 2}
    base = stacked(earlier(to_stack(scene)), tmp_path / "out", **plain)
    assert [w.name for w in base.sums.plan.windows] == ["all", "wet", "dry", "wet-late", "dry-late"]
    reads.clear()
    done = stacked(to_stack(scene), tmp_path / "out", base, **plain)
    windows = {w.name: w for w in done.sums.plan.windows}
    assert list(windows) == ["all", "wet", "dry", "wet-late", "dry-late", "2018-2019", "2019-2020"]
    # The first was all there was, but for its new pairs; the second has to be made of its own.
    held = {done.sums.plan.pairs[k].name for k in windows["2019-2020"].members}
    new = {pair.name for pair in scene.pairs if pair.secondary >= LATER}
    assert set(reads) == held | new
    assert_same_sums(done.sums, stacked(to_stack(scene), tmp_path / "whole", **plain).sums)


def test_a_pair_that_is_not_used_any_more_is_taken_out(scene, tmp_path):
    """Of a sequence, a date that comes in late between two others takes the place of their pair."""
    source = to_stack(scene)
    missing = np.unique([pair.secondary for pair in scene.pairs])[18]
    part = source.select([pair for pair in source.pairs if missing not in (pair.reference, pair.secondary)])
    base = stacked(part, tmp_path / "out", pair_mode="sequential")
    spanning = Pair(missing - timedelta(36), missing + timedelta(36)).name
    assert spanning in {pair.name for pair in base.sums.plan.pairs}
    done = stacked(source, tmp_path / "out", base, pair_mode="sequential")
    assert spanning not in {pair.name for pair in done.sums.plan.pairs}
    assert_same_sums(done.sums, stacked(source, tmp_path / "whole", pair_mode="sequential").sums)


@pytest.mark.real
@pytest.mark.parametrize("max_days", [36, 96])
def test_the_last_third_added_to_a_real_stack(real_data, tmp_path, reads, max_days):
    source = open_stack(real_data / "danba")
    plain = {"max_days": max_days, "sliding_years": 2}
    base = stacked(
        source.select([p for p in source.pairs if p.secondary < date(2019, 4, 3)]), tmp_path / "out", **plain
    )
    reads.clear()
    done = stacked(source, tmp_path / "out", base, **plain)
    # New dates from April 2019 on: what ended before July 2018 is more than a half-year away.
    assert {name for name in reads if name[9:] < "20180701"} == set()
    assert len(reads) >= done.pairs_read > len(source.pairs) // 3
    assert_same_sums(done.sums, stacked(source, tmp_path / "whole", **plain).sums)


def test_new_pairs_may_lie_in_a_folder_of_their_own_and_old_ones_be_gone(full, again, tmp_path):
    source = part_of(full, tmp_path / "scene", lambda pair: pair.secondary < LATER)
    out = survey(source, tmp_path / "out").folder
    for path in source.iterdir():
        if pair_of(path) is not None and pair_of(path).secondary < date(2019, 1, 1):
            path.unlink()
    new = part_of(full, tmp_path / "new", lambda pair: pair.secondary >= LATER)
    assert add(out, new).new_pairs == 18
    assert_same_sums(sums_in(out), sums_in(again))
    known = json.loads((out / "provenance.json").read_text())["inputs"]
    gone = [path for path, digest in known.items() if digest is None]
    assert gone
    assert all(Path(path).parent == source for path in gone)
    assert len(known) == 2 * 51
    # And on: the pairs of both folders are known for the next time.
    assert add(out, new).survey is None


@pytest.mark.usefixtures("only_sums")
def test_an_old_pair_that_is_needed_and_gone_is_named(full, tmp_path):
    source = part_of(full, tmp_path / "scene", lambda pair: pair.secondary < LATER)
    out = survey(source, tmp_path / "out").folder
    before = {p: p.read_bytes() for p in (out / "stacks").rglob("*") if p.is_file()}
    needed = source / "20190524_20190629_phase.tif"
    kept = needed.read_bytes()
    stamp = needed.stat().st_mtime_ns
    needed.unlink()
    new = part_of(full, tmp_path / "new", lambda pair: pair.secondary >= LATER)
    assert preview_update(out, [new])[0]["missing"] == [str(needed)]
    line = (
        f"{needed}: missing, but new dates change the weight of its pair; put it back, or run `groundshift survey` on "
        "all interferograms again"
    )
    with pytest.raises(GroundshiftError, match=f"^{re.escape(line)}$"):
        add(out, new)
    after = {p: p.read_bytes() for p in (out / "stacks").rglob("*") if p.is_file() and ".zarr.partial" not in str(p)}
    assert after == before
    needed.write_bytes(kept)
    os.utime(needed, ns=(stamp, stamp))
    assert add(out, new).new_pairs == 18


def test_a_file_that_has_changed_since_is_named(out, full, tmp_path):
    source = part_of(full, tmp_path / "scene", lambda pair: True)
    path = source / "20180105_20180210_phase.tif"
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 10**9))
    line = f"{path}: has changed since it was summed; run `groundshift survey` on all interferograms again"
    with pytest.raises(GroundshiftError, match=f"^{re.escape(line)}$"):
        add(out, source)


@pytest.mark.usefixtures("only_sums")
def test_a_damaged_new_pair_is_left_out_and_a_damaged_old_one_stops_the_update(full, tmp_path):
    source = part_of(full, tmp_path / "scene", lambda pair: pair.secondary < LATER)
    out = survey(source, tmp_path / "out").folder
    grown = part_of(full, tmp_path / "grown", lambda pair: True)
    damaged = open_stack(full).pairs[45]
    path = grown / f"{damaged.name}_phase.tif"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    done = add(out, grown)
    (facts,) = done.survey
    assert [problem.path for problem in facts["problems"]] == [path]
    assert damaged.name not in {p.name for p in sums_in(out).plan.pairs}
    # It is not tried again until it is mended.
    assert add(out, grown).survey is None
    path.write_bytes(whole)
    assert add(out, grown).new_pairs == 1
    assert damaged.name in {p.name for p in sums_in(out).plan.pairs}

    out = survey(source, tmp_path / "other").folder
    path = grown / "20190629_20190804_phase.tif"
    stamp = path.stat().st_mtime_ns
    # Its header can be read, and its size and time are what they were.
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3] + b"\xff" * 999 + whole[len(whole) // 3 + 999 :])
    os.utime(path, ns=(stamp, stamp))
    with pytest.raises(DamagedFileError, match=r"20190629_20190804_phase\.tif: truncated or unreadable raster"):
        add(out, grown)


# Going on


def test_nothing_new_does_nothing(out, early, reads):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    done = add(out, early)
    assert (done.survey, done.new_pairs) == (None, 0)
    assert not reads
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


@pytest.mark.usefixtures("only_sums")
def test_a_survey_of_the_grown_folder_finds_the_updated_sums(out, full, reads):
    add(out, full)
    stamp = {p: p.stat().st_mtime_ns for p in (out / "stacks" / TRACK / "gradients.zarr").rglob("*")}
    reads.clear()
    survey(full, out)
    assert not reads
    assert {p: p.stat().st_mtime_ns for p in (out / "stacks" / TRACK / "gradients.zarr").rglob("*")} == stamp


@pytest.mark.parametrize("then", ["update", "survey"])
def test_an_update_that_was_stopped_goes_on(out, full, again, monkeypatch, reads, then):
    monkeypatch.setattr(stacking, "_block_rows", lambda plan, memory_mb: 20)
    write, blocks = SumsFile.write_rows, []

    def stop_after_two(self, first, sums):
        if len(blocks) == 2:
            raise KeyboardInterrupt
        write(self, first, sums)
        blocks.append(first)

    monkeypatch.setattr(SumsFile, "write_rows", stop_after_two)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file() and p.name != "log.jsonl"}
    with pytest.raises(KeyboardInterrupt):
        add(out, full)
    assert blocks == [0, 20]
    assert all(path.read_bytes() == content for path, content in before.items())

    monkeypatch.setattr(SumsFile, "write_rows", write)
    reads.clear()
    if then == "update":
        assert add(out, full).new_pairs == 18
        assert max(reads.values()) == 2  # the two blocks of rows that were left
    else:
        survey(full, out)
    assert_same_sums(sums_in(out), sums_in(again))
    assert_same_targets(out, again)
    assert [path.name for path in out.rglob(".*") if path.name != ".update"] == []


@pytest.mark.usefixtures("only_sums")
def test_an_update_that_was_stopped_over_replacing_the_sums_goes_on(out, full, again, monkeypatch):
    rename = Path.rename

    def stop(self, target):
        if self.name == ".gradients.zarr.partial":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stop)
    with pytest.raises(KeyboardInterrupt):
        add(out, full)
    assert not (out / "stacks" / TRACK / "gradients.zarr").exists()
    monkeypatch.setattr(Path, "rename", rename)
    add(out, full)
    assert_same_sums(sums_in(out), sums_in(again))
    assert [path.name for path in out.rglob(".*")] == []


def test_an_update_that_was_stopped_before_its_inventory_goes_on(out, full, again, monkeypatch, reads):
    conclude = update.conclude

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(update, "conclude", stop)
    with pytest.raises(KeyboardInterrupt):
        add(out, full)
    monkeypatch.setattr(update, "conclude", conclude)
    reads.clear()
    assert add(out, full).survey is not None
    assert not reads
    assert_same_targets(out, again)
    assert add(out, full).survey is None


def test_an_update_keeps_reviews_and_notes(out, full):
    from dataclasses import replace

    from groundshift.inventory import write_inventory

    path = out / "inventory.gpkg"
    first, *others = read_inventory(path)
    write_inventory(path, [replace(first, review="confirmed", note="seen in the field"), *others], read_runs(path))
    add(out, full)
    kept = {t.id: t for t in read_inventory(path)}[first.id]
    assert (kept.review, kept.note) == ("confirmed", "seen in the field")


# Several tracks


@pytest.fixture(scope="module")
def looks(tmp_path_factory):
    """Two looks at the same ground on the same grid."""
    folders = []
    for heading, name in ((190.0, "down"), (350.0, "up")):
        folder = tmp_path_factory.mktemp("looks") / name
        config = SceneConfig(
            seed=5, shape=(48, 56), n_dates=20, interval_days=24, max_days=48, n_slides=2, gap_share=0,
            speed_mm_yr=(120.0, 160.0), heading=heading,
        )  # fmt: skip
        write_scene(simulate_scene(config), folder)
        folders.append(folder)
    return folders


def test_of_several_tracks_the_one_that_has_grown_is_stacked_and_all_are_merged(looks, tmp_path, reads):
    cut = date(2019, 1, 20)
    part = part_of(looks[1], tmp_path / "up", lambda pair: pair.secondary < cut)
    config = {"stack": PLAIN | {"least_pairs": 4}, "detect": RULES, "series": NONE, "output": tmp_path / "out"}
    run_survey(SurveyConfig.model_validate({**config, "inputs": [looks[0], part]}), QUIET, "groundshift survey")
    out = Path(shutil.copytree(tmp_path / "out", tmp_path / "again"))
    for pair in (p for p in open_stack(looks[1]).pairs if p.secondary >= cut):
        for path in looks[1].glob(f"{pair.name}_*"):
            shutil.copy2(path, part / path.name)
    reads.clear()
    add(out, part)
    assert set(reads) <= {p.name for p in open_stack(part).pairs}
    run_survey(SurveyConfig.model_validate({**config, "inputs": [looks[0], part]}), QUIET, "groundshift survey")
    for track in ("simulated-5", "simulated-5-2"):
        assert_same_sums(sums_in(out, track), sums_in(tmp_path / "out", track))
    assert_same_targets(out, tmp_path / "out")


def test_an_input_that_may_belong_to_either_of_two_tracks_is_refused(looks, tmp_path):
    config = {"stack": PLAIN | {"least_pairs": 4}, "detect": RULES, "series": NONE, "output": tmp_path / "out"}
    run_survey(SurveyConfig.model_validate({**config, "inputs": looks}), QUIET, "groundshift survey")
    new = part_of(looks[0], tmp_path / "new", lambda pair: pair.secondary > date(2019, 1, 20))
    told = yaml.safe_load((new / "metadata.yaml").read_text())
    (new / "metadata.yaml").write_text(yaml.safe_dump({**told, "track": "other"}))
    line = f"{new}: may belong to simulated-5 or simulated-5-2; name the folder after its track"
    with pytest.raises(GroundshiftError, match=f"^{re.escape(line)}$"):
        add(tmp_path / "out", new)


# Series


@pytest.fixture(scope="module")
def followed(early, tmp_path_factory):
    """A survey of the first dates whose targets are followed. Not to be written to."""
    return survey(early, tmp_path_factory.mktemp("followed") / "out", series=True).folder


def records_in(out):
    return {path.name: json.loads(path.read_text()) for path in sorted((out / "series").glob("*.json"))}


def test_series_grow_to_what_a_survey_of_everything_tells(followed, full, early, tmp_path):
    out = Path(shutil.copytree(followed, tmp_path / "out"))
    new = part_of(full, tmp_path / "new", lambda pair: pair.secondary >= LATER)
    add(out, new)
    whole = Path(shutil.copytree(followed, tmp_path / "whole"))
    shutil.rmtree(whole / "stacks")
    survey(full, whole, series=True)
    assert_same_targets(out, whole)
    found, expected, before = (read_series(folder / "inventory.gpkg") for folder in (out, whole, followed))
    assert [(s.target, s.track) for s in found] == [(s.target, s.track) for s in expected]
    assert len(found) > 0
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.dates, other.dates)
        np.testing.assert_allclose(one.displacement_mm, other.displacement_mm, atol=0.01)
        np.testing.assert_allclose(one.sigma_mm, other.sigma_mm, atol=0.01)
        assert one.dates[-1] >= np.datetime64(LATER)
    assert all(series.dates[-1] < np.datetime64(LATER) for series in before)


def test_series_stay_as_they_were_where_older_interferograms_are_gone(followed, full, early, tmp_path, capsys):
    moved = Path(shutil.copytree(early, tmp_path / "early"))
    out = survey(moved, tmp_path / "out", series=True).folder
    before = records_in(out)
    first = open_stack(moved).pairs[0].name
    for path in moved.glob(f"{first}_*"):
        path.unlink()
    new = part_of(full, tmp_path / "new", lambda pair: pair.secondary >= LATER)
    run_update(out, [new], Reporter(), "groundshift update")
    assert f"1 interferogram no longer as summed ({first}); series stay as they were" in capsys.readouterr().err
    assert records_in(out) == before
    kept = [name for name, record in before.items() if not record["reason"]]
    assert len(read_series(out / "inventory.gpkg")) == len(kept) > 0


# What is refused


def assert_refused(out, inputs, line):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()}
    with pytest.raises(GroundshiftError, match=f"^{re.escape(line)}$"):
        add(out, *inputs)
    with pytest.raises(GroundshiftError, match=f"^{re.escape(line)}$"):
        preview_update(out, inputs)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*") if path.is_file()} == before


def test_pixels_of_another_place_are_refused(out, looks):
    line = f"{looks[0]}: 48 x 56 pixels, which are not those of {TRACK}; survey them into a folder of their own"
    assert_refused(out, [looks[0]], line)


def test_pixels_beside_those_of_the_survey_are_refused(out, full, monkeypatch):
    def shifted(*args, **options):
        from dataclasses import replace

        found = open_stack(*args, **options)
        assert isinstance(found.grid, MapGrid)
        return replace(found, grid=found.grid.shifted(0, 0.5))

    monkeypatch.setattr(at_hand, "open_stack", shifted)
    line = f"{full}: 64 x 80 pixels, which are not those of {TRACK}; survey them into a folder of their own"
    assert_refused(out, [full], line)


def test_another_wavelength_is_refused(out, full, tmp_path):
    source = part_of(full, tmp_path / "scene", lambda pair: True)
    told = yaml.safe_load((source / "metadata.yaml").read_text())
    (source / "metadata.yaml").write_text(yaml.safe_dump({**told, "wavelength_m": 0.24}))
    line = f"{source}: wavelength 0.24 m, but that of track {TRACK} is 0.0554658 m; survey it into a folder of its own"
    assert_refused(out, [source], line)


def test_another_product_is_refused(out, full):
    attributes = out / "stacks" / TRACK / "gradients.zarr" / "zarr.json"
    found = json.loads(attributes.read_text())
    found["attributes"]["record"]["product"] = "gamma"
    attributes.write_text(json.dumps(found))
    product = open_stack(full).product
    line = f"{full}: is {product}, but track {TRACK} is gamma; give the same product"
    assert_refused(out, [full], line)


def test_other_settings_are_refused(out, full):
    settings = yaml.safe_load((out / "run.yaml").read_text())
    settings["stack"]["max_days"] = 36
    (out / "run.yaml").write_text(yaml.safe_dump(settings))
    line = (
        f"{out / 'run.yaml'}: max_days is 36, but the sums were made with 72; put that back, or run `groundshift "
        "survey` again"
    )
    assert_refused(out, [full], line)


def test_sums_of_another_version_are_refused(out, full, monkeypatch):
    monkeypatch.setattr(update, "__version__", "9.9")
    path = out / "stacks" / TRACK / "gradients.zarr"
    from groundshift import __version__

    line = f"{path}: made by Groundshift {__version__}, this is 9.9; run `groundshift survey` again"
    assert_refused(out, [full], line)


def test_a_folder_without_a_finished_survey_is_refused(out, full, tmp_path):
    line = f"{tmp_path / 'none'}: no finished survey here; run `groundshift survey` first"
    assert_refused(tmp_path / "none", [full], line)
    assert not (tmp_path / "none").exists()
    (out / "stacks" / TRACK / "gradients.zarr").rename(out / "elsewhere")
    line = f"{out / 'stacks' / TRACK / 'gradients.zarr'}: missing; run `groundshift survey` again"
    assert_refused(out, [full], line)
    (out / "inventory.gpkg").unlink()
    assert_refused(out, [full], f"{out}: no finished survey here; run `groundshift survey` first")


def test_inputs_are_looked_at_before_anything_is_done(out, full, tmp_path):
    assert_refused(out, [full, full], f"{full}: given twice; name each input once")
    assert_refused(out, [tmp_path / "none"], f"{tmp_path / 'none'}: no such file or folder; check the spelling")


@pytest.mark.usefixtures("only_sums")
def test_a_pair_that_two_inputs_hold_is_taken_once_and_said(out, full, again, tmp_path):
    new = part_of(full, tmp_path / "new", lambda pair: pair.secondary >= LATER)
    more = part_of(full, tmp_path / "more", lambda pair: pair.secondary >= date(2020, 7, 1))
    with Reporter(quiet=True, log=tmp_path / "log.jsonl") as reporter:
        run_update(out, [new, more], reporter, "groundshift update")
    assert_same_sums(sums_in(out), sums_in(again))
    told = [json.loads(line).get("text") for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    name = open_stack(more).pairs[0].name
    assert f"{more}: pair {name} is already given by {new}; remove one" in told


# What a dry run tells


@pytest.mark.usefixtures("only_sums")
def test_a_dry_run_tells_what_would_be_read_and_writes_nothing(out, full, reads):
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    (facts,) = preview_update(out, [full])
    assert not reads
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    assert (facts["track"], facts["pairs_before"], len(facts["new_pairs"])) == (TRACK, 33, 18)
    assert facts["new_time_windows"] == ["2020"]
    assert (facts["no_longer_used"], facts["missing"]) == ([], [])
    pace = sums_in(out).seconds_per_pair
    assert facts["seconds_estimated"] == round((18 + len(facts["read_again"])) * pace, 1)
    add(out, full)
    assert set(reads) == {*facts["new_pairs"], *facts["read_again"]}
    (facts,) = preview_update(out, [full])
    assert facts["new_pairs"] == facts["read_again"] == facts["new_time_windows"] == []
    assert facts["seconds_estimated"] == 0
