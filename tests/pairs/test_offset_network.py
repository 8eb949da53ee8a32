from datetime import date, timedelta

import pytest

from groundshift.errors import DisconnectedNetworkError, NoDataError
from groundshift.pairs.network import date_graph
from groundshift.pairs.offset_network import offset_pairs


def days(start: date, *steps: int) -> list[date]:
    return [start + timedelta(step) for step in steps]


OLD = days(date(2007, 1, 1), *range(0, 1100, 92))
NEW = days(date(2014, 9, 1), *range(0, 900, 70))


def test_pairs_of_one_sensor_keep_to_the_bounds_and_none_is_left_out():
    found = offset_pairs({"A": OLD}, min_days=300, max_days=600)
    expected = {(a, b) for a in OLD for b in OLD if 300 <= (b - a).days <= 600}
    assert {(one.pair.reference, one.pair.secondary) for one in found} == expected
    assert {one.sensors for one in found} == {("A", "A")}


def test_each_sensor_has_its_own_lower_bound():
    found = offset_pairs({"A": OLD, "B": NEW}, min_days={"A": 300, "B": 140})
    assert min(one.pair.days for one in found if one.sensors == ("A", "A")) >= 300
    assert min(one.pair.days for one in found if one.sensors == ("B", "B")) == 140


@pytest.mark.parametrize("count", [1, 2, 3])
def test_bridges_join_the_dates_on_both_sides_of_the_gap(count):
    found = [one for one in offset_pairs({"B": NEW, "A": OLD}, min_days=70, bridges=count) if one.bridges]
    joined = {(one.pair.reference, one.pair.secondary) for one in found}
    assert joined == {(a, b) for a in OLD[-count:] for b in NEW[:count]}
    assert {one.sensors for one in found} == {("A", "B")}


def test_sensors_that_overlap_in_time_are_joined_by_the_shortest_pairs():
    a, b = days(date(2015, 1, 1), 0, 100, 200, 300), days(date(2015, 1, 1), 110, 195, 400)
    found = [one for one in offset_pairs({"A": a, "B": b}, min_days=90, bridges=1) if one.bridges]
    assert [(one.pair.days, one.sensors) for one in found] == [(5, ("B", "A"))]


def test_a_sensor_of_one_image_hangs_on_bridges():
    found = offset_pairs({"A": OLD, "B": NEW[:1]}, min_days=300)
    assert sum(one.bridges for one in found) == 3
    assert date_graph([one.pair for one in found]).connected


def test_pairs_come_in_order_of_time_and_connect_all_dates():
    pairs = [one.pair for one in offset_pairs({"B": NEW, "A": OLD}, min_days=300)]
    assert pairs == sorted(pairs, key=lambda pair: (pair.reference, pair.secondary))
    assert date_graph(pairs).dates == tuple(OLD + NEW)


def test_a_date_that_no_pair_reaches_is_named_with_the_remedy():
    with pytest.raises(DisconnectedNetworkError) as caught:
        offset_pairs({"A": days(date(2015, 1, 1), 0, 100, 400)}, min_days=350)
    assert str(caught.value) == (
        "no pair has the A image of 2015-04-11; lower min_days, raise max_days or bridges, or leave it out"
    )


def test_a_split_is_named_with_the_remedy():
    with pytest.raises(DisconnectedNetworkError) as caught:
        offset_pairs({"A": days(date(2015, 1, 1), 0, 10, 100, 110)}, min_days=100, max_days=100)
    assert str(caught.value) == (
        "network splits into 2 groups at the A image of 2015-01-11; lower min_days, raise max_days or bridges"
    )


@pytest.mark.parametrize(
    ("dates", "options", "message"),
    [
        ({"A": OLD, "B": OLD[:1]}, {"min_days": 300}, r"two images of 2007-01-01 \(A and B\) cannot be told apart"),
        ({"A": OLD[:1] * 2}, {"min_days": 300}, r"two images of 2007-01-01 \(A twice\)"),
        ({"A": OLD}, {"min_days": {"B": 300}}, "min_days must name A, instead got B"),
        ({"A": OLD}, {"min_days": 0}, r"min_days must lie in \[1, inf\], instead got 0"),
        ({"A": OLD}, {"min_days": 300, "max_days": 200}, "max_days must be at least the 300 of min_days"),
        ({"A": OLD}, {"min_days": 300, "bridges": 0}, r"bridges must lie in \[1, inf\], instead got 0"),
    ],
)
def test_bad_arguments_are_named(dates, options, message):
    with pytest.raises(ValueError, match=message):
        offset_pairs(dates, **options)


def test_fewer_than_two_images_make_no_network():
    with pytest.raises(NoDataError, match="at least two images, instead got 1"):
        offset_pairs({"A": OLD[:1], "B": []}, min_days=300)
