"""The facts that `groundshift info` tells."""

import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from groundshift.io import open_stack
from groundshift.io.stack import Problem
from groundshift.types import Pair, RadarGrid
from groundshift.workflows.inspect import describe, draw_network


@pytest.fixture(scope="module")
def stack(simulated):
    return open_stack(simulated)


def test_the_facts_of_a_simulated_scene_are_those_it_was_made_with(stack, simulated):
    facts = describe(stack)
    assert facts["path"] == str(simulated)
    assert facts["pixels"] == [64, 80]
    assert facts["pixel_m"] == [40.0, 40.0]
    assert facts["geometry"] == "map, EPSG:32647"
    assert facts["axes"] == "rows along north, columns along east"
    assert facts["centre"] == pytest.approx([101.9, 30.9], abs=0.001)
    assert facts["look"] == {"direction": "descending", "heading_deg": 190.0, "incidence_deg": 39.0}
    assert (facts["pairs"], facts["dates"]) == (30, 12)
    assert (facts["first_date"], facts["last_date"]) == ("2018-01-05", "2018-05-17")
    assert facts["span_days"] == {"shortest": 12, "median": 24, "longest": 36}
    assert (len(facts["groups"]), facts["gaps"], facts["skipped"], facts["warnings"]) == (1, [], [], [])
    assert facts["missing"] == []
    assert json.loads(json.dumps(facts)) == facts


def test_what_is_missing_is_said_with_what_follows(stack):
    bare = replace(
        stack,
        grid=RadarGrid((64, 80), (14.0, 9.3)),
        pairs=tuple(replace(p, perpendicular_baseline=None) for p in stack.pairs),
        look=None,
        read_height=None,
        coherence_source="estimated",
    )
    facts = describe(bare)
    assert [line.split(":")[0] for line in facts["missing"]] == [
        "coherence", "perpendicular baselines", "look geometry", "heights", "location",
    ]  # fmt: skip
    assert (facts["centre"], facts["look"], facts["bperp_m"], facts["geometry"]) == (None, None, None, "radar")
    some = replace(stack, pairs=(replace(stack.pairs[0], perpendicular_baseline=None), *stack.pairs[1:]))
    assert describe(some)["missing"] == ["perpendicular baselines of 1 pairs"]


def test_groups_and_gaps_are_told_apart(stack):
    pairs = (
        Pair(date(2018, 1, 1), date(2018, 1, 13)),
        Pair(date(2018, 1, 13), date(2018, 4, 1)),
        Pair(date(2019, 1, 1), date(2019, 1, 13)),
    )
    facts = describe(replace(stack, pairs=pairs))
    assert [g["dates"] for g in facts["groups"]] == [3, 2]
    assert [(g["days"], g["bridged"]) for g in facts["gaps"]] == [(78, True), (275, False)]


def test_problems_are_sorted_by_what_became_of_the_file(stack, tmp_path):
    problems = (Problem(tmp_path, "left out"), Problem(tmp_path, "noted", skipped=False))
    facts = describe(replace(stack, problems=problems))
    assert (facts["skipped"], facts["warnings"]) == (["left out"], ["noted"])


def test_the_network_is_drawn(stack, tmp_path):
    draw_network(stack, tmp_path / "network.svg")
    assert "30 pairs" in (tmp_path / "network.svg").read_text() or (tmp_path / "network.svg").stat().st_size > 5000


def test_pairs_that_are_noise_are_named(tmp_path):
    rng = np.random.default_rng(0)
    ramp = np.angle(np.exp(1j * (0.2 * np.arange(100) + rng.normal(0, 0.5, (100, 100)))))
    for day, phase in ((1, ramp), (13, rng.uniform(-np.pi, np.pi, ramp.shape)), (25, ramp)):
        phase.astype("<f4").tofile(tmp_path / f"100_201801{day:02}-201802{day:02}.wzp")
    (warning,) = [line for line in describe(open_stack(tmp_path))["warnings"] if "noise all over" in line]
    assert warning == (
        f"{tmp_path}: noise all over, nowhere coherent, in 1 of the 3 pairs looked at: 20180113_20180213; they tell "
        "nothing of the ground, so take shorter pairs or another season"
    )
    (tmp_path / "100_20180113-20180213.wzp").unlink()
    assert not any("noise all over" in line for line in describe(open_stack(tmp_path))["warnings"])


def test_many_pairs_of_noise_are_named_in_part_and_pairs_that_break_are_left_to_the_run(tmp_path):
    phase = np.random.default_rng(0).uniform(-np.pi, np.pi, (100, 100)).astype("<f4")
    for day in range(1, 15):
        phase.tofile(tmp_path / f"100_201801{day:02}-201802{day:02}.wzp")
    stack = open_stack(tmp_path)
    (tmp_path / "100_20180114-20180214.wzp").write_bytes(b"1234")
    (warning,) = [line for line in describe(stack)["warnings"] if "noise all over" in line]
    assert "in 13 of the 13 pairs looked at" in warning
    assert "20180109_20180209, 20180110_20180210 and 3 more; they tell" in warning
