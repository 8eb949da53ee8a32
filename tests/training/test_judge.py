"""Judgements: what they say follows from the samples, and they can be written and read."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from groundshift.detect.outline import score_of
from groundshift.detect.planes import PLANES, network_planes, radians_per_gradient
from groundshift.detect.prediction import Prediction
from groundshift.detect.rules import Rules, find_bodies
from groundshift.errors import DamagedFileError, NoDataError
from groundshift.gradients.integrate import relative_velocity
from groundshift.training.judge import judge
from groundshift.training.judge_plots import precision_recall_figure, reliability_figure
from groundshift.training.rule_based import RuleDetector, stack_of
from groundshift.training.samples import BEHAVIOURS, IGNORED, Body, Sample

SHAPE = (100, 100)
PIXEL = 50.0


def sample(*bodies, scene="a", window="all", ignored=None):
    """A map whose bodies are (top, left, bottom, right, velocity, behaviour); behaviour may be left out."""
    labels = np.zeros(SHAPE, np.uint8)
    facts = []
    for k, (top, left, bottom, right, velocity, *behaviour) in enumerate(bodies, start=1):
        labels[top:bottom, left:right] = k
        length, width = (bottom - top) * PIXEL, (right - left) * PIXEL
        facts.append(Body(velocity, abs(velocity), length, width, *(behaviour or ["steady"])))
    if ignored is not None:
        labels[ignored] = IGNORED
    planes = np.ones((len(PLANES), *SHAPE), np.float32)
    return Sample(planes, labels, tuple(facts), scene, window, PIXEL, -0.05, 100)


def box(top, left, bottom, right, score=0.9):
    return Prediction((float(left), float(top), float(right), float(bottom)), score)


def filled(top, left, bottom, right, score=0.9):
    return box(top, left, bottom, right, score)._replace(mask=np.ones((bottom - top, right - left), bool))


FAST, SLOW = (10, 10, 20, 20, -50.0), (60, 60, 80, 90, 8.0, "seasonal")


def values(judgement, *names):
    return [judgement.scores[name].value for name in names]


def test_perfect_predictions_are_worth_one_in_all_classes():
    judged = [(sample(FAST, SLOW, scene=s), [filled(*FAST[:4], 1.0), filled(*SLOW[:4], 1.0)]) for s in "abc"]
    found = judge(judged, detector="perfect", draws=20)
    assert (found.maps, found.scenes, found.bodies, found.predictions) == (3, 3, 6, 6)
    groups = [found.scores] + [c.scores for members in found.classes.values() for c in members.values()]
    for scores in groups:
        for name, value in scores.items():
            if "false" in name:
                assert value.value == 0
            else:
                assert value == (1.0, 1.0, 1.0), name
    assert [r.error for r in found.reliability.values()] == [0.0, 0.0]


def test_false_targets_per_1000_km2_are_those_of_the_ground_judged():
    """100 x 100 nodes of 50 m are 25 km2; a fifth of them ignored leaves 20."""
    wrong = [filled(40, 40, 50, 50), filled(85, 5, 95, 15, 0.4), filled(5, 70, 9, 80, 0.6)]
    whole = judge([(sample(FAST), [filled(*FAST[:4]), *wrong])], detector="x")
    assert whole.area_km2 == 25.0
    names = [f"{way} false_per_1000_km2 at {c}" for way in ("box", "mask", "hit") for c in ("any", "0.5", "0.8")]
    assert values(whole, *names) == pytest.approx([120, 80, 40] * 3)
    part = judge([(sample(FAST, ignored=np.s_[:, 80:]), wrong[:2])], detector="x")
    assert part.area_km2 == 20.0
    assert values(part, "hit false_per_1000_km2 at any") == [100.0]
    blind = sample(FAST)
    blind.planes[PLANES.index("known"), :50] = 0
    assert judge([(blind, [])], detector="x").area_km2 == 12.5


def test_predictions_on_ignored_ground_change_no_score():
    ground = sample(FAST, SLOW, ignored=np.s_[30:55, 5:50])
    plain = [filled(*FAST[:4], 0.7), filled(2, 70, 12, 80, 0.8)]
    more = [filled(31, 6, 50, 20, 0.95), filled(35, 30, 45, 48, 0.75), filled(40, 40, 60, 50, 0.2)]
    before, after = (judge([(ground, p)], detector="x") for p in (plain, plain + more))
    assert (before.predictions, after.predictions) == (2, 5)
    assert replace(after, predictions=2).to_json() == before.to_json()


def test_bodies_fall_into_the_classes_of_their_size_speed_behaviour_and_window():
    judged = [
        (sample(FAST, SLOW, scene="a"), [filled(*FAST[:4], 0.9), filled(30, 30, 50, 60, 0.8)]),
        (sample(FAST, scene="b", window="wet"), []),
        (sample(scene="b", window="2018-2019"), [filled(0, 0, 5, 5, 0.3)]),
        (sample(scene="b", window="years2"), []),
    ]
    found = judge(judged, detector="x")
    counts = {group: {n: c.bodies for n, c in members.items()} for group, members in found.classes.items()}
    assert counts == {
        "size": {"400-800 m": 2, "800-1600 m": 1},
        "speed": {"5-10 mm/yr": 1, "40-80 mm/yr": 2},
        "behaviour": {"steady": 2, "seasonal": 1},
        "window": {"all": 2, "wet": 1, "years": 0},
    }
    recalls = {
        group: {n: c.scores["hit recall at any"].value for n, c in members.items()}
        for group, members in found.classes.items()
    }
    assert recalls["speed"] == {"5-10 mm/yr": 0.0, "40-80 mm/yr": 0.5}
    assert recalls["behaviour"] == {"steady": 0.5, "seasonal": 0.0}
    assert (recalls["window"]["all"], recalls["window"]["wet"]) == (0.5, 0.0)
    assert np.isnan(recalls["window"]["years"])
    # A wrong prediction of 1500 m counts among bodies of that size, in every class of speed, and in its own window.
    wrong = "hit false_per_1000_km2 at any"
    assert [c.scores[wrong].value for c in found.classes["size"].values()] == pytest.approx([0, 10])
    assert [c.scores[wrong].value for c in found.classes["speed"].values()] == pytest.approx([20, 20])
    assert [c.scores[wrong].value for c in found.classes["window"].values()] == pytest.approx([40, 0, 20])
    # The one right prediction is about a fast body, so that the slow one's precision knows only the wrong ones.
    assert found.classes["speed"]["5-10 mm/yr"].scores["hit precision at any"].value == 0
    assert found.classes["speed"]["40-80 mm/yr"].scores["hit precision at any"].value == pytest.approx(1 / 3)


def test_limits_belong_to_the_faster_class():
    judged = [(sample((10, 10, 20, 20, v), scene=str(v)), []) for v in (5.0, -10.0, 20.0, -40.0, 80.0, 4.9)]
    speeds = judge(judged, detector="x").classes["speed"]
    assert {n: c.bodies for n, c in speeds.items()} == dict.fromkeys(
        ["0-5 mm/yr", "5-10 mm/yr", "10-20 mm/yr", "20-40 mm/yr", "40-80 mm/yr", "over 80 mm/yr"], 1
    )


def random_case(seed, scenes=5, make=filled):
    rng = np.random.default_rng(seed)
    for k in range(2 * scenes):
        corners = rng.integers(0, 80, (4, 2))
        bodies = [(t, x, t + 12, x + 15, rng.uniform(5, 90), BEHAVIOURS[rng.integers(5)]) for t, x in corners]
        near = [make(t + 1, x, t + 12, x + 14, rng.uniform()) for t, x in corners[: rng.integers(0, 4)]]
        yield sample(*bodies, scene=f"s{k % scenes}"), [*near, make(85, 85, 95, 95, rng.uniform())]


def test_the_same_seed_gives_the_same_judgement():
    one, again, other = (judge(random_case(0), detector="x", draws=30, seed=s).to_json() for s in (1, 1, 2))
    assert one == again
    assert one != other


def test_the_order_of_maps_and_of_predictions_does_not_matter():
    case = list(random_case(1))
    turned = [(s, p[::-1]) for s, p in case[::-1]]
    one, other = (judge(c, detector="x", draws=0) for c in (case, turned))
    assert one.scores.keys() == other.scores.keys()
    for name, value in one.scores.items():
        np.testing.assert_allclose(value, other.scores[name], rtol=1e-12)


def test_values_lie_within_their_intervals():
    found = judge(random_case(2, scenes=12), detector="x", draws=200)
    value = found.scores["mask ap50"]
    assert value.low < value.value < value.high
    assert found.draws == 200
    single = judge([(sample(FAST), [])], detector="x", draws=200)
    assert single.draws == 0
    assert np.isnan(single.scores["box ap50"].low)


def test_detectors_that_draw_boxes_have_no_scores_of_masks():
    found = judge(random_case(3, make=box), detector="x", draws=0)
    assert not [name for name in found.scores if name.startswith("mask")]
    assert set(found.curves) == {"box", "hit"}
    assert "mask" not in found.table()


def test_a_judgement_is_plain_json_and_a_table():
    found = judge([*random_case(4), (sample(scene="quiet"), [])], detector="rules", draws=10, confidences=(0.3,))
    facts = json.loads(found.to_json(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert facts["scores"]["box ap50"] == found.scores["box ap50"]._asdict()
    assert facts["confidences"].keys() == {"0.3", "any", "box best", "mask best", "hit best"}
    assert facts["classes"]["window"]["all"]["bodies"] == found.bodies
    curve = facts["curves"]["hit"]
    assert (curve["confidence"][0], curve["confidence"][-1], len(curve["recall"])) == (1.0, 0.0, 101)
    assert curve["recall"][-1] == pytest.approx(found.scores["hit recall at any"].value)
    assert curve["precision"][-1] == pytest.approx(found.scores["hit precision at any"].value)
    table = found.table()
    assert f"{found.scores['mask ap50'].value:.3f} [{found.scores['mask ap50'].low:.3f}, " in table
    assert all(f"\n{name}" in table for name in ("by size", "by speed", "by behaviour", "by window", "hit"))


@pytest.mark.parametrize("predictions", [[], [filled(*FAST[:4])], [box(50, 50, 60, 60)]])
def test_pictures_are_drawn_whatever_was_found(predictions):
    found = judge([(sample(FAST), predictions)], detector="a$b_c", confidences=np.linspace(0, 1, 12))
    curves, scores = precision_recall_figure(found), reliability_figure(found)
    labels = [line.get_label() for line in curves.axes[0].get_lines()]
    assert "hits" in labels
    for figure in (curves, scores):
        figure.canvas.draw()
        assert figure.axes[0].get_title(loc="left") == "a$b_c"


def test_no_samples_and_labels_without_bodies_are_one_line():
    with pytest.raises(NoDataError, match="no sample to judge by"):
        judge([], detector="x")
    broken = replace(sample(FAST, SLOW), bodies=sample(FAST).bodies)
    with pytest.raises(DamagedFileError, match="sample of a, window all: label 2 has no body, only 1 are described"):
        judge([(broken, [])], detector="x")


# Rules on samples


def moving(make_stack, seed=0, smoothing=4):
    """A stack with two bodies in noise, and its sample."""
    y, x = np.mgrid[:90, :100]
    rng = np.random.default_rng(seed)
    v = np.zeros((90, 100))
    for (cy, cx), half, speed in [((30, 30), (9, 7), 30.0), ((60, 70), (7, 12), -45.0)]:
        v += speed * np.maximum(1 - np.hypot((y - cy) / half[0], (x - cx) / half[1]) ** 6, 0)
    v = ndimage.uniform_filter(v + 1.5 * rng.standard_normal(v.shape), smoothing)
    gradient = np.full((2, 90, 100), np.nan)
    gradient[0, :-1], gradient[1, :, :-1] = np.diff(v, axis=0), np.diff(v, axis=1)
    gradient[:, :8, :9] = np.nan
    stack = make_stack(gradient, 0.3, smoothing=smoothing, pairs=12)
    radians = radians_per_gradient(stack.total_years, stack.wavelength)
    labels = np.zeros((90, 100), np.uint8)
    return stack, Sample(network_planes(stack), labels, (), "s", "all", 40.0, radians, stack.total_pairs)


def test_the_stack_of_a_sample_is_the_one_it_was_made_from(make_stack):
    stack, made = moving(make_stack)
    again = stack_of(made, 160.0)
    assert again.smoothing == 4
    for name in ("significance", "velocity_gradient", "velocity_gradient_sigma", "radians"):
        np.testing.assert_allclose(getattr(again, name), getattr(stack, name), rtol=2e-5, atol=1e-6, err_msg=name)
    np.testing.assert_array_equal(again.n_pairs, stack.n_pairs)
    np.testing.assert_array_equal(again.mean_coherence, stack.mean_coherence)


@pytest.mark.parametrize("seed", range(3))
def test_rules_find_on_a_sample_what_they_find_on_its_stack(make_stack, seed):
    stack, made = moving(make_stack, seed)
    velocity = relative_velocity(stack, reach=50)
    bodies = find_bodies(stack, velocity, stack.n_pairs > 1, Rules())
    assert len(bodies) >= 2
    found = RuleDetector().predict(made)
    sure = [p for p in found if p.score >= 0.5]
    assert len(sure) == len(bodies)
    for prediction, body in zip(sure, bodies, strict=True):
        assert prediction.score == pytest.approx(score_of(body.significance, 4.0), abs=1e-4)
        assert prediction.box[:2] == (body.corner[1], body.corner[0])
        np.testing.assert_array_equal(prediction.mask, body.mask)
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)


def test_rules_find_nothing_where_nothing_is_known(make_stack):
    _, made = moving(make_stack)
    assert RuleDetector().predict(replace(made, planes=np.zeros_like(made.planes))) == []
    assert RuleDetector(least_coherence=0.7).predict(made) == []
