"""Interferograms without their decorrelated ground: what is left out, where, and that no mask is made twice."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from tests.workflows.mask_models import write_mask_model

from groundshift.detect.mask_network import MaskNetwork
from groundshift.errors import MissingFileError
from groundshift.io import InterferogramStack
from groundshift.masks.decorrelation import otsu_mask
from groundshift.types import Pair, Window
from groundshift.workflows.masked import without_decorrelated
from groundshift.workflows.parts import MaskConfig

SHAPE = (40, 50)
PAIRS = tuple(Pair(date(2020, 1, 1), date(2020, 1, 1) + timedelta(12 * k)) for k in (1, 2))
KINDS = ("otsu", "threshold", "network")


@pytest.fixture
def reads():
    """Windows that were read, in order."""
    return []


@pytest.fixture
def stack(map_grid, reads):
    rng = np.random.default_rng(0)
    shape = (len(PAIRS), *SHAPE)
    igrams = (rng.uniform(0, 1, shape) * np.exp(1j * rng.uniform(-np.pi, np.pi, shape))).astype(np.complex64)
    igrams[:, :3] = 0

    def read(pair, window):
        reads.append(window)
        return igrams[PAIRS.index(pair)][window.rows, window.columns]

    return InterferogramStack("images", __file__, "T1", PAIRS, map_grid(SHAPE, 20.0), 0.056, "as ours", "product", read)


@pytest.fixture
def config(tmp_path):
    model = write_mask_model(tmp_path / "a.onnx")
    return lambda kind, **given: MaskConfig(decorrelation=kind, mask_model=str(model), **given)


def expected(kind, igram, model):
    """What is coherent, by the parts themselves."""
    if kind == "network":
        wrapped = np.where(igram != 0, np.angle(igram), np.nan).astype(np.float32)
        return MaskNetwork.load(model).look(wrapped, np.abs(igram)) >= 0.5
    return otsu_mask(np.abs(igram)) if kind == "otsu" else np.abs(igram) > 0.3


def test_without_a_choice_a_stack_stays_as_it_is(stack, tmp_path):
    assert without_decorrelated(stack, MaskConfig(), tmp_path / "masks") is stack
    assert not (tmp_path / "masks").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_decorrelated_ground_is_without_data_and_the_rest_as_it_was(stack, config, tmp_path, kind):
    settings = config(kind)
    masked = without_decorrelated(stack, settings, tmp_path / "masks")
    for pair in PAIRS:
        whole = stack.read(pair)
        kept = expected(kind, whole, settings.mask_model)
        assert 0.05 < kept.mean() < 0.95
        np.testing.assert_array_equal(masked.read(pair), np.where(kept, whole, 0))
        window = Window(7, 11, 20, 30)
        np.testing.assert_array_equal(masked.read(pair, window), masked.read(pair)[window.rows, window.columns])
    assert masked.pairs == stack.pairs


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_is_made_once_whoever_asks(stack, config, tmp_path, reads, kind):
    strip = Window(0, 0, 5, 50)
    first = without_decorrelated(stack, config(kind), tmp_path / "masks").read(PAIRS[0], strip)
    assert reads == [stack.full, strip]
    again = without_decorrelated(stack, config(kind), tmp_path / "masks").read(PAIRS[0], strip)
    assert reads == [stack.full, strip, strip]
    np.testing.assert_array_equal(first, again)


def test_masks_of_other_settings_or_of_damaged_files_are_made_anew(stack, config, tmp_path, reads):
    folder, strip = tmp_path / "masks", Window(0, 0, 5, 50)
    made = [
        config("threshold"), config("threshold", mask_coherence=0.5), config("otsu"), config("network"),
        config("network", mask_probability=0.7),
    ]  # fmt: skip
    products = set()
    for settings in made:
        masked = without_decorrelated(stack, settings, folder)
        masked.read(PAIRS[0], strip)
        products.add(masked.product)
    without_decorrelated(replace(stack, product="others"), made[0], folder).read(PAIRS[0], strip)
    assert reads.count(stack.full) == len(made) + 1
    # Sums of one are not taken for those of another.
    assert len(products) == len(made)
    assert stack.product not in products
    whole = without_decorrelated(stack, made[0], folder).read(PAIRS[0])
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:100])
    np.testing.assert_array_equal(without_decorrelated(stack, made[0], folder).read(PAIRS[0]), whole)


def test_a_model_that_is_not_there_is_one_line(stack, tmp_path):
    settings = MaskConfig(decorrelation="network", mask_model="nobody")
    with pytest.raises(MissingFileError, match=r"^--mask-model: nobody: no such model; "):
        without_decorrelated(stack, settings, tmp_path)
