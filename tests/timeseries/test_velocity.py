"""Velocity and yearly course: closed forms, laws, a plain NumPy twin, and intervals that hold."""

from datetime import date, timedelta

import numpy as np
import pytest
from scipy import optimize, stats

from groundshift.io import open_stack
from groundshift.timeseries import annual_is_determined, choose_references, fit_velocity, noise
from groundshift.timeseries.inversion import invert_network, phase_weights
from groundshift.timeseries.noise import estimate
from groundshift.timeseries.velocity import years_since


def every(days: int, count: int, start: str = "2018-02-03") -> np.ndarray:
    return np.datetime64(start) + days * np.arange(count)


def motion(dates, rate: float, amplitude: float = 0.0, peak: str = "2020-07-01", offset: float = 0.0) -> np.ndarray:
    turn = 2 * np.pi * years_since(dates, date.fromisoformat(peak))
    return offset + rate * years_since(dates, np.asarray(dates)[0].item()) + amplitude * np.cos(turn)


def dense_fit(years, design, series, models):
    """Average generalised least squares over noise models with dense matrices."""
    n, p = design.shape
    found = []
    for share, memory, drift, _, prior in models:
        apart = np.abs(years[:, None] - years)
        walk = np.minimum(years[:, None], years) - years[0]
        v = np.eye(n) + share * np.exp(-apart / memory) + drift * walk
        solve = np.linalg.inv(v)
        inverse = np.linalg.inv(design.T @ solve @ design)
        beta = inverse @ design.T @ solve @ series
        left = series - design @ beta
        rss = left @ solve @ left
        log = -0.5 * (np.linalg.slogdet(v)[1] - np.linalg.slogdet(inverse)[1] + (n - p) * np.log(rss)) + np.log(prior)
        found.append((beta, rss / (n - p) * inverse, log))
    weights = np.exp([f[2] - max(f[2] for f in found) for f in found])
    return [f[0] for f in found], [f[1] for f in found], weights / weights.sum()


@pytest.mark.parametrize("rate", [-0.05, 0.0, 0.012])
def test_recovers_rate_offset_and_yearly_course_without_noise(rate):
    dates = every(12, 70)
    found = fit_velocity(dates, motion(dates, rate, 0.004, "2020-07-01", 0.03))
    assert float(found.rate) == pytest.approx(rate, abs=1e-9)
    assert float(found.offset[0]) == pytest.approx(0.03, abs=1e-9)
    assert float(found.annual_amplitude) == pytest.approx(0.004, abs=1e-9)
    # The first of July comes 181 or 182 days after New Year.
    assert float(found.annual_phase) == pytest.approx(181.5, abs=0.6)
    assert float(found.rate_sigma) < 1e-6


def test_equals_generalised_least_squares_with_dense_matrices():
    rng = np.random.default_rng(3)
    years = np.sort(rng.uniform(0, 3, 25))
    design = np.column_stack([np.ones(25), years, np.cos(2 * np.pi * years), np.sin(2 * np.pi * years)])
    series = design @ [1.0, 2.0, 0.5, 0.0] + np.cumsum(rng.normal(0, 0.2, 25))
    found = estimate(years, design, series[np.newaxis])
    betas, covariances, weights = dense_fit(years, design, series, noise.NOISE_MODELS)
    mean = sum(w * b for w, b in zip(weights, betas, strict=True))
    np.testing.assert_allclose(found.mean[0], mean, rtol=1e-8, atol=1e-10)
    spread = sum(w * (c + np.outer(b - mean, b - mean)) for w, b, c in zip(weights, betas, covariances, strict=True))
    np.testing.assert_allclose(found.covariance[0], spread, rtol=1e-8, atol=1e-12)

    def beyond(half):
        ends = [stats.t(21, b[1], np.sqrt(c[1, 1])) for b, c in zip(betas, covariances, strict=True)]
        return (
            sum(w * (e.cdf(mean[1] + half) - e.cdf(mean[1] - half)) for w, e in zip(weights, ends, strict=True)) - 0.95
        )

    half = optimize.brentq(beyond, 1e-6, 50)
    assert stats.t.ppf(0.975, found.dof[0]) * found.error[0] == pytest.approx(half, rel=2e-3)


