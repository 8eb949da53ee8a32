"""`groundshift samples`: what it writes, how it goes on, and what it refuses."""

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
import yaml

torch = pytest.importorskip("torch")

from groundshift import __version__  # noqa: E402
from groundshift.cli import models  # noqa: E402
from groundshift.simulate.batched.config import BatchConfig  # noqa: E402
from groundshift.training import simulated  # noqa: E402
from groundshift.training.samples import Sample, list_samples, read_sample  # noqa: E402
from groundshift.training.simulated import write_samples  # noqa: E402
from groundshift.workflows import sampling  # noqa: E402

TINY = {"shape": (32, 40), "scenes": 2, "pixel_m": (50.0, 60.0), "dates": (8, 8), "pairs": (10, 10)}
OPTIONS = ("--shape", 32, 40, "--scenes", 2, "--pixel-m", 50, 60, "--dates", 8, 8, "--pairs", 10, 10,
           "--windows-per-scene", 2)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def here(monkeypatch):
    """Make batches in this process, and count them; quiet maps instead of simulated ones."""
    asked = []

    def simulate_samples(config, seed, *, device, windows_per_scene):
        asked.append((seed, device))
        planes, labels = np.zeros((8, *config.shape), np.float32), np.zeros(config.shape, np.uint8)
        return [
            Sample(planes, labels, (), f"sim-{seed}-{scene}", f"w{window}", 40.0, 1.0, 9)
            for scene in range(config.scenes)
            for window in range(windows_per_scene)
        ]

    monkeypatch.setattr(simulated, "simulate_samples", simulate_samples)
    monkeypatch.setattr(sampling, "_in_workers", lambda jobs, workers: (sampling._make_batch(job) for job in jobs))
    return asked


def only_line(ran, code, pattern):
    assert (ran.code, ran.out) == (code, ""), ran.err
    assert len(ran.lines) == 1, ran.err
    assert re.fullmatch(f"groundshift: {pattern}", ran.lines[0]), ran.lines[0]


# With workers


def test_workers_go_on_and_write_what_one_process_of_one_thread_does(groundshift, tmp_path):
    alone, out = tmp_path / "alone", tmp_path / "out"
    files = list(write_samples(alone, BatchConfig(**TINY), 5, 3, windows_per_scene=2))
    assert len(files) == 12
    assert groundshift("samples", "-o", out, *OPTIONS, "--first-seed", 5, "--dry-run").code == 0
    assert not out.exists()
    environment = dict(os.environ)
    ran = groundshift("samples", "-o", out, *OPTIONS, "--first-seed", 5, "--batches", 3, "--workers", 2)
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert dict(os.environ) == environment
    assert re.fullmatch(rf"12 samples made in \d+ s: {out}", ran.lines[-1])
    assert sorted(path.name for path in out.glob("*.npz")) == sorted(path.name for path in files)
    assert all((out / path.name).read_bytes() == path.read_bytes() for path in files)
    assert {sample.scene for sample in map(read_sample, list_samples(out))} == {
        f"sim-{seed}-{scene}" for seed in (5, 6, 7) for scene in (0, 1)
    }


def test_an_interrupted_run_leaves_no_worker_and_nothing_half_written(tmp_path):
    out = tmp_path / "out"
    arguments = ["samples", "-o", str(out), *map(str, OPTIONS), "--batches", "5000", "--quiet"]
    code = f"import sys; from groundshift.cli import main; sys.exit(main({arguments!r}))"
    run = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    for _ in range(1200):
        if run.poll() is not None or next(out.glob("*.npz"), None) is not None:
            break
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    assert run.wait(30) == 1
    assert run.stderr.read() == "groundshift: interrupted; run the same command again to continue\n"
    count = len(list(out.glob("*.npz")))
    assert 0 < count < 5000
    time.sleep(0.3)
    assert len(list(out.glob("*.npz"))) == count
    assert not (out / ".lock").exists()


# What it writes


