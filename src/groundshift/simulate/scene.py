"""A stack of interferograms whose truth is known, made from a seed.

Every part draws from its own random stream, and each date and each pair has one too: an interferogram is the same
whichever others were asked for before it. Phase is that of `reference * conj(secondary)`; it grows when the ground
moves away from the satellite.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from scipy.ndimage import distance_transform_edt, find_objects, gaussian_filter, label

from groundshift.constants import DAYS_PER_YEAR
from groundshift.errors import NoDataError
from groundshift.io.stack import InterferogramStack
from groundshift.simulate.atmosphere import power_law_fields, stratified_delay, turbulence
from groundshift.simulate.config import SceneConfig
from groundshift.simulate.decorrelation import (
    Cover,
    add_noise,
    foreshortening_loss,
    snow_lines,
    strain_loss,
    summer,
)
from groundshift.simulate.slides import Slide, SlideLaw, draw_slides, slope_vector
from groundshift.simulate.terrain import Terrain, height_gradient, make_terrain, range_slope
from groundshift.types import LookGeometry, MapGrid, Pair, Window

__all__ = ["Scene", "simulate_scene", "to_stack"]

_CACHE_BYTES = 256 * 2**20
_SNOW_COHERENCE = 0.1
_RIVER_COHERENCE = 0.02
_GLACIER_SPEED_MM_YR = (200.0, 1200.0)
_SMALLEST_GLACIER_M2 = 1e5

# Random streams, one for each part of the scene, so that a change to one leaves the others as they were.
_DATES, _TERRAIN, _COVER, _SLIDES, _SNOW, _GLACIER, _DEM_ERROR, _AIR, _STRATIFIED, _NOISE = range(10)


@dataclass(frozen=True, eq=False)
class Scene:
    """A simulated stack with its truth. Arrays are (y, x) on `grid` and are not to be written to."""

    config: SceneConfig
    grid: MapGrid
    dates: tuple[date, ...]
    pairs: tuple[Pair, ...]
    slides: tuple[Slide, ...]
    baselines: NDArray[np.float64] = field(repr=False)
    """(date,) metres; that of a pair is secondary minus reference."""
    heights: NDArray[np.float32] = field(repr=False)
    """Metres, as the DEM has them: without `dem_error`."""
    cover: NDArray[np.uint8] = field(repr=False)
    """`Cover` values."""
    velocity: NDArray[np.float32] = field(repr=False)
    """Mean over the dates in mm/yr, positive towards the satellite; slides and glaciers."""
    glacier_velocity: NDArray[np.float32] = field(repr=False)
    """The part of it that is ice."""
    dem_error: NDArray[np.float32] = field(repr=False)
    """True height minus that of the DEM, metres."""
    forest: NDArray[np.float32] = field(repr=False)
    """How much of the ground is wooded, 0 to 1."""
    slope_factor: NDArray[np.float32] = field(repr=False)
    """Factor on coherence from foreshortening, layover and shadow."""
    snow_height: NDArray[np.float32] = field(repr=False)
    """Height in metres that counts for snow: lower where it melts early."""
    snow_lines: NDArray[np.float64] = field(repr=False)
    """(date,) snow lies where `snow_height` is above; infinite without snow."""

    @property
    def look(self) -> LookGeometry:
        """How the satellite looks."""
        return self.config.look

    @property
    def blind(self) -> NDArray[np.bool_]:
        """Layover and shadow."""
        steep = range_slope(self.heights, self.config.pixel_m, self.look)
        return (steep >= self.config.incidence) | (steep <= self.config.incidence - 90)

    @property
    def slide_mask(self) -> NDArray[np.bool_]:
        """Pixels of any slide."""
        mask = np.zeros(self.grid.shape, np.bool_)
        for slide in self.slides:
            mask |= slide.mask(self.grid.shape)
        return mask

    def delay(self, day: date) -> NDArray[np.float32]:
        """Two-way delay of the air on one date in radians, (y, x)."""
        index = self._index[day]
        delay: NDArray[np.float32] = self._delays(index // 2)[index % 2]
        return delay

    def displacement(self, reference: date, secondary: date) -> NDArray[np.float32]:
        """How far the ground comes towards the satellite between two dates, (y, x) in mm."""
        years = np.array([(d - self.dates[0]).days / DAYS_PER_YEAR for d in (reference, secondary)])
        total = self.glacier_velocity * np.float32(years[1] - years[0])
        for slide in self.slides:
            way = float(np.diff(slide.course.at(years))[0]) * slide.speed * slide.sensitivity
            total[slide.rows, slide.columns] += np.float32(way) * slide.pattern
        return total

    def phase(self, pair: Pair) -> NDArray[np.float32]:
        """Noise-free phase of a pair in radians, not wrapped, (y, x): motion, air and DEM error."""
        config = self.config
        first, last = self._index[pair.reference], self._index[pair.secondary]
        per_mm = -4 * math.pi / config.wavelength_m / 1000
        sine = math.sin(math.radians(config.incidence))
        per_height = 4 * math.pi / (config.wavelength_m * config.slant_range_m * sine)
        total = self.displacement(pair.reference, pair.secondary) * np.float32(per_mm)
        total += self.delay(pair.secondary) - self.delay(pair.reference)
        total += self.dem_error * np.float32(per_height * (self.baselines[last] - self.baselines[first]))
        return total

    def coherence(self, pair: Pair) -> NDArray[np.float32]:
        """Return the true coherence of a pair, (y, x) in [0, 1]."""
        return self._coherence(pair, self.phase(pair))

    def igram(self, pair: Pair) -> NDArray[np.complex64]:
        """Interferogram of a pair: estimated coherence times noisy phasor, (y, x); not to be written to.

        Raises
        ------
        KeyError
            If one of its dates is not one of the scene.
        """
        made: NDArray[np.complex64] = self._igrams(pair)
        return made

    def _coherence(self, pair: Pair, phase: NDArray[np.float32]) -> NDArray[np.float32]:
        """Coherence of a pair whose noise-free phase is known."""
        config = self.config
        season = 0.5 * (summer(_year_fraction(pair.reference)) + summer(_year_fraction(pair.secondary)))
        loss = config.summer_loss * season
        bare = config.bare.at(pair.days) * (1 - loss * 2 / 3)
        forest = config.forest.at(pair.days) * (1 - loss)
        gamma = bare + self.forest * np.float32(forest - bare)
        gamma[self.cover == Cover.GLACIER] = config.glacier.at(pair.days)
        gamma[self.cover == Cover.RIVER] = _RIVER_COHERENCE
        gamma *= self.slope_factor
        gamma *= strain_loss(phase)
        line = min(self.snow_lines[self._index[d]] for d in (pair.reference, pair.secondary))
        return np.where(self.snow_height > line, np.minimum(gamma, _SNOW_COHERENCE), gamma).astype(np.float32)

    def _make_igram(self, pair: Pair) -> NDArray[np.complex64]:
        phase = self.phase(pair)
        rng = _rng(self.config, _NOISE, pair.reference.toordinal(), pair.secondary.toordinal())
        igram = add_noise(
            phase, self._coherence(pair, phase), self.config.looks, rng, window=self.config.coherence_window
        )
        igram.flags.writeable = False
        return igram

    def _make_delays(self, number: int) -> NDArray[np.float32]:
        """Draw the delays of the dates 2 * number and 2 * number + 1."""
        config = self.config
        both = turbulence(
            self.grid.shape, config.pixel_m, config.turbulence_exponent, config.turbulence_rad,
            _rng(config, _AIR, number),
        )  # fmt: skip
        for half, day in enumerate(self.dates[2 * number : 2 * number + 2]):
            both[half] += stratified_delay(
                self.heights, _year_fraction(day), config.stratified_rad_per_km, config.stratified_annual_rad_per_km,
                _rng(config, _STRATIFIED, 2 * number + half),
            )  # fmt: skip
        return both

    @cached_property
    def _index(self) -> dict[date, int]:
        return {day: index for index, day in enumerate(self.dates)}

    @cached_property
    def _delays(self) -> Callable[[int], NDArray[np.float32]]:
        return lru_cache(max(4, _CACHE_BYTES // (8 * self.heights.size)))(self._make_delays)

    @cached_property
    def _igrams(self) -> Callable[[Pair], NDArray[np.complex64]]:
        return lru_cache(max(2, _CACHE_BYTES // (8 * self.heights.size)))(self._make_igram)


def simulate_scene(config: SceneConfig) -> Scene:
    """Make a scene: the same one, bit by bit, from the same configuration.

    Raises
    ------
    NoDataError
        If the scene has no room for the slides wanted, or its dates give no pair.

    Examples
    --------
    >>> scene = simulate_scene(SceneConfig(shape=(60, 80), n_dates=4, n_slides=0, gap_share=0))
    >>> len(scene.pairs), scene.igram(scene.pairs[0]).shape
    (6, (60, 80))
    """
    look, pixel_m = config.look, config.pixel_m
    grid = _make_grid(config)
    dates, baselines, pairs = _make_dates(config)
    years = np.array([(d - dates[0]).days / DAYS_PER_YEAR for d in dates])
    terrain = make_terrain(config.shape, pixel_m, config.max_slope, config.base_height_m, _rng(config, _TERRAIN))
    heights = terrain.heights

    cover_rng = _rng(config, _COVER)
    texture, _, _ = power_law_fields(config.shape, pixel_m, 3.0, cover_rng)
    # Woods thin out with height; the field's own scale makes clearings of some hundred metres.
    wooded = texture / texture.std() - (heights - heights.mean()) / heights.std()
    threshold = np.quantile(wooded, 1 - config.forest_share)
    forest = (1 / (1 + np.exp(-3 * (wooded - threshold)))).astype(np.float32)
    cover = np.where(forest > 0.5, Cover.FOREST, Cover.BARE).astype(np.uint8)
    cover[terrain.river] = Cover.RIVER
    glacier_velocity = np.zeros(config.shape, np.float32)
    if config.glaciers:
        glacier_velocity = _make_glaciers(terrain, pixel_m, look, _rng(config, _GLACIER))
        cover[glacier_velocity != 0] = Cover.GLACIER

    steep = range_slope(heights, pixel_m, look)
    slope_factor = foreshortening_loss(steep, config.incidence)
    unfit = np.isin(cover, (Cover.RIVER, Cover.GLACIER)) | (heights > np.quantile(heights, 0.95))
    law = SlideLaw(
        config.speed_mm_yr, config.length_m, config.length_spread, config.seasonal_share, config.accelerating_share,
        config.seasonal_amplitude,
    )  # fmt: skip
    slides = draw_slides(
        config.n_slides, law, heights=heights, unfit=unfit, grid=grid, look=look, years=years,
        year_fraction=_year_fraction(dates[0]), rng=_rng(config, _SLIDES),
    )  # fmt: skip
    velocity = glacier_velocity.copy()
    for slide in slides:
        velocity[slide.rows, slide.columns] += np.float32(slide.los_velocity) * slide.pattern

    snow_rng = _rng(config, _SNOW)
    patches, _, _ = power_law_fields(config.shape, pixel_m, 3.0, snow_rng)
    _, north = height_gradient(gaussian_filter(heights, 300 / pixel_m), pixel_m)
    # Snow lasts on slopes that face north: there the ground falls towards north.
    snow_height = heights - 300 * north + 80 * patches / patches.std()
    fractions = np.array([_year_fraction(d) for d in dates])
    lines = snow_lines(fractions, heights, snow_rng) if config.snow else np.full(len(dates), np.inf)

    error_rng = _rng(config, _DEM_ERROR)
    correlation = error_rng.uniform(*config.dem_error_correlation_m)
    error = gaussian_filter(error_rng.standard_normal(config.shape), correlation / 2 / pixel_m)
    dem_error = (config.dem_error_m * error / error.std()).astype(np.float32)
    return Scene(
        config, grid, dates, pairs, slides, baselines, heights, cover, velocity, glacier_velocity, dem_error, forest,
        slope_factor, snow_height.astype(np.float32), lines,
    )  # fmt: skip


def to_stack(scene: Scene) -> InterferogramStack:
    """Give a scene the form of a product, read from memory; each interferogram is made when it is first read."""

    def read_pair(pair: Pair, window: Window) -> NDArray[np.complex64]:
        return scene.igram(pair)[window.rows, window.columns].copy()

    def read_height(window: Window) -> NDArray[np.float32]:
        return scene.heights[window.rows, window.columns].copy()

    return InterferogramStack(
        product="simulated",
        root=Path("simulated"),
        track=f"simulated-{scene.config.seed}",
        pairs=scene.pairs,
        grid=scene.grid,
        wavelength=scene.config.wavelength_m,
        sign="grows when the ground moves away from the satellite",
        coherence_source="product",
        read_pair=read_pair,
        look=scene.look,
        read_height=read_height,
    )


def _rng(config: SceneConfig, *stream: int) -> np.random.Generator:
    """Return the generator of one random stream of the scene."""
    return np.random.default_rng([config.seed, *stream])


def _year_fraction(day: date) -> float:
    """Time of the year, 0 to 1."""
    return (day.timetuple().tm_yday - 1) / DAYS_PER_YEAR


def _make_grid(config: SceneConfig) -> MapGrid:
    """North-up grid around the centre, its corner on a whole pixel."""
    to_map = Transformer.from_crs("EPSG:4326", config.crs, always_xy=True)
    east, north = to_map.transform(config.longitude, config.latitude)
    if not (math.isfinite(east) and math.isfinite(north)):
        raise NoDataError(f"{config.crs} does not reach {config.longitude} E, {config.latitude} N; choose another crs")
    pixel = config.pixel_m
    left = round(east / pixel - config.shape[1] / 2) * pixel
    top = round(north / pixel + config.shape[0] / 2) * pixel
    return MapGrid(config.shape, Affine(pixel, 0, left, 0, -pixel, top), config.crs)


def _make_dates(config: SceneConfig) -> tuple[tuple[date, ...], NDArray[np.float64], tuple[Pair, ...]]:
    """Draw which dates are there and their baselines, and pair them."""
    rng = _rng(config, _DATES)
    kept = rng.uniform(size=config.n_dates) >= config.gap_share
    kept[[0, -1]] = True
    planned = [config.start + timedelta(days=config.interval_days * i) for i in range(config.n_dates)]
    dates = tuple(day for day, there in zip(planned, kept, strict=True) if there)
    baselines = rng.normal(0, config.baseline_sigma_m, config.n_dates)[kept]
    pairs = tuple(
        Pair(dates[i], dates[j], float(baselines[j] - baselines[i]))
        for i in range(len(dates))
        for j in range(i + 1, len(dates))
        if (dates[j] - dates[i]).days <= config.max_days
    )
    if not pairs:
        raise NoDataError(f"no two dates lie within {config.max_days} days; lower gap_share or raise max_days")
    return dates, baselines, pairs


def _make_glaciers(
    terrain: Terrain, pixel_m: float, look: LookGeometry, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw ice on the gentler ground of the highest 4 %: velocity towards the satellite in mm/yr, zero elsewhere."""
    east, north = height_gradient(gaussian_filter(terrain.heights, 200 / pixel_m), pixel_m)
    slope = np.degrees(np.arctan(np.hypot(east, north)))
    ice = (terrain.heights > np.quantile(terrain.heights, 0.96)) & (slope < 25)
    bodies, _ = label(ice)
    velocity = np.zeros(terrain.heights.shape, np.float32)
    for number, place in enumerate(find_objects(bodies), start=1):
        body = np.pad(bodies[place] == number, 1)
        speed = rng.uniform(*_GLACIER_SPEED_MM_YR)
        if body.sum() * pixel_m**2 < _SMALLEST_GLACIER_M2:
            continue
        row, column = (round((s.start + s.stop - 1) / 2) for s in place)
        azimuth = math.degrees(math.atan2(-east[row, column], -north[row, column]))
        toward = float(np.dot(slope_vector(azimuth, slope[row, column]), look.to_satellite))
        depth = distance_transform_edt(body)[1:-1, 1:-1]
        velocity[place] += speed * toward * depth / depth.max()
    return velocity
