"""The command line as a user calls it: exit codes, one line for every error, and what goes to which stream."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine

from groundshift.workflows.config import DetectConfig, StackConfig

COMMANDS = [
    "info", "survey", "stack", "detect", "series", "report", "view", "export", "simulate", "demo", "samples", "gallery",
    "train", "evaluate",
]  # fmt: skip


def only_line(ran, code, pattern):
    """Whether a command ended with `code`, said nothing but one line, and that matches."""
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    assert ran.out == ""
    assert len(ran.lines) == 1, ran.err
    assert re.fullmatch(f"groundshift: {pattern}", ran.lines[0]), ran.lines[0]


def rewritten(path, change=lambda values: values, **profile):
    """Write a raster anew with other values or another place."""
    with rasterio.open(path) as source:
        values, given = change(source.read(1)), source.profile
    given.update(height=values.shape[0], width=values.shape[1], **profile)
    path.unlink()
    with rasterio.open(path, "w", **given) as sink:
        sink.write(values, 1)


def pairs_of(folder):
    return sorted(p.name.removesuffix("_phase.tif") for p in folder.glob("*_phase.tif"))


# Usage


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_a_meaning_for_every_option(groundshift, command):
    from groundshift.cli import app

    ran = groundshift(command, "--help")
    assert (ran.code, ran.err) == (0, "")
    assert "[default: ]" not in ran.out
    shown = [a for a in app[command].assemble_argument_collection() if a.show and not a.children]
    assert len(shown) >= 3
    assert [a.name for a in shown if not a.parameter.help] == []


def test_help_tells_units_and_defaults(groundshift):
    out = " ".join(groundshift("survey", "--help").out.replace("│", " ").split())
    stack, detect = StackConfig(), DetectConfig()
    for text in [
        f"Longest temporal baseline, days. [default: {stack.max_days}]",
        f"[default: {' '.join(map(str, stack.wet_months))}]",
        f"mm/yr along the line of sight. [default: {detect.least_velocity:g}]",
        f"metres; it bounds the size of bodies found. [default: {detect.reach:g}]",
        "NAME=YYYY-MM-DD:YYYY-MM-DD",
        "--no-layover",
        "--no-sliding-years",
    ]:
        assert text in out


def test_version_is_that_of_the_package(groundshift):
    from groundshift import __version__

    assert groundshift("--version").out.strip() == __version__


@pytest.mark.parametrize(
    "arguments",
    [["--version"], ["--help"], ["survey", "--help"], ["survey", "nowhere", "-o", "out"], ["stack", "--max-days", "x"]],
)
def test_an_answer_without_work_loads_none_of_the_slow_libraries(arguments, tmp_path):
    slow = "{'scipy', 'numba', 'rasterio', 'zarr', 'matplotlib', 'bokeh', 'geopandas', 'h5py', 'shapely'}"
    code = (
        f"import sys; from groundshift.cli import main; main({arguments!r}); print(sorted({slow} & set(sys.modules)))"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert time.monotonic() - began < 5  # 0.3 s alone on a machine; a busy one is given time
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["survey"], "no inputs given; name folders or files of interferograms"),
        (["survey", "a"], "no output given; name a folder with -o"),
        (["stack", "a"], "no output given; name a folder with -o"),
        (["detect", "-o", "b"], "no stacks given; name folders that `groundshift stack` wrote"),
        (["survey", "a", "-o", "b", "--max-days", "x"], "--max-days: expected a whole number, instead got 'x'"),
        (["survey", "a", "-o", "b", "--max-days", "0"], "--max-days: expected more than 0, instead got '0'"),
        (["survey", "a", "-o", "b", "--outline", "1"], "--outline: expected less than 1.0, instead got '1'"),
        (["survey", "a", "-o", "b", "--reach", "inf"], "--reach: expected a finite number, instead got 'inf'"),
        (["survey", "a", "-o", "b", "--wet-months", "4", "13"], "--wet-months: expected at most 12, instead got '13'"),
        (["survey", "a", "-o", "b", "--start", "2018"], "--start: expected a date, YYYY-MM-DD, instead got '2018'"),
        (
            ["survey", "a", "-o", "b", "--start", "2019-01-01", "--end", "2018-01-01"],
            "expected start before end, instead got 2019-01-01 and 2018-01-01",
        ),
        (["survey", "a", "-o", "b", "--sample-size", "-1"], "--sample-size: expected at least 0, instead got -1"),
        (["survey", "a", "-o", "b", "--window", "x"], "--window: expected NAME=YYYY-MM-DD:YYYY-MM-DD, instead got 'x'"),
        (
            ["survey", "a", "-o", "b", "--window", "../x=2018-01-01:2019-01-01"],
            "--window: expected a name of letters, digits, - and _, not 'all' or 'single-pairs', instead got '../x'",
        ),
        (["simulate", "a", "--n-dates", "1"], "--n-dates: expected at least 2, instead got '1'"),
        (["simulate", "a", "--bare.initial", "7"], "--bare.initial: expected at most 1.0, instead got '7'"),
        (
            ["simulate", "a", "--speed-mm-yr", "9", "3"],
            "--speed-mm-yr: must be (low, high) with 0 <= low <= high, instead got (9.0, 3.0)",
        ),
        (["simulate", "a", "--coherence-window", "4"], "coherence_window must be odd, instead got 4"),
        (["info", "a", "--wavelength", "-1"], "--wavelength: expected more than 0, instead got -1.0"),
        (
            ["info", "a", "--network", "a.bmp"],
            "--network: expected a name that ends in .png, .svg or .pdf, instead got 'a.bmp'",
        ),
        (["survey", "a", "-o", "b", "--zzyzx"], "Unknown option: --zzyzx; see groundshift survey --help"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_with_option_expectation_and_value(groundshift, arguments, message):
    only_line(groundshift(*arguments), 2, re.escape(message))


def test_an_unknown_command_lists_those_there_are(groundshift):
    ran = groundshift("frobnicate")
    assert ran.code == 2
    assert len(ran.lines) == 1
    assert all(command in ran.err for command in COMMANDS)


# Settings in a file


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stack:\n  max_days: x\n", "stack.max_days: expected a whole number, instead got 'x'"),
        ("stack:\n  maxdays: 3\n", "stack.maxdays: no such setting, did you mean max_days; see docs/survey.md for all"),
        (
            "significance: 5\n",
            "significance: no such setting here, it belongs under detect; see docs/survey.md for all",
        ),
        ("stack:\n  wet_months: [1, 14]\n", "stack.wet_months.1: expected at most 12, instead got 14"),
        ("stack:\n  windows: {a: [2018-01-01]}\n", "stack.windows.a.1: expected a value, instead got [datetime.date("),
        ("stack: 3\n", "stack: expected names with values, instead got 3"),
        ("a: [\n", "not a YAML file, line 2; see docs/survey.md for its form"),
        ("- 1\n", "expected names with values; see docs/survey.md for its form"),
        ("mask:\n  layover: perhaps\n", "mask.layover: expected true or false, instead got 'perhaps'"),
    ],
)
def test_a_bad_setting_in_a_file_is_named_with_its_file(groundshift, tmp_path, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    ran = groundshift("survey", "a", "-o", tmp_path / "b", "--config", path)
    assert ran.code == 2
    assert len(ran.lines) == 1
    assert ran.lines[0].startswith(f"groundshift: {path}: {message}")


def test_a_missing_settings_file_is_wrong_usage(groundshift, tmp_path):
    only_line(
        groundshift("survey", "--config", tmp_path / "none.yaml"),
        2,
        re.escape(f"{tmp_path / 'none.yaml'}: no such file; check the spelling of --config"),
    )


def test_the_written_settings_give_the_same_settings_again(groundshift, simulated, tmp_path):
    typed = [
        "--max-days", "24", "--window", "rains=2018-03-01:2018-05-20", "--no-sliding-years", "--no-wet-months",
        "--no-layover", "--start", "20180110", "--memory-mb", "50", "--diagonals",
    ]  # fmt: skip
    first, second = tmp_path / "first", tmp_path / "second"
    assert groundshift("survey", simulated, "-o", first, *typed, "-q").code == 0
    assert groundshift("survey", "--config", first / "run.yaml", "-o", second, "-q").code == 0
    one, two = (yaml.safe_load((folder / "run.yaml").read_text()) for folder in (first, second))
    assert one.pop("output") != two.pop("output")
    assert one == two
    assert one["stack"]["windows"] == {"rains": ["2018-03-01", "2018-05-20"]}
    assert one["stack"]["sliding_years"] is None
    assert one["stack"]["wet_months"] == []
    assert one["mask"]["layover"] is False
    assert (first / "stacks" / "simulated-3" / "rains" / "velocity.tif").exists()


def test_an_option_wins_over_the_file_and_leaves_the_rest_of_it(groundshift, simulated, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "inputs": [str(simulated)],
                "output": str(tmp_path / "out"),
                "stack": {
                    "max_days": 12,
                    "least_pairs": 5,
                    "strict": True,
                    "windows": {"a": ["2018-01-01", "2018-05-01"]},
                },
            }
        )
    )
    ran = groundshift(
        "stack", "--config", path, "--max-days", "24", "--no-strict", "--window", "b=2018-01-01:2018-04-01"
    )
    assert ran.code == 0
    settings = yaml.safe_load((tmp_path / "out" / "run.yaml").read_text())["stack"]
    assert (settings["max_days"], settings["least_pairs"], settings["strict"]) == (24, 5, False)
    assert sorted(settings["windows"]) == ["a", "b"]


# What goes where


def test_a_dry_run_tells_and_touches_nothing(groundshift, simulated, tmp_path):
    before = sorted((p, p.stat().st_mtime_ns) for p in simulated.rglob("*"))
    for command in ("survey", "stack"):
        ran = groundshift(command, simulated, "-o", tmp_path / "out", "--dry-run")
        assert (ran.code, ran.err) == (0, "")
        assert re.search(r"pairs +30 of 30", ran.out)
    facts = json.loads(groundshift("survey", simulated, "-o", tmp_path / "out", "--dry-run", "--json").out)
    assert facts["tracks"][0]["time_windows"]["all"] == 30
    assert list(tmp_path.iterdir()) == []
    assert sorted((p, p.stat().st_mtime_ns) for p in simulated.rglob("*")) == before


def test_json_is_all_that_stands_on_stdout(groundshift, simulated, tmp_path):
    for arguments in (
        ["info", simulated],
        ["stack", simulated, "-o", tmp_path / "stack"],
        ["detect", tmp_path / "stack", "-o", tmp_path / "detect"],
        ["survey", simulated, "-o", tmp_path / "survey"],
    ):
        ran = groundshift(*arguments, "--json")
        assert (ran.code, ran.err) == (0, "")
        facts = json.loads(ran.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
        assert isinstance(facts, dict)
    assert facts["pairs"] == 30
    assert len(facts["targets"]) >= 1


def test_quiet_says_nothing_and_otherwise_stdout_stays_empty(groundshift, simulated, tmp_path):
    ran = groundshift("stack", simulated, "-o", tmp_path / "quiet", "--quiet")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    ran = groundshift("stack", simulated, "-o", tmp_path / "loud")
    assert (ran.code, ran.out) == (0, "")
    assert ran.lines == [f"simulated-3: 30 pairs stacked in {tmp_path / 'loud' / 'stacks' / 'simulated-3'}"]


def test_a_single_pair_is_counted_as_one(groundshift, scene):
    for pair in pairs_of(scene)[1:]:
        for path in scene.glob(f"{pair}_*"):
            path.unlink()
    assert re.search(r"^pairs +1$", groundshift("info", scene).out, re.MULTILINE)


def test_a_request_to_end_is_an_interruption(groundshift, simulated, tmp_path, monkeypatch):
    from groundshift.cli import surveys

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(surveys, "check_paths", lambda *paths: os.kill(os.getpid(), signal.SIGTERM))
    ran = groundshift("survey", simulated, "-o", tmp_path / "out")
    only_line(ran, 1, "interrupted; run the same command again to continue")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_closed_pipe_ends_quietly():
    code = "import sys; from groundshift.cli import main; sys.exit(main(['survey', '--help']))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 1


# Inputs that cannot be used


@pytest.mark.parametrize("command", ["info", "survey", "stack"])
def test_an_input_that_is_not_there_or_holds_nothing_is_one_line(groundshift, tmp_path, command):
    output = [] if command == "info" else ["-o", tmp_path / "out"]
    only_line(
        groundshift(command, tmp_path / "none", *output), 1, r".*none: no such file or folder; check the spelling"
    )
    (tmp_path / "empty").mkdir()
    only_line(groundshift(command, tmp_path / "empty", *output), 1, r".*empty: the folder is empty; give the folder .*")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("hello")
    only_line(
        groundshift(command, tmp_path / "other", *output), 1, r".*other: no known product here; --format takes .*"
    )
    only_line(
        groundshift(command, tmp_path / "other", "--format", "gpx", *output),
        1,
        r"unknown format 'gpx'; choose one of: .*",
    )
    assert not (tmp_path / "out").exists()


def truncate(folder, pair):
    path = folder / f"{pair}_phase.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


def empty(folder, pair):
    (folder / f"{pair}_coh.tif").write_bytes(b"")


def lose_companion(folder, pair):
    (folder / f"{pair}_coh.tif").unlink()


def crop(folder, pair):
    for kind in ("phase", "coh"):
        rewritten(folder / f"{pair}_{kind}.tif", lambda values: values[:-5])


def move(folder, pair):
    for kind in ("phase", "coh"):
        rewritten(folder / f"{pair}_{kind}.tif", transform=Affine(40, 0, 1e5, 0, -40, 3e6))


def turn_round(folder, pair):
    first, second = pair.split("_")
    for kind in ("phase", "coh"):
        (folder / f"{pair}_{kind}.tif").rename(folder / f"{second}_{first}_{kind}.tif")


def double(folder, pair):
    shutil.copy(folder / f"{pair}_phase.tif", folder / f"{pair}_wrapped.tif")


FAULTS = {
    truncate: (29, r"{pair}_phase\.tif: not a readable raster; fetch the file again"),
    empty: (29, r"{pair}_coh\.tif: not a readable raster; fetch the file again"),
    lose_companion: (29, r"{pair}_phase\.tif: no coherence raster for this pair, as the others have; restore it"),
    crop: (29, r"{pair}_phase\.tif: 59 x 80 pixels, but the other pairs have 64 x 80; bring it to their grid .*"),
    move: (29, r"{pair}_phase\.tif: lies elsewhere than the other pairs; bring it to their grid or remove it"),
    turn_round: (29, r"\d+_\d+_phase\.tif: dates .* are the wrong way round; .*"),
    double: (30, r"{pair}_wrapped\.tif: pair {pair} is already given by .*_phase\.tif; remove one"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_one_bad_pair_among_many_is_left_out_counted_and_named(groundshift, scene, tmp_path, fault):
    pair = pairs_of(scene)[4]
    fault(scene, pair)
    left, pattern = FAULTS[fault]
    pattern = f"{re.escape(str(scene))}/{pattern.format(pair=pair)}"

    ran = groundshift("info", scene, "--json")
    assert (ran.code, ran.err) == (1, "")
    facts = json.loads(ran.out)
    assert facts["pairs"] == left
    assert len(facts["skipped"]) == 1
    assert re.fullmatch(pattern, facts["skipped"][0])

    out = tmp_path / "out"
    ran = groundshift("stack", scene, "-o", out, "--no-wet-months")
    assert (ran.code, ran.out) == (0, "")
    assert len(ran.lines) == 2
    assert re.fullmatch(f"warning: {pattern}", ran.lines[0])
    assert ran.lines[1].startswith(f"simulated-3: {left} pairs stacked, 1 file left out in ")
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [bool(re.fullmatch(pattern, e["text"])) for e in events if e["event"] == "problem"] == [True]

    only_line(groundshift("stack", scene, "-o", tmp_path / "strict", "--strict"), 1, pattern)
    assert not (tmp_path / "strict").exists()


def test_values_that_are_not_finite_are_holes(groundshift, scene, tmp_path):
    def holed(values):
        values[10:14, 20:24] = np.nan
        values[40:44, 50:54] = np.inf
        return values

    for pair in pairs_of(scene):
        rewritten(scene / f"{pair}_phase.tif", holed)
    assert groundshift("stack", scene, "-o", tmp_path / "out", "-q", "--smoothing", "1").code == 0
    with rasterio.open(tmp_path / "out" / "stacks" / "simulated-3" / "n_pairs.tif") as source:
        counts = source.read(1)
    holes = np.zeros(counts.shape, bool)
    holes[10:14, 20:24] = holes[40:44, 50:54] = True
    assert (counts[holes] == 0).all()
    assert (counts[:9, :-1] == 30).all()


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, r".*simulated-3: no gradient has data; check the coherence of the stack")]
)
def test_a_stack_without_any_data_is_one_line(groundshift, scene, tmp_path, value, message):
    for pair in pairs_of(scene):
        rewritten(scene / f"{pair}_phase.tif", lambda values: np.full_like(values, value))
    only_line(groundshift("survey", scene, "-o", tmp_path / "out"), 1, message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-days", "3"], r".*scene: .*3.*"),
        (["--start", "2030-01-01"], r".*scene: .*2030.*"),
        (["--window", "late=2030-01-01:2031-01-01"], r".*scene: window late: no pair lies between .*; widen it"),
        (
            ["--window", "short=2018-01-05:2018-01-17"],
            r".*scene: window short: only one pair lies within its dates; .*",
        ),
        (["--working-pixel", "1e7"], r".*scene: 64 x 80 pixels are too few for looks of .*; lower --working-pixel .*"),
        (["--smoothing", "900", "--smoothing-limit", "1e6"], r".*scene: 64 x 80 pixels are too few for looks of .*"),
        (["--dem", "nowhere.tif"], r"nowhere\.tif: no such file or folder; check the spelling"),
        (["--snow", "nowhere.SAFE"], r"nowhere\.SAFE: no such file or folder; check the spelling"),
        (["--step", "2"], r"step: a survey compares neighbours, expected 1, instead got 2"),
    ],
)
def test_settings_that_leave_nothing_to_do_are_one_line(groundshift, simulated, tmp_path, options, message):
    ran = groundshift("survey", simulated, "-o", tmp_path / "out", *options)
    only_line(ran, 2 if "--step" in options else 1, message)


def test_an_input_given_twice_is_refused(groundshift, simulated, tmp_path):
    again = tmp_path / "again"
    again.symlink_to(simulated)
    ran = groundshift("survey", simulated, again, "-o", tmp_path / "out")
    only_line(ran, 1, r".*again: given twice; name each input once")


# Outputs that cannot be written


@pytest.mark.parametrize("command", ["survey", "stack", "detect"])
def test_an_output_that_cannot_be_is_refused_before_anything_is_read(
    groundshift, simulated, surveyed, tmp_path, command
):
    given = surveyed if command == "detect" else simulated
    file = tmp_path / "file"
    file.write_text("mine")
    only_line(groundshift(command, given, "-o", file), 1, r".*file: is a file, not a folder; choose another .*")
    only_line(
        groundshift(command, given, "-o", file / "below"), 1, r".*file: is a file, not a folder; choose another .*"
    )
    only_line(groundshift(command, given, "-o", given), 1, r".*: holds the input; choose another output folder")
    assert file.read_text() == "mine"


def test_a_place_without_permission_is_refused(groundshift, simulated, tmp_path, monkeypatch):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    # The superuser may write anywhere, so that the answer of the system is given for it.
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != str(closed))
    for command in ("survey", "stack"):
        ran = groundshift(command, simulated, "-o", closed / "out")
        only_line(ran, 1, r".*closed: no permission to write here; choose another output folder")


def test_detection_does_not_write_over_the_survey_it_reads(groundshift, surveyed):
    before = (surveyed / "run.yaml").read_text()
    ran = groundshift("detect", surveyed / "stacks", "-o", surveyed)
    only_line(ran, 1, r".*: holds the stacks; choose another output folder, or run `groundshift survey` again")
    assert (surveyed / "run.yaml").read_text() == before


def test_a_scene_is_not_written_over_another(groundshift, scene):
    before = sorted(p.name for p in scene.iterdir())
    ran = groundshift("simulate", scene, "--seed", "9", "--shape", "64", "80", "--n-slides", "1", "--n-dates", "3")
    only_line(ran, 1, r".*scene: already holds something else; choose a new or empty folder")
    assert sorted(p.name for p in scene.iterdir()) == before