def test_a_second_run_makes_what_is_missing(groundshift, here, tmp_path):
    out = tmp_path / "out"
    first = groundshift("samples", "-o", out, *OPTIONS, "--batches", 2, "--json")
    assert (first.code, first.err) == (0, "")
    assert {k: v for k, v in json.loads(first.out).items() if k != "seconds"} == {
        "folder": str(out), "samples": 8, "made": 8, "kept": 0,
    }  # fmt: skip
    (out / "000001-1-w1.npz").unlink()
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.npz")}
    second = groundshift("samples", "-o", out, *OPTIONS, "--batches", 3)
    assert here == [(0, "cpu"), (1, "cpu"), (1, "cpu"), (2, "cpu")]
    assert re.fullmatch(rf"5 samples made in \d+ s, 7 were there already: {out}", second.lines[-1])
    assert all(path.stat().st_mtime_ns == when for path, when in before.items())
    assert len(list(out.glob("*.npz"))) == 12


def test_the_record_says_what_samples_are_made_of_and_gives_the_same_settings_again(groundshift, here, tmp_path):
    out, other = tmp_path / "out", tmp_path / "other"
    for first, batches in ((0, 2), (0, 3), (0, 1), (90, 1)):
        ran = groundshift("samples", "-o", out, *OPTIONS, "--first-seed", first, "--batches", batches, "-q")
        assert ran.code == 0
    record = yaml.safe_load((out / "samples.yaml").read_text())
    assert record["groundshift"] == __version__
    assert record["plan"] == {"windows_per_scene": 2}
    assert BatchConfig.model_validate(record["scenes"]) == BatchConfig(**TINY)
    assert record["seeds"] == [
        {"first_seed": 0, "batches": 3, "device": "cpu"},
        {"first_seed": 90, "batches": 1, "device": "cpu"},
    ]
    assert groundshift("samples", "-o", other, "--config", out / "samples.yaml", "--batches", 1, "-q").code == 0
    again = yaml.safe_load((other / "samples.yaml").read_text())
    assert {**again, "seeds": []} == {**record, "seeds": []}


def test_progress_tells_how_much_is_left(groundshift, here, tmp_path):
    ran = groundshift("samples", "-o", tmp_path / "out", *OPTIONS, "--batches", 20)
    told = [re.fullmatch(r"batch (\d+) of 20: (\d+) samples made; \d+ min left", line) for line in ran.lines[:-1]]
    assert [(int(m[1]), int(m[2])) for m in told] == [(k, 4 * k) for k in range(2, 20, 2)]
    events = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [e["seed"] for e in events if e["event"] == "batch"] == list(range(20))
    assert groundshift("samples", "-o", tmp_path / "out", *OPTIONS, "--batches", 20, "-q").err == ""


def test_a_dry_run_tells_and_touches_nothing(groundshift, here, tmp_path):
    ran = groundshift("samples", "-o", tmp_path / "out", *OPTIONS, "--batches", 5, "--dry-run", "--json")
    assert (ran.code, ran.err) == (0, "")
    facts = json.loads(ran.out)
    assert (facts["seeds"], facts["scenes"], facts["samples"], facts["nodes"]) == ("0 to 4", 10, 20, [32, 40])
    assert facts["samples_there"] == 0
    assert here == list(tmp_path.iterdir()) == []
    shown = groundshift("samples", "-o", tmp_path / "out", *OPTIONS, "--dry-run").out
    assert re.search(r"^seeds +0 to 49$", shown, re.MULTILINE)


# What it refuses


