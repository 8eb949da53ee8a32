"""Fixtures that several folders share: networks of pairs, grids, and stacks made from arrays."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.gradients.differences import directions_of
from groundshift.gradients.noise import NoiseShare
from groundshift.gradients.stack import Direction, GradientStack
from groundshift.gradients.sums import StackPlan, add_pairs, empty_sums, finish, plan_window
from groundshift.types import Grid, MapGrid, Pair, RadarGrid

OWN_NOISE = NoiseShare(0.0, 1.0)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real data, which do not come with the project."""
    root = os.environ.get("GROUNDSHIFT_DATA")
    if not root:
        pytest.skip("GROUNDSHIFT_DATA is not set")
    return Path(root)


@pytest.fixture(scope="session")
def join_dates():
    """Join dates by all pairs of up to `max_days`; dates may be given as days since 2016-01-01."""

    def join(dates: Sequence[date | int], max_days: int = 36) -> tuple[Pair, ...]:
        days = [date(2016, 1, 1) + timedelta(int(d)) if not isinstance(d, date) else d for d in dates]
        return tuple(
            Pair(first, second)
            for k, first in enumerate(days)
            for second in days[k + 1 :]
            if (second - first).days <= max_days
        )

    return join


@pytest.fixture(scope="session")
def map_grid():
    """Make a north-up map grid of square pixels in UTM zone 48."""

    def make(shape: tuple[int, int], pixel: float = 40.0) -> MapGrid:
        return MapGrid(shape, Affine(pixel, 0, 210_000, 0, -pixel, 3_415_000), "EPSG:32648")

    return make


@pytest.fixture(scope="session")
def radar_grid():
    """Make a radar grid of a descending pass whose longitude and latitude are linear in row and column."""

    def make(shape: tuple[int, int], spacing: tuple[float, float] = (40.0, 40.0)) -> RadarGrid:
        y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
        north = 1 / 111_195.0
        east = north / np.cos(np.radians(30.8))
        # Along azimuth towards south-south-west, along range towards west-north-west.
        longitude = 102.0 + east * (-0.2 * spacing[0] * y - 0.98 * spacing[1] * x)
        latitude = 30.8 + north * (-0.98 * spacing[0] * y + 0.2 * spacing[1] * x)
        return RadarGrid(shape, spacing, longitude, latitude)

    return make


@pytest.fixture(scope="session")
def stack_igrams(map_grid):
    """Stack interferograms as a survey does; the way from phases to rates with standard errors."""

    def stack(
        igrams: np.ndarray,
        pairs: Sequence[Pair],
        *,
        grid: Grid | None = None,
        smoothing: int = 1,
        directions: tuple[Direction, ...] | None = None,
        noise: NoiseShare = OWN_NOISE,
        equal: bool = False,
    ) -> GradientStack:
        grid = map_grid(igrams.shape[1:]) if grid is None else grid
        everything = range(len(pairs))
        plan = StackPlan(
            track="T1",
            grid=grid,
            wavelength=SENTINEL1_WAVELENGTH,
            pairs=tuple(pairs),
            windows=(plan_window("all", everything, pairs, noise, equal=equal),),
            directions=directions or directions_of(grid.axis_names),
            smoothing=smoothing,
            noise=noise,
        )
        sums = empty_sums(plan, igrams.shape[1:])
        add_pairs(plan, everything, igrams.astype(np.complex64), sums)
        return finish(plan, 0, sums[0])

    return stack


@pytest.fixture(scope="session")
def make_stack(map_grid):
    """Make a stack from velocity gradients in mm/yr per step, (direction, y, x), and their standard error."""

    def make(
        gradient: np.ndarray,
        sigma: np.ndarray | float = 0.1,
        *,
        grid: Grid | None = None,
        smoothing: int = 5,
        pairs: int = 200,
        directions: tuple[Direction, ...] | None = None,
        wavelength: float = SENTINEL1_WAVELENGTH,
    ) -> GradientStack:
        gradient = np.asarray(gradient, np.float64)
        shape = gradient.shape[1:]
        grid = map_grid(shape) if grid is None else grid
        per_mm = -4 * np.pi / (1000 * wavelength)
        known = np.isfinite(gradient).any(axis=0)
        return GradientStack(
            track="T1",
            window="all",
            grid=grid,
            smoothing=smoothing,
            wavelength=wavelength,
            directions=directions or directions_of(grid.axis_names),
            rate=(gradient * per_mm).astype(np.float32),
            sigma=np.where(np.isfinite(gradient), sigma * -per_mm, np.nan).astype(np.float32),
            effective_pairs=np.where(known, pairs, 0).astype(np.float32),
            n_pairs=np.where(known, pairs, 0).astype(np.uint16),
            mean_coherence=np.where(known, 0.6, np.nan).astype(np.float32),
            residues=np.where(known, 0.0, np.nan).astype(np.float32),
            total_pairs=pairs,
            total_years=pairs * 20 / 365.25,
        )

    return make


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """What it said on stderr."""
        return self.err.splitlines()


@pytest.fixture
def groundshift(capfd):
    """Run the command line as a user would, in this process: (arguments...) -> code, stdout and stderr."""
    from groundshift.cli import main

    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(a) for a in arguments])
        return Ran(code, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Path:
    """Folder of a small simulated scene: 64 x 80 pixels, 30 pairs, three fast slides. Not to be written to."""
    from groundshift.simulate import SceneConfig, simulate_scene, write_scene

    folder = tmp_path_factory.mktemp("simulated") / "scene"
    config = SceneConfig(seed=3, shape=(64, 80), n_dates=12, n_slides=3, gap_share=0, speed_mm_yr=(120.0, 160.0))
    write_scene(simulate_scene(config), folder)
    return folder


@pytest.fixture
def scene(simulated, tmp_path) -> Path:
    """Copy of the small scene that a test may damage."""
    return Path(shutil.copytree(simulated, tmp_path / "scene"))


@pytest.fixture(scope="session")
def surveyed(simulated, tmp_path_factory) -> Path:
    """Folder of a finished survey of the small scene, by the rules. Not to be written to."""
    from groundshift.cli import main

    folder = tmp_path_factory.mktemp("surveyed") / "out"
    assert main(["survey", str(simulated), "-o", str(folder), "--detector", "rules", "--quiet"]) == 0
    return folder


@pytest.fixture(scope="session")
def mines(tmp_path_factory) -> Path:
    """Folder of a small scene over a mine, of 24 pairs; see tests/mines.py. Not to be written to."""
    pytest.importorskip("torch", reason="simulated mines need torch (the train extra)")
    from tests.mines import make_scenes

    from groundshift.simulate.mining.write import write_mines

    folder = tmp_path_factory.mktemp("mines") / "scene"
    write_mines(make_scenes(), 0, folder)
    return folder


@pytest.fixture(scope="session")
def mined(mines, tmp_path_factory) -> Path:
    """Folder of a finished run of `groundshift mining` on it, by the rules. Not to be written to."""
    from tests.mines import RULES

    from groundshift.cli import main

    folder = tmp_path_factory.mktemp("mined") / "out"
    assert main(["mining", str(mines), "-o", str(folder), *RULES]) == 0
    return folder