def test_in_white_noise_alone_it_is_plain_least_squares(monkeypatch):
    monkeypatch.setattr(noise, "NOISE_MODELS", np.array([[0.0, 1.0, 0.0, 1.0, 1.0]]))
    dates = every(12, 14)
    series = motion(dates, 0.02) + np.random.default_rng(1).normal(0, 0.004, 14)
    found = fit_velocity(dates, series)
    line = stats.linregress(years_since(dates, dates[0].item()), series)
    assert float(found.rate) == pytest.approx(line.slope)
    assert float(found.rate_sigma) == pytest.approx(line.stderr, rel=5e-3)
    assert float(found.dof) == pytest.approx(12, abs=0.6)
    assert float(found.effective_dates) == pytest.approx(14, rel=0.01)


@pytest.mark.parametrize(
    ("memory_days", "count", "least", "most"),
    [(0, 40, 0.94, 0.995), (0, 100, 0.94, 0.99), (20, 40, 0.93, 0.99), (40, 100, 0.93, 0.99)],
)
def test_interval_of_95_percent_holds_in_remembering_noise(memory_days, count, least, most):
    dates = every(12, count)
    years = years_since(dates, dates[0].item())
    apart = np.abs(years[:, None] - years) * 365.25
    root = np.linalg.cholesky(np.exp(-apart / memory_days) if memory_days else np.eye(count))
    series = 0.005 * root @ np.random.default_rng(0).standard_normal((count, 400))
    low, high = fit_velocity(dates, series + motion(dates, 0.01)[:, None]).interval()
    assert least <= ((low <= 0.01) & (high >= 0.01)).mean() <= most


def test_errors_that_add_up_along_the_network_are_known_from_sigma():
    rng = np.random.default_rng(2)
    dates = every(12, 60)
    steps = rng.normal(0, 0.003, (60, 300))
    steps[0] = 0
    series = np.cumsum(steps, axis=0) + rng.normal(0, 0.003, (60, 300))
    sigma = 0.003 * np.sqrt(np.arange(60))
    shares = []
    for errors in (sigma, None):
        low, high = fit_velocity(dates, series, errors).interval()
        shares.append(((low <= 0) & (high >= 0)).mean())
    assert 0.9 <= shares[0] <= 0.98
    assert shares[1] < 0.8


def test_stated_errors_far_from_what_the_series_shows_are_not_believed():
    dates = every(12, 60)
    series = motion(dates, 0.02)[:, None] + np.random.default_rng(3).normal(0, 0.003, (60, 50))
    plain, told = fit_velocity(dates, series), fit_velocity(dates, series, 0.1 * np.sqrt(np.arange(60)))
    assert np.median(told.rate_sigma / plain.rate_sigma) < 1.5


def test_a_date_of_great_error_counts_little():
    dates = every(12, 40)
    series = motion(dates, 0.02) + np.random.default_rng(4).normal(0, 0.002, 40)
    sigma = np.full(40, 0.001)
    sigma[0], sigma[35] = 0.0, 0.1
    spoilt = series.copy()
    spoilt[35] += 0.1
    without = np.arange(40) != 35
    clean = fit_velocity(dates[without], series[without])
    told, untold = fit_velocity(dates, spoilt, sigma), fit_velocity(dates, spoilt)
    assert abs(told.rate - clean.rate) < 0.3 * clean.rate_sigma
    assert abs(untold.rate - clean.rate) > clean.rate_sigma