def test_samples_of_another_configuration_are_not_mixed(groundshift, here, tmp_path):
    out = tmp_path / "out"
    assert groundshift("samples", "-o", out, *OPTIONS, "--batches", 1, "-q").code == 0
    before = sorted((path, path.stat().st_mtime_ns) for path in out.iterdir())
    refused = r".*out: holds samples of another {}; choose another output folder, or add to them with --config .*yaml"
    for more, names in (
        (("--quiet-share", 0.5), "quiet_share"),
        (("--coarse-share", 0, "--radar-share", 1), "coarse_share, radar_share"),
    ):
        for dry in ((), ("--dry-run",)):
            only_line(groundshift("samples", "-o", out, *OPTIONS, *more, *dry), 1, refused.format(names))
    assert sorted((path, path.stat().st_mtime_ns) for path in out.iterdir()) == before
    only_line(groundshift("samples", "-o", out, *OPTIONS[:-1], 3), 1, refused.format("windows_per_scene"))

    record = out / "samples.yaml"
    text = record.read_text()
    record.write_text(text.replace(f"groundshift: {__version__}", "groundshift: 0.0.1"))
    only_line(
        groundshift("samples", "-o", out, *OPTIONS), 1,
        refused.format(rf"version of Groundshift \(0\.0\.1, now {re.escape(__version__)}\)"),
    )  # fmt: skip
    for damaged in ("groundshift: [", "- 1\n", text.replace("first_seed", "seed")):
        record.write_text(damaged)
        only_line(
            groundshift("samples", "-o", out, *OPTIONS), 1,
            ".*samples.yaml: not a record of samples; choose another output folder",
        )  # fmt: skip
    record.unlink()
    only_line(
        groundshift("samples", "-o", out, *OPTIONS), 1,
        ".*out: holds samples and no samples.yaml that tells what they are made of; choose another output folder",
    )  # fmt: skip
    assert len(here) == 1


@pytest.mark.parametrize(
    ("arguments", "pattern"),
    [
        ([], "no output given; name a folder with -o"),
        (["-o", "OUT", "--batches", 0], "--batches: expected at least 1, instead got '0'"),
        (["-o", "OUT", "--first-seed", -1], "--first-seed: expected at least 0, instead got '-1'"),
        (["-o", "OUT", "--workers", 0], "--workers: expected at least 1, instead got '0'"),
        (["-o", "OUT", "--shape", 8, 8], "--shape: expected at least 32, instead got '8'"),
        (["-o", "OUT", "--device", "cuda:7"], "--device: cuda:7 is not there .*; give auto or cpu"),
        (["-o", "OUT", "--config", "FILE"], ".*a.yaml: scenes.shapes: no such setting, did you mean shape; see .*"),
        (["-o", "OUT", "--config", "MISSING"], ".*b.yaml: no such file; check the spelling of --config"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line(groundshift, tmp_path, arguments, pattern):
    (tmp_path / "a.yaml").write_text("scenes:\n  shapes: [64, 64]\n")
    places = {"OUT": "out", "FILE": "a.yaml", "MISSING": "b.yaml"}
    ran = groundshift("samples", *(tmp_path / places[a] if a in places else a for a in arguments))
    only_line(ran, 2, pattern)
    assert not (tmp_path / "out").exists()


def test_a_batch_that_does_not_fit_into_memory_is_one_line(groundshift, here, tmp_path, monkeypatch):
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")):

        def fail(*_, error=error, **__):
            raise error

        monkeypatch.setattr(simulated, "simulate_samples", fail)
        only_line(
            groundshift("samples", "-o", tmp_path / "out", *OPTIONS, "--first-seed", 3), 1,
            "batch 3 does not fit into memory; lower --workers, --scenes, --shape or --pairs",
        )  # fmt: skip
    shutil.rmtree(tmp_path / "out")


def test_without_torch_one_line_says_what_to_install(groundshift, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "find_spec", lambda name: None if name == "torch" else object())
    only_line(
        groundshift("samples", "-o", tmp_path / "out"), 1,
        r'simulated samples need torch; install with pip install "groundshift\[train\]"',
    )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_the_commands_load_without_torch():
    code = (
        "import sys, groundshift.cli as c; c.main(['samples', '--help']); c.main(['gallery', '--help']);"
        "sys.exit('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "--windows-per-scene" in ran.stdout
