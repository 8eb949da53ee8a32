"""Interferograms that are formed of single-look images when they are read."""

import math
from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from groundshift.errors import DamagedFileError, NoDataError
from groundshift.io.slc import SlcStack
from groundshift.types import Looks, MapGrid, Window
from groundshift.workflows import forming
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.forming import interferograms_of
from groundshift.workflows.progress import Reporter
from groundshift.workflows.stacking import stack_track

WAVELENGTH = 0.055465763
FIRST = date(2020, 1, 6)
SHAPE = (96, 160)
GRID = MapGrid(SHAPE, Affine(10, 0, 500_000, 0, -10, 3_400_000), "EPSG:32648")
"""Pixels of 10 m, so that 4 x 4 looks make the working pixel."""
AWAY = 0.004
"""Metres by which the right half moves away within twelve days."""


class Images:
    """Ground whose right half moves away; what is read is counted."""

    def __init__(self, n_dates=6, noise=0.0, path=False, mask=False):
        rng = np.random.default_rng(5)
        self.ground = np.exp(2j * np.pi * rng.uniform(size=SHAPE))
        self.noise = [noise * (rng.normal(size=SHAPE) + 1j * rng.normal(size=SHAPE)) for _ in range(n_dates)]
        self.dates = tuple(FIRST + timedelta(12 * k) for k in range(n_dates))
        self.read = Counter()
        # The path of each date slopes otherwise.
        y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
        self.paths = [k * (0.013 * y + 0.007 * x) if path else np.zeros(SHAPE) for k in range(n_dates)]
        self.mask = ((y // 8) % 4 > 0) if mask else None
        self.has_path = path

    def image(self, day, window):
        self.read[day] += 1
        k = self.dates.index(day)
        way = self.paths[k] + np.where(np.arange(SHAPE[1]) >= SHAPE[1] // 2, k * AWAY, 0.0)
        image = self.ground * np.exp(-4j * math.pi / WAVELENGTH * way) + self.noise[k]
        return image[window.rows, window.columns].astype(np.complex64)

    def stack(self, **more):
        def path(day, window):
            return self.paths[self.dates.index(day)][window.rows, window.columns]

        return SlcStack(
            "made", Path("images"), "burst", self.dates, GRID, WAVELENGTH, self.image,
            baselines={day: 10.0 * k for k, day in enumerate(self.dates[:-1])},
            read_path=path if self.has_path else None,
            read_mask=None if self.mask is None else lambda window: self.mask[window.rows, window.columns],
            files={day: (Path(f"{day}.slc"),) for day in self.dates},
            **more,
        )  # fmt: skip


def settings(**parts):
    return SurveyConfig.model_validate({"inputs": ["."], "output": ".", "series": {"series": False}, **parts})


def test_phase_is_that_of_ground_that_moves_away():
    stack = interferograms_of(Images().stack(), settings())
    assert stack.grid.shape == (24, 40)
    assert stack.grid.spacing == pytest.approx((40, 40))
    for pair in stack.pairs:
        phase = np.angle(stack.read(pair))
        np.testing.assert_allclose(phase[:, :20], 0, atol=1e-5)
        np.testing.assert_allclose(phase[:, 20:], 4 * math.pi / WAVELENGTH * AWAY * pair.days / 12, atol=1e-4)
        np.testing.assert_allclose(np.abs(stack.read(pair)), 1, atol=1e-5)


def test_pairs_are_all_short_ones_with_their_baselines():
    images = Images()
    stack = interferograms_of(images.stack(), settings(stack={"max_days": 24}))
    wanted = {(a, b) for a in images.dates for b in images.dates if 0 < (b - a).days <= 24}
    assert {(p.reference, p.secondary) for p in stack.pairs} == wanted
    assert {p.perpendicular_baseline for p in stack.pairs} == {10.0, 20.0, None}
    assert stack.files[stack.pairs[0]] == (Path("2020-01-06.slc"), Path("2020-01-18.slc"))
    # So does a scan for mining subsidence, if it is told to, and its pixels are smaller.
    bowls = {"look_for": "both", "bowl_days": 48, "bowl_pixel": 20}
    fast = interferograms_of(images.stack(), settings(stack={"max_days": 24}, bowls=bowls))
    assert {(p.reference, p.secondary) for p in fast.pairs} == {
        (a, b) for a in images.dates for b in images.dates if 0 < (b - a).days <= 48
    }
    assert fast.grid.spacing == pytest.approx((20, 20))
    assert interferograms_of(images.stack(), settings(bowls={"bowl_pixel": 20})).grid.spacing == (40, 40)
    # Series take longer pairs than stacks.
    longer = interferograms_of(images.stack(), settings(stack={"max_days": 24}, series={"series_days": 36}))
    assert max(p.days for p in longer.pairs) == 36


def test_path_is_taken_out():
    flat = interferograms_of(Images().stack(), settings())
    sloped = interferograms_of(Images(path=True).stack(), settings())
    for pair in flat.pairs:
        np.testing.assert_allclose(sloped.read(pair), flat.read(pair), atol=1e-4)


def test_what_is_masked_counts_as_without_data():
    images = Images(mask=True)
    stack = interferograms_of(images.stack(), settings(interferometry={"looks": (8, 4)}))
    igram = stack.read(stack.pairs[0])
    np.testing.assert_array_equal(igram[::4], 0)
    assert (igram[1::4] != 0).all()


@pytest.mark.parametrize(
    "chosen",
    [{}, {"looks": (2, 8)}, {"goldstein": 0.5}, {"remove_large_scale": True, "large_scale": 150.0}, {"unbiased": True}],
)
def test_a_window_is_part_of_the_whole(chosen):
    chosen = {"looks": (1, 2), **chosen}
    stack = interferograms_of(Images(noise=0.4).stack(), settings(interferometry=chosen))
    whole = stack.read(stack.pairs[3])
    rows, columns = stack.grid.shape
    window = Window(rows // 2, columns // 3, rows // 4, columns // 5)
    np.testing.assert_allclose(stack.read(stack.pairs[3], window), whole[window.rows, window.columns], atol=2e-5)


def test_stacking_reads_each_image_once_for_a_block(tmp_path):
    images = Images(n_dates=12, noise=0.4)
    config = settings(stack={"max_days": 24, "weights": "equal", "sliding_years": None, "wet_months": ()})
    stack_track(interferograms_of(images.stack(), config), config.stack, tmp_path, Reporter(quiet=True))
    assert set(images.read.values()) == {1}


def test_images_that_do_not_fit_the_memory_are_read_again():
    images = Images()
    first, second, third = images.dates[:3]
    kept = forming._Images(images.stack(), limit=1)
    window = Window(0, 0, 8, 8)
    for day in (first, second, first, second, third, second, first):
        np.testing.assert_array_equal(kept.read(day, window), images.image(day, window))
        images.read[day] -= 1
    # The two of a pair stay; the third drives out what was used longest ago.
    assert images.read == {first: 2, second: 1, third: 1}


def test_the_next_dates_are_read_ahead_where_they_fit():
    images = Images()
    window = Window(0, 0, 8, 8)
    kept = forming._Images(images.stack(), limit=6 * 8 * 64)
    begun = forming._STORE._kept
    for first in (0, 3):
        kept.read(images.dates[first], window)
        assert [day for _, day, _ in list(begun)[-3:]] == list(images.dates[first : first + 3])
    for day in images.dates:
        kept.read(day, window)
    assert images.read == dict.fromkeys(images.dates, 1)


def test_an_image_that_could_not_be_read_is_tried_again():
    images = Images()
    fails = iter([True, False])

    def read(day, window):
        if day == images.dates[1] and next(fails):
            raise DamagedFileError("b.slc: truncated")
        return images.image(day, window)

    kept = forming._Images(replace(images.stack(), read_date=read), limit=1)
    window = Window(0, 0, 8, 8)
    with pytest.raises(DamagedFileError, match=r"b\.slc: truncated"):
        kept.read(images.dates[1], window)
    np.testing.assert_array_equal(kept.read(images.dates[1], window), images.image(images.dates[1], window))


def test_other_settings_are_another_product():
    images = Images().stack()
    found = [
        interferograms_of(images, settings(interferometry=chosen)).product
        for chosen in ({}, {"looks": (2, 8)}, {"goldstein": 0.5}, {"remove_large_scale": True}, {"unbiased": True})
    ]
    assert len(set(found)) == 5
    assert found[0] == "made images, 4 x 4 looks"


@pytest.mark.parametrize(
    ("chosen", "line"),
    [
        ({"interferometry": {"looks": (1, 1)}}, "a single pixel has no coherence"),
        ({"interferometry": {"looks": (97, 1)}}, "96 x 160 pixels are fewer than 97 x 1 looks"),
        ({"stack": {"max_days": 11}}, "no two dates lie within 11 days; raise --max-days"),
    ],
)
def test_what_cannot_be_formed_is_one_line(chosen, line):
    with pytest.raises(NoDataError, match=f"^images: .*{line}"):
        interferograms_of(Images().stack(), settings(**chosen))


def test_looks_locate_the_cells():
    stack = interferograms_of(Images().stack(), settings(interferometry={"looks": (2, 8)}))
    assert stack.grid == GRID.multilooked(Looks(2, 8))
