"""Compiled loops of `groundshift.geometry.orbits`, where their arguments are described.

A state is (9,): position, velocity, acceleration.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["positions_of", "ranges_of", "states_of", "times_of"]

_STRETCH = 256
"""Points of a row after which zero Doppler is solved anew."""
_REACH = 3000.0
"""Metres around a solved point within which its time of zero Doppler is carried on; ranges are then good to 1e-6 m."""
_SEMI_MAJOR = 6_378_137.0
_ECCENTRICITY_2 = 6.69437999014e-3
_STEPS = 30
_SETTLED = 1e-8
"""Seconds; the range is off by their square only."""


@njit(cache=True, nogil=True)
def positions_of(
    lon: NDArray[np.float64], lat: NDArray[np.float64], height: NDArray[np.float64], out: NDArray[np.float64]
) -> None:  # pragma: no cover - compiled
    """Write positions, (n, 3)."""
    for i in range(lon.size):
        sin_lat, cos_lat = np.sin(np.radians(lat[i])), np.cos(np.radians(lat[i]))
        normal = _SEMI_MAJOR / np.sqrt(1.0 - _ECCENTRICITY_2 * sin_lat * sin_lat)
        out[i, 0] = (normal + height[i]) * cos_lat * np.cos(np.radians(lon[i]))
        out[i, 1] = (normal + height[i]) * cos_lat * np.sin(np.radians(lon[i]))
        out[i, 2] = (normal * (1.0 - _ECCENTRICITY_2) + height[i]) * sin_lat


@njit(cache=True, nogil=True)
def _state(
    times: NDArray[np.float64], pieces: NDArray[np.float64], t: float, s: NDArray[np.float64]
) -> None:  # pragma: no cover - compiled
    """Write position, velocity and acceleration at a time into `s`, (9,)."""
    i = min(max(int(np.searchsorted(times, t, side="right")) - 1, 0), times.size - 2)
    span = times[i + 1] - times[i]
    x = (t - times[i]) / span
    for k in range(3):
        value, slope, bend = 0.0, 0.0, 0.0
        for m in range(pieces.shape[1] - 1, -1, -1):
            bend = bend * x + 2.0 * slope
            slope = slope * x + value
            value = value * x + pieces[i, m, k]
        s[k], s[3 + k], s[6 + k] = value, slope / span, bend / (span * span)


@njit(cache=True, nogil=True)
def states_of(
    times: NDArray[np.float64], pieces: NDArray[np.float64], wanted: NDArray[np.float64], out: NDArray[np.float64]
) -> None:  # pragma: no cover - compiled
    """Write positions and velocities, (n, 6)."""
    s = np.empty(9)
    for i in range(wanted.size):
        if wanted[i] >= times[0] and wanted[i] <= times[-1]:
            _state(times, pieces, wanted[i], s)
            out[i] = s[:6]
        else:
            out[i] = np.nan


@njit(cache=True, nogil=True)
def _solve(
    times: NDArray[np.float64],
    pieces: NDArray[np.float64],
    x: float,
    y: float,
    z: float,
    start: float,
    s: NDArray[np.float64],
) -> float:  # pragma: no cover - compiled
    """Return the time of zero Doppler of one point by Newton's way, leaving the state there in `s`."""
    t, wish = start, start
    for _ in range(_STEPS):
        _state(times, pieces, t, s)
        dx, dy, dz = x - s[0], y - s[1], z - s[2]
        ahead = s[3] * dx + s[4] * dy + s[5] * dz
        rate = s[3] * s[3] + s[4] * s[4] + s[5] * s[5] - s[6] * dx - s[7] * dy - s[8] * dz
        wish = t + ahead / rate
        step = min(max(wish, times[0]), times[-1]) - t
        t += step
        if not abs(step) > _SETTLED:
            break
    return t if abs(wish - t) <= 1e-6 else np.nan


@njit(cache=True, nogil=True)
def times_of(
    times: NDArray[np.float64], pieces: NDArray[np.float64], ground: NDArray[np.float64], out: NDArray[np.float64]
) -> None:  # pragma: no cover - compiled
    """Write times of zero Doppler, (n,)."""
    s = np.empty(9)
    start = 0.5 * (times[0] + times[-1])
    for i in range(out.size):
        out[i] = _solve(times, pieces, ground[i, 0], ground[i, 1], ground[i, 2], start, s)
        if np.isfinite(out[i]):
            start = out[i]


@njit(cache=True, nogil=True)
def _carry_on(
    ground: NDArray[np.float64], near: NDArray[np.float64], s: NDArray[np.float64], out: NDArray[np.float64]
) -> int:  # pragma: no cover - compiled
    """Write distances of points around `near`, whose state at zero Doppler is `s`; return how many are too far."""
    px, py, pz, x, y, z = near[0], near[1], near[2], s[0], s[1], s[2]
    vx, vy, vz, ax, ay, az = s[3], s[4], s[5], 0.5 * s[6], 0.5 * s[7], 0.5 * s[8]
    per_rate = 1.0 / (vx * vx + vy * vy + vz * vz - 2.0 * (ax * (px - x) + ay * (py - y) + az * (pz - z)))
    far = 0
    for j in range(out.size):
        dx, dy, dz = ground[j, 0] - px, ground[j, 1] - py, ground[j, 2] - pz
        later = (vx * dx + vy * dy + vz * dz) * per_rate
        far += dx * dx + dy * dy + dz * dz > _REACH * _REACH
        dx += px - x - later * (vx + later * ax)
        dy += py - y - later * (vy + later * ay)
        dz += pz - z - later * (vz + later * az)
        out[j] = np.sqrt(dx * dx + dy * dy + dz * dz)
    return far


@njit(cache=True, nogil=True)
def ranges_of(
    times: NDArray[np.float64], pieces: NDArray[np.float64], ground: NDArray[np.float64], out: NDArray[np.float64]
) -> None:  # pragma: no cover - compiled
    """Write distances at zero Doppler, (y, x): solved for one point of a stretch of a row, carried on to the others."""
    s = np.empty(9)
    start = 0.5 * (times[0] + times[-1])
    margin = 2.0 * _REACH / np.sqrt(np.sum(pieces[0, 1] ** 2)) * (times[1] - times[0])
    for i in range(out.shape[0]):
        j = 0
        while j < out.shape[1]:
            t = _solve(times, pieces, ground[i, j, 0], ground[i, j, 1], ground[i, j, 2], start, s)
            if not np.isfinite(t):
                out[i, j] = np.nan
                j += 1
                continue
            start = t
            end = min(j + _STRETCH, out.shape[1])
            # Near the ends of the orbit it must be asked of each point whether it is seen.
            alone = t - times[0] < margin or times[-1] - t < margin
            if alone or _carry_on(ground[i, j:end], ground[i, j], s, out[i, j:end]) > 0:
                for k in range(j, end):
                    x, y, z = ground[i, k, 0], ground[i, k, 1], ground[i, k, 2]
                    t = _solve(times, pieces, x, y, z, start, s)
                    out[i, k] = np.sqrt((x - s[0]) ** 2 + (y - s[1]) ** 2 + (z - s[2]) ** 2)
                    out[i, k] = out[i, k] if np.isfinite(t) else np.nan
            j = end
