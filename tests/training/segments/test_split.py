"""Splits: that of the paper by name as text and by zone, the clean one by zone, and places held back."""

from typing import NamedTuple

import pytest

from groundshift.errors import NoDataError
from groundshift.training.segments.split import clean_split, held_back, paper_split


class Patch(NamedTuple):
    delay: str
    zone: str
    dates: str
    move_id: int


DATES = ["02Jul2018_08Jul2018", "01Aug2018_07Aug2018", "14Jul2018_20Jul2018", "13Aug2018_19Aug2018",
         "26Jul2018_01Aug2018"]  # fmt: skip
"""In no order; as text the last fifth is that of 26 July, although 13 August is later."""
LAST = "26Jul2018_01Aug2018"


def patches(zones=("Queyras", "Vanoise"), delays=("6days", "12days")):
    return [Patch(d, z, dates, m) for d in delays for z in zones for dates in DATES for m in (1, 2)]


def test_paper_split_goes_by_the_text_of_the_dates_and_by_zone():
    given = patches()
    learn, judge = paper_split(given, [True] * len(given))
    assert {given[k].zone for k in judge} == {"Queyras"}
    assert {given[k].dates for k in judge} == {LAST}
    assert {given[k].zone for k in learn} == {"Vanoise"}
    assert {given[k].dates for k in learn} == set(DATES) - {LAST}
    assert len(learn) == 2 * 4 * 2
    assert len(judge) == 2 * 1 * 2


def test_paper_split_counts_quiet_interferograms_but_leaves_their_patches_out():
    given = patches()
    moving = [p.dates != "13Aug2018_19Aug2018" for p in given]
    learn, judge = paper_split(given, moving)
    # Were only those with motion counted, three of four would learn and not three of five.
    assert {given[k].dates for k in judge} == {LAST}
    assert {given[k].dates for k in learn} == set(DATES) - {LAST, "13Aug2018_19Aug2018"}


def test_paper_split_without_its_zone_says_what_to_do():
    given = patches(("Ecrins", "Vanoise"))
    with pytest.raises(NoDataError) as caught:
        paper_split(given, [True] * len(given))
    assert str(caught.value) == (
        "the split of the paper judges by the last interferograms of the zone Queyras and learns from the first of "
        "others, instead got zones Ecrins, Vanoise; use --split clean"
    )


@pytest.mark.parametrize("seed", range(5))
def test_clean_split_has_no_zone_on_both_sides(seed):
    given = patches(tuple(f"zone{k}" for k in range(10)))
    learn, judge = clean_split(given, seed)
    assert sorted([*learn, *judge]) == list(range(len(given)))
    zones = [{given[k].zone for k in part} for part in (learn, judge)]
    assert zones[0].isdisjoint(zones[1])
    assert [len(z) for z in zones] == [8, 2]


def test_one_zone_cannot_be_split():
    with pytest.raises(NoDataError, match=r"^all patches are of one zone, and some zones judge; add patches"):
        clean_split(patches(("Vanoise",)), 0)


def test_places_held_back_are_on_one_side_only():
    given = [Patch("6days", "Vanoise", dates, m) for dates in DATES for m in range(20)]
    kept, held = held_back(given, range(40, 100), 0.1, 0)
    assert sorted([*kept, *held]) == list(range(40, 100))
    assert {given[k].move_id for k in kept}.isdisjoint({given[k].move_id for k in held})
    assert len({given[k].move_id for k in held}) == 2


def test_nothing_is_held_back_where_nothing_is_asked_for():
    assert held_back(patches(), [3, 5], 0.0, 0) == ([3, 5], [])


def test_one_place_cannot_be_held_back():
    given = [Patch("6days", "Vanoise", dates, 1) for dates in DATES]
    with pytest.raises(NoDataError, match=r"--validation-share 0$"):
        held_back(given, range(5), 0.1, 0)
