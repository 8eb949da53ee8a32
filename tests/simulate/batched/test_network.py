from datetime import date, timedelta

import numpy as np
import pytest

from groundshift.errors import NoDataError
from groundshift.simulate.batched.config import BatchConfig
from groundshift.simulate.batched.network import LEAST_PAIRS, draw_network


def drawn(config, count=150):
    return [draw_network(config, np.random.default_rng([7, k])) for k in range(count)]


@pytest.fixture(scope="module")
def networks():
    return drawn(BatchConfig())


def test_every_network_has_pairs_enough_and_no_more_than_wanted(networks):
    counts = [len(network.pairs) for network in networks]
    assert min(counts) >= LEAST_PAIRS
    assert max(counts) <= BatchConfig().pairs[1]
    assert max(counts) > 5 * min(counts)


def test_dates_are_in_order_and_each_is_in_a_pair(networks):
    for network in networks:
        assert list(network.dates) == sorted(set(network.dates))
        assert len(network.baselines) == len(network.dates)
        assert set(network.dates) == {d for pair in network.pairs for d in (pair.reference, pair.secondary)}
        assert len(set(network.pairs)) == len(network.pairs)
        assert list(network.pairs) == sorted(network.pairs)


def test_the_baseline_of_a_pair_is_secondary_minus_reference(networks):
    for network in networks:
        bperp = dict(zip(network.dates, network.baselines, strict=True))
        for pair in network.pairs:
            assert pair.perpendicular_baseline == pytest.approx(bperp[pair.secondary] - bperp[pair.reference])


def test_baselines_scatter_by_tens_of_metres(networks):
    # Of more than 60 dates: there a standard deviation is known to a tenth, and those drawn begin at 20 m.
    spreads = [np.std(network.baselines) for network in networks if len(network.dates) > 60]
    assert 15 < min(spreads) < 40
    assert 60 < np.quantile(spreads, 0.8) < 400


def test_dates_lie_on_the_plan_or_half_way_between_its_steps():
    config = BatchConfig(intervals_days=(12,))
    for network in drawn(config, 40):
        days = np.array([(day - network.dates[0]).days for day in network.dates])
        assert (days % 6 == 0).all()


def test_pairs_keep_to_the_longest_interval_where_that_leaves_enough():
    config = BatchConfig(dates=(60, 60), intervals_days=(6,), max_days=(24,), pairs=(100, 100))
    for network in drawn(config, 40):
        assert max(pair.days for pair in network.pairs) <= 24


def test_some_networks_fall_into_groups_of_dates_far_apart():
    config = BatchConfig(dates=(40, 60), pairs=(200, 220))
    longest = [
        max((b - a).days for a, b in zip(n.dates[:-1], n.dates[1:], strict=True)) for n in drawn(config, 80)
    ]  # fmt: skip
    assert 5 <= sum(gap >= 200 for gap in longest) <= 40


def test_few_dates_still_give_a_network_by_longer_pairs():
    for network in drawn(BatchConfig(dates=(5, 5), intervals_days=(24,), max_days=(24,)), 30):
        assert len(network.pairs) >= LEAST_PAIRS


def test_too_few_dates_for_any_network_are_named():
    with pytest.raises(NoDataError, match="3 dates give only 3 pairs, but a network needs 8; raise dates to 5 or more"):
        draw_network(BatchConfig(dates=(3, 3), pairs=(3, 3)), np.random.default_rng(0))


def test_the_same_source_draws_the_same_network():
    first, again = (draw_network(BatchConfig(), np.random.default_rng(5)) for _ in range(2))
    assert first == again
    assert first.dates[0] >= date(2014, 10, 1)
    assert first.dates[0] < date(2014, 10, 1) + timedelta(days=3500 + 60)
