"""Every unwrapper finds the cycles of a smooth phase, adds whole cycles only, and says what it cannot do."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from groundshift.errors import GroundshiftError, NoDataError
from groundshift.unwrap import UNWRAPPERS, UnwrappingError, Whirlwind, choose_unwrapper
from groundshift.unwrap import unwrapper as module

INSTALLED = ["whirlwind"]
if importlib.util.find_spec("snaphu") is not None:
    INSTALLED.append("snaphu")


@pytest.fixture(params=INSTALLED)
def unwrapper(request):
    return choose_unwrapper(request.param)


def wrapped_of(phase):
    return np.angle(np.exp(1j * phase)).astype(np.float32)


def bowl(shape=(60, 70), depth=25.0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return depth * np.exp(-((y - 28) ** 2 + (x - 33) ** 2) / (2 * 12.0**2))


def check_whole_cycles(unwrapped, wrapped):
    cycles = (unwrapped - wrapped) / (2 * np.pi)
    np.testing.assert_allclose(cycles, np.round(cycles), atol=1e-4)


def test_smooth_bowl_comes_back_but_for_whole_cycles(unwrapper):
    phase = bowl()
    found = unwrapper.unwrap(wrapped_of(phase), np.full(phase.shape, 0.8, np.float32), 25)
    shift = 2 * np.pi * np.round((found.unwrapped - phase).mean() / (2 * np.pi))
    np.testing.assert_allclose(found.unwrapped - shift, phase, atol=1e-3)
    assert found.unwrapped.dtype == np.float32
    assert found.conncomp.dtype == np.uint32
    assert (found.conncomp == 1).mean() > 0.9


def test_only_whole_cycles_are_added_even_to_noise(unwrapper):
    rng = np.random.default_rng(4)
    wrapped = wrapped_of(bowl() + 1.2 * rng.standard_normal((60, 70)))
    before = wrapped.copy()
    found = unwrapper.unwrap(wrapped, rng.uniform(0.1, 0.9, wrapped.shape).astype(np.float32), 4)
    check_whole_cycles(found.unwrapped, wrapped)
    np.testing.assert_array_equal(wrapped, before)


def test_pixels_without_phase_or_weight_stay_without(unwrapper):
    phase = bowl()
    wrapped, weight = wrapped_of(phase), np.full(phase.shape, 0.8, np.float32)
    wrapped[5:15, 40:60] = np.nan
    weight[40:50, 5:15] = 0
    weight[41, 6] = np.nan
    hole = np.isnan(wrapped) | ~(weight > 0)
    found = unwrapper.unwrap(wrapped, weight, 25)
    np.testing.assert_array_equal(np.isnan(found.unwrapped), hole)
    assert not found.conncomp[hole].any()
    rest = (found.unwrapped - phase)[~hole]
    assert np.ptp(rest) < 1e-3


def test_weights_above_one_and_zero_phase_are_data(unwrapper):
    found = unwrapper.unwrap(np.zeros((20, 20), np.float32), np.full((20, 20), 1.5, np.float32), 10)
    np.testing.assert_array_equal(found.unwrapped, 0)


@pytest.mark.parametrize("shape", [(4, 4), (4, 30), (7, 5), (9, 9)])
def test_small_arrays_are_unwrapped_too(unwrapper, shape):
    y, x = np.mgrid[: shape[0], : shape[1]]
    phase = 0.9 * x + 0.5 * y
    found = unwrapper.unwrap(wrapped_of(phase), np.full(shape, 0.9, np.float32), 50)
    assert np.ptp(found.unwrapped - phase) < 1e-3


@pytest.mark.parametrize(("shape", "value", "known"), [((5, 6), np.nan, 0), ((1, 9), 0.0, 9)])
def test_nothing_to_unwrap_is_said_in_one_line(unwrapper, shape, value, known):
    with pytest.raises(NoDataError) as caught:
        unwrapper.unwrap(np.full(shape, value, np.float32), np.ones(shape, np.float32), 10)
    size = f"{shape[0]} x {shape[1]}"
    assert str(caught.value) == f"nothing to unwrap: {known} of {size} pixels have data; give a larger scene"


def test_arguments_that_cannot_be_are_named(unwrapper):
    phase = np.zeros((5, 6), np.float32)
    with pytest.raises(ValueError, match=r"coherence must have shape \(5, 6\), instead got \(6, 5\)"):
        unwrapper.unwrap(phase, np.ones((6, 5), np.float32), 10)
    for nlooks in (0.5, float("nan")):
        with pytest.raises(ValueError, match=f"nlooks must be at least 1, instead got {nlooks}"):
            unwrapper.unwrap(phase, np.ones((5, 6), np.float32), nlooks)


def test_standard_output_is_left_to_machines(unwrapper, capfd):
    """SNAPHU tells its progress on standard output, where `--json` prints the result."""
    os.write(1, b"before\n")
    unwrapper.unwrap(wrapped_of(bowl()), np.full((60, 70), 0.8, np.float32), 25)
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "before\nafter\n"


def test_unwrapper_that_gives_up_says_so_in_one_line(monkeypatch):
    import whirlwind

    def fail(*_args, **_kwargs):
        raise ValueError("the flow\ndoes not balance.")

    monkeypatch.setattr(whirlwind, "unwrap", fail)
    with pytest.raises(UnwrappingError) as caught:
        Whirlwind().unwrap(np.zeros((5, 6), np.float32), np.ones((5, 6), np.float32), 10)
    assert str(caught.value) == "whirlwind gave up: the flow does not balance; try another unwrapper"


def test_snaphu_that_gives_up_says_so_and_gives_standard_output_back(monkeypatch, capfd):
    snaphu = pytest.importorskip("snaphu")

    def fail(*_args, **_kwargs):
        os.write(1, b"snaphu v2.0.7\n")
        raise RuntimeError("Out of memory\nAbort")

    monkeypatch.setattr(snaphu, "unwrap", fail)
    with pytest.raises(UnwrappingError) as caught:
        choose_unwrapper("snaphu").unwrap(np.zeros((5, 6), np.float32), np.ones((5, 6), np.float32), 10)
    assert str(caught.value) == "snaphu gave up: Out of memory Abort; try the unwrapper whirlwind"
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"


def test_unknown_unwrapper_is_answered_with_the_known_ones():
    with pytest.raises(GroundshiftError) as caught:
        choose_unwrapper("phass")
    assert str(caught.value) == "unknown unwrapper 'phass'; choose one of: auto, snaphu, whirlwind"
    assert UNWRAPPERS == ("auto", "snaphu", "whirlwind")


def test_auto_takes_snaphu_only_where_it_is_installed(monkeypatch):
    found = importlib.util.find_spec

    def without(name, *args):
        return None if name == "snaphu" else found(name, *args)

    assert choose_unwrapper("auto").name == ("snaphu" if "snaphu" in INSTALLED else "whirlwind")
    monkeypatch.setattr(importlib.util, "find_spec", without)
    assert choose_unwrapper("auto").name == "whirlwind"
    assert choose_unwrapper("whirlwind").name == "whirlwind"
    with pytest.raises(UnwrappingError) as caught:
        choose_unwrapper("snaphu")
    assert str(caught.value) == "unwrapper snaphu is not installed; run `pip install groundshift[snaphu]`"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no files in memory on this system")
def test_files_are_kept_in_memory_where_they_fit(monkeypatch, tmp_path):
    assert module._memory_folder(1000) == Path("/dev/shm")
    assert module._memory_folder(10**15) is None
    monkeypatch.setattr(module, "_IN_MEMORY", tmp_path / "none")
    assert module._memory_folder(1000) is None
