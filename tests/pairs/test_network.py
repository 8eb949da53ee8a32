"""What hangs together in a network, and what each date contributes to a sum of pairs."""

import math
import re
from datetime import date, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from groundshift.errors import DisconnectedNetworkError
from groundshift.pairs import date_coefficients, date_graph, incidence_matrix, require_connected
from groundshift.types import Pair

START = date(2016, 1, 1)


def day(number: int) -> date:
    return START + timedelta(days=number)


def network(*edges: tuple[int, int]) -> list[Pair]:
    return [Pair(day(first), day(second)) for first, second in edges]


def regular(count: int, reach: int, step: int = 12) -> list[Pair]:
    return [Pair(day(step * i), day(step * j)) for i in range(count) for j in range(i + 1, min(i + reach + 1, count))]


edges = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 20)).map(lambda e: (e[0], e[0] + e[1])), min_size=1, max_size=40
)


def test_a_chain_is_one_group_without_gaps():
    graph = date_graph(network((0, 12), (12, 24), (24, 36)))
    assert graph.connected
    assert [group.dates for group in graph.groups] == [(day(0), day(12), day(24), day(36))]
    assert graph.gaps == ()


def test_groups_name_their_first_and_last_date_in_order_of_time():
    graph = date_graph(network((400, 412), (412, 424), (0, 12)))
    assert [(group.first, group.last, len(group.dates)) for group in graph.groups] == [
        (day(0), day(12), 2),
        (day(400), day(424), 3),
    ]
    assert not graph.connected


def test_a_gap_is_a_break_between_groups_or_a_long_spacing():
    graph = date_graph(network((0, 12), (12, 60), (84, 96)), max_spacing=36)
    assert [(gap.before, gap.after, gap.days, gap.connected) for gap in graph.gaps] == [
        (day(12), day(60), 48, True),
        (day(60), day(84), 24, False),
    ]
    assert [gap.connected for gap in date_graph(network((0, 12), (12, 60), (84, 96)), max_spacing=48).gaps] == [False]


def test_groups_that_interleave_in_time_stay_apart():
    graph = date_graph(network((0, 24), (12, 36)))
    assert [group.dates for group in graph.groups] == [(day(0), day(24)), (day(12), day(36))]


def test_no_pairs_make_an_empty_connected_graph():
    graph = date_graph([])
    assert (graph.dates, graph.groups, graph.gaps, graph.connected) == ((), (), (), True)
    require_connected([])


@given(edges)
def test_groups_are_the_connected_components(found):
    pairs = network(*found)
    graph = date_graph(pairs)
    number = {d: i for i, d in enumerate(graph.dates)}
    rows = [number[p.reference] for p in pairs]
    columns = [number[p.secondary] for p in pairs]
    count, labels = connected_components(coo_array((np.ones(len(pairs)), (rows, columns)), shape=(len(number),) * 2))
    expected = {frozenset(d for d in graph.dates if labels[number[d]] == label) for label in range(count)}
    assert {frozenset(group.dates) for group in graph.groups} == expected
    assert len(graph.groups) == count
    firsts = [group.first for group in graph.groups]
    assert firsts == sorted(firsts)


@given(edges)
def test_a_gap_that_is_not_spanned_is_where_no_pair_reaches_over_two_neighbouring_dates(found):
    pairs = network(*found)
    graph = date_graph(pairs)
    steps = [(a, b) for a, b in pairwise(graph.dates) if not any(p.reference <= a and p.secondary >= b for p in pairs)]
    assert [(gap.before, gap.after) for gap in graph.gaps if not gap.spanned] == steps


def test_a_split_network_names_the_break_and_the_remedy():
    pairs = [Pair(date(2020, 1, 1), date(2020, 1, 13)), Pair(date(2021, 3, 4), date(2021, 3, 16))]
    message = "network splits into 2 groups at 2021-03-04; add a pair across that date"
    with pytest.raises(DisconnectedNetworkError, match=f"^{re.escape(message)}$"):
        require_connected(pairs)
    require_connected([*pairs, Pair(date(2020, 1, 13), date(2021, 3, 4))])


def test_many_breaks_fit_one_line():
    pairs = network(*[(100 * i, 100 * i + 12) for i in range(6)])
    message = (
        "network splits into 6 groups at 2016-04-10, 2016-07-19, 2016-10-27 and 2 more; "
        "add a pair across each of these dates"
    )
    with pytest.raises(DisconnectedNetworkError, match=f"^{re.escape(message)}$"):
        require_connected(pairs)


def test_a_pair_across_the_date_of_each_break_connects_the_network():
    pairs = network((0, 12), (100, 112), (200, 212))
    breaks = [group.first for group in date_graph(pairs).groups[1:]]
    bridges = [Pair(day(12), breaks[0]), Pair(day(112), breaks[1])]
    require_connected(pairs + bridges)


def test_incidence_turns_phases_of_dates_into_phases_of_pairs():
    pairs = network((0, 12), (0, 36), (12, 36))
    dates, incidence = incidence_matrix(pairs)
    assert dates == (day(0), day(12), day(36))
    np.testing.assert_array_equal(incidence @ [1.0, 10.0, 100.0], [9.0, 99.0, 90.0])


def test_a_chain_telescopes_to_its_end_minus_its_start():
    result = date_coefficients(regular(30, reach=1), np.ones(29))
    np.testing.assert_array_equal(result.coefficients, [-1.0] + [0.0] * 28 + [1.0])
    assert result.root_sum_square == pytest.approx(math.sqrt(2))


def test_a_regular_network_keeps_only_the_atmosphere_of_its_ends():
    pairs = regular(183, reach=3)
    assert len(pairs) == 543
    result = date_coefficients(pairs, np.ones(543))
    np.testing.assert_array_equal(result.coefficients[:3], [-3.0, -2.0, -1.0])
    np.testing.assert_array_equal(result.coefficients[3:-3], 0.0)
    assert result.root_sum_square == pytest.approx(math.sqrt(28))
    assert round(result.root_sum_square, 1) == 5.3


def test_independent_pairs_keep_the_atmosphere_of_all_their_dates():
    pairs = network(*[(100 * i, 100 * i + 12) for i in range(543)])
    root = date_coefficients(pairs, np.ones(543)).root_sum_square
    assert root == pytest.approx(math.sqrt(2 * 543))
    assert round(root) == 33


@given(edges, st.randoms(use_true_random=False))
def test_coefficients_sum_to_zero_and_carry_the_summed_time(found, random):
    pairs = network(*found)
    weights = np.array([random.uniform(-1, 3) for _ in pairs])
    dates, coefficients = date_coefficients(pairs, weights)
    assert coefficients.sum() == pytest.approx(0, abs=1e-9)
    times = np.array([(d - START).days for d in dates])
    assert coefficients @ times == pytest.approx(weights @ [p.days for p in pairs], abs=1e-6)


def test_weights_must_match_the_pairs():
    with pytest.raises(ValueError, match=re.escape("weights must have shape (2,), instead got (3,)")):
        date_coefficients(network((0, 12), (12, 24)), np.ones(3))
