"""The parts of the settings of a run: frozen models that the command line, the YAML file and Python share.

The text beside each field is its help on the command line and its comment in the documentation.
"""

import re
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

__all__ = [
    "BowlConfig", "ClusterConfig", "Config", "Day", "DetectConfig", "FastConfig", "InterferometryConfig", "MaskConfig",
    "ScreenConfig", "SeriesConfig", "StackConfig", "as_shown", "to_day",
]  # fmt: skip

_WINDOW_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_TAKEN = ("all", "single-pairs")
"""Names of windows that are there anyway."""
_DAY = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)")


def to_day(value: Any) -> date:
    """Read a date as YYYY-MM-DD or YYYYMMDD."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    match = _DAY.fullmatch(str(value).strip())
    try:
        return date(*map(int, match.groups())) if match else date.fromisoformat(str(value))
    except ValueError:
        raise ValueError(f"expected a date, YYYY-MM-DD, instead got {as_shown(value)}") from None


Day = Annotated[date, BeforeValidator(to_day)]


class Config(BaseModel):
    """Frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class StackConfig(Config):
    """Which pairs are stacked, and how."""

    max_days: Annotated[int, Field(gt=0)] = 36
    """Longest temporal baseline, days."""
    pair_mode: Literal["all", "sequential", "nearest"] = "all"
    """All short pairs, each date with the next, or each date with its few next ones."""
    nearest: Annotated[int, Field(ge=1)] = 3
    """How many next dates, for `nearest`."""
    max_bperp: Annotated[float, Field(gt=0)] | None = None
    """Longest perpendicular baseline, metres; none by default."""
    start: Day | None = None
    """First date used, YYYY-MM-DD."""
    end: Day | None = None
    """Last date used, YYYY-MM-DD."""
    working_pixel: Annotated[float, Field(gt=0)] = 40.0
    """Pixel size aimed at, metres; extra looks are taken to come near it, none if the product's pixels are larger."""
    smoothing: Annotated[int, Field(ge=1)] = 10
    """Side of the coherence-weighted averaging window, in pixels of the product."""
    smoothing_limit: Annotated[float, Field(gt=0)] = 160.0
    """Largest side of the averaging window, metres; 400 gives the window of Fu et al. (2022) at 40 m pixels."""
    diagonals: bool = False
    """Also difference along both diagonals."""
    step: Annotated[int, Field(ge=1)] = 1
    """Distance of the differences: 1 between neighbours; k > 1 from -k to +k working pixels."""
    weights: Literal["network", "equal"] = "network"
    """Pair weights that keep atmosphere and DEM error of the dates small, or all pairs alike."""
    wet_months: Annotated[
        tuple[Annotated[int, Field(ge=1, le=12)], ...],
        Parameter(consume_multiple=True, negative_iterable="no-"),
    ] = (4, 5, 6, 7, 8, 9)
    """Months of the wet season, 1 to 12; stacked apart from the dry ones. None: no seasonal stacks."""
    sliding_years: Annotated[int, Field(ge=1, le=100), Parameter(negative_none="no-")] | None = 2
    """Length of the sliding stacks, whole calendar years."""
    windows: Annotated[dict[str, tuple[Day, Day]], Parameter(parse=False)] = {}
    """Further stacks by name: first and last date."""
    least_pairs: Annotated[int, Field(ge=2)] = 10
    """Seasonal and sliding stacks of fewer pairs are left out."""
    strict: bool = False
    """Stop at the first damaged pair instead of leaving it out."""
    memory_mb: Annotated[int, Field(ge=1)] = 600
    """Memory for sums and for pairs in flight, megabytes; smaller blocks of rows are taken to keep it."""

    @field_validator("windows")
    @classmethod
    def _check_windows(cls, windows: dict[str, tuple[date, date]]) -> dict[str, tuple[date, date]]:
        for name, (first, last) in windows.items():
            if not _WINDOW_NAME.fullmatch(name) or name in _TAKEN:
                not_these = " or ".join(map(repr, _TAKEN))
                raise ValueError(
                    f"expected a name of letters, digits, - and _, not {not_these}, instead got {as_shown(name)}"
                )
            if first >= last:
                raise ValueError(f"expected the first date of {name} before the last, instead got {first} and {last}")
        return windows

    @model_validator(mode="after")
    def _check_dates(self) -> "StackConfig":
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"expected start before end, instead got {self.start} and {self.end}")
        return self


