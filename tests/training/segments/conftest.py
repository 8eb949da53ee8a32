"""A small data set in the layout of ISSLIDE, and samples without files."""

from datetime import date, timedelta

import numpy as np
import pytest
from affine import Affine

from groundshift.io.isslide import SIDE, PatchPlanes, dates_text, delay_text, write_patches
from groundshift.training.segments.samples import SegmentSample
from groundshift.types import MapGrid, Pair

GRID = MapGrid((SIDE, SIDE), Affine(1.3e-4, 0, 6.7, 0, -1.3e-4, 44.8), "EPSG:4326")


def planes_of(k, *, moving=True):
    """A hill of eight radians about the middle, shifted by k pixels."""
    y, x = np.mgrid[:SIDE, :SIDE]
    hill = np.exp(-((y - 50) ** 2 + (x - 50 - k) ** 2) / 300)
    phase = 8 * hill * moving + 0.02 * y
    mask = (hill > 0.3) & moving
    return PatchPlanes(
        np.angle(np.exp(1j * phase)).astype(np.float32), np.full(mask.shape, 0.8, np.float32), mask.astype(np.bool_)
    )


def write_set(root, zones=("Queyras", "Vanoise", "Ecrins"), interferograms=5, moves=2):
    """Write patches of each zone at one delay; the first interferogram is quiet."""
    for zone in zones:
        for k in range(interferograms):
            first = date(2018, 7, 2) + timedelta(6 * k)
            pair = Pair(first, first + timedelta(6))
            write_patches(
                root, delay_text(pair), zone, dates_text(pair),
                [(f"{m}_{m}", GRID, planes_of(3 * m, moving=k > 0)) for m in range(1, moves + 1)],
            )  # fmt: skip
    return root


@pytest.fixture(scope="session")
def data_set(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("isslide"))


@pytest.fixture(scope="session")
def a_sample():
    """A patch of 24 x 24 pixels whose corner has no data."""

    def make(k=0, place="Vanoise 1 1", shape=(24, 24)):
        y, x = np.mgrid[: shape[0], : shape[1]]
        rng = np.random.default_rng(k)
        known = ~((y < 3) & (x < 4))
        return SegmentSample(
            np.where(known, rng.uniform(-3, 3, shape), 0).astype(np.float32),
            np.where(known, 0.5, 0).astype(np.float32),
            ((y - 12) ** 2 + (x - 10) ** 2 < 30).astype(np.float32),
            place,
        )

    return make
