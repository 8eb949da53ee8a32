"""Ground that moves, read from memory: interferograms, sums and the outline of a target."""

from datetime import date, timedelta

import numpy as np
from shapely import Polygon

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.detect.detection import Detection
from groundshift.errors import DamagedFileError
from groundshift.inventory import Target
from groundshift.io.stack import InterferogramStack
from groundshift.types import LookGeometry, Pair
from groundshift.workflows.config import SeriesConfig, StackConfig
from groundshift.workflows.progress import Reporter
from groundshift.workflows.stacking import stack_track

SHAPE = (48, 54)
CENTRE = (23.0, 28.0)
SPEED = -0.06
CONFIG = SeriesConfig(unwrapper="whirlwind", margin=0.9)
DAYS = [date(2018, 1, 1) + timedelta(12 * k) for k in range(12)]
PAIRS = tuple(Pair(a, b) for k, a in enumerate(DAYS) for b in DAYS[k + 1 : k + 3])
LOOK = LookGeometry(190.0, 39.0)


def body(shape, centre=CENTRE, width=4.0):
    """Velocity relative to the peak."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / (2 * width**2))


def make_stack(grid, folder=None, damaged=(), **given):
    """Return interferograms of a moving body, and the list of what is read of them."""
    rng = np.random.default_rng(2)
    air = {d: rng.normal(0, 0.001) + rng.normal(0, 0.001) * body(grid.shape, (8, 50), 20) for d in DAYS}
    noise = {p: 0.2 * rng.standard_normal(grid.shape) for p in PAIRS}
    shape = body(grid.shape)
    reads = []

    def read(pair, window):
        if pair.name in damaged:
            raise DamagedFileError(f"{pair.name}.tif: not a readable raster; fetch the file again")
        reads.append(pair.name)
        moved = SPEED * pair.years * shape + air[pair.secondary] - air[pair.reference]
        igram = 0.8 * np.exp(1j * (-4 * np.pi / SENTINEL1_WAVELENGTH * moved + noise[pair]))
        return igram.astype(np.complex64)[window.rows, window.columns]

    files = {}
    if folder is not None:
        for pair in PAIRS:
            files[pair] = (folder / f"{pair.name}.tif",)
            files[pair][0].write_text(pair.name)
    known = {
        "product": "memory",
        "root": folder,
        "track": "T1",
        "pairs": PAIRS,
        "grid": grid,
        "wavelength": SENTINEL1_WAVELENGTH,
        "sign": "grows when the ground moves away from the satellite",
        "coherence_source": "product",
        "read_pair": read,
        "look": LOOK,
        "files": files,
    }
    return InterferogramStack(**{**known, **given}), reads


def outline(grid, centre=CENTRE, height=9.0, width=11.0):
    """Draw an ellipse, all in pixels."""
    angle = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    ring = grid.lonlat(centre[0] + height / 2 * np.sin(angle), centre[1] + width / 2 * np.cos(angle))
    return Polygon(np.column_stack(ring))


def make_target(geometry, name="wm2x1nf", tracks=("T1",)):
    """Make a target that these tracks have seen."""

    def detection(track):
        return Detection(geometry, 0.9, "rules", track, "all", ("north",), -40.0, 2.0, 5.0, 0.6, 27, 15.0, 270.0)

    return Target(
        id=name, geometry=geometry, kind="landslide", score=0.9, detections=tuple(map(detection, tracks)),
        first_seen=DAYS[0], last_seen=DAYS[-1], area_m2=2e5, velocity_los_mm_yr=-40.0, velocity_sigma_mm_yr=2.0,
        mean_coherence=0.6, n_pairs=27, slope_deg=15.0, aspect_deg=270.0,
    )  # fmt: skip


def stacked(stack, folder, **given):
    """Stack at the product's own resolution."""
    config = StackConfig(working_pixel=stack.grid.spacing[0], smoothing=3, wet_months=(), sliding_years=None, **given)
    return stack_track(stack, config, folder, Reporter(quiet=True)).sums
