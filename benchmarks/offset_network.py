"""A real network of offsets: optical pairs over a landslide in the Argentine Andes, inverted into a series.

Each pair is corrected by stable ground, both components are inverted, and the area that moves is what is left.
"""

import os
import re
import time
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from scipy import ndimage

from groundshift.offsets.inversion import OffsetSeries, invert_offsets, loop_closure
from groundshift.offsets.quality import stable_ground_correction
from groundshift.types import Pair

COMPONENTS = ("east", "north")
SIGNIFICANT, LEAST_CELLS = 3.0, 50


class Network(NamedTuple):
    """Offsets of all pairs, metres."""

    pairs: tuple[Pair, ...]
    displacement: NDArray[np.float32]
    """(component, pair, y, x)"""
    cell: float
    """Square metres."""


def read_network(folder: Path) -> Network:
    paths = sorted(folder.glob("*-F.tif"))
    pairs, bands, cell = [], [], 0.0
    for path in paths:
        days = [date.fromisoformat(day) for day in re.findall(r"(\d{8})T", path.name)]
        pairs.append(Pair(*days))
        with rasterio.open(path) as source:
            dx, dy, flag = source.read()
            cell = abs(source.transform.a * source.transform.e)
        bands.append(np.where(flag > 0, np.stack([dx, dy]), np.nan))
    return Network(tuple(pairs), np.stack(bands, axis=1).astype(np.float32), cell)


def corrected(network: Network) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Subtract what stable ground shows: displacement, and scatter (component, pair)."""
    found = [[stable_ground_correction(moved) for moved in component] for component in network.displacement]
    displacement = np.stack([[one.corrected for one in component] for component in found])
    return displacement, np.array([[one.scatter for one in component] for component in found])


def moving_area(series: list[OffsetSeries]) -> tuple[NDArray[np.bool_], NDArray[np.float64], float]:
    """Find the largest connected area faster than three times the scatter of the rest: mask, speed, threshold."""
    rates = np.stack([one.rate for one in series]).astype(np.float64)
    speed = np.hypot(*rates)
    spread = [1.4826 * np.nanmedian(np.abs(rate - np.nanmedian(rate))) for rate in rates]
    fast = np.hypot(*(rate / s for rate, s in zip(rates, spread, strict=True))) > SIGNIFICANT
    labels, _ = ndimage.label(ndimage.binary_opening(fast, np.ones((3, 3))))
    sizes = np.bincount(labels.ravel())[1:]
    if sizes.max(initial=0) < LEAST_CELLS:
        raise SystemExit("nothing moves")
    return labels == np.argmax(sizes) + 1, speed, SIGNIFICANT * float(np.mean(spread))


def of_series(series: OffsetSeries, pairs: tuple[Pair, ...]) -> NDArray[np.float32]:
    """Displacement of the pairs that the series tells."""
    index = {day: k for k, day in enumerate(series.dates)}
    return np.stack([series.displacement[index[p.secondary]] - series.displacement[index[p.reference]] for p in pairs])


def main() -> None:
    network = read_network(Path(os.environ["GROUNDSHIFT_DATA"]) / "del_medio_offsets")
    displacement, scatter = corrected(network)
    began = time.perf_counter()
    series = [invert_offsets(moved, spread, network.pairs) for moved, spread in zip(displacement, scatter, strict=True)]
    spent = time.perf_counter() - began
    moving, speed, threshold = moving_area(series)
    print(f"{len(network.pairs)} pairs, {len(series[0].dates)} dates, {moving.shape} pixels, inverted in {spent:.0f} s")
    print("\nStable ground before and after (robust scatter), RMS residual of the inversion, metres; left out")
    print("pair               " + "".join(f"  {name:>6} after  resid   out" for name in COMPONENTS))
    for k, pair in enumerate(network.pairs):
        line = f"{pair.name}  "
        for c, one in enumerate(series):
            raw = network.displacement[c, k]
            before = 1.4826 * np.nanmedian(np.abs(raw))
            line += f"  {before:6.3f} {scatter[c, k]:5.3f} {one.residual[k]:6.3f} {one.left_out[k]:5.1%}"
        print(line)
    print(f"\nMoving: {moving.sum() * network.cell / 1e6:.2f} km2 in one piece faster than about {threshold:.2f} m/yr")
    inside, outside = speed[moving], speed[~moving & np.isfinite(speed)]
    print(f"  speed there: median {np.median(inside):.2f}, 95th percentile {np.percentile(inside, 95):.2f} m/yr")
    print(f"  elsewhere:   median {np.median(outside):.3f} m/yr")
    for name, one in zip(COMPONENTS, series, strict=True):
        sigma = np.median(one.rate_sigma[moving])
        print(f"  {name:5} rate: median {np.median(one.rate[moving]):+.2f} +- {sigma:.2f} m/yr (one pixel)")
    print("\nEach pair and the shortest way round it, RMS of what they miss zero by, metres:")
    print("as given, corrected by stable ground, pairs that count, corrected in the moving area, and of the series")
    for c, name in enumerate(COMPONENTS):
        agree = np.abs(displacement[c] - of_series(series[c], network.pairs)) < 4.685 * scatter[c][:, None, None]
        cases = {
            "as given": network.displacement[c],
            "corrected": displacement[c],
            "that count": np.where(agree, displacement[c], np.nan),
            "moving area": np.where(moving, displacement[c], np.nan),
            "series": of_series(series[c], network.pairs),
        }
        found = {label: loop_closure(moved, network.pairs) for label, moved in cases.items()}
        loops = len(found["as given"].loops)
        numbers = ", ".join(f"{label} {one.overall:.4f}" for label, one in found.items())
        print(f"  {name:5} ({loops} loops): {numbers}")


if __name__ == "__main__":
    main()
