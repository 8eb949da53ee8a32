"""Slow landslides: where they lie, how they move in space and time, and what of it the satellite sees.

A slide moves along the slope: horizontally the way the ground falls, and down by the slope angle. Its speed along the
slope is drawn; what is left of it in the line of sight depends on the aspect, so some slides are nearly blind.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter
from shapely import Polygon

from groundshift.errors import NoDataError
from groundshift.simulate.terrain import height_gradient
from groundshift.types import LookGeometry, MapGrid

__all__ = ["Course", "Profile", "Slide", "SlideLaw", "SlideTime", "draw_slides", "slope_vector"]

Profile = Literal["plug", "dome", "earthflow", "compound"]
SlideTime = Literal["steady", "seasonal", "accelerating"]

_PROFILES: tuple[Profile, ...] = ("plug", "dome", "earthflow", "compound")
_SITE_SLOPE = (12.0, 36.0)
"""Slopes in degrees that carry slow landslides."""
_SMOOTHING_M = 150.0
"""The ground falls one way over a whole slide: aspect and slope are those of heights smoothed so far."""
_BUFFER_M = 240.0
"""Least distance between two slides."""
_TRIES = 2000


class SlideLaw(NamedTuple):
    """What slides are drawn from; names and units are those of `SceneConfig`."""

    speed_mm_yr: tuple[float, float]
    length_m: float
    length_spread: float
    seasonal_share: float
    accelerating_share: float
    seasonal_amplitude: tuple[float, float]


@dataclass(frozen=True)
class Course:
    """How far a slide has come at a time, in years of its long-term speed.

    seasonal: speed `1 + amplitude cos(2 pi (t - peak))`, peak in years since the first date; accelerating: a logistic
    rise around `peak` from 1 to `1 + amplitude`, of time scale `rise` years, scaled to a mean of 1 over `span` years.
    """

    kind: SlideTime
    amplitude: float = 0.0
    peak: float = 0.0
    rise: float = 1.0
    span: float = 1.0

    def at(self, years: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance at times in years since the first date, zero at 0."""
        t = np.asarray(years, np.float64)
        if self.kind == "seasonal":
            turn = 2 * math.pi
            return t + self.amplitude / turn * (np.sin(turn * (t - self.peak)) + math.sin(turn * self.peak))
        if self.kind == "accelerating":
            return self._risen(t) * (self.span / self._risen(np.asarray(self.span)))
        return t.copy()

    def _risen(self, t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Integral of 1 + amplitude * logistic((t - peak) / rise), from 0."""
        log_term = np.logaddexp(0, (t - self.peak) / self.rise) - np.logaddexp(0, -self.peak / self.rise)
        return np.asarray(t + self.amplitude * self.rise * log_term)


@dataclass(frozen=True, eq=False)
class Slide:
    """One slide with all that is true of it.

    `pattern` is the speed relative to the peak, 0 to 1, on the pixels that `rows` and `columns` cut out of the scene.
    """

    id: int
    profile: Profile
    course: Course
    polygon: Polygon
    """Outline in longitude and latitude (EPSG:4326)."""
    azimuth: float
    """Direction of motion, degrees clockwise from north."""
    slope: float
    """Degrees below the horizontal at which it moves."""
    length_m: float
    width_m: float
    speed: float
    """Peak speed along the slope in mm/yr, long-term."""
    sensitivity: float
    """Share of the speed in the line of sight, positive towards the satellite."""
    net: float
    """Mean speed over the dates of the scene, relative to the long-term one."""
    rows: slice
    columns: slice
    pattern: NDArray[np.float32] = field(repr=False)

    @property
    def behaviour(self) -> SlideTime:
        """How it moves in time."""
        return self.course.kind

    @property
    def los_velocity(self) -> float:
        """Peak of the mean velocity over the dates of the scene, mm/yr towards the satellite."""
        return self.speed * self.sensitivity * self.net

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """Pixels that move, on the whole scene."""
        mask = np.zeros(shape, np.bool_)
        mask[self.rows, self.columns] = self.pattern > 0
        return mask


def slope_vector(azimuth: float, slope: float) -> tuple[float, float, float]:
    """Return the unit vector (east, north, up) of a motion towards `azimuth` down a `slope`, both in degrees."""
    a, s = math.radians(azimuth), math.radians(slope)
    return (math.cos(s) * math.sin(a), math.cos(s) * math.cos(a), -math.sin(s))


def draw_slides(
    count: int,
    law: SlideLaw,
    *,
    heights: NDArray[np.float32],
    unfit: NDArray[np.bool_],
    grid: MapGrid,
    look: LookGeometry,
    years: NDArray[np.float64],
    year_fraction: float,
    rng: np.random.Generator,
) -> tuple[Slide, ...]:
    """Place slides on slopes of 12 to 36 degrees, apart from one another and wholly inside the scene.

    Parameters
    ----------
    count : int
        How many.
    law : SlideLaw
        Speeds, sizes and behaviours to draw from.
    heights : (y, x) array
        Metres.
    unfit : (y, x) bool array
        Where no slide may lie: rivers, glaciers, permanent snow.
    grid : MapGrid
        North-up grid with square pixels.
    look : LookGeometry
        Of the satellite.
    years : (date,) array
        Dates in years since the first one.
    year_fraction : float
        Time of the year of the first date, 0 to 1.
    rng : numpy Generator
        Source of randomness.

    Raises
    ------
    NoDataError
        If the scene has no room for so many.
    """
    pixel_m = grid.spacing[0]
    smooth = gaussian_filter(heights, _SMOOTHING_M / pixel_m)
    east, north = height_gradient(smooth, pixel_m)
    slope = np.degrees(np.arctan(np.hypot(east, north)))
    free = ~unfit
    fit = free & (slope > _SITE_SLOPE[0]) & (slope < _SITE_SLOPE[1])
    centres = np.argwhere(fit)
    buffer = math.ceil(_BUFFER_M / pixel_m)
    slides: list[Slide] = []
    for number in range(1, count + 1):
        for attempt in range(_TRIES if len(centres) else 0):
            # A size is tried in many places before it is given up, or else only small slides would be left.
            if attempt % (_TRIES // 4) == 0:
                size = _draw_shape(law, rng)
            row, column = centres[rng.integers(len(centres))]
            azimuth = math.degrees(math.atan2(-east[row, column], -north[row, column]))
            shape = size._replace(azimuth=azimuth + rng.uniform(-15, 15))
            cut = shape.place(int(row), int(column), pixel_m, grid.shape)
            if cut is None:
                continue
            rows, columns, xi, eta = cut
            rho = shape.radius(xi, eta)
            inside = rho < 1
            if inside.sum() < 9 or not free[rows, columns][inside].all() or fit[rows, columns][inside].mean() < 0.7:
                continue
            profile, pattern = _draw_profile(rho, xi, eta, rng)
            course = _draw_course(law, years, year_fraction, rng)
            motion = (azimuth + rng.uniform(-10, 10)) % 360
            angle = float(slope[rows, columns][inside].mean())
            speed = math.exp(rng.uniform(*np.log(law.speed_mm_yr)))
            sensitivity = float(np.dot(slope_vector(motion, angle), look.to_satellite))
            net = float(course.at(years[-1:])[0] / years[-1])
            outline = shape.outline(int(row), int(column), pixel_m)
            polygon = Polygon(np.column_stack(grid.lonlat(outline[:, 0], outline[:, 1])))
            slides.append(
                Slide(
                    number, profile, course, polygon, motion, angle, shape.length_m, shape.width_m, speed, sensitivity,
                    net, rows, columns, pattern,
                )
            )  # fmt: skip
            near = tuple(slice(max(s.start - buffer, 0), s.stop + buffer) for s in (rows, columns))
            free[near] &= distance_transform_edt(~slides[-1].mask(grid.shape)[near]) > buffer
            centres = np.argwhere(fit & free)
            break
        else:
            raise NoDataError(f"no room for slide {number} of {count}; ask for fewer slides or a larger scene")
    return tuple(slides)


class _Shape(NamedTuple):
    """Outline of a slide: a superellipse whose radius is perturbed; xi runs down the long axis, eta across."""

    length_m: float
    width_m: float
    azimuth: float
    exponent: float
    waves: NDArray[np.float64]
    """Amplitude and phase of the perturbation with 2, 3, 4, 5 waves around the outline."""

    def _edge(self, angle: NDArray[np.float64]) -> NDArray[np.float64]:
        """Radius of the perturbed outline relative to the superellipse."""
        order = np.arange(2, 2 + len(self.waves)).reshape(-1, *(1,) * angle.ndim)
        amplitude, phase = self.waves.T.reshape(2, -1, *(1,) * angle.ndim)
        return np.asarray(1 + (amplitude * np.cos(order * angle + phase)).sum(0))

    def radius(self, xi: NDArray[np.float64], eta: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance from the centre relative to the outline: 0 at the centre, 1 on the outline."""
        m = self.exponent
        plain = (np.abs(xi) ** m + np.abs(eta) ** m) ** (1 / m)
        return np.asarray(plain / self._edge(np.arctan2(eta, xi)))

    def place(
        self, row: int, column: int, pixel_m: float, shape: tuple[int, int]
    ) -> tuple[slice, slice, NDArray[np.float64], NDArray[np.float64]] | None:
        """Return the pixels around a centre and their (xi, eta); None where they reach over the border."""
        half = math.ceil(0.75 * math.hypot(self.length_m, self.width_m) / pixel_m) + 1
        if row < half or column < half or row + half >= shape[0] or column + half >= shape[1]:
            return None
        y, x = np.mgrid[-half : half + 1, -half : half + 1] * pixel_m
        a = math.radians(self.azimuth)
        xi = (x * math.sin(a) - y * math.cos(a)) / (self.length_m / 2)
        eta = (x * math.cos(a) + y * math.sin(a)) / (self.width_m / 2)
        return slice(row - half, row + half + 1), slice(column - half, column + half + 1), xi, eta

    def outline(self, row: int, column: int, pixel_m: float) -> NDArray[np.float64]:
        """Corners of the outline in pixel coordinates (y, x), 72 of them."""
        angle = np.linspace(-math.pi, math.pi, 72, endpoint=False)
        cos, sin = np.cos(angle), np.sin(angle)
        m = self.exponent
        r = self._edge(angle) / (np.abs(cos) ** m + np.abs(sin) ** m) ** (1 / m)
        along, across = r * cos * self.length_m / 2, r * sin * self.width_m / 2
        a = math.radians(self.azimuth)
        y, x = -along * math.cos(a) + across * math.sin(a), along * math.sin(a) + across * math.cos(a)
        return np.column_stack([row + y / pixel_m, column + x / pixel_m])


def _draw_shape(law: SlideLaw, rng: np.random.Generator) -> _Shape:
    """Draw size and outline, not yet turned: length lognormal within 300 to 2500 m, one to three times the width."""
    length = float(np.clip(law.length_m * math.exp(law.length_spread * rng.standard_normal()), 300.0, 2500.0))
    waves = np.column_stack([np.clip(rng.normal(0, 0.05, 4), -0.08, 0.08), rng.uniform(0, 2 * math.pi, 4)])
    return _Shape(length, length / rng.uniform(1, 3), 0.0, rng.uniform(2, 3), waves)


def _draw_profile(
    rho: NDArray[np.float64], xi: NDArray[np.float64], eta: NDArray[np.float64], rng: np.random.Generator
) -> tuple[Profile, NDArray[np.float32]]:
    """Draw how speed is spread over the slide: peak 1, zero on the outline and outside."""
    profile = _PROFILES[rng.integers(len(_PROFILES))]
    inner = np.minimum(rho, 1)
    if profile == "plug":
        pattern = 1 - inner ** rng.uniform(4, 10)
    elif profile == "dome":
        pattern = (1 - inner**2) ** rng.uniform(1, 2)
    elif profile == "earthflow":
        # The shape of a viscoplastic flow across, and faster towards the head.
        pattern = (1 - inner ** rng.uniform(2, 4)) * (1 - rng.uniform(0.2, 0.6) * np.clip((xi + 1) / 2, 0, 1))
    else:
        # One slow body that holds one or two faster ones.
        pattern = rng.uniform(0.2, 0.6) * (1 - inner**6)
        for _ in range(rng.integers(1, 3)):
            along, across, size = rng.uniform(-0.45, 0.45), rng.uniform(-0.3, 0.3), rng.uniform(0.35, 0.5)
            unit = np.minimum(np.hypot(xi - along, eta - across) / size, 1)
            pattern = pattern + rng.uniform(0.2, 0.6) * (1 - unit**4) * (1 - inner**6)
    return profile, (pattern / pattern.max()).astype(np.float32)


def _draw_course(law: SlideLaw, years: NDArray[np.float64], year_fraction: float, rng: np.random.Generator) -> Course:
    """Draw the behaviour in time."""
    lot = rng.uniform()
    if lot < law.seasonal_share:
        # The rains peak in July, the slides one to two months later.
        peak = rng.uniform(0.62, 0.71) - year_fraction
        return Course("seasonal", amplitude=float(rng.uniform(*law.seasonal_amplitude)), peak=float(peak))
    if lot < law.seasonal_share + law.accelerating_share:
        span = float(years[-1])
        peak, rise = rng.uniform(0.4, 0.8) * span, rng.uniform(0.05, 0.15) * span
        return Course("accelerating", float(rng.uniform(1, 4)), float(peak), float(rise), span)
    return Course("steady")
