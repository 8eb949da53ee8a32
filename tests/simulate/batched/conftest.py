"""Ground made by hand: flat, bare and still unless a test says otherwise."""

from datetime import date, timedelta

import pytest
import torch

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.simulate.batched.types import Behaviour, Ground, Kind, Mover, Network
from groundshift.types import LookGeometry, Pair

STEADY: Behaviour = "steady"


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def network_of():
    """Dates every 12 days with all pairs of up to three steps."""

    def make(count: int = 8, *, baselines=None, start: date = date(2019, 1, 3), step: int = 12) -> Network:
        dates = [start + timedelta(days=step * k) for k in range(count)]
        bperp = baselines or [0.0] * count
        pairs = [
            Pair(dates[i], dates[j], bperp[j] - bperp[i]) for i in range(count) for j in range(i + 1, min(i + 4, count))
        ]
        return Network(tuple(dates), tuple(bperp), tuple(pairs), SENTINEL1_WAVELENGTH)

    return make


@pytest.fixture(scope="session")
def ground_of():
    """Flat and bare ground with one steady mover in the middle of each scene, of the velocity given."""

    def make(network: Network, shape=(48, 64), *, scenes=2, pixel_m=40.0, velocity=0.0, **planes) -> Ground:
        full = (scenes, *shape)
        mover = torch.zeros(full, dtype=torch.int64)
        mover[:, shape[0] // 4 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = 1
        course = torch.zeros((scenes, 2, len(network.dates)))
        course[:, 1] = torch.tensor(network.years)
        fields = {
            "heights": torch.zeros(full),
            "blind": torch.zeros(full, dtype=torch.bool),
            "slope_factor": torch.ones(full),
            "forest": torch.zeros(full),
            "fixed_coherence": torch.full(full, torch.nan),
            "snow_height": torch.full(full, -torch.inf),
            "dem_error": torch.zeros(full),
            "mover": mover,
            "velocity": velocity * mover.float(),
            "course": course,
        }
        return Ground(
            pixel_m=pixel_m,
            radar=(False,) * scenes,
            look=(LookGeometry(190.0, 39.0),) * scenes,
            slant_range_m=(850_000.0,) * scenes,
            movers=((Mover(Kind.SLIDE, "plug", STEADY, velocity, 640.0, 480.0),),) * scenes,
            **fields | planes,
        )

    return make
