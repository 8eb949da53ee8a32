"""Updates: what they read, and that their sums are those of a survey of everything."""

import json
import os
import re
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.workflows.update.surveys import (
    LATER,
    PLAIN,
    QUIET,
    TRACK,
    add,
    assert_same_sums,
    assert_same_targets,
    pair_of,
    part_of,
    sums_in,
    survey,
)

from groundshift.errors import DamagedFileError, GroundshiftError
from groundshift.inventory import read_runs
from groundshift.io import InterferogramStack, open_stack
from groundshift.pairs import half_year, select_pairs
from groundshift.simulate import to_stack
from groundshift.types import Pair
from groundshift.workflows.config import StackConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.resume import sources_of
from groundshift.workflows.stacking import Base, stack_track
from groundshift.workflows.update import preview_update

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
