"""A network for mining subsidence at work: on images of any size, with and without data; a wrong model says why."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from onnx import helper
from tests import onnx_models

from groundshift.detect.bowl_network import BowlNetwork, phase_of
from groundshift.detect.models import checksum
from groundshift.detect.tiling import padded, tiles
from groundshift.errors import MissingFileError, UnknownFormatError

KINDS = {"bowls": ("probability", "down", "right", "error"), "footprint": ("probability",), "unwrapped": ("phase",)}
REACH = 2


def write(path, drawn="bowls", *, outputs=None, into="interferogram", channels=2, rows="y", pad=REACH, **changes):
    """One convolution of random weights for every output; the phase of each image is told from its mean."""
    rng = np.random.default_rng(0)
    nodes, constants = [], {"axes": np.array([2, 3])}
    for name in outputs or KINDS[drawn]:
        side = 2 * REACH + 1
        constants[f"{name}_w"] = (rng.standard_normal((1, channels, side, side)) / side).astype(np.float32)
        raw = name if name in {"down", "right"} else f"{name}_raw"
        nodes.append(helper.make_node("Conv", [into, f"{name}_w"], [raw], pads=[pad] * 4))
        if name == "phase":
            nodes.append(helper.make_node("ReduceMean", [raw, "axes"], ["mean"]))
            nodes.append(helper.make_node("Sub", [raw, "mean"], [name]))
        elif name != raw:
            nodes.append(helper.make_node("Softplus" if name == "error" else "Sigmoid", [raw], [name]))
    shapes = {name: ["n", 1, None, None] for name in outputs or KINDS[drawn]}
    metadata = onnx_models.metadata_of(drawn, **{"planes": ["wrapped", "coherence"], **changes})
    return onnx_models.save(path, nodes, {into: ["n", channels, rows, "x"]}, shapes, constants, metadata)


def with_session(path, session):
    """A model of which a session of one's own gives the answers."""
    network = BowlNetwork.load(path)
    return replace(network, model=replace(network.model, session=session))


def image(shape, seed=1):
    rng = np.random.default_rng(seed)
    wrapped = rng.uniform(-np.pi, np.pi, shape).astype(np.float32)
    return wrapped, rng.uniform(0.1, 1, shape).astype(np.float32)


