from datetime import date

import pytest
from pyproj import Geod
from shapely import box

from groundshift.detect.detection import Detection
from groundshift.inventory import Target, make_targets

WGS84 = Geod(ellps="WGS84")


@pytest.fixture
def detect():
    """Make a detection: a square of `size` metres around a point, or a polygon."""

    def make(lon=102.0, lat=30.8, size=600.0, polygon=None, **given):
        if polygon is None:
            east, _, _ = WGS84.fwd(lon, lat, 90, size / 2)
            north = WGS84.fwd(lon, lat, 0, size / 2)[1]
            polygon = box(2 * lon - east, 2 * lat - north, east, north)
        known = {
            "score": 0.8,
            "detector": "rules",
            "track": "T135",
            "window": "all",
            "directions": ("azimuth", "range"),
            "velocity": -20.0,
            "velocity_sigma": 2.0,
            "significance": 9.0,
            "mean_coherence": 0.6,
            "n_pairs": 120,
            "slope": 25.0,
            "aspect": 90.0,
        }
        return Detection(polygon=polygon, **{**known, **given})

    return make


@pytest.fixture
def target(detect):
    """Make a target of one detection, which takes `given`; `first` and `last` are years."""

    def make(lon=102.0, lat=30.8, size=600.0, *, polygon=None, first=2016, last=2021, **given) -> Target:
        found = detect(lon, lat, size, polygon, **given)
        return make_targets([[found]], first_seen=date(first, 1, 1), last_seen=date(last, 6, 27))[0]

    return make
