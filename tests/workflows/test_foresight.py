"""The unwrapper for sites: what it is called, what it leaves of the phase it is given, and which models it takes."""

import shutil

import numpy as np
import pytest
from tests import onnx_models
from tests.mines import hill
from tests.workflows.bowl_models import write_bowl_model

from groundshift.detect.models import checksum
from groundshift.errors import MissingFileError, UnknownFormatError
from groundshift.unwrap import choose_unwrapper
from groundshift.workflows import foresight
from groundshift.workflows.config import SettingError
from groundshift.workflows.foresight import with_foresight

WHIRLWIND = choose_unwrapper("whirlwind")
SHAPE = (64, 80)
BOWL = 14 * hill((30, 40), SHAPE, 8.0)
"""Radians."""


def noisy(scatter, seed=0):
    """The bowl wrapped, with noise and a hole, and its coherence."""
    rng = np.random.default_rng(seed)
    wrapped = np.angle(np.exp(1j * (BOWL + rng.normal(0, scatter, SHAPE)))).astype(np.float32)
    coherence = np.full(SHAPE, 0.7, np.float32)
    wrapped[5:9, 60:70], coherence[5:9, 60:70] = np.nan, 0
    return wrapped, coherence


def assert_congruent(unwrapped, wrapped):
    """What was given, but for whole cycles; nothing where nothing was given."""
    known = np.isfinite(wrapped)
    np.testing.assert_array_equal(np.isfinite(unwrapped), known)
    cycles = (unwrapped - wrapped)[known] / (2 * np.pi)
    np.testing.assert_allclose(cycles, np.round(cycles), atol=1e-4)


def test_without_a_model_the_filter_alone_goes_before():
    plain = with_foresight(WHIRLWIND, "none")
    assert plain.name == "fringes+whirlwind"
    wrapped, coherence = noisy(0.9)
    found = plain.unwrap(wrapped, coherence, 10.0).unwrapped
    assert_congruent(found, wrapped)
    off = found - BOWL
    off -= np.nanmedian(off)
    assert np.mean(np.abs(off[np.isfinite(off)]) < np.pi) > 0.97
    raw = WHIRLWIND.unwrap(wrapped, coherence, 10.0).unwrapped - BOWL
    raw -= np.nanmedian(raw)
    assert np.sqrt(np.nanmean(off**2)) < np.sqrt(np.nanmean(raw**2))


def test_a_model_is_asked_where_the_filter_leaves_tears_and_its_name_tells_which_it_is(tmp_path, monkeypatch):
    path = write_bowl_model(tmp_path / "a.onnx", "unwrapped")
    guided = with_foresight(WHIRLWIND, str(path))
    assert guided.name == f"tiny-unwrapped-{checksum(path)[:8]}+whirlwind"
    wrapped, coherence = noisy(1.4)
    asked = []
    look = foresight.BowlNetwork.look

    def noted(self, *planes):
        asked.append(planes)
        return look(self, *planes)

    monkeypatch.setattr(foresight.BowlNetwork, "look", noted)
    # Whatever a model says: this one foresees the wrapped phase, tears and all.
    assert_congruent(guided.unwrap(wrapped, coherence, 10.0).unwrapped, wrapped)
    ((given, weight),) = asked
    np.testing.assert_array_equal(given, wrapped)
    np.testing.assert_array_equal(weight, coherence)
    smooth = np.angle(np.exp(1j * BOWL / 8)).astype(np.float32)
    guided.unwrap(smooth, np.full(SHAPE, 0.9, np.float32), 10.0)
    assert len(asked) == 1  # nothing is torn


def test_a_model_trained_further_has_another_name(tmp_path):
    names = set()
    for seed in (1.0, 2.0):
        path = write_bowl_model(tmp_path / "a.onnx", "bowls", version=str(seed))
        names.add(with_foresight(WHIRLWIND, str(path)).name)
    same = shutil.copy(path, tmp_path / "b.onnx")
    names.add(with_foresight(WHIRLWIND, str(same)).name)
    assert len(names) == 2


def test_a_model_that_does_not_unwrap_is_refused_in_one_line(tmp_path):
    finder = write_bowl_model(tmp_path / "f.onnx", "footprint")
    with pytest.raises(SettingError) as caught:
        with_foresight(WHIRLWIND, str(finder))
    assert str(caught.value) == (
        f"--foresight: {finder} finds bowls but does not unwrap; choose bowlnet, punet or none"
    )
    bodies = onnx_models.write_random(tmp_path / "b.onnx")
    with pytest.raises(UnknownFormatError, match=rf"^--foresight: {bodies}: not a model for Groundshift \(") as caught:
        with_foresight(WHIRLWIND, str(bodies))
    assert "\n" not in str(caught.value)
    with pytest.raises(MissingFileError, match=r"^--foresight: bowlnett: no such model"):
        with_foresight(WHIRLWIND, "bowlnett")