def whole(path, wrapped, coherence):
    """What is seen in an image in one piece, by name; zero without data."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_outputs()]
    maps = session.run(names, {"interferogram": padded(np.stack([wrapped, coherence]))[np.newaxis]})
    height, width = wrapped.shape
    told = {name: values[0, 0, :height, :width] for name, values in zip(names, maps, strict=True)}
    if "down" in told:
        told["phase"] = phase_of(told.pop("down"), told.pop("right"), told["error"], coherence > 0)
    return told


def check_same(view, expected, known=np.s_[:]):
    """Whether a view shows the maps expected, its phase up to one constant, and no others."""
    for name in ("probability", "phase", "error"):
        found = getattr(view, name)
        if name not in expected:
            assert found is None
            continue
        assert found.dtype == np.float32
        off = (found - expected[name])[known]
        atol = 2e-5 * max(1, np.nanmax(np.abs(expected[name]), initial=0))
        np.testing.assert_allclose(off, off.flat[0] if name == "phase" else 0, atol=atol)


def test_a_model_tells_what_it_is(tmp_path):
    path = write(tmp_path / "a.onnx")
    found = BowlNetwork.load(path)
    assert (found.name, found.kind, found.path) == ("tiny-bowls", "bowls", path)
    assert found.checksum == checksum(path)
    assert BowlNetwork.load(str(write(tmp_path / "b.onnx", "unwrapped", name=None)), threads=1).name == "b"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(700, 90), (50, 1300)])
def test_tiles_show_what_the_whole_shows(tmp_path, kind, shape):
    """Tiles are 640 pixels long and each has a level of its own; the model looks two pixels far."""
    path, seen = write(tmp_path / "a.onnx", kind), image(shape)
    assert len(list(tiles(np.ones(shape, bool)))) > 1
    check_same(BowlNetwork.load(path).look(*seen), whole(path, *seen))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(1, 1), (1, 45), (40, 1), (5, 7), (32, 33)])
def test_small_images_are_seen_too(tmp_path, kind, shape):
    path, seen = write(tmp_path / "a.onnx", kind), image(shape)
    check_same(BowlNetwork.load(path).look(*seen), whole(path, *seen))


def test_what_is_not_known_is_zero_to_the_network_and_does_not_move(tmp_path):
    path = write(tmp_path / "a.onnx")
    wrapped, coherence = image((60, 70))
    wrapped[5:9, 5:30], coherence[20:30, 40:50], coherence[50, :9], coherence[55, 60] = np.nan, 0, np.nan, -0.1
    before = wrapped.copy(), coherence.copy()
    known = np.isfinite(wrapped) & (coherence > 0)
    expected = whole(path, np.where(known, wrapped, 0), np.where(known, coherence, 0))
    view = BowlNetwork.load(path).look(wrapped, coherence)
    check_same(view, expected, known)
    assert not view.probability[~known].any()
    assert view.probability[known].all()
    assert np.isfinite(view.phase).all()
    for given, kept in zip((wrapped, coherence), before, strict=True):
        np.testing.assert_array_equal(given, kept)


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_without_data_is_not_looked_at(tmp_path, kind):
    network = with_session(write(tmp_path / "a.onnx", kind), None)
    for wrapped, coherence in ((np.nan, 1.0), (0.5, 0.0), (0.5, np.nan)):
        view = network.look(np.full((9, 8), wrapped, np.float32), np.full((9, 8), coherence, np.float32))
        for name in ("probability", "phase", "error"):
            if name not in (*KINDS[kind], "phase" if kind == "bowls" else ""):
                assert getattr(view, name) is None
            elif name == "probability":
                np.testing.assert_array_equal(view.probability, np.zeros((9, 8), np.float32))
            else:
                assert np.isnan(getattr(view, name)).all()


def test_ground_of_which_no_tile_has_data_has_no_phase(tmp_path):
    wrapped, coherence = image((30, 1300))
    coherence[:, 100:] = 0
    view = BowlNetwork.load(write(tmp_path / "a.onnx")).look(wrapped, coherence)
    for values, past in ((view.phase, 641), (view.error, 640)):
        assert np.isfinite(values[:, :640]).all()
        assert np.isnan(values[:, past:]).all()
    assert view.probability[:, :100].all()
    assert not view.probability[:, 100:].any()


def test_levels_of_tiles_are_told_from_ground_with_data_only(tmp_path):
    """A network that makes up something else in gaps each time."""
    rng = np.random.default_rng(2)
    truth = 0.03 * np.add.outer(np.arange(40), np.arange(900)).astype(np.float32)
    coherence = np.where(rng.random(truth.shape) < 0.2, 0.7, 0).astype(np.float32)
    levels = []

    class Session:
        def run(self, names, inputs):
            # What it is given as wrapped phase is the truth.
            (given, weight) = inputs["interferogram"][0]
            levels.append(100.0 * len(levels))
            made_up = rng.normal(0, 50) + rng.normal(0, 50, given.shape)
            return [np.where(weight > 0, given + levels[-1], made_up)[np.newaxis, np.newaxis]]

    network = with_session(write(tmp_path / "a.onnx", "unwrapped"), Session())
    view = network.look(truth, coherence)
    assert len(levels) == 2
    np.testing.assert_allclose((view.phase - truth)[coherence > 0], levels[0], atol=1e-3)
    assert np.isfinite(view.phase).all()


@pytest.mark.parametrize("kind", ["bowls", "footprint"])
def test_tiles_that_disagree_on_what_has_no_constant_are_blended(tmp_path, kind):
    """Each tile is as sure of itself as it is late: in between the mean goes from the one to the other."""
    calls = []

    class Session:
        def run(self, names, inputs):
            calls.append(None)
            shape = (1, 1, *inputs["interferogram"].shape[2:])
            return [np.full(shape, 0.25 * len(calls) if name in {"probability", "error"} else 0.0) for name in names]

    network = with_session(write(tmp_path / "a.onnx", kind), Session())
    view = network.look(*image((20, 700)))
    assert len(calls) == 2
    for values in (view.probability, view.error):
        if values is not None:
            np.testing.assert_allclose(values[:, [0, -1]], [[0.25, 0.5]] * 20, atol=1e-5)
            assert (np.diff(values, axis=1) >= -1e-6).all()


def differences(phase):
    """Differences to the next row and to the next column; what they are beyond the last is made up."""
    return np.diff(phase, axis=0, append=99).astype(np.float32), np.diff(phase, axis=1, append=-99).astype(np.float32)


def hills(shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return 60 * np.exp(-((y - 20) ** 2 + (x - 25) ** 2) / 200) + 0.3 * x - 0.1 * y


@pytest.mark.parametrize("shape", [(50, 60), (1, 40), (30, 1), (2, 2)])
def test_differences_add_up_to_the_phase_they_are_of(shape):
    phase = hills(shape)
    error = np.random.default_rng(3).uniform(0.1, 0.4, shape).astype(np.float32)
    found = phase_of(*differences(phase), error, np.ones(shape, bool))
    np.testing.assert_allclose(found, phase - np.median(phase), atol=2e-3 * np.ptp(phase))
    assert found.dtype == np.float32


def test_differences_that_are_not_known_have_no_say_and_those_of_large_error_little():
    shape = (50, 60)
    phase, rng = hills(shape), np.random.default_rng(4)
    down, right = differences(phase)
    error = np.full(shape, 0.2, np.float32)
    gap = np.zeros(shape, bool)
    gap[10:18, 30:45] = True
    for made_up in (np.nan, 7.0):
        down[gap] = made_up
        error[gap] = np.nan if np.isnan(made_up) else 0
        found = phase_of(down, right, error, ~gap)
        np.testing.assert_array_equal(np.isnan(found)[11:17, 31:44], True)
        np.testing.assert_allclose((found - phase)[~gap], np.median((found - phase)[~gap]), atol=0.2)
    down[gap], right[gap] = rng.normal(0, 3, (2, gap.sum()))
    error[gap] = 0.2
    off = [
        np.nanstd((phase_of(down, right, e, k) - phase)[~gap])
        for e, k in ((error, gap | True), (error, ~gap), (np.where(gap, 20, error).astype(np.float32), gap | True))
    ]
    assert max(off[1:]) < 0.5 * off[0]


def test_no_differences_are_no_phase():
    shape = (4, 5)
    some, nothing = np.ones(shape, np.float32), np.full(shape, np.nan, np.float32)
    for down, error in ((nothing, some), (some, nothing), (some, 0 * some)):
        assert np.isnan(phase_of(down, some, error, np.ones(shape, bool))).all()
    assert np.isnan(phase_of(*np.ones((3, 1, 1), np.float32), np.ones((1, 1), bool))).all()
    np.testing.assert_array_equal(phase_of(0 * some, 0 * some, some, np.ones(shape, bool)), 0)


def test_images_of_another_shape_are_refused(tmp_path):
    network = BowlNetwork.load(write(tmp_path / "a.onnx"))
    with pytest.raises(ValueError, match=r"coherence must have shape \(4, 5\), instead got \(5, 4\)"):
        network.look(np.zeros((4, 5), np.float32), np.ones((5, 4), np.float32))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("bowls", {"kind": None}, "groundshift.kind is None, expected one of 'bowls', 'footprint', 'unwrapped'"),
        ("bowls", {"kind": "boxes"}, "groundshift.kind is 'boxes', expected one of 'bowls', 'footprint', 'unwrapped'"),
        ("footprint", {"into": "planes"}, "takes {'planes': ['n', 2, 'y', 'x']}, expected interferogram of 2 planes"),
        ("bowls", {"channels": 3}, "takes {'interferogram': ['n', 3, 'y', 'x']}, expected interferogram of 2 planes"),
        ("bowls", {"planes": ["cos", "sin"]}, 'looks at ["cos", "sin"], expected ["wrapped", "coherence"]'),
        ("bowls", {"planes": None}, 'looks at None, expected ["wrapped", "coherence"]'),
        ("bowls", {"outputs": ("down",)}, "has no output error, probability, right"),
        ("footprint", {"outputs": ("phase",)}, "has no output probability"),
        ("unwrapped", {"outputs": ("error",)}, "has no output phase"),
    ],
)
def test_what_is_no_model_for_mining_subsidence_is_one_line(tmp_path, kind, changes, message):
    path = write(tmp_path / "a.onnx", kind, **changes)
    with pytest.raises(UnknownFormatError) as caught:
        BowlNetwork.load(path)
    text = str(caught.value)
    assert text == f"{path}: not a model for Groundshift ({message}); export it with `groundshift train`"


def test_a_model_that_finds_landslides_and_a_file_that_is_no_onnx_are_one_line(tmp_path):
    with pytest.raises(UnknownFormatError, match=r"groundshift\.kind is 'bodies', expected one of 'bowls', ") as caught:
        BowlNetwork.load(onnx_models.write_random(tmp_path / "a.onnx"))
    assert "\n" not in str(caught.value)
    for content in (b"", b"hello" * 100):
        path = tmp_path / "b.onnx"
        path.write_bytes(content)
        with pytest.raises(UnknownFormatError, match=r"b\.onnx: not a model for Groundshift \(ONNX Run") as caught:
            BowlNetwork.load(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(MissingFileError, match="no such file"):
        BowlNetwork.load(tmp_path / "c.onnx")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 48}, r"fails on an interferogram of 60 x 70: .* Got: 64 Expected: 48"),
        ({"pad": 1}, r"probability has shape \(1, 1, 62, 94\), expected \(1, 1, 64, 96\)"),
    ],
)
def test_a_model_that_does_not_answer_for_every_pixel_is_one_line(tmp_path, changes, message):
    network = BowlNetwork.load(write(tmp_path / "a.onnx", **changes))
    with pytest.raises(UnknownFormatError, match=message) as caught:
        network.look(*image((60, 70)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["bowlnet", "unet", "punet_light"])
def test_a_trained_network_sees_the_same_here_as_where_it_was_trained(tmp_path, name):
    torch = pytest.importorskip("torch", reason="needs torch (the train extra)")
    from groundshift.training.export import Metadata, export_onnx
    from groundshift.training.mining.config import BowlModelConfig
    from groundshift.training.mining.samples import BowlSample
    from groundshift.training.mining.tasks import make_bowl_task

    torch.set_num_threads(1)
    torch.manual_seed(1)
    task, model = make_bowl_task(BowlModelConfig(network=name, width=0.25))
    model.eval()
    wrapped, coherence = image((64, 96))
    wrapped[20:30, 40:60] = coherence[20:30, 40:60] = 0
    (expected,) = task.predict(model, [BowlSample(wrapped, coherence, wrapped, wrapped, wrapped, "s")])
    export_onnx(task, model, tmp_path / "a.onnx", Metadata("trained", {}))
    view = BowlNetwork.load(tmp_path / "a.onnx", threads=1).look(wrapped, coherence)
    for found, wanted in zip(view, (expected.probability, expected.phase, expected.error), strict=True):
        assert (found is None) == (wanted is None)
        if found is not None:
            known = coherence > 0
            np.testing.assert_allclose(found[known], wanted[known], atol=1e-4 * max(1, np.abs(wanted).max()))


def test_looking_for_bowls_needs_no_torch():
    code = "import sys, groundshift.detect.bowl_network; print('torch' in sys.modules, 'onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
