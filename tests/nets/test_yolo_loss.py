"""Box, objectness and class losses against hand values and against a loop over single numbers."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.nets.yolo_loss import box_iou, ciou_loss, yolo_losses  # noqa: E402
from groundshift.nets.yolov3 import boxes_of_scale  # noqa: E402

torch.set_num_threads(1)

ANCHORS = torch.tensor([[[8.0, 8.0], [14.0, 9.0]], [[20.0, 30.0], [40.0, 36.0]]])
STRIDES = (16, 32)
SHAPES = ((6, 8), (3, 4))  # an image of 96 by 128


def box(*values):
    return torch.tensor(values, dtype=torch.float64)


def random_boxes(rng, count, size=(96, 128), least=4.0, most=50.0):
    sides = rng.uniform(least, most, (count, 2))
    corner = rng.uniform(0, 1, (count, 2)) * (np.array(size[::-1]) - sides)
    return torch.tensor(np.concatenate([corner, corner + sides], 1), dtype=torch.float32)


def random_outputs(seed=0, images=3, classes=1):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn((images, 2, 5 + classes, *shape), generator=generator, requires_grad=True) for shape in SHAPES]


# ---------------------------------------------------------------------------------------------------------------- CIoU


def test_ciou_of_equal_boxes_is_zero():
    assert ciou_loss(box(3, 4, 10, 20), box(3, 4, 10, 20)).item() == 0


@pytest.mark.parametrize("scale", [0.1, 0.5, 0.9, 1.7, 6.0])
def test_ciou_of_boxes_around_one_centre_and_of_one_shape_is_one_less_iou(scale):
    truth, half = box(-3, -5, 3, 5), box(-3, -5, 3, 5) * scale
    iou = min(scale, 1 / scale) ** 2
    assert ciou_loss(half, truth).item() == pytest.approx(1 - iou, abs=1e-12)


def test_ciou_of_shifted_equal_boxes():
    # IoU 1/3; centres 2 apart; enclosing box 6 x 4; one shape.
    assert ciou_loss(box(0, 0, 4, 4), box(2, 0, 6, 4)).item() == pytest.approx(1 - 1 / 3 + 4 / 52)


def test_ciou_of_separate_boxes():
    # Centres 10 apart along x, enclosing box 12 x 2.
    assert ciou_loss(box(0, 0, 2, 2), box(10, 0, 12, 2)).item() == pytest.approx(1 + 100 / 148)


def test_ciou_of_boxes_of_different_shape():
    # Around one centre, 4 x 2 and 2 x 4: IoU 4 / 12, no distance.
    v = 4 / math.pi**2 * (math.atan(0.5) - math.atan(2)) ** 2
    expected = 2 / 3 + v / (2 / 3 + v) * v
    assert ciou_loss(box(0, 1, 4, 3), box(1, 0, 3, 4)).item() == pytest.approx(expected)


def test_ciou_does_not_depend_on_place_scale_or_order():
    rng = np.random.default_rng(0)
    a, b = random_boxes(rng, 50).double(), random_boxes(rng, 50).double()
    loss = ciou_loss(a, b)
    torch.testing.assert_close(ciou_loss(b, a), loss)
    torch.testing.assert_close(ciou_loss(7 * a + 31, 7 * b + 31), loss)
    assert ((loss > 0) & (loss < 3)).all()


def test_gradient_of_ciou_holds_its_weight_fixed():
    rng = np.random.default_rng(1)
    truths = random_boxes(rng, 20).double()
    boxes = (truths + torch.tensor(rng.normal(0, 1, (20, 4)))).requires_grad_()

    def parts(b):
        iou = torch.stack([box_iou(b[k : k + 1], truths[k : k + 1])[0, 0] for k in range(20)])
        sides, goal = b[:, 2:] - b[:, :2], truths[:, 2:] - truths[:, :2]
        v = 4 / math.pi**2 * (torch.atan(goal[:, 0] / goal[:, 1]) - torch.atan(sides[:, 0] / sides[:, 1])) ** 2
        return iou, v

    with torch.no_grad():
        iou, v = parts(boxes)
        weight = v / (1 - iou + v)
    (analytic,) = torch.autograd.grad(ciou_loss(boxes, truths).sum(), boxes)
    numeric = torch.zeros_like(analytic)
    step = 1e-6
    with torch.no_grad():
        for side in range(4):
            ends = []
            for sign in (1, -1):
                moved = boxes.clone()
                moved[:, side] += sign * step
                full = ciou_loss(moved, truths)
                iou, v = parts(moved)
                ends.append(full - v * v / (1 - iou + v) + weight * v)
            numeric[:, side] = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close(analytic, numeric, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "boxes", [(0, 0, 4, 4), (9, 9, 12, 11), (1, 1, 3, 3), (0, 0, 1e-6, 1e-6), (-1e5, -1e5, 1e5, 1e5), (2, 2, 2, 2)]
)
def test_gradient_of_ciou_is_finite(boxes):
    moving = torch.tensor(boxes, dtype=torch.float32, requires_grad=True)
    loss = ciou_loss(moving, torch.tensor([0.0, 0.0, 4.0, 4.0]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(moving.grad).all()


def test_box_iou_agrees_with_counted_pixels():
    y, x = np.mgrid[:30, :40]
    boxes = np.array([[0, 0, 10, 10], [5, 5, 15, 25], [20, 0, 40, 30], [6, 7, 8, 9]])
    masks = [(x >= x0) & (x < x1) & (y >= y0) & (y < y1) for x0, y0, x1, y1 in boxes]
    counted = [[(a & b).sum() / (a | b).sum() for b in masks] for a in masks]
    given = torch.tensor(boxes, dtype=torch.float64)
    np.testing.assert_allclose(box_iou(given, given), counted)


# ------------------------------------------------------------------------------------------------------ the three terms


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def cross_entropy(logit, target):
    return -target * math.log(sigmoid(logit)) - (1 - target) * math.log(1 - sigmoid(logit))


def inside(a, b):
    x, y = (a[0] + a[2]) / 2, (a[1] + a[3]) / 2
    return b[0] <= x <= b[2] and b[1] <= y <= b[3]


def looped(outputs, truths, labels, ignore, box_loss, ignore_iou):
    """The same loss, prediction by prediction."""
    sums, learnt = {"box": 0.0, "objectness": 0.0, "class": 0.0}, 0
    for image, boxes in enumerate(truths):
        owners = {}
        for number, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
            w, h = x1 - x0, y1 - y0
            fits = {}
            for scale, anchor in np.ndindex(2, 2):
                aw, ah = ANCHORS[scale, anchor].tolist()
                shared = min(w, aw) * min(h, ah)
                fits[scale, anchor] = shared / (w * h + aw * ah - shared)
            scale, anchor = max(fits, key=fits.get)
            cell = int((y0 + y1) / 2 // STRIDES[scale]), int((x0 + x1) / 2 // STRIDES[scale])
            owners.setdefault((scale, anchor, *cell), number)
        learnt += len(owners)
        for scale, raw in enumerate(outputs):
            decoded = boxes_of_scale(raw.detach(), ANCHORS[scale], STRIDES[scale])[image]
            for anchor, row, column in np.ndindex(decoded.shape[:3]):
                t = raw[image, anchor, :, row, column].tolist()
                found = decoded[anchor, row, column]
                number = owners.get((scale, anchor, row, column))
                if number is None:
                    near = any(box_iou(found[None], b[None]).item() > ignore_iou for b in boxes)
                    spared = any(
                        box_iou(found[None], b[None]).item() > 0.3 or inside(found.tolist(), b.tolist())
                        for b in ignore[image]
                    )
                    if not (near or spared):
                        sums["objectness"] += cross_entropy(t[4], 0)
                    continue
                sums["objectness"] += cross_entropy(t[4], 1)
                for k, logit in enumerate(t[5:]):
                    sums["class"] += cross_entropy(logit, float(k == labels[image][number]))
                x0, y0, x1, y1 = boxes[number].tolist()
                weight = 2 - (x1 - x0) * (y1 - y0) / (96 * 128)
                if box_loss == "ciou":
                    sums["box"] += weight * ciou_loss(found, boxes[number]).item()
                else:
                    aw, ah = ANCHORS[scale, anchor].tolist()
                    goal = (
                        (x0 + x1) / 2 / STRIDES[scale] - column, (y0 + y1) / 2 / STRIDES[scale] - row,
                        math.log((x1 - x0) / aw), math.log((y1 - y0) / ah),
                    )  # fmt: skip
                    is_now = (sigmoid(t[0]), sigmoid(t[1]), t[2], t[3])
                    sums["box"] += weight * sum((a - b) ** 2 for a, b in zip(is_now, goal, strict=True)) / 2
    return {name: value / max(1, learnt) for name, value in sums.items()}


@pytest.mark.parametrize("box_loss", ["ciou", "mse"])
@pytest.mark.parametrize("ignore_iou", [0.3, 0.5])
def test_terms_agree_with_a_loop_over_all_predictions(box_loss, ignore_iou):
    rng = np.random.default_rng(4)
    outputs = random_outputs(classes=2)
    # The second image has none; in the first two truths want the same place.
    truths = [random_boxes(rng, 6), torch.zeros(0, 4), random_boxes(rng, 3)]
    truths[0] = torch.cat([truths[0], truths[0][2:3] + 0.01])
    labels = [torch.tensor(rng.integers(0, 2, len(t))) for t in truths]
    ignore = [torch.zeros(0, 4), random_boxes(rng, 2), random_boxes(rng, 1)]
    found = yolo_losses(
        outputs, ANCHORS, STRIDES, truths,
        labels=labels, ignore=ignore, box_loss=box_loss, smoothing=0, ignore_iou=ignore_iou,
    )  # fmt: skip
    expected = looped(outputs, truths, labels, ignore, box_loss, ignore_iou)
    assert list(found) == ["box", "objectness", "class"]
    for name, value in expected.items():
        assert found[name].item() == pytest.approx(value, rel=1e-5), name


def encoded(truth, scale, anchor):
    """Outputs, confident of one box and of nothing else."""
    outputs = [torch.zeros(1, 2, 6, *shape) for shape in SHAPES]
    for raw in outputs:
        raw[:, :, 4] = -20
    centre, size = 0.5 * (truth[:2] + truth[2:]) / STRIDES[scale], truth[2:] - truth[:2]
    column, row = centre.floor().long().tolist()
    raw = outputs[scale][0, anchor, :, row, column]
    raw[:2] = torch.logit(centre - centre.floor())
    raw[2:4] = (size / ANCHORS[scale, anchor]).log()
    raw[4:] = 20
    return outputs


@pytest.mark.parametrize("box_loss", ["ciou", "mse"])
@pytest.mark.parametrize(
    ("truth", "scale", "anchor"), [((10, 20, 19, 27), 0, 0), ((50, 60, 65, 68), 0, 1), ((60, 30, 99, 70), 1, 1)]
)
def test_right_answers_cost_nothing_and_the_anchor_is_the_likest(truth, scale, anchor, box_loss):
    truth = torch.tensor(truth, dtype=torch.float32)
    losses = yolo_losses(encoded(truth, scale, anchor), ANCHORS, STRIDES, [truth[None]], box_loss=box_loss, smoothing=0)
    assert losses["box"].item() < 1e-5
    assert losses["objectness"].item() < 1e-5
    assert losses["class"].item() < 1e-5


def test_an_image_without_truths_costs_objectness_only():
    outputs = random_outputs(images=2)
    losses = yolo_losses(outputs, ANCHORS, STRIDES, [torch.zeros(0, 4)] * 2)
    expected = sum(torch.nn.functional.softplus(raw[:, :, 4]).sum() for raw in outputs)
    assert losses["objectness"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert losses["box"].item() == losses["class"].item() == 0
    sum(losses.values()).backward()
    assert all(torch.isfinite(raw.grad).all() for raw in outputs)


def test_ground_not_to_be_judged_teaches_nothing():
    outputs = random_outputs(images=1)
    area = torch.tensor([[30.0, 20.0, 80.0, 90.0]])
    losses = yolo_losses(outputs, ANCHORS, STRIDES, [torch.zeros(0, 4)], ignore=[area])
    losses["objectness"].backward()
    for raw, anchors, stride in zip(outputs, ANCHORS, STRIDES, strict=True):
        boxes = boxes_of_scale(raw.detach(), anchors, stride)
        x, y = 0.5 * (boxes[..., 0] + boxes[..., 2]), 0.5 * (boxes[..., 1] + boxes[..., 3])
        within = (x >= 30) & (x <= 80) & (y >= 20) & (y <= 90)
        untouched = raw.grad[:, :, 4] == 0
        assert (untouched | ~within).all()
        assert within.any()
        assert not untouched.all()


def test_a_truth_on_ground_not_to_be_judged_is_learnt():
    truth = torch.tensor([10.0, 20.0, 19.0, 27.0])
    outputs = encoded(truth, 0, 0)
    for raw in outputs:
        raw[:, :, 4] = 0
        raw.requires_grad_()
    losses = yolo_losses(outputs, ANCHORS, STRIDES, [truth[None]], ignore=[torch.tensor([[0.0, 0.0, 128.0, 96.0]])])
    losses["objectness"].backward()
    assert sum(int((raw.grad[:, :, 4] != 0).sum()) for raw in outputs) == 1


def test_truths_that_reach_beyond_the_image_are_learnt_at_its_edge():
    truths = torch.tensor([[120.0, 90.0, 140.0, 110.0], [-30.0, -20.0, 4.0, 6.0]])
    losses = yolo_losses(random_outputs(images=1), ANCHORS, STRIDES, [truths], box_loss="mse")
    assert all(torch.isfinite(value) for value in losses.values())


def test_mean_and_range_of_smoothed_labels():
    """With target 1 - e u, the class term at logit z is softplus(-z) + e u z: its mean adds e z / 2."""
    truth = torch.tensor([10.0, 20.0, 19.0, 27.0])
    outputs = encoded(truth, 0, 0)
    outputs[0][:, :, 5] = 3.0
    generator = torch.Generator().manual_seed(0)

    def class_term(smoothing):
        losses = yolo_losses(
            outputs, ANCHORS, STRIDES, [truth[None]], smoothing=smoothing, generator=generator
        )  # fmt: skip
        return losses["class"].item()

    hard = math.log1p(math.exp(-3))
    assert class_term(0) == pytest.approx(hard, rel=1e-5)
    drawn = np.array([class_term(0.1) for _ in range(300)]) - hard
    assert drawn.min() > -1e-6
    assert drawn.max() < 0.1 * 3 + 1e-6
    assert len(set(drawn.tolist())) > 290
    assert abs(drawn.mean() - 0.15) < 4 * 0.3 / math.sqrt(12 * 300)


def test_smoothing_moves_the_labels_of_other_classes_upwards():
    truth = torch.tensor([[10.0, 20.0, 19.0, 27.0]])
    outputs = random_outputs(images=1, classes=3)

    def classes(smoothing):
        generator = torch.Generator().manual_seed(5)
        losses = yolo_losses(
            outputs, ANCHORS, STRIDES, [truth], labels=[torch.tensor([1])], smoothing=smoothing, generator=generator
        )  # fmt: skip
        (gradient,) = torch.autograd.grad(losses["class"], outputs[0])
        return gradient[0, 0, 5:, 1, 0]

    noise = 0.2 * torch.rand((1, 3), generator=torch.Generator().manual_seed(5))[0]
    # The gradient in the logit is probability less label.
    torch.testing.assert_close(classes(0) - classes(0.2), noise * torch.tensor([1, -1, 1]), rtol=1e-4, atol=1e-6)


def test_small_boxes_weigh_up_to_twice_as_much_as_large_ones():
    """The same relative error costs 2 - w h, with w and h relative to the image."""

    def term(truth, scale, anchor):
        truth = torch.tensor(truth)
        outputs = encoded(truth, scale, anchor)
        outputs[scale][0, anchor, 2:4] += 0.2
        return yolo_losses(outputs, ANCHORS, STRIDES, [truth[None]], box_loss="mse")["box"].item()

    small, large = term([36.0, 36.0, 44.0, 44.0], 0, 0), term([44.0, 30.0, 84.0, 66.0], 1, 1)
    assert small / large == pytest.approx((2 - 64 / 12288) / (2 - 1440 / 12288), rel=1e-4)


def test_half_precision_outputs_give_single_precision_losses():
    outputs = [raw.detach().half() for raw in random_outputs()]
    truths = [random_boxes(np.random.default_rng(0), 3)] * 3
    for value in yolo_losses(outputs, ANCHORS, STRIDES, truths).values():
        assert value.dtype == torch.float32
        assert torch.isfinite(value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"truths": [torch.zeros(0, 4)]}, "truths must hold one tensor for each of 3 images, instead got 1"),
        ({"ignore": []}, "ignore must hold one tensor for each of 3 images, instead got 0"),
        ({"truths": [torch.tensor([[5.0, 5.0, 5.0, 9.0]])] * 3}, "leave out those without area"),
        ({"box_loss": "giou"}, "box_loss must be 'ciou' or 'mse', instead got 'giou'"),
        ({"smoothing": 1.0}, r"smoothing must lie in \[0, 1\), instead got 1.0"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    given = {"truths": [torch.zeros(0, 4)] * 3, **options}
    with pytest.raises(ValueError, match=message):
        yolo_losses(random_outputs(), ANCHORS, STRIDES, **given)
