"""A small scene whose every number is known, for the writers of true-layout products in this folder.

How to join the contract suite (tests/contracts/test_readers.py) with a reader: add `tests/products/<name>.py` with

- `NAME`: the reader's `PRODUCT`; `MODULE`: where it lives, such as `"groundshift.io.gamma"`;
- `write(folder, scene) -> Path`: write every `Layer` of `scene.layers` in the product's own layout, sign and byte
  order under `folder` (which exists), and return the path that a user would give. A layer's `first` and `second` are
  the dates that names and headers must carry, even the wrong way round; `copy` 1 is a second product of the same pair
  (another suffix or folder); its arrays may contain NaN and inf, and may have another grid than the scene's. Write
  them as they are.

and, only where the answer differs from the default below:

- `CRS = "EPSG:4326"`: coordinate system of the scene wanted (projected ones have 40 m pixels);
- `GIVES = ALL`: a set out of `ALL`, what the product tells: "coherence", "heights", "baselines", "wavelength", "look";
- `LOCATION_PIXELS = 0.01`: how far the position of a pixel may be off;
- `COHERENCE_TOLERANCE = 1e-3`, `PHASE_TOLERANCE = 1e-4`;
- `CANNOT = frozenset()`: bad inputs that the layout cannot express: "doubled" (a pair twice), "reversed", "differing"
  (a pair on another grid), "companion" (no second file whose absence matters), "truncated";
- `ONE_FILE = False`: all pairs live in one file, so that a truncated file is an error at open;
- `remove_companion(root, pair)`: take away a file that this pair needs (by default `stack.files[pair][-1]` goes).
"""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from groundshift.types import LookGeometry, MapGrid, Pair

__all__ = ["ALL", "Layer", "Scene", "make_scene"]

ALL = frozenset({"coherence", "heights", "baselines", "wavelength", "look"})


@dataclass(frozen=True)
class Layer:
    """One interferogram. `unwrapped` is in radians with our sign: it grows when the ground moves away."""

    first: date
    second: date
    baseline: float
    unwrapped: NDArray[np.float32]
    coherence: NDArray[np.float32]
    valid: NDArray[np.bool_]
    grid: MapGrid
    copy: int = 0

    @property
    def name(self) -> str:
        """`YYYYMMDD_YYYYMMDD`, in the order of `first` and `second`."""
        return f"{self.first:%Y%m%d}_{self.second:%Y%m%d}"

    @property
    def pair(self) -> Pair:
        """The pair; raises ValueError when the dates are the wrong way round."""
        return Pair(self.first, self.second, self.baseline)

    @property
    def wrapped(self) -> NDArray[np.float32]:
        """Phase in (-pi, pi], our sign, in invalid pixels too."""
        with np.errstate(invalid="ignore"):
            return np.angle(np.exp(1j * self.unwrapped)).astype(np.float32)

    @property
    def igram(self) -> NDArray[np.complex64]:
        """What the reader must return: coherence times phasor, zero where invalid or not finite."""
        good = self.valid & np.isfinite(self.unwrapped) & np.isfinite(self.coherence)
        phase, coherence = np.where(good, self.unwrapped, 0), np.where(good, self.coherence, 0)
        return (coherence * np.exp(1j * phase)).astype(np.complex64)


@dataclass(frozen=True)
class Scene:
    """Layers on one grid, with terrain and the geometry of the satellite."""

    grid: MapGrid
    layers: tuple[Layer, ...]
    heights: NDArray[np.float32]
    wavelength: float = 0.055465763
    look: LookGeometry = field(default_factory=lambda: LookGeometry(heading=-169.8, incidence=37.3))

    def lonlat(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude of every pixel centre, in degrees."""
        return self.grid.lonlat(*np.mgrid[: self.grid.shape[0], : self.grid.shape[1]].astype(np.float64))

    def with_layer(self, index: int, layer: Layer) -> "Scene":
        """Return the scene with one layer replaced."""
        return replace(self, layers=(*self.layers[:index], layer, *self.layers[index + 1 :]))

    def reversed(self, index: int) -> "Scene":
        """Return the scene with the dates of one layer the wrong way round."""
        layer = self.layers[index]
        return self.with_layer(index, replace(layer, first=layer.second, second=layer.first))

    def doubled(self, index: int) -> "Scene":
        """Return the scene with one layer given twice."""
        return replace(self, layers=(*self.layers, replace(self.layers[index], copy=1)))

    def differing(self, index: int) -> "Scene":
        """Return the scene with one layer two rows higher and three columns wider, half a pixel beside the others."""
        layer = self.layers[index]
        y, x = layer.grid.shape[0] + 2, layer.grid.shape[1] + 3
        return self.with_layer(
            index,
            replace(
                layer,
                unwrapped=np.resize(layer.unwrapped, (y, x)),
                coherence=np.full((y, x), 0.5, np.float32),
                valid=np.ones((y, x), bool),
                grid=replace(layer.grid.shifted(0.5, 0.5), shape=(y, x)),
            ),
        )

    def emptied(self, index: int) -> "Scene":
        """Return the scene with one layer that has no data at all."""
        layer = self.layers[index]
        return self.with_layer(index, replace(layer, valid=np.zeros(layer.grid.shape, bool)))

    def poisoned(self, index: int) -> "Scene":
        """Return the scene with NaN and infinite phase in three valid pixels of one layer: (5, 6), (7, 8), (9, 3)."""
        layer = self.layers[index]
        unwrapped = layer.unwrapped.copy()
        unwrapped[[5, 7, 9], [6, 8, 3]] = np.nan, np.inf, -np.inf
        return self.with_layer(index, replace(layer, unwrapped=unwrapped))


def make_scene(crs: str = "EPSG:4326", shape: tuple[int, int] = (40, 30)) -> Scene:
    """Make four interferograms of three dates and one apart, with steep known ramps, near 101.97 E 30.84 N.

    Each phase is `days / 12 * (0.2 y - 0.13 x) + constant`, several turns over the scene, nowhere exactly 0; coherence
    is a multiple of 1/255 within [0.2, 0.8]; the first three rows and the last two columns have no data.
    """
    if crs == "EPSG:4326":
        transform = Affine(0.001, 0, 101.95, 0, -0.001, 30.86)
    else:
        transform = Affine(40, 0, 210_000, 0, -40, 3_416_000)
    grid = MapGrid(shape, transform, crs)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    valid = (y >= 3) & (x < shape[1] - 2)
    start = date(2018, 7, 2)
    layers = []
    for number, (first, second) in enumerate([(0, 12), (0, 24), (12, 24), (60, 96)]):
        ramp = (second - first) / 12 * (0.2 * y - 0.13 * x) + 0.41357 + 0.3 * number
        coherence = np.round(255 * (0.5 + 0.3 * np.sin(0.2 * x + number) * np.cos(0.15 * y))) / 255
        layers.append(
            Layer(
                start + timedelta(first),
                start + timedelta(second),
                {(0, 12): 35.5, (0, 24): -20.25, (12, 24): -55.75, (60, 96): 80.0}[first, second],
                ramp.astype(np.float32),
                coherence.astype(np.float32),
                valid,
                grid,
            )
        )
    heights = (2000 + 12 * y + 7 * x + 30 * np.sin(0.3 * x)).astype(np.float32)
    return Scene(grid, tuple(layers), heights)