class DetectConfig(Config):
    """Which detector looks, and its thresholds."""

    detector: Literal["network", "rules"] = "network"
    """A trained network, or the rules, which need no training."""
    model: Annotated[str, Field(min_length=1)] = "bodynet"
    """Network: name of a shipped model, or an .onnx file."""
    least_score: Annotated[float, Field(ge=0, le=1)] | None = None
    """Network: probability from which a detection makes a target; by default what suits the model."""
    agreeing_windows: Annotated[int, Field(ge=1)] = 3
    """Network: or so many time windows that see it with two thirds of that probability."""
    significance: Annotated[float, Field(gt=0)] = 4.0
    """Rules: both patches of a polarity pair must reach this many standard errors."""
    least_velocity: Annotated[float, Field(gt=0)] = 4.0
    """Rules: slowest body looked for, mm/yr along the line of sight."""
    outline: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Rules: a body ends where its velocity has fallen to this share of the peak."""
    separation: Annotated[float, Field(gt=0, lt=1)] = 0.6
    """Rules: two peaks are one body if the saddle is higher than this share of the lower one."""
    least_area: Annotated[float, Field(ge=0)] = 20_000.0
    """Rules: smallest body, square metres."""
    reach: Annotated[float, Field(gt=0)] = 2000.0
    """Velocities are compared over this distance, metres; it bounds the size of bodies found."""


class MaskConfig(Config):
    """Where not to look."""

    dem: Path | None = None
    """Terrain heights (GeoTIFF); by default those of the product."""
    snow: tuple[Path, ...] = ()
    """Sentinel-2 scenes (SAFE folders or GeoTIFFs) from which snow is masked; give the option once for each."""
    snow_bands: tuple[int, int, int] | None = None
    """Which bands of a many-band GeoTIFF are B3, B8A and B11, counted from 1."""
    snow_offset: float | None = None
    """Offset of the digital numbers, -1000 since processing baseline 04.00, for files that do not tell."""
    snow_share: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Share of a pixel's views that must show snow; with up to five views one is enough."""
    least_coherence: Annotated[float, Field(ge=0, le=1)] = 0.08
    """Nodes of lower mean coherence after averaging are left out."""
    most_residues: Annotated[float, Field(ge=0, le=1)] = 0.35
    """Nodes where wrapped differences fail to close in a larger share of the pairs are left out."""
    decorrelation: Literal["none", "otsu", "threshold", "network"] = "none"
    """Ground that each pair loses before anything is made of it: none; where its coherence is below Otsu's threshold,
    or below `mask_coherence`; or where a network (`groundshift mask`) takes it for decorrelated."""
    mask_coherence: Annotated[float, Field(ge=0, le=1)] = 0.3
    """The fixed threshold."""
    mask_model: Annotated[str, Field(min_length=1)] = "masknet"
    """The network: name of a shipped model, or an .onnx file."""
    mask_probability: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """The network: probability of being coherent from which on a pixel is kept."""
    layover: bool = True
    """Leave out layover and shadow where heights and look geometry are known."""

    @property
    def files(self) -> tuple[Path, ...]:
        """What is read beside the interferograms."""
        return (*self.snow, *([] if self.dem is None else [self.dem]))


class ScreenConfig(Config):
    """Which detections become targets."""

    least_gradient: Annotated[float, Field(ge=0)] = 0.28
    """mm/yr per 40 m: the 1.2 rad of Fu et al. (2022) as a velocity gradient, by their 19 years of summed
    baselines."""
    least_share: Annotated[float, Field(ge=0, le=1)] = 0.10
    """Share of the detection's pixels that must reach `least_gradient`."""
    least_slope: Annotated[float, Field(ge=0, le=90)] = 10.0
    """Mean slope from which a target is called a landslide, degrees."""
    keep_flat: bool = True
    """Keep targets on flatter ground as subsidence or uplift; false drops them, as Wang et al. (2023) does."""
    merge_distance: Annotated[float, Field(ge=0)] = 500.0
    """Detections whose centres are nearer than this are one target, metres."""
    merge_giou: Annotated[float, Field(ge=-1, le=1)] = 0.0
    """Detections whose boxes overlap by more than this GIoU are one target."""


