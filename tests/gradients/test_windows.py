"""Time windows: which pairs fall in which."""

from datetime import date, timedelta

import pytest

from groundshift.errors import NoDataError
from groundshift.gradients.windows import between, in_months, named_windows, sliding
from groundshift.types import Pair

WET = (4, 5, 6, 7, 8, 9)


@pytest.fixture(scope="module")
def pairs(join_dates):
    """Four years, from January 2016 to December 2019."""
    return join_dates(range(0, 1450, 12))


def test_middle_of_a_pair_decides_its_season():
    # From 20 March to 20 April: the middle is 4 April.
    spring = [Pair(date(2020, 3, 20), date(2020, 4, 20)), Pair(date(2020, 3, 8), date(2020, 4, 20))]
    assert in_months(spring, {4}) == [0]
    assert in_months(spring, {3}) == [1]
    over_new_year = [Pair(date(2019, 12, 24), date(2020, 1, 29))]
    assert in_months(over_new_year, {1}) == [0]
    assert in_months(over_new_year, {12}) == []


def test_wet_and_dry_share_out_all_pairs_and_so_do_the_halves_three_months_later(pairs):
    found = named_windows(pairs, wet_months=WET, sliding_years=None)
    assert list(found) == ["all", "wet", "dry", "wet-late", "dry-late"]
    assert found["all"] == list(range(len(pairs)))
    for wet, dry, months in (("wet", "dry", WET), ("wet-late", "dry-late", (7, 8, 9, 10, 11, 12))):
        assert sorted(found[wet] + found[dry]) == found["all"]
        for k in found[wet]:
            middle = pairs[k].reference + timedelta(days=pairs[k].days / 2)
            assert middle.month in months
    winter = named_windows(pairs, wet_months=(10, 11, 12, 1, 2, 3), sliding_years=None)
    assert winter["wet-late"] == in_months(pairs, {1, 2, 3, 4, 5, 6})


def test_sliding_years_hold_the_pairs_wholly_within_them(pairs):
    found = sliding(pairs, 2)
    assert list(found) == ["2016-2017", "2017-2018", "2018-2019"]
    for name, members in found.items():
        first, last = (int(year) for year in name.split("-"))
        inside = [
            k for k, p in enumerate(pairs) if date(first, 1, 1) <= p.reference and p.secondary <= date(last, 12, 31)
        ]
        assert members == inside
        assert members
    assert list(sliding(pairs, 1)) == ["2016", "2017", "2018", "2019"]


def test_one_window_stands_where_the_pairs_are_shorter_than_it(pairs):
    assert list(sliding(pairs, 10)) == ["2016-2025"]
    assert list(sliding(pairs, 4)) == ["2016-2019"]


def test_dates_of_a_window_count_in(pairs):
    chosen = pairs[5]
    assert between([chosen], chosen.reference, chosen.secondary) == [0]
    assert between([chosen], chosen.reference + timedelta(1), chosen.secondary) == []
    assert between([chosen], chosen.reference, chosen.secondary - timedelta(1)) == []


def test_windows_of_few_pairs_or_of_all_are_left_out(pairs):
    short = [p for p in pairs if p.reference < date(2016, 4, 15)]
    found = named_windows(short, wet_months=WET, sliding_years=2, least=10)
    # Hardly any pair is in the wet months, and the sliding window would be the stack itself.
    assert 0 < len(in_months(short, WET)) < 10
    assert list(found) == ["all", "dry"]


def test_least_number_of_pairs_is_enough(pairs):
    size = len(in_months(pairs, {7}))
    wet = {"wet_months": {7}, "sliding_years": None}
    assert "wet" in named_windows(pairs, **wet, least=size)
    assert "wet" not in named_windows(pairs, **wet, least=size + 1)


def test_given_windows_are_taken_however_few_pairs_they_have(pairs):
    given = {"crisis": (date(2017, 5, 1), date(2017, 6, 1)), "whole": (date(2000, 1, 1), date(2030, 1, 1))}
    found = named_windows(pairs, wet_months=None, sliding_years=None, given=given, least=100)
    assert list(found) == ["all", "crisis", "whole"]
    assert found["crisis"] == between(pairs, *given["crisis"])
    assert 0 < len(found["crisis"]) < 10
    assert found["whole"] == found["all"]


def test_given_window_without_pairs_is_an_error(pairs):
    with pytest.raises(NoDataError, match=r"^window before: no pair lies between 2010-01-01 and 2011-01-01; widen it$"):
        named_windows(
            pairs, wet_months=None, sliding_years=None, given={"before": (date(2010, 1, 1), date(2011, 1, 1))}
        )


def test_number_of_years_must_be_sensible(pairs):
    with pytest.raises(ValueError, match=r"^years must lie in \[1, 100\], instead got 0$"):
        sliding(pairs, 0)
