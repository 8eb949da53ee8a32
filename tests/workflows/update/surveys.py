"""Small surveys that are updated, and what they are compared by."""

import re
import shutil
from contextlib import contextmanager
from datetime import date

import numpy as np
import pytest

from groundshift.gradients.store import open_sums
from groundshift.inventory import read_inventory
from groundshift.simulate import SceneConfig
from groundshift.types import Pair
from groundshift.workflows import concluding
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.survey import run_survey
from groundshift.workflows.update import run_update

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


@contextmanager
def _plain():
    """Run without report and pictures, which cost most of the time here."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("write_report", "write_kmz"):
            patch.setattr(concluding, name, lambda *_, **__: None)
        yield


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
    with _plain():
        return run_survey(config, QUIET, "groundshift survey")


def add(out, *inputs):
    with _plain():
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
