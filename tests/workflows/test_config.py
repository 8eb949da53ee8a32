"""Settings: what is accepted, how a wrong one is explained, and how files and options join."""

from datetime import date
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from groundshift.workflows.config import (
    DetectConfig,
    MaskConfig,
    ScreenConfig,
    SettingError,
    StackConfig,
    SurveyConfig,
    explain,
    load_config,
    merged,
    read_window,
    save_config,
)


def full(**changes):
    return SurveyConfig(inputs=(Path("a"), Path("b")), output=Path("out"), **changes)


def explained(model, **values):
    with pytest.raises(ValidationError) as caught:
        model(**values)
    return explain(caught.value)


def test_what_is_written_is_read_as_the_same_settings(tmp_path):
    config = full(
        pattern="*_unw.tif",
        stack=StackConfig(
            windows={"rains": (date(2018, 4, 1), date(2018, 9, 30))},
            sliding_years=None,
            wet_months=(),
            end=date(2020, 1, 1),
        ),
        mask=MaskConfig(snow=(Path("x.SAFE"), Path("y.SAFE")), snow_bands=(2, 3, 4), layover=False),
        detect=DetectConfig(significance=5.25),
        screen=ScreenConfig(keep_flat=False),
        seed=7,
    )
    save_config(config, tmp_path / "run.yaml")
    assert SurveyConfig.model_validate(load_config(tmp_path / "run.yaml")) == config
    assert list(tmp_path.iterdir()) == [tmp_path / "run.yaml"]


def test_a_file_may_hold_any_part(tmp_path):
    path = tmp_path / "part.yaml"
    path.write_text("stack:\n  max_days: 24\ndetect:\n")
    assert load_config(path) == {"stack": {"max_days": 24}, "detect": {}}


@pytest.mark.parametrize("written", ["2018-03-04", "20180304", 20180304, date(2018, 3, 4)])
def test_dates_are_read_as_people_write_them(written):
    assert StackConfig(start=written).start == date(2018, 3, 4)


@pytest.mark.parametrize("wrong", ["2018", "2018-13-01", 2018, "86400", 1.5, True, "03/04/2018"])
def test_a_number_is_not_taken_for_a_date(wrong):
    assert explained(StackConfig, start=wrong) == f"--start: expected a date, YYYY-MM-DD, instead got {wrong!r}"


@pytest.mark.parametrize(
    ("model", "values", "line"),
    [
        (
            StackConfig,
            {"smoothing_limit": float("nan")},
            "--smoothing-limit: expected a finite number, instead got nan",
        ),
        (StackConfig, {"step": 1.5}, "--step: expected a whole number, instead got 1.5"),
        (StackConfig, {"strict": "often"}, "--strict: expected true or false, instead got 'often'"),
        (StackConfig, {"sliding_years": 101}, "--sliding-years: expected at most 100, instead got 101"),
        (
            StackConfig,
            {"windows": {"a": ("2018-02-01", "2018-01-01")}},
            "--windows: expected the first date of a before the last, instead got 2018-02-01 and 2018-01-01",
        ),
        (DetectConfig, {"outline": 0}, "--outline: expected more than 0.0, instead got 0"),
        (DetectConfig, {"significnce": 5}, "--significnce: no such setting, see docs/survey.md for all"),
        (MaskConfig, {"snow": "abc"}, "--snow: expected a list, instead got 'abc'"),
        (MaskConfig, {"dem": 3}, "--dem: expected a path, instead got 3"),
        (
            StackConfig,
            {"pair_mode": "most" * 40},
            f"--pair-mode: expected one of 'all', 'sequential' or 'nearest', instead got '{'most' * 14}...",
        ),
    ],
)
def test_a_wrong_setting_is_explained_in_one_short_line(model, values, line):
    found = explained(model, **values)
    assert found == line or "no such setting" in found
    assert "\n" not in found
    assert len(found) < 200


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("stac:\n  max_days: 3\n", "stac: no such setting, did you mean stack; see docs/survey.md for all"),
        ("max_days: 3\n", "max_days: no such setting here, it belongs under stack; see docs/survey.md for all"),
        ("seed: x\n", "seed: expected a whole number, instead got 'x'"),
        ("screen:\n  least_slope: 91\n", "screen.least_slope: expected at most 90.0, instead got 91"),
        ("1: 2\n", "expected names with values; see docs/survey.md for its form"),
        ("", "expected names with values; see docs/survey.md for its form"),
    ],
)
def test_a_wrong_setting_of_a_file_is_named_with_its_place(tmp_path, text, line):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(SettingError) as caught:
        load_config(path)
    assert str(caught.value) == f"{path}: {line}"


def test_a_file_that_is_no_text_or_a_folder_is_refused(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "x.yaml", tmp_path):
        with pytest.raises(SettingError, match=r": not a YAML file"):
            load_config(path)


def test_what_was_given_lies_over_what_the_file_says_and_none_was_not_given():
    base = {"seed": 3, "stack": {"max_days": 12, "step": 1}, "detect": None}
    given = {"seed": None, "stack": StackConfig(max_days=24, sliding_years=None), "detect": DetectConfig(reach=900.0)}
    assert merged(base, given) == {
        "seed": 3,
        "stack": {"max_days": 24, "step": 1, "sliding_years": None},
        "detect": {"reach": 900.0},
    }
    assert base["stack"] == {"max_days": 12, "step": 1}


def test_a_window_of_the_command_line_is_a_name_and_two_dates():
    assert read_window("a-1=20180101:2018-06-01") == ("a-1", (date(2018, 1, 1), date(2018, 6, 1)))
    for wrong in (
        "a",
        "a=2018-01-01",
        "=2018-01-01:2018-06-01",
        "a b=2018-01-01:2018-06-01",
        "all=2018-01-01:2018-06-01",
    ):
        with pytest.raises(SettingError, match=r"^--window: expected "):
            read_window(wrong)


def test_docs_tell_every_setting_with_its_default():
    text = (Path(__file__).parents[2] / "docs" / "survey.md").read_text(encoding="utf-8")
    block = text.split("```yaml\n", 1)[1].split("```", 1)[0]
    told = yaml.safe_load(block)
    expected = full().model_dump(mode="json")
    for name in ("inputs", "output"):
        told.pop(name), expected.pop(name)
    assert told == expected
