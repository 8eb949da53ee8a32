"""Measures: they agree with COCO's own and with closed forms."""

from dataclasses import replace

import numpy as np
import pytest

from groundshift.detect.prediction import Prediction
from groundshift.training.cases import Cases
from groundshift.training.metrics import (
    Ranking,
    average_precision,
    best_confidence,
    bootstrap,
    confidence_averages,
    curve,
    points,
    reliability,
)
from groundshift.training.samples import IGNORED, Body, Sample, boxes_of

SHAPE = (60, 70)


def ranking(predictions, found_at, *, area=1.0, scenes=None, body_scenes=None):
    """A ranking of (score, right) pairs and of the scores that bodies were found at; all of one scene by default."""
    predictions = sorted(predictions, key=lambda p: -p[0])
    return Ranking(
        score=np.array([p[0] for p in predictions], float),
        right=np.array([p[1] for p in predictions], bool),
        scene=np.array(scenes if scenes is not None else [0] * len(predictions), np.intp),
        found_at=np.array(found_at, float),
        body_scene=np.array(body_scenes if body_scenes is not None else [0] * len(found_at), np.intp),
        area_km2=np.atleast_1d(np.array(area, float)),
    )


def point(ranks, confidence, scenes=None):
    return points(ranks, [confidence], scenes)[0]


def sample_of(labels, scene="a"):
    bodies = tuple(Body(20.0, 20.0, 500.0, 300.0, "steady") for _ in range(250))
    planes = np.ones((8, *labels.shape), np.float32)
    return Sample(planes, labels, bodies, scene, "all", 40.0, -0.05, 100)


def ragged(rng, shape):
    """A mask that fills most of its box and reaches all its edges."""
    mask = rng.uniform(size=shape) < 0.95
    mask[[0, -1], rng.integers(0, shape[1], 2)] = True
    mask[rng.integers(0, shape[0], 2), [0, -1]] = True
    return mask


def random_map(rng, *, ignored):
    """Labels of up to six ragged bodies that may cut each other, and predictions near them and elsewhere."""
    labels = np.zeros(SHAPE, np.uint8)
    places = []
    for k in range(1, rng.integers(1, 7)):
        height, width = rng.integers(4, 16, 2)
        top, left = rng.integers(0, SHAPE[0] - height), rng.integers(0, SHAPE[1] - width)
        labels[top : top + height, left : left + width][ragged(rng, (height, width))] = k
        places.append((top, left, height, width))
    if ignored:
        top, left = rng.integers(0, 30, 2)
        labels[top : top + 25, left : left + 20] = IGNORED
    predictions = []
    for _ in range(rng.integers(0, 12)):
        height, width = rng.integers(4, 16, 2)
        top, left = rng.integers(0, SHAPE[0] - height), rng.integers(0, SHAPE[1] - width)
        if places and rng.uniform() < 0.7:
            top, left, height, width = places[rng.integers(len(places))] + rng.integers(-1, 2, 4)
            top, left = np.clip(top, 0, SHAPE[0] - height), np.clip(left, 0, SHAPE[1] - width)
            height, width = max(2, height), max(2, width)
        box = (float(left), float(top), float(left + width), float(top + height))
        mask = ragged(rng, (height, width))
        # Exactly half on ignored ground is enough for COCO and not for us.
        if (labels[top : top + height, left : left + width][mask] == IGNORED).mean() != 0.5:
            predictions.append(Prediction(box, float(rng.uniform(0.05, 0.95)), mask))
    return labels, predictions


def coco_precision(maps, kind):
    """Average precision at each threshold by faster-coco-eval; ignored ground is a crowd."""
    coco = pytest.importorskip("faster_coco_eval")
    from faster_coco_eval.core import mask as rle

    def encoded(mask):
        found = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
        return {"size": found["size"], "counts": found["counts"]}

    images = [{"id": k, "height": SHAPE[0], "width": SHAPE[1]} for k in range(1, len(maps) + 1)]
    truths, found = [], []
    for image, (labels, predictions) in enumerate(maps, start=1):
        boxes = boxes_of(labels)
        if (labels == IGNORED).any():
            rows, columns = np.nonzero(labels == IGNORED)
            boxes[IGNORED] = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        for label, (x0, y0, x1, y1) in boxes.items():
            truths.append({
                "id": len(truths) + 1, "image_id": image, "category_id": 1, "iscrowd": int(label == IGNORED),
                "bbox": [float(v) for v in (x0, y0, x1 - x0, y1 - y0)], "area": float((labels == label).sum()),
                "segmentation": encoded(labels == label),
            })  # fmt: skip
        for p in predictions:
            x0, y0, x1, y1 = map(int, p.box)
            whole = np.zeros(SHAPE, bool)
            whole[y0:y1, x0:x1] = p.mask
            found.append({
                "image_id": image, "category_id": 1, "score": p.score,
                **({"segmentation": encoded(whole)} if kind == "segm" else {"bbox": [x0, y0, x1 - x0, y1 - y0]}),
            })  # fmt: skip
    truth = coco.COCO({"images": images, "annotations": truths, "categories": [{"id": 1, "name": "body"}]})
    judged = coco.COCOeval_faster(truth, truth.loadRes(found), kind)
    judged.params.maxDets = [1, 10, 1000]
    judged.evaluate()
    judged.accumulate()
    return judged.eval["precision"][:, :, 0, 0, -1].mean(axis=1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["bbox", "segm"])