def test_noise_common_to_all_dates_drops_out():
    dates = every(12, 30)
    series = motion(dates, 0.02) + np.random.default_rng(5).normal(0, 0.004, 30)
    plain, moved = fit_velocity(dates, series), fit_velocity(dates, series + 0.7)
    np.testing.assert_allclose(moved.rate, plain.rate, rtol=1e-9)
    np.testing.assert_allclose(moved.rate_sigma, plain.rate_sigma, rtol=1e-6)
    np.testing.assert_allclose(moved.offset, plain.offset + 0.7, rtol=1e-9)


def test_errors_scale_with_the_series():
    dates = every(12, 40)
    series = np.random.default_rng(6).normal(0, 0.004, 40)
    plain, tenfold = fit_velocity(dates, series), fit_velocity(dates, 10 * series)
    for name in ("rate", "rate_sigma", "annual_amplitude", "annual_amplitude_sigma", "scatter"):
        np.testing.assert_allclose(getattr(tenfold, name), 10 * getattr(plain, name), rtol=1e-6)
    np.testing.assert_allclose(tenfold.annual_phase, plain.annual_phase)
    np.testing.assert_allclose(tenfold.effective_dates, plain.effective_dates, rtol=1e-6)


def test_each_group_of_dates_has_its_own_offset():
    dates = np.concatenate([every(12, 25), every(12, 20, "2019-06-04")])
    groups = np.repeat([1, 2], [25, 20])
    series = motion(dates, 0.03) + np.where(groups == 2, 0.5, 0.0)
    found = fit_velocity(dates, series, groups=groups)
    np.testing.assert_allclose(found.rate, 0.03, atol=1e-8)
    np.testing.assert_allclose(found.offset, [0.0, 0.5], atol=1e-8)
    np.testing.assert_allclose(found.at(dates, groups), series, atol=1e-8)


def test_pixels_are_fitted_each_by_itself_and_without_their_missing_dates():
    rng = np.random.default_rng(7)
    dates = every(12, 40)
    cube = motion(dates, 0.02)[:, None, None] + rng.normal(0, 0.004, (40, 2, 3))
    sigma = rng.uniform(0.001, 0.004, (40, 2, 3))
    cube[[3, 17, 30], 1, 2] = np.nan
    cube[:, 0, 1] = np.nan
    cube[2:, 0, 2] = np.nan
    found = fit_velocity(dates, cube, sigma)
    known = np.isfinite(cube[:, 1, 2])
    alone = fit_velocity(dates[known], cube[known, 1, 2], sigma[known, 1, 2])
    for name in ("rate", "rate_sigma", "dof", "annual_amplitude", "scatter", "n_dates"):
        np.testing.assert_allclose(getattr(found, name)[1, 2], getattr(alone, name), rtol=1e-9)
    assert found.n_dates.tolist() == [[40, 0, 2], [40, 40, 37]]
    assert np.isnan(found.rate).tolist() == [[False, True, True], [False, False, False]]
    assert found.at(dates).shape == cube.shape
    assert fit_velocity(dates, cube[:, :0]).rate.shape == (0, 3)


def test_three_dates_leave_one_degree_of_freedom():
    found = fit_velocity(every(12, 3), np.array([0.0, 0.001, 0.0025]))
    assert float(found.dof) == 1.0
    low, high = found.interval()
    assert float(high - low) / 2 == pytest.approx(stats.t.ppf(0.975, 1) * float(found.rate_sigma))
    assert np.isnan(fit_velocity(every(12, 2), np.array([0.0, 0.001])).rate)


@pytest.mark.parametrize(
    ("dates", "determined"),
    [
        (every(12, 20), False),
        (every(12, 32), True),
        (every(60, 9), False),
        (every(60, 10), True),
        (every(120, 10), True),
        (np.concatenate([every(6, 10, f"{y}-06-01") for y in range(2015, 2021)]), False),
    ],
    ids=["8 months", "1 year", "9 dates", "10 dates", "every 4 months", "summers"],
)
def test_yearly_course_wants_a_year_ten_dates_and_all_seasons(dates, determined):
    assert annual_is_determined(dates) == determined
    found = fit_velocity(dates, motion(dates, 0.01) + np.random.default_rng(1).normal(0, 1e-3, len(dates)))
    assert np.isfinite(found.annual_amplitude) == determined


