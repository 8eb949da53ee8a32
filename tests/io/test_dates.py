from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundshift.errors import ProductError
from groundshift.io.dates import date_in_name, dates_in_name, pair_in_name, pair_or_problem
from groundshift.io.stack import Problem
from groundshift.types import Pair

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FORMS = {
    "20180702": lambda d: f"{d:%Y%m%d}",
    "2018-07-02": lambda d: f"{d:%Y-%m-%d}",
    "180702": lambda d: f"{d:%y%m%d}",
    "02Jul2018": lambda d: f"{d.day:02d}{MONTHS[d.month - 1]}{d.year}",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("between", ["_", "-", ""])
@given(
    first=st.dates(date(1991, 7, 17), date(2059, 12, 31)),
    days=st.integers(1, 3000),
    around=st.sampled_from(["{}", "geo_{}_unw.tif", "filt-{}.diff.ml.sm", "S1_136231_IW2_{}_VV_INT80_12E3_corr.tif"]),
)
def test_pair_is_found_in_every_form(form, between, first, days, around):
    second = first + timedelta(days)
    text = around.format(f"{FORMS[form](first)}{between}{FORMS[form](second)}")
    assert pair_in_name(text) == Pair(first, second)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("S1AA_20161223T070700_20170116T070658_VVP024_INT80_G_ueF_74C2_unw_phase.tif", "20161223_20170116"),
        ("S1A_064_E053_1_N27_3_E054_1_N27_8_20200604_20200616_VV_INT80_7EB5", "20200604_20200616"),
        ("S1_064_000000s1n00-136231s2n02-000000s3n00_IW_20200604_20200616_VV_INT80_77F1", "20200604_20200616"),
        ("S1_120215_IW2_20200604_20200616_VV_INT80_12E3", "20200604_20200616"),
        ("cropA_20180106-20180130_VV_8rlks_eqa_unw.tif", "20180106_20180130"),
        ("20190101_master_20180702_20180714.int", "20180702_20180714"),
        ("20180702_VV_20180714_VV.cor", "20180702_20180714"),
    ],
)
def test_names_of_real_products(name, expected):
    assert pair_in_name(name).name == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "notes.txt",
        "20190109.rmli.par",
        "021D_04972_131213.geo.E.tif",
        "20181332_20180230.diff",
        "1234567890123456.int",
    ],
)
def test_names_without_two_dates(name):
    assert pair_in_name(name) is None


def test_date_alone():
    assert date_in_name("20190109.lt_fine") == date(2019, 1, 9)
    assert date_in_name("EQA.dem_par") is None


def test_two_digit_years_turn_over_at_seventy():
    assert dates_in_name("700101_691231") == (date(1970, 1, 1), date(2069, 12, 31))


def test_wrong_way_round_is_said_with_a_remedy():
    with pytest.raises(
        ProductError,
        match=r"^dates 2018-07-14 and 2018-07-02 are the wrong way round; form the pair again with the earlier date as "
        r"reference, or rename it if only the name is wrong$",
    ):
        pair_in_name("20180714_20180702.diff")
    with pytest.raises(ProductError, match=r"^both dates are 2018-07-02; name it by the two dates of the pair$"):
        pair_in_name("20180702_20180702.diff")


def test_problem_names_the_file():
    path = Path("stack", "20180714_20180702.diff")
    problem = pair_or_problem(path)
    assert isinstance(problem, Problem)
    assert problem.skipped
    assert problem.path == path
    assert problem.message.startswith(f"{path}: dates 2018-07-14 and 2018-07-02 are the wrong way round; ")
    assert pair_or_problem(path, "20180702_20180714") == Pair(date(2018, 7, 2), date(2018, 7, 14))
    assert pair_or_problem(Path("notes.txt")) is None