class SeriesConfig(Config):
    """How each target is followed through time."""

    series: bool = True
    """Unwrap and invert the interferograms around each target."""
    series_days: Annotated[int, Field(gt=0)] = 100
    """Longest temporal baseline of the pairs that are unwrapped, days."""
    unwrapper: Literal["auto", "snaphu", "whirlwind"] = "auto"
    """Which unwrapper; auto takes the better one of those installed."""
    foresight: Annotated[str, Field(min_length=1)] = "bowlnet"
    """Sites of mining subsidence: model that foresees most of their phase, an .onnx file, or none."""
    site_pixel: Annotated[float, Field(gt=0)] = 20.0
    """Sites of mining subsidence: pixels on which whole cycles are found, metres; 40 elsewhere."""
    site_days: Annotated[int, Field(gt=0)] = 36
    """Sites of mining subsidence: longest temporal baseline of the pairs that are unwrapped, days."""
    nlooks: Annotated[float, Field(ge=1)] = 20.0
    """Independent looks of the product's coherence: how much it is trusted."""
    least_reliability: Annotated[float, Field(ge=0, le=1)] = 0.6
    """Pairs of which a smaller share of triplets closes are left out of a series."""
    robust: bool = True
    """Let pairs that lie whole cycles off the others count for nothing."""
    dem_error: bool = True
    """Take out the DEM error, where baselines tell it from motion."""
    stratified: bool = True
    """Take out delay that follows the height, where the land around a target is high enough to show it."""
    margin: Annotated[float, Field(ge=0)] = 1.5
    """Ground around a target that is unwrapped with it, in sizes of the target; at least 300 m."""
    series_memory_mb: Annotated[int, Field(ge=1)] = 1000
    """Memory for the interferograms of one target, megabytes; larger patches are multilooked to fit."""


class BowlConfig(Config):
    """How bowls of mining subsidence are found in single interferograms."""

    look_for: Literal["bodies", "bowls", "both"] = "bodies"
    """Slow bodies on stacks, fast bowls of mining subsidence in single interferograms, or both; `mining` looks for
    bowls unless told otherwise."""
    bowl_days: Annotated[int, Field(gt=0)] = 24
    """Bowls: longest temporal baseline of the pairs that are scanned, days."""
    bowl_pixel: Annotated[float, Field(gt=0)] = 20.0
    """Bowls: pixel size aimed at, metres, for scanning and unwrapping."""
    bowl_detector: Literal["network", "rules"] = "network"
    """Bowls: a trained network, or the density of fringes, which needs no training."""
    bowl_model: Annotated[str, Field(min_length=1)] = "bowlnet"
    """Bowls: name of a shipped model for mining, or an .onnx file."""
    bowl_probability: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Bowls: probability from which a pixel belongs to one."""
    bowl_pixels: Annotated[int, Field(ge=1)] = 25
    """Bowls: fewest pixels of one in a pair."""
    bowl_score: Annotated[float, Field(ge=0, le=1)] | None = None
    """Bowls: score from which one counts, the probability of its surest pixels; by default what suits the detector."""
    site_dates: Annotated[int, Field(ge=4)] = 6
    """Bowls: dates of the pairs that must see a place before it counts as a site; two without a common date have 4."""


class InterferometryConfig(Config):
    """How interferograms are formed of single-look images; interferograms that are given stay as they are."""

    looks: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = None
    """Pixels averaged along rows and columns, 2 8 for example; by default what comes near the working pixel."""
    unbiased: bool = False
    """Give pixels the coherence of their surroundings, without the bias of few looks; a stack does better without."""
    goldstein: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Strength of the Goldstein filter; 0: none."""
    remove_large_scale: bool = False
    """Take out phase that varies slowly, such as atmosphere; wide landslides lose with it."""
    large_scale: Annotated[float, Field(gt=0)] = 2000.0
    """Length beyond which phase counts as slow, metres."""
    images_memory_mb: Annotated[int, Field(ge=1)] = 1500
    """Memory for images that are kept while pairs of them are formed, megabytes."""


class FastConfig(Config):
    """How targets that move too fast for phase are followed."""

    amplitudes: Annotated[tuple[Path, ...], Parameter(consume_multiple=True)] = ()
    """Folders or files of amplitude images that follow targets too fast for phase; `--dem` must cover these."""
    amplitude_sensors: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    """Amplitude images: only those of these sensors (a swath of Sentinel-1 is one); all by default."""
    amplitude_days: Annotated[int, Field(ge=1)] = 60
    """Amplitude images: least days between those of a pair."""
    amplitude_days_of: Annotated[tuple[str, ...], Parameter(consume_multiple=True)] = ()
    """The same for single sensors: SENSOR=LEAST or SENSOR=LEAST:MOST, such as PALSAR=300:600."""
    geoid: float = 0.0
    """Metres from the ellipsoid up to what heights of `--dem` count from; amplitude images are laid over it."""
    fast_margin: Annotated[float, Field(gt=0)] = 1500.0
    """Ground around a target that amplitude images are matched on with it, metres; most of it must stand still."""


class ClusterConfig(Config):
    """Where several tracks or bursts are surveyed at once."""

    workers: Annotated[int, Field(ge=1)] | None = None
    """Processes on this machine; as many as cores and memory allow by default."""
    scheduler: str | None = None
    """Address of a running dask scheduler, instead of processes on this machine; its workers see the same folders."""


def as_shown(value: Any) -> str:
    """Write a value for a message, shortened."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
