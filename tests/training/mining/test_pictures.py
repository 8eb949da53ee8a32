"""Pictures of answers beside the truth."""

import numpy as np
import pytest
from matplotlib.image import imread

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.training.mining.pictures import draw_answers  # noqa: E402
from groundshift.training.mining.tasks import Answer  # noqa: E402


def drawn(path, samples, answers, **options):
    draw_answers(path, samples, answers, **options)
    assert path.read_bytes().startswith(b"\x89PNG")
    return imread(path)[..., :3]


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("parts", ["probability phase error", "probability", "phase"])
def test_every_kind_of_answer_is_drawn_beside_every_kind_of_truth(a_sample, tmp_path, told, parts):
    sample = a_sample(told=told)
    whole = Answer(sample.footprint, a_sample().phase, np.ones_like(sample.wrapped))
    nothing = Answer(0 * sample.footprint, 0 * sample.wrapped, np.ones_like(sample.wrapped))
    answers = [
        Answer(*(v if n in parts else None for n, v in zip(a._fields, a, strict=True))) for a in (whole, nothing)
    ]
    pictures = [drawn(tmp_path / f"{k}.png", [sample], [answer]) for k, answer in enumerate(answers)]
    assert pictures[0].shape == pictures[1].shape
    right = slice(3 * pictures[0].shape[1] // 4, None)
    assert np.abs(pictures[0][:, right] - pictures[1][:, right]).max() > 0.5


def test_those_with_bowls_are_shown_as_many_as_wanted(a_sample, tmp_path):
    blank = a_sample()._replace(footprint=np.zeros((40, 48), np.float32))
    samples = [blank, a_sample(1), blank, a_sample(2), a_sample(3)]
    answers = [Answer(s.footprint, None, None) for s in samples]
    heights = [drawn(tmp_path / f"{n}.png", samples, answers, most=n).shape[0] for n in (1, 2, 6)]
    assert heights == [270, 540, 810]
    assert drawn(tmp_path / "blank.png", [blank], answers[:1]).shape[0] == 270