def test_average_precision_is_that_of_coco(kind, seed):
    rng = np.random.default_rng(seed)
    maps = [random_map(rng, ignored=False) for _ in range(25)]
    cases = Cases()
    for k, (labels, predictions) in enumerate(maps):
        cases.add(sample_of(labels, f"scene {k}"), predictions)
    ranks = cases.joined().rankings()["box" if kind == "bbox" else "mask"]
    own = [average_precision(r) for r in ranks]
    assert 0.05 < own[0] < 0.95
    np.testing.assert_allclose(own, coco_precision(maps, kind), atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_ignored_ground_is_a_crowd_of_coco(seed):
    rng = np.random.default_rng(100 + seed)
    maps = [random_map(rng, ignored=True) for _ in range(25)]
    cases = Cases()
    for k, (labels, predictions) in enumerate(maps):
        cases.add(sample_of(labels, f"scene {k}"), predictions)
    ranks = cases.joined().rankings()["mask"]
    assert ranks[0].score.size < sum(len(predictions) for _, predictions in maps)
    assert average_precision(ranks[0]) == pytest.approx(coco_precision(maps, "segm")[0], abs=1e-9)


def test_three_predictions_of_two_bodies():
    """Right at 0.9, wrong at 0.8, right at 0.7."""
    three = ranking([(0.9, True), (0.8, False), (0.7, True)], [0.9, 0.7], area=25.0)
    assert average_precision(three) == pytest.approx((51 + 50 * 2 / 3) / 101)
    mean, by_recall = confidence_averages(three)
    assert mean == pytest.approx((7 * 2 / 3 + 1 / 2 + 1) / 10)
    assert by_recall == pytest.approx(2 / 3 * 0.5 + 1 * 0.5)
    assert point(three, 0.8) == pytest.approx((0.8, 1 / 2, 1 / 2, 1 / 2, 40.0))
    assert point(three, 0.0) == pytest.approx((0.0, 2 / 3, 1.0, 0.8, 40.0))
    assert best_confidence(three) == 0.7
    shown = curve(three)
    np.testing.assert_allclose(shown, [[0.9, 0.8, 0.7], [1, 1 / 2, 2 / 3], [1 / 2, 1 / 2, 1]])


def test_three_predictions_of_one_body():
    """The first takes it; the second is a duplicate, the third beside it."""
    three = ranking([(0.9, True), (0.6, False), (0.3, False)], [0.9], area=1.0)
    assert average_precision(three) == 1.0
    assert best_confidence(three) == 0.9
    assert point(three, 0.0).precision == pytest.approx(1 / 3)
    assert confidence_averages(three) == pytest.approx(((3 / 3 + 3 / 2 + 3 * 1) / 10, 1.0))


def test_wrong_before_right_halves_the_precision():
    assert average_precision(ranking([(0.9, False), (0.8, True)], [0.8])) == pytest.approx(0.5)


def test_perfect_predictions_are_worth_one():
    perfect = ranking([(1.0, True)] * 5, [1.0] * 5)
    assert average_precision(perfect) == 1.0
    assert confidence_averages(perfect) == (1.0, 1.0)
    assert point(perfect, 1.0) == (1.0, 1.0, 1.0, 1.0, 0.0)


def test_nothing_to_find_and_nothing_found():
    nothing = ranking([], [-1.0])
    assert average_precision(nothing) == 0.0
    assert confidence_averages(nothing) == (0.0, 0.0)
    assert np.isnan(best_confidence(nothing))
    assert np.isnan(point(nothing, 0.5).precision)
    assert point(nothing, 0.5)[2:] == (0.0, 0.0, 0.0)
    no_bodies = ranking([(0.9, False)], [], area=2.0)
    assert np.isnan(average_precision(no_bodies))
    assert np.isnan(confidence_averages(no_bodies)).all()
    assert np.isnan(point(no_bodies, 0.5).recall)
    assert point(no_bodies, 0.5).false_per_1000_km2 == 500.0
    assert np.isnan(point(no_bodies, np.nan).precision)


def test_false_targets_per_area_are_counted_from_the_confidence_on():
    found = ranking([(k / 100, k % 3 == 0) for k in range(1, 100)], [0.5], area=40.0)
    for confidence in (0.005, 0.3, 0.55, 0.995):
        wrong = sum(k % 3 != 0 and k / 100 >= confidence for k in range(1, 100))
        assert point(found, confidence).false_per_1000_km2 == pytest.approx(1000 * wrong / 40)


def random_ranking(seed, scenes=6):
    rng = np.random.default_rng(seed)
    n, m = 80, 50
    score = np.sort(rng.uniform(size=n))[::-1]
    right = rng.uniform(size=n) < score
    where = rng.integers(0, scenes, n)
    body_scene = rng.integers(0, scenes, m)
    # As many bodies are found in a scene as predictions are right there.
    found_at = np.full(m, -1.0)
    for scene in range(scenes):
        bodies = np.flatnonzero(body_scene == scene)
        hits = np.flatnonzero(right & (where == scene))
        right[hits[bodies.size :]] = False
        found_at[bodies[: hits.size]] = score[hits[: bodies.size]]
    return Ranking(score, right, where, found_at, body_scene, rng.uniform(5, 50, scenes))


@pytest.mark.parametrize("seed", range(3))
def test_a_scene_that_counts_k_times_is_a_scene_given_k_times(seed):
    once = random_ranking(seed)
    counts = np.random.default_rng(seed).integers(0, 4, 6)
    times, body_times = counts[once.scene], counts[once.body_scene]
    given = Ranking(
        *(np.repeat(a, times) for a in (once.score, once.right, once.scene)),
        *(np.repeat(a, body_times) for a in (once.found_at, once.body_scene)),
        once.area_km2 * counts,
    )
    weights = counts.astype(float)
    assert average_precision(once, weights) == pytest.approx(average_precision(given))
    assert confidence_averages(once, weights) == pytest.approx(confidence_averages(given))
    for confidence in (0.0, 0.4, 0.9):
        assert point(once, confidence, weights) == pytest.approx(point(given, confidence))
    assert average_precision(once, np.ones(6)) == average_precision(once)


@pytest.mark.parametrize("seed", range(3))
def test_the_best_confidence_has_the_highest_f1_of_all(seed):
    found = random_ranking(seed)
    best = point(found, best_confidence(found)).f1
    assert best == pytest.approx(max(point(found, c).f1 for c in np.linspace(0, 1, 2001)))


@pytest.mark.parametrize("seed", range(3))
def test_the_curve_goes_through_the_points(seed):
    found = random_ranking(seed)
    tied = replace(found, score=found.score.round(1), found_at=found.found_at.round(1))
    for ranks in (found, tied):
        for confidence, precision, recall in zip(*curve(ranks), strict=True):
            assert point(ranks, confidence)[1:3] == pytest.approx((precision, recall))
    assert curve(tied).confidence.size == np.unique(tied.score).size


def test_scores_that_are_the_share_of_right_ones_have_no_calibration_error():
    score = np.repeat(np.arange(1, 20, 2) / 20, 40)
    right = np.concatenate([np.arange(40) < 2 * k for k in range(1, 20, 2)])
    found = reliability(score, right)
    assert found.error == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(found.score, found.right)
    assert found.predictions.tolist() == [40] * 10


def test_the_calibration_error_is_the_mean_distance_weighted_by_number():
    score = np.array([0.25] * 3 + [0.85])
    right = np.array([True, False, False, False])
    found = reliability(score, right)
    assert found.error == pytest.approx((3 * abs(1 / 3 - 0.25) + 0.85) / 4)
    assert np.isnan(found.score[0])
    assert found.predictions.tolist() == [0, 0, 3, 0, 0, 0, 0, 0, 1, 0]
    assert reliability(np.array([0.0, 1.0]), np.array([False, True]), bins=2).error == 0
    assert np.isnan(reliability(np.zeros(0), np.zeros(0, bool)).error)


def test_intervals_are_those_of_the_seed():
    values = np.random.default_rng(0).normal(size=30)
    draw = lambda seed: bootstrap(lambda w: {"mean": float(w @ values / 30)}, 30, draws=50, seed=seed)  # noqa: E731
    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_the_interval_of_a_mean_is_that_of_the_normal_law():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bootstrap(lambda w: {"mean": float(w @ values / 400)}, 400, draws=4000)["mean"]
    half = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.08 * half)


def test_draws_without_a_number_are_left_out_and_no_draws_give_no_interval():
    often = bootstrap(lambda w: {"x": 1.0 if w[0] else np.nan, "y": np.nan}, 3, draws=40)
    assert often["x"] == (1.0, 1.0)
    assert np.isnan(often["y"]).all()
    assert bootstrap(lambda w: {"x": 1.0}, 1, draws=40) == {}
    assert bootstrap(lambda w: {"x": 1.0}, 5, draws=0) == {}
