"""The result of stacking: velocity gradients with their standard error, on the lattice they belong to.

The lattice. Interferograms are averaged over a window and differenced between neighbouring *nodes*. An even window of
n pixels centred "at" pixel i covers i - n/2 ... i + n/2 - 1, so its true centre, the node, lies half a pixel before
that pixel. A difference belongs half way between the two nodes it is taken from. `node_grid` and `grid_of` say where
both lie on Earth, so no map is ever off by half a pixel.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.types import Grid

__all__ = ["Direction", "GradientStack", "TimeWindow", "closes", "node_offset"]


class Direction(NamedTuple):
    """Between which two nodes a difference is taken: `phase(node + end) - phase(node + start)`.

    Offsets are (rows, columns). The name is the axis, such as `azimuth` or `north-east`.
    """

    name: str
    start: tuple[int, int]
    end: tuple[int, int]


class TimeWindow(NamedTuple):
    """A subset of the pairs that is stacked on its own, such as `all`, `wet`, `dry` or `2018-2019`.

    `members` are indices into the pairs of the stack; `weights` one non-negative weight for each of them.
    """

    name: str
    members: NDArray[np.intp]
    weights: NDArray[np.float64]


def closes(directions: tuple[Direction, ...]) -> bool:
    """Whether the first two directions are forward differences along both axes, so that residues can be counted."""
    return [d[1:] for d in directions[:2]] == [((0, 0), (1, 0)), ((0, 0), (0, 1))]


def node_offset(window: int) -> float:
    """Where the centre of an n-pixel window lies relative to its pixel: -0.5 pixel if n is even, else 0."""
    return -0.5 if window % 2 == 0 else 0.0


@dataclass(frozen=True)
class GradientStack:
    """Weighted stack of wrapped phase differences over one time window.

    `rate` and `sigma` have shape (direction, y, x) in radians of phase per year per step of the direction; phase
    grows when the ground moves away. NaN where fewer than two pairs have data. `n_pairs` counts pairs with data per
    node, `mean_coherence` is the mean magnitude of the averaged interferograms, `residues` the share of pairs whose
    wrapped differences do not close around the cell whose first corner is this node (0 = curl-free).
    """

    track: str
    window: str
    grid: Grid
    """Grid of the working pixels; `node_grid` is where the nodes lie."""
    smoothing: int
    """Size of the averaging window in working pixels."""
    wavelength: float
    directions: tuple[Direction, ...]
    rate: NDArray[np.float32]
    sigma: NDArray[np.float32]
    effective_pairs: NDArray[np.float32]
    """(y, x): how many equally good pairs the sum is worth; 0 where there are none."""
    n_pairs: NDArray[np.uint16]
    mean_coherence: NDArray[np.float32]
    residues: NDArray[np.float32]
    total_pairs: int
    total_years: float
    """Summed temporal baseline of all pairs in the window, for the scale of Fu et al. (2022) (radians)."""

    @property
    def is_lattice(self) -> bool:
        """Whether the first two directions are forward differences along both axes, as integration needs."""
        return closes(self.directions)

    @property
    def mm_per_radian(self) -> float:
        """Millimetres towards the satellite per radian of phase: -1000 wavelength / (4 pi)."""
        return -1000.0 * self.wavelength / (4 * math.pi)

    @property
    def velocity_gradient(self) -> NDArray[np.float32]:
        """(direction, y, x) in mm/yr per step, positive where the velocity towards the satellite grows."""
        return self.rate * np.float32(self.mm_per_radian)

    @property
    def velocity_gradient_sigma(self) -> NDArray[np.float32]:
        """Standard error of `velocity_gradient`, same unit."""
        return self.sigma * np.float32(abs(self.mm_per_radian))

    @property
    def radians(self) -> NDArray[np.float32]:
        """(direction, y, x): the summed phase difference on the scale of Fu et al. (2022), radians per step."""
        return self.rate * np.float32(self.total_years)

    @property
    def significance(self) -> NDArray[np.float32]:
        """(direction, y, x): velocity gradient over its standard error, as equivalent normal standard deviations.

        The standard error of few effective pairs is itself uncertain: the ratio follows Student's t. It is turned into
        the normal deviate of equal probability by Wallace's approximation, which stays below it: at 4.5 by less than
        0.1 for 5 pairs and more, by 0.6 for 2. Positive where the velocity towards the satellite grows.
        """
        t = self.rate / self.sigma
        freedom = np.maximum(self.effective_pairs - 1, 0.5)
        normal = (8 * freedom + 1) / (8 * freedom + 3) * np.sqrt(freedom * np.log1p(t**2 / freedom))
        return np.asarray(-np.sign(t) * normal, np.float32)

    @property
    def node_grid(self) -> Grid:
        """Grid whose pixel centres are the nodes; `n_pairs`, `mean_coherence` and velocity maps lie on it."""
        offset = node_offset(self.smoothing)
        return self.grid.shifted(offset, offset)

    def grid_of(self, direction: Direction) -> Grid:
        """Grid whose pixel centres are where the differences of `direction` belong."""
        offset = node_offset(self.smoothing)
        return self.grid.shifted(
            offset + (direction.start[0] + direction.end[0]) / 2, offset + (direction.start[1] + direction.end[1]) / 2
        )
