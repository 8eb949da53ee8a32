"""The networks of Fu et al. (2022): sizes as published, decoding, DropBlock, export."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.nets import NETWORKS  # noqa: E402
from groundshift.nets.anchors import PAPER_ANCHORS  # noqa: E402
from groundshift.nets.blocks import DropBlock  # noqa: E402
from groundshift.nets.yolo_tiny import TinyYolo, attention_yolov3_t  # noqa: E402
from groundshift.nets.yolov3 import (  # noqa: E402
    Darknet53,
    WithBoxes,
    YoloV3,
    attention_yolov3_r,
    boxes_of_scale,
    yolov3,
)

torch.set_num_threads(1)

SMALL = 0.125
YOLOS = ("yolov3", "attention_yolov3_r", "attention_yolov3_t")


def count(network):
    return sum(p.numel() for p in network.parameters())


def test_backbone_has_the_published_size():
    with torch.device("meta"):
        plain = count(Darknet53())
        assert round(plain / 1e6, 2) == 40.58
        assert round((count(Darknet53(attention="unit")) - plain) / 1e6, 2) == 0.87
        # Two layers C x C/16 with biases, 2 x 7 x 7 weights and a normalisation, once for each stage.
        expected = sum(c * c // 8 + c + c // 16 + 2 * 49 + 2 for c in (64, 128, 256, 512, 1024))
        assert count(Darknet53(attention="stage")) - plain == expected


def test_networks_for_80_classes_and_colours_have_the_sizes_of_darknet():
    assert count(yolov3(in_channels=3, classes=80)) == 61_949_149
    assert count(attention_yolov3_t(attention=False, in_channels=3, classes=80)) == 8_852_366


def test_backbone_returns_an_eighth_a_sixteenth_and_a_thirty_second():
    with torch.device("meta"):
        features = Darknet53(0.5)(torch.zeros(1, 1, 416, 352))
    assert [tuple(f.shape) for f in features] == [(1, 128, 52, 44), (1, 256, 26, 22), (1, 512, 13, 11)]


def test_dropblock_stands_in_the_detection_layers_of_r_only():
    squares = [m.block for m in attention_yolov3_r(width=SMALL).modules() if isinstance(m, DropBlock)]
    assert squares == [3, 5, 7]
    for name in ("yolov3", "attention_yolov3_t"):
        assert not any(isinstance(m, DropBlock) for m in NETWORKS[name](width=SMALL).modules())


def test_progress_turns_dropblock_on_in_training_only():
    torch.manual_seed(0)
    network = attention_yolov3_r(width=SMALL)
    x = torch.randn(2, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(network(x)[0], network(x)[0])
        network.set_progress(1.0)
        assert not torch.equal(network(x)[0], network(x)[0])
        network.eval()
        assert torch.equal(network(x)[0], network(x)[0])


def test_anchors_go_to_the_maps_by_area_in_whatever_order_they_come():
    network = YoloV3(PAPER_ANCHORS[::-1], SMALL)
    assert network.anchors.flatten(0, 1).tolist() == [list(map(float, a)) for a in PAPER_ANCHORS]
    assert network.anchors.shape == (3, 3, 2)
    assert "anchors" in network.state_dict()


def test_boxes_of_zeros_are_the_anchors_in_the_middle_of_their_cells():
    anchors = torch.tensor([[10.0, 20.0], [30.0, 16.0]])
    boxes = boxes_of_scale(torch.zeros(1, 2, 6, 3, 4), anchors, 16)
    assert boxes.shape == (1, 2, 3, 4, 4)
    # Row 2, column 1: centre (24, 40).
    assert boxes[0, 0, 2, 1].tolist() == [19, 30, 29, 50]
    assert boxes[0, 1, 2, 1].tolist() == [9, 32, 39, 48]


def test_decoding_undoes_encoding():
    rng = np.random.default_rng(0)
    raw = torch.zeros(1, 1, 6, 5, 7, dtype=torch.float64)
    expected = np.zeros((5, 7, 4))
    for row in range(5):
        for column in range(7):
            inside, size = rng.uniform(0.05, 0.95, 2), rng.uniform(4, 60, 2)
            raw[0, 0, :2, row, column] = torch.logit(torch.tensor(inside))
            raw[0, 0, 2:4, row, column] = torch.tensor(np.log(size / [12, 9]))
            centre = (np.array([column, row]) + inside) * 8
            expected[row, column] = [*(centre - size / 2), *(centre + size / 2)]
    boxes = boxes_of_scale(raw, torch.tensor([[12.0, 9.0]]), 8)
    np.testing.assert_allclose(boxes[0, 0].numpy(), expected, rtol=1e-5, atol=1e-4)


def test_boxes_stay_finite_whatever_the_features_are():
    boxes = boxes_of_scale(torch.full((1, 1, 6, 2, 2), 1e4), torch.tensor([[10.0, 10.0]]), 32)
    assert torch.isfinite(boxes).all()


def test_scores_are_objectness_times_the_likeliest_class():
    network = TinyYolo(PAPER_ANCHORS[:6], SMALL, classes=3)
    torch.manual_seed(0)
    outputs = [torch.randn(2, 3, 8, 4, 6), torch.randn(2, 3, 8, 2, 3)]
    boxes, scores = network.decode(outputs)
    assert boxes.shape == (2, 3 * 24 + 3 * 6, 4)
    assert scores.shape == (2, 90)
    chance = 1 / (
        1 + np.exp(-np.concatenate([o[:, :, 4:].permute(0, 1, 3, 4, 2).reshape(2, -1, 4) for o in outputs], 1))
    )
    np.testing.assert_allclose(scores, chance[..., 0] * chance[..., 1:].max(-1), rtol=1e-5)
    # Boxes and scores go in one order: rows of the finer map by anchor, row, column.
    assert torch.equal(boxes[1, 24 + 6 + 2], boxes_of_scale(outputs[0], network.anchors[0], 16)[1, 1, 1, 2])


def test_untrained_networks_see_little_and_boxes_near_their_anchors():
    torch.manual_seed(0)
    network = yolov3(width=SMALL)
    with torch.no_grad():
        boxes, scores = network.decode(network(torch.randn(2, 1, 64, 64)))
    assert 0.003 < float(scores.mean()) < 0.01
    sizes = (boxes[..., 2:] - boxes[..., :2]).unflatten(1, (-1,))
    areas = sizes.prod(-1)
    assert 0.5 < float(areas[:, :64].mean()) / (19 * 17) < 2


@pytest.mark.parametrize("name", YOLOS)
def test_inputs_must_be_multiples_of_32(name):
    with pytest.raises(ValueError, match=r"multiples of 32, instead got \(64, 48\); pad with zeros"):
        NETWORKS[name](width=SMALL)(torch.zeros(1, 1, 64, 48))


@pytest.mark.parametrize("anchors", [PAPER_ANCHORS[:4], [], [[1, 2, 3]] * 3, [[1, 2], [3, 0], [4, 4]]])
def test_anchors_must_suit_the_detection_layers(anchors):
    with pytest.raises(ValueError, match="anchors must be positive"):
        YoloV3(anchors, SMALL)


def test_other_choices_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="attention must be False, 'unit' or 'stage', instead got 'both'"):
        yolov3(width=SMALL, attention="both")
    with pytest.raises(ValueError, match="classes must be at least 1, instead got 0"):
        yolov3(width=SMALL, classes=0)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", YOLOS)
def test_exported_networks_agree_for_every_batch_and_size(name, tmp_path):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    torch.manual_seed(0)
    network = NETWORKS[name](width=SMALL)
    with torch.no_grad():
        for head in network.modules():
            if isinstance(head, torch.nn.Conv2d) and head.bias is not None:
                head.weight.normal_(0, 0.1)
                head.bias.normal_(0, 1)
        for _ in range(15):
            network(torch.rand(2, 1, 64, 64))
    path = tmp_path / "network.onnx"
    model = WithBoxes(network).eval()
    torch.onnx.export(
        model, (torch.rand(2, 1, 64, 64),), path, dynamo=False, opset_version=17,
        input_names=["gradient"], output_names=["boxes", "scores"],
        dynamic_axes={"gradient": {0: "batch", 2: "y", 3: "x"}, "boxes": {0: "batch", 1: "box"},
                      "scores": {0: "batch", 1: "box"}},
    )  # fmt: skip
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for shape in ((2, 64, 96), (1, 128, 32), (3, 96, 160)):
        x = torch.rand(shape[0], 1, *shape[1:])
        with torch.no_grad():
            boxes, scores = model(x)
        exported = session.run(None, {"gradient": x.numpy()})
        assert float(scores.std()) > 0.01
        np.testing.assert_allclose(exported[0], boxes, rtol=1e-4, atol=1e-4 * max(shape[1:]))
        np.testing.assert_allclose(exported[1], scores, atol=1e-4)
