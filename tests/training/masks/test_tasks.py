"""What joins Mask Net to samples."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.training.masks.config import MaskModelConfig  # noqa: E402
from groundshift.training.masks.pictures import draw_masks  # noqa: E402
from groundshift.training.masks.samples import MaskSample  # noqa: E402
from groundshift.training.masks.tasks import make_mask_task  # noqa: E402

torch.set_num_threads(1)


def samples(shape=(40, 48), count=2):
    """Lakes: noise of low coherence in smooth ground."""
    rng = np.random.default_rng(0)
    found = []
    for k in range(count):
        usable = np.ones(shape, np.float32)
        usable[5 + 8 * k : 20 + 8 * k, 10:30] = 0
        noise = rng.uniform(-np.pi, np.pi, shape)
        wrapped = np.where(usable > 0, 0.3, noise).astype(np.float32)
        coherence = np.where(usable > 0, 0.8, rng.uniform(0.05, 0.5, shape)).astype(np.float32)
        coherence[:, :3] = wrapped[:, :3] = 0
        told = np.ones(shape, np.float32)
        told[-2:] = 0
        found.append(MaskSample(wrapped, coherence, np.full(shape, 0.5, np.float32), usable, told, f"lake {k}"))
    return found


@pytest.fixture
def made():
    torch.manual_seed(0)
    return make_mask_task(MaskModelConfig(width=0.125))


def test_a_batch_holds_planes_and_truth(made):
    task, _ = made
    batch = task.batch(samples())
    assert batch["interferogram"].shape == (2, 3, 40, 48)
    one = samples()[1]
    for plane, values in zip(batch["interferogram"][1], (one.wrapped, one.coherence, one.amplitude), strict=True):
        assert np.array_equal(plane, values)
    assert np.array_equal(batch["usable"][1, 0], one.usable)
    assert np.array_equal(batch["judged"][1, 0] > 0, one.judged)


def test_answers_have_the_size_of_the_samples_and_are_zero_without_data(made):
    task, model = made
    answers = task.predict(model, samples((50, 61)))
    for answer in answers:
        assert answer.shape == (50, 61)
        assert answer.dtype == np.float32
        assert not answer[:, :3].any()
        assert ((answer[:, 3:] > 0) & (answer < 1)[:, 3:]).all()
    assert model.training


def test_the_weight_of_the_overlap_is_that_of_the_settings():
    terms = []
    for dice in (0.0, 0.5):
        torch.manual_seed(0)
        task, model = make_mask_task(MaskModelConfig(width=0.125, dice=dice))
        batch = task.batch(samples((64, 64)))
        terms.append(task.losses(model(batch["interferogram"]), batch))
    assert terms[0]["dice"].item() == 0
    assert terms[1]["dice"].item() > 0
    assert torch.equal(terms[0]["cross"], terms[1]["cross"])


def test_pictures_are_drawn_with_and_without_amplitude_and_lakes(tmp_path):
    given = samples()
    dry = [s._replace(usable=np.ones_like(s.usable), amplitude=0 * s.amplitude) for s in given]
    for part in (given, dry):
        draw_masks(tmp_path / "a.png", part, [s.coherence for s in part])
        assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
