"""Simulated maps held against real ones: what every map shows in numbers, and where the two differ.

Quantiles and correlations of a map depend on its size, so all maps are cut into tiles of one size, and a real map is
held against single tiles of the simulated ones: it is covered by simulation in a figure if it lies between their 5 and
95 % quantiles. Of figures that are alike in both, one in ten lies outside by chance.
"""

import csv
import io
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from groundshift.detect.planes import PLANES
from groundshift.training.samples import IGNORED, Sample

__all__ = ["BINS", "LAGS", "QUANTILES", "UNITS", "Comparison", "Figures", "Row", "compare", "measure", "tiles_of"]

QUANTILES = (5, 25, 50, 75, 95, 99)
"""Of the nodes of a tile, per cent."""

LAGS = (1, 2, 4, 8)
"""Nodes between which significances are correlated."""

_SPREAD = (5, 50, 95)
"""Of the simulated tiles, per cent."""
_LEAST_KNOWN = 200
"""Fewest nodes with data in a tile whose figures count."""
_TILES_ACROSS = 4
"""Most tiles along either side of a map."""
UNITS = {"significance": "standard errors", "sigma": "mm/yr per 40 m", "gradient": "mm/yr per 40 m"}
BINS: dict[str, NDArray[np.float64]] = {
    "significance": np.linspace(0, 12, 49),
    "sigma": np.geomspace(0.01, 100, 49),
    "gradient": np.geomspace(0.01, 100, 49),
    "coherence": np.linspace(0, 1, 41),
}
"""Edges of the histograms; the outer bins hold what lies beyond."""


class Figures(NamedTuple):
    """What a tile shows in numbers; NaN where too few nodes have data."""

    moving: float
    """Share of the tile that bodies cover, as far as that is known."""
    values: dict[tuple[str, str], float]
    """By quantity and statistic: quantiles of the magnitudes of `significance` (standard errors), `gradient` and
    `sigma` (mm/yr per 40 m) and of `coherence`; `correlation along` and `correlation across` the difference, of the
    significance with itself; its excess `kurtosis`; and the share of `known` nodes."""
    shares: dict[str, NDArray[np.float64]]
    """Share of the nodes in each bin of a histogram."""


class Row(NamedTuple):
    """One figure, simulated and real."""

    quantity: str
    statistic: str
    simulated: tuple[float, float, float]
    """5, 50 and 95 % of the simulated tiles."""
    real: dict[str, float]
    """Of each real map: the median of its tiles."""
    below: dict[str, float]
    """Of each real map: share of the simulated tiles that lie below it."""

    @property
    def outside(self) -> list[str]:
        """Real maps that are not covered."""
        low, _, high = self.simulated
        return [name for name, value in self.real.items() if value < low or value > high]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Simulated maps held against real ones."""

    rows: tuple[Row, ...]
    histograms: dict[str, NDArray[np.float64]] = field(repr=False)
    """By quantity: (3, bin), shares at 5, 50 and 95 % of the simulated tiles."""
    real_histograms: dict[str, dict[str, NDArray[np.float64]]] = field(repr=False)
    """By quantity and real map: (bin,), mean share over its tiles."""
    tiles: int
    """Simulated tiles."""
    side: tuple[int, int]
    """Most rows and columns of a tile."""
    maps: tuple[str, ...]
    """Names of the real maps."""

    def table(self) -> str:
        """Write what real maps show and simulation does not cover, as text; figures furthest from it first."""
        size = f"{self.side[0]} x {self.side[1]} nodes"
        if not self.maps:
            many = f"{self.tiles} simulated tile{'' if self.tiles == 1 else 's'}"
            return f"{many} of at most {size}; no real map to hold against them\n"
        rows = [row for row in self.rows if row.outside]
        outside = sum(len(row.outside) for row in rows)
        judged = sum(bool(np.isfinite(value)) for row in self.rows for value in row.real.values())
        lines = [
            f"{outside} of {judged} figures of real maps lie outside the 5 to 95 % of {self.tiles} simulated tiles of "
            f"at most {size}; of maps alike a tenth would."
        ]
        if rows:
            lines.append(f"{'quantity':<20}{'statistic':<10}{'simulated 5-95 %':>20}{'real':>20}  maps outside")
        for row in sorted(rows, key=lambda row: -_distance(row)):
            low, _, high = row.simulated
            found = [row.real[name] for name in row.outside]
            span = _number(found[0]) if len(found) == 1 else f"{_number(min(found))} to {_number(max(found))}"
            names = ", ".join(row.outside[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
            lines.append(
                f"{row.quantity:<20}{row.statistic:<10}{f'{_number(low)} to {_number(high)}':>20}{span:>20}"
                f"  {len(found)} of {len(self.maps)}: {names}"
            )
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        """Write all figures and histograms as CSV: a line for each figure and each bin, a column for each real map."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        spread = [f"simulated {percent} %" for percent in _SPREAD]
        writer.writerow(["quantity", "unit", "statistic", *spread, *self.maps])
        for row in self.rows:
            unit = UNITS.get(row.quantity, "") if row.statistic.endswith("%") else ""
            values = [*row.simulated, *(row.real[name] for name in self.maps)]
            writer.writerow([row.quantity, unit, row.statistic, *map(_cell, values)])
        for quantity, bins in BINS.items():
            for k, (low, high) in enumerate(itertools.pairwise(bins)):
                shares = [*self.histograms[quantity][:, k], *(self.real_histograms[quantity][n][k] for n in self.maps)]
                writer.writerow([quantity, "share", f"{low:.4g} to {high:.4g}", *map(_cell, shares)])
        return text.getvalue()

    def facts(self) -> dict[str, Any]:
        """Return all figures, for machines."""
        return {
            "simulated_tiles": self.tiles,
            "tile": list(self.side),
            "maps": list(self.maps),
            "figures": [
                {
                    "quantity": row.quantity, "statistic": row.statistic,
                    "simulated": dict(zip(map(str, _SPREAD), row.simulated, strict=True)),
                    "real": row.real, "below": row.below, "outside": row.outside,
                }
                for row in self.rows
            ],
        }  # fmt: skip


