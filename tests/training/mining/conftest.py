"""Small interferograms over mines."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.training.mining.samples import BowlSample  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def a_sample():
    """A bowl of `peak` radians without noise, with a corner that has no data; with or without its true phase."""

    def make(k=0, shape=(40, 48), *, peak=12.0, told=True, scene=None):
        y, x = np.mgrid[: shape[0], : shape[1]]
        bowl = peak * np.exp(-((y - 18 - k) ** 2 + (x - 25 + k) ** 2) / 60).astype(np.float32)
        phase = (bowl + 0.05 * x - 1).astype(np.float32)
        known = ~((y < 4) & (x < 6))
        nothing = np.full(shape, np.nan, np.float32)
        return BowlSample(
            np.where(known, np.angle(np.exp(1j * phase)), 0).astype(np.float32),
            np.where(known, 0.4 + 0.01 * (x % 7), 0).astype(np.float32),
            phase if told else nothing,
            bowl if told else nothing,
            (np.abs(bowl) > abs(peak) / 10).astype(np.float32),
            scene or f"mine{k}",
        )

    return make