def test_stated_errors_of_the_yearly_course_hold():
    dates = every(12, 80)
    truth = motion(dates, 0.02, 0.004, "2020-07-01")
    found = fit_velocity(dates, truth[:, None] + np.random.default_rng(8).normal(0, 0.004, (80, 300)))
    amplitude = np.abs(found.annual_amplitude - 0.004) < 2 * found.annual_amplitude_sigma
    phase = np.abs(found.annual_phase - 181.5) < 2 * found.annual_phase_sigma
    assert 0.92 <= amplitude.mean() <= 0.99
    assert 0.92 <= phase.mean() <= 0.99


def test_dates_of_remembering_noise_are_worth_fewer():
    dates = every(12, 100)
    rng = np.random.default_rng(9)
    years = years_since(dates, dates[0].item())
    root = np.linalg.cholesky(np.exp(-np.abs(years[:, None] - years) / 0.1))
    white, coloured = rng.standard_normal((100, 50)), root @ rng.standard_normal((100, 50))
    assert np.median(fit_velocity(dates, white).effective_dates) > 85
    # For a memory of three dates theory gives a sixth: (1 - r) / (1 + r) with r = exp(-12 / 36.5).
    assert 10 < np.median(fit_velocity(dates, coloured).effective_dates) < 25


def test_errors_name_what_is_wrong():
    days = [date(2020, 1, 1) + timedelta(12 * k) for k in (0, 2, 1)]
    with pytest.raises(ValueError, match=r"^dates must ascend, instead got 2020-01-25 before 2020-01-13$"):
        fit_velocity(days, np.zeros(3))
    with pytest.raises(ValueError, match=r"^displacement must have shape \(4,\), instead got \(3,\)$"):
        fit_velocity(every(12, 4), np.zeros(3))
    with pytest.raises(ValueError, match=r"^sigma must have shape \(4, 2\), instead got \(4, 3\)$"):
        fit_velocity(every(12, 4), np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"^confidence must lie between 0 and 1, instead got 95$"):
        fit_velocity(every(12, 4), np.arange(4.0)).interval(95)


@pytest.mark.real
def test_danba_landslide_moves_away_and_halves_of_its_dates_agree(real_data):
    stack = open_stack(real_data / "danba")
    # In 36 days it moves by less than half a cycle, so that means of many pixels need no unwrapping.
    pairs = [pair for pair in stack.pairs if pair.days <= 36]
    igrams = np.stack([stack.read(pair) for pair in pairs])
    lon, lat = stack.grid.lonlat(*np.indices(stack.grid.shape).astype(float))
    row, column = np.unravel_index(np.argmin((lon - 101.9398) ** 2 + (lat - 30.8399) ** 2), lon.shape)
    inside = np.zeros(stack.grid.shape, bool)
    inside[row - 22 : row + 23, column - 29 : column + 30] = True
    reference = choose_references(np.abs(igrams).mean(axis=0), inside, stack.grid.spacing)
    rows, columns = reference.pixels.T
    core = igrams[:, row - 3 : row + 4, column - 3 : column + 4].mean(axis=(1, 2))
    phase = np.angle(core * igrams[:, rows, columns].sum(axis=1).conj())[:, None, None]
    weights = phase_weights(np.abs(core), 20)
    found = invert_network(phase, weights, pairs, stack.wavelength)
    series, sigma, groups = found.displacement[:, 0, 0], found.sigma[:, 0, 0], found.groups[:, 0, 0]
    assert groups.max() > 1
    _, high = fit_velocity(found.dates, series, sigma, groups=groups).interval()
    assert high < -0.05
    even, odd = (fit_velocity(found.dates[k::2], series[k::2], sigma[k::2], groups=groups[k::2]) for k in (0, 1))
    assert abs(even.rate - odd.rate) < 2 * np.hypot(even.rate_sigma, odd.rate_sigma)
