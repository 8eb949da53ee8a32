"""Networks of pairs between numbered days, and the phases that motion and noise give them."""

import math
from datetime import date, timedelta

import numpy as np
import pytest

from groundshift.pairs import incidence_matrix
from groundshift.types import Pair

WAVELENGTH = 0.0555


@pytest.fixture(scope="session")
def day():
    """Return the date of a day since 2020-01-01."""
    return lambda number: date(2020, 1, 1) + timedelta(int(number))


@pytest.fixture(scope="session")
def pair(day):
    """Join two days."""
    return lambda first, second, bperp=None: Pair(day(first), day(second), bperp)


@pytest.fixture(scope="session")
def phases_of():
    """Phase of each pair where the dates have moved `motion`, (date, ...) metres towards the satellite."""

    def make(pairs, motion):
        return np.tensordot(incidence_matrix(pairs)[1], -4 * math.pi / WAVELENGTH * np.asarray(motion), 1)

    return make


@pytest.fixture(scope="session")
def years_of():
    """Return when the dates of pairs are, in years since the first."""

    def make(pairs):
        dates = incidence_matrix(pairs)[0]
        return np.array([(d - dates[0]).days / 365.25 for d in dates])

    return make


@pytest.fixture(scope="session")
def make_noise():
    """Draw white noise of one deviation, or of one for each pair."""

    def make(pairs, deviation, shape, seed):
        rng = np.random.default_rng(seed)
        return rng.normal(0, 1, (len(pairs), *shape)) * np.reshape(deviation, (-1, 1, 1))

    return make


@pytest.fixture(scope="session")
def regular(join_dates):
    """Twenty dates of 12 days in pairs of up to 36."""
    return join_dates(range(0, 240, 12))
