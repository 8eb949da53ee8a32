"""Fixtures of the command line: images of ground that moves."""

from datetime import date, timedelta

import numpy as np
import pytest
from affine import Affine
from tests.products_slc.geotiff import write_tif

from groundshift.types import MapGrid

WAVELENGTH = 0.055465763
SHAPE = (384, 480)
GRID = MapGrid(SHAPE, Affine(10, 0, 500_000, 0, -10, 3_400_000), "EPSG:32648")
DATES = [date(2020, 1, 6) + timedelta(12 * k) for k in range(14)]
SLIDE = (slice(160, 240), slice(200, 280))


@pytest.fixture(scope="session")
def bursts(tmp_path_factory):
    """Two bursts of fourteen dates, in one of which a body of 800 m moves away by 120 mm/yr. Not to be written to."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(3)
    for burst, speed in (("still", 0.0), ("moving", 0.12)):
        (root / burst).mkdir()
        ground = rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE)
        bell = np.zeros(SHAPE)
        side = np.sin(np.pi * (np.arange(80) + 0.5) / 80)
        bell[SLIDE] = side[:, None] * side
        for day in DATES:
            way = speed * (day - DATES[0]).days / 365.25 * bell
            noise = 0.5 * (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE))
            image = (ground + noise) * np.exp(-4j * np.pi / WAVELENGTH * way)
            write_tif(root / burst / f"{day:%Y%m%d}.tif", image.astype(np.complex64)[None], GRID)
        metadata = f"wavelength_m: {WAVELENGTH}\nheading_deg: 190\nincidence_deg: 39\nflattened: true\ntrack: {burst}\n"
        (root / burst / "metadata.yaml").write_text(metadata)
    return root
