"""Contents of reports."""

from dataclasses import replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
from shapely import Polygon

from groundshift.detect.detection import Detection
from groundshift.inventory.model import Target
from groundshift.report import (
    Bounds,
    MaskShare,
    ReportContent,
    SeriesContent,
    TrackContent,
    make_layer,
    significance_histogram,
)
from groundshift.types import LookGeometry, Pair

BOUNDS = Bounds(100.0, 30.0, 100.4, 30.3)


def make_target(
    number: int = 0, *, lon: float = 100.2, lat: float = 30.15, size: float = 0.004, **fields: Any
) -> Target:
    angle = np.linspace(0, 2 * np.pi, 25)[:-1]
    outline = Polygon(np.column_stack([lon + size * np.cos(angle), lat + 0.7 * size * np.sin(angle)]))
    track = fields.pop("track", "T1")
    speed = fields.pop("velocity_los_mm_yr", -30.0)
    seen = Detection(outline, 0.9, "polarity", track, "all", ("north", "east"), speed, 2.0, 9.0, 0.6, 40)
    usual = {
        "id": f"GS-{number:05d}", "geometry": outline, "kind": "landslide", "score": 0.9, "detections": (seen,),
        "first_seen": date(2018, 1, 1), "last_seen": date(2019, 1, 1), "area_m2": 4e5, "velocity_los_mm_yr": speed,
        "velocity_sigma_mm_yr": 2.0, "mean_coherence": 0.6, "n_pairs": 40,
    }  # fmt: skip
    return Target(**{**usual, **fields})


def make_pairs(number: int = 12, every: int = 12) -> list[Pair]:
    days = [date(2018, 1, 1) + timedelta(every * i) for i in range(number + 1)]
    return [Pair(a, b) for a, b in pairwise(days)]


def make_track(
    name: str = "T1", *, bounds: Bounds = BOUNDS, shape: tuple[int, int] = (90, 120), **fields: Any
) -> TrackContent:
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(4, *shape)).astype(np.float32)
    usual = {
        "layers": [
            make_layer("velocity_gradient", "velocity gradient, north", noise[0]),
            make_layer("velocity_gradient", "velocity gradient, east", noise[1]),
            make_layer("velocity", "velocity", 10 * noise[2]),
            make_layer("hill_shade", "hill shade", np.clip(0.7 + 0.1 * noise[3], 0, 1)),
        ],
        "pairs_used": make_pairs(), "masks": [MaskShare("snow", 0.1857)], "look": LookGeometry(-12.0, 38.0),
        "significance": significance_histogram(noise),
    }  # fmt: skip
    return TrackContent(name, bounds, **{**usual, **fields})


def make_content() -> ReportContent:
    targets = [make_target(1), make_target(2, lon=100.3, kind="subsidence", velocity_los_mm_yr=12.0, score=0.4)]
    return ReportContent(
        "A survey", {"Area": "1,200 km2", "Tracks": 1}, [make_track()], targets, settings={"a": {"b": 3}}
    )


def make_series(target: Target, track: str = "T1", *, dates: int = 30, seed: int = 0, **fields: Any) -> SeriesContent:
    """A line of known rate with noise, interrupted in the middle, and maps around the target."""
    rng = np.random.default_rng(seed)
    days = np.datetime64("2018-01-01") + 12 * np.arange(dates)
    days[dates // 2 :] += 200
    years = (days - days[0]).astype(float) / 365.25
    line = target.velocity_los_mm_yr * years
    west, south, east, north = target.geometry.buffer(0.004).bounds
    usual = {
        "dates": days, "displacement_mm": line + rng.normal(0, 2, dates), "sigma_mm": np.full(dates, 2.0),
        "fit_dates": days[::3], "fit_mm": line[::3], "breaks": (days[dates // 2].item(),),
        "facts": {"Rate": f"{target.velocity_los_mm_yr:+.1f} ± 1.2 mm/yr", "Behaviour": "steady: no wave, no turn"},
        "layers": tuple(
            make_layer(kind, name, rng.random((20, 20)), vmax=1.0)
            for kind, name in (("velocity", "inverted velocity"), ("coherence", "temporal coherence"))
        ),
        "bounds": Bounds(west, south, east, north),
    }  # fmt: skip
    return SeriesContent(track, **{**usual, **fields})


def make_moving() -> ReportContent:
    """A survey whose first target was seen from two tracks, the second without a series, the third not looked at."""
    plain = make_content()
    targets = [*plain.targets, make_target(3, lon=100.1, velocity_los_mm_yr=-8.0)]
    first, second, _ = targets
    reason = "no stable ground within 2 km"
    return replace(
        plain,
        tracks=[make_track(pairs_used=[], significance=None), make_track("T2", pairs_used=[], significance=None)],
        targets=targets,
        series={
            first.id: (make_series(first), make_series(first, "T2", seed=1)),
            second.id: (SeriesContent("T1", reason=reason),),
        },
    )