def tiles_of(sample: Sample, side: tuple[int, int]) -> Iterator[Sample]:
    """Cut a sample into tiles, evenly placed, at most four along either side of it.

    Parameters
    ----------
    sample : Sample
    side : (int, int)
        Rows and columns of a tile; a sample that is smaller is one tile as it is.

    Yields
    ------
    Sample
        Tiles without any data are left out.
    """
    places = []
    for size, wanted in zip(sample.labels.shape, side, strict=True):
        count = max(1, min(_TILES_ACROSS, size // wanted))
        places.append(np.linspace(0, max(0, size - wanted), count).round().astype(int))
    for top, left in itertools.product(*places):
        place = (slice(top, top + side[0]), slice(left, left + side[1]))
        tile = replace(sample, planes=sample.planes[:, *place], labels=sample.labels[place])
        if tile.planes[PLANES.index("known")].any():
            yield tile


def measure(sample: Sample) -> Figures:
    """Measure a tile.

    Parameters
    ----------
    sample : Sample

    Returns
    -------
    Figures
        The correlation at a lag is the mean product of the deviations from the mean, over all nodes that lie so far
        apart, as a share of the variance; of both directions it is the mean.
    """
    plane = dict(zip(PLANES, sample.planes.astype(np.float64), strict=True))
    known = plane["known"] > 0
    moving = float(((sample.labels > 0) & (sample.labels != IGNORED)).mean())
    # A node may have a difference along one axis only.
    usable = [known & (plane[f"sigma_{axis}"] > 0) for axis in "yx"]
    if min(u.sum() for u in usable) < _LEAST_KNOWN:
        nothing = dict.fromkeys(_keys(), np.nan)
        shares = {name: np.full(bins.size - 1, np.nan) for name, bins in BINS.items()}
        return Figures(moving, {**nothing, ("known", "share"): float(known.mean())}, shares)
    found = {
        name: np.concatenate([np.abs(plane[f"{name}_{axis}"][u]) for axis, u in zip("yx", usable, strict=True)])
        for name in ("significance", "sigma", "gradient")
    }
    found["coherence"] = plane["coherence"][known]
    values: dict[tuple[str, str], float] = {}
    for name, numbers in found.items():
        for percent, value in zip(QUANTILES, np.percentile(numbers, QUANTILES), strict=True):
            values[name, f"{percent} %"] = float(value)
    maps = [(plane[f"significance_{axis}"], u) for axis, u in zip("yx", usable, strict=True)]
    for way, axes in (("along", (0, 1)), ("across", (1, 0))):
        for lag in LAGS:
            shared = [_correlation(*one, lag, axis) for one, axis in zip(maps, axes, strict=True)]
            values[f"correlation {way}", f"lag {lag}"] = float(np.mean(shared))
    values["kurtosis", "excess"] = float(np.mean([_kurtosis(m[u]) for m, u in maps]))
    values["known", "share"] = float(known.mean())
    shares = {name: _shares(numbers, BINS[name]) for name, numbers in found.items()}
    return Figures(moving, values, shares)


def compare(simulated: Sequence[Figures], real: Mapping[str, Sequence[Figures]], side: tuple[int, int]) -> Comparison:
    """Hold real maps against simulated tiles.

    Parameters
    ----------
    simulated : sequence of Figures
        At least one tile.
    real : mapping
        Tiles of each real map, by its name.
    side : (int, int)
        Most rows and columns of all these tiles.
    """
    rows = []
    for key in _keys():
        tiles = np.array([t.values[key] for t in simulated])
        tiles = np.sort(tiles[np.isfinite(tiles)])
        low, middle, high = np.percentile(tiles, _SPREAD) if tiles.size else (np.nan,) * 3
        shown = {name: _median([t.values[key] for t in found]) for name, found in real.items()}
        below = {n: float((tiles < v).mean()) if tiles.size and np.isfinite(v) else np.nan for n, v in shown.items()}
        rows.append(Row(*key, (float(low), float(middle), float(high)), shown, below))
    spread, means = {}, {}
    for name, bins in BINS.items():
        shares = [t.shares[name] for t in simulated if np.isfinite(t.shares[name]).all()]
        spread[name] = np.percentile(shares, _SPREAD, axis=0) if shares else np.full((3, bins.size - 1), np.nan)
        means[name] = {n: _mean([t.shares[name] for t in found], bins.size - 1) for n, found in real.items()}
    return Comparison(tuple(rows), spread, means, len(simulated), side, tuple(real))


def _keys() -> list[tuple[str, str]]:
    """Name all figures, in the order of the table."""
    quantiles = [(name, f"{percent} %") for name in BINS for percent in QUANTILES]
    lags = [(f"correlation {way}", f"lag {lag}") for way in ("along", "across") for lag in LAGS]
    return [*quantiles, *lags, ("kurtosis", "excess"), ("known", "share")]


def _correlation(values: NDArray[np.float64], usable: NDArray[np.bool_], lag: int, axis: int) -> float:
    """Correlate a map with itself, moved by `lag` nodes along `axis`."""
    off = np.where(usable, values - values[usable].mean(), 0)
    variance = off[usable].var()
    count = values.shape[axis] - lag
    if count < 1 or variance == 0:
        return np.nan
    here, there = (np.take(off, range(k, k + count), axis) for k in (0, lag))
    both = np.take(usable, range(count), axis) & np.take(usable, range(lag, lag + count), axis)
    return float((here * there)[both].mean() / variance) if both.any() else np.nan


def _kurtosis(values: NDArray[np.float64]) -> float:
    """Fourth moment over the squared variance, 0 for a normal distribution."""
    off = values - values.mean()
    variance = (off**2).mean()
    return float((off**4).mean() / variance**2 - 3) if variance > 0 else np.nan


def _shares(values: NDArray[np.float64], bins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of values in each bin; what lies beyond falls into the outer ones."""
    return np.asarray(np.histogram(np.clip(values, bins[0], bins[-1]), bins)[0] / max(1, values.size), np.float64)


def _median(values: Sequence[float]) -> float:
    """Median of what is known."""
    known = [value for value in values if np.isfinite(value)]
    return float(np.median(known)) if known else np.nan


def _mean(shares: Sequence[NDArray[np.float64]], size: int) -> NDArray[np.float64]:
    """Mean of the histograms that are known."""
    known = [share for share in shares if np.isfinite(share).all()]
    return np.asarray(np.mean(known, axis=0) if known else np.full(size, np.nan), np.float64)


def _distance(row: Row) -> float:
    """How far the furthest real map lies outside, in widths of the simulated spread."""
    low, _, high = row.simulated
    off = max(max(low - row.real[name], row.real[name] - high) for name in row.outside)
    return off / (high - low) if high > low else np.inf


def _number(value: float) -> str:
    """Write a number for the table."""
    return f"{value:.3g}"


def _cell(value: float) -> str:
    """Write a number for the CSV; what is not known is empty."""
    return f"{value:.6g}" if np.isfinite(value) else ""
