"""Getting data from services on this machine, with what goes wrong in between."""

import io
import itertools
import json
import multiprocessing
import os
import re
import shutil
import signal
import zipfile
from dataclasses import replace
from datetime import date

import pytest

pytest.importorskip("asf_search", reason="asf_search is not installed")
pytest.importorskip("hyp3_sdk", reason="hyp3-sdk is not installed")

from tests.acquire.services import CMR, HYP3, OPERA, PRODUCTS, TOKEN, Reply, product, serving
from tests.products import hyp3
from tests.products.scene import make_scene

from groundshift.acquire import CredentialsError, CreditsError, _download, _orders, read_plan
from groundshift.errors import NoDataError, OutputError
from groundshift.io import open_stack
from groundshift.workflows import acquiring
from groundshift.workflows.acquiring import AcquireConfig, preview_acquire, run_acquire
from groundshift.workflows.config import SettingError
from groundshift.workflows.progress import Reporter

BURSTS = ["136231_IW2", "136232_IW2"]
PAIRS = ["20200604_20200616", "20200604_20200628", "20200616_20200628"]


@pytest.fixture
def services(monkeypatch, tmp_path):
    with serving(monkeypatch, tmp_path) as held:
        monkeypatch.setenv("EARTHDATA_TOKEN", TOKEN)
        yield held


@pytest.fixture
def waits():
    return []


@pytest.fixture
def get(tmp_path, waits):
    """Run with settings changed; the sleep may be another."""

    def run(sleep=None, **changes):
        given = {"area": "101.9,30.42,102.1,30.7", "output": tmp_path / "T064", "start": "2020-06-01"}
        config = AcquireConfig.model_validate({**given, "end": "2020-07-01", "track": 64, **changes})
        with Reporter(quiet=True, log=config.output / "log.jsonl") as reporter:
            return run_acquire(config, reporter, sleep or waits.append)

    return run


def products(folder):
    """Pairs by burst that lie below a folder."""
    found = {burst: sorted(re.findall(r"_(\d{8}_\d{8})_", str(list((folder / burst).iterdir())))) for burst in BURSTS}
    return {burst: pairs for burst, pairs in found.items() if pairs}


def finish(services):
    """Let all jobs come to their end."""
    services.polls_to_finish = 0
    for job in services.jobs:
        services._go_on(job)


def killed(count, function):
    """Do as a function does, but be killed instead of coming back from its `count`-th call."""
    calls = itertools.count(1)

    def run(*arguments, **options):
        result = function(*arguments, **options)
        if next(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return run


def test_interferograms_are_ordered_waited_for_and_laid_out(services, get, tmp_path, waits):
    services.polls_to_finish = 3
    done = get()
    assert (done.fetched, done.waiting, done.failed) == (6, 0, {})
    assert products(tmp_path / "T064") == dict.fromkeys(BURSTS, PAIRS)
    assert done.inputs == tuple(tmp_path / "T064" / burst for burst in BURSTS)
    assert done.command == f"groundshift survey {tmp_path}/T064/*_IW? -o {tmp_path}/T064-survey"
    assert waits == [60] * 4
    assert sorted(p.name for p in (tmp_path / "T064").iterdir()) == [*BURSTS, "log.jsonl", "plan.json"]
    assert services.user["remaining_credits"] == 7994
    # Products are fetched without saying who asks.
    assert {s.headers.get("Authorization") for s in services.asked(PRODUCTS)} == {None}


def test_a_survey_reads_what_was_got(services, get, tmp_path):
    scene = make_scene("EPSG:32648")

    def real(granules):
        name = product(granules)[0]
        first, second = (date.fromisoformat(part) for part in name.split("_")[3:5])
        layer = replace(scene.layers[0], first=first, second=second)
        hyp3.write_product(tmp_path / name, name, scene, layer, wrapped=True)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as sink:
            for file in sorted((tmp_path / name).iterdir()):
                sink.write(file, f"{name}/{file.name}")
        return name, packed.getvalue()

    services.products = real
    done = get()
    stacks = [open_stack(path) for path in done.inputs]
    assert [s.track for s in stacks] == BURSTS
    assert [[p.name for p in s.pairs] for s in stacks] == [PAIRS, PAIRS]
    assert all(s.problems == () for s in stacks)


@pytest.mark.parametrize("moment", ["plan", "order", "wait", "download", "unpack"])
def test_a_run_that_was_killed_goes_on_and_orders_nothing_twice(services, get, tmp_path, monkeypatch, moment):
    folder, sleep = tmp_path / "T064", [].append
    with monkeypatch.context() as patch:
        if moment == "plan":
            patch.setattr(acquiring, "write_plan", killed(1, acquiring.write_plan))
        elif moment == "order":
            patch.setattr(_orders.Orders, "order", killed(1, _orders.Orders.order))
        elif moment == "wait":
            sleep = killed(1, lambda seconds: None)
        elif moment == "download":
            patch.setattr(_download, "_receive", killed(3, _download._receive))
        else:
            # In the middle of a product.
            patch.setattr(shutil, "copyfileobj", killed(3, shutil.copyfileobj))
        child = multiprocessing.get_context("fork").Process(target=get, args=(sleep,))
        child.start()
        child.join(60)
        assert child.exitcode == -signal.SIGKILL
    assert len(services.jobs) == (0 if moment == "plan" else 6)
    searched = len(services.asked(CMR))
    done = get()
    assert done.failed == {}
    assert products(folder) == dict.fromkeys(BURSTS, PAIRS)
    assert sorted(p.name for p in folder.iterdir()) == [*BURSTS, "log.jsonl", "plan.json"]
    assert len(services.jobs) == 6
    assert len(services.asked(CMR)) == searched
    # One that came to its end looks for new images; as there are none it asks nothing else, and logs in nowhere.
    asked = len(services.asked(HYP3))
    assert get().fetched == 0
    assert (len(services.asked(CMR)), len(services.asked(HYP3))) == (searched + 2, asked)


def test_later_dates_are_added_to_what_is_there(services, get, tmp_path):
    get()
    done = get(end="2020-09-01", max_days=48)
    assert done.fetched == 2
    assert len(services.jobs) == 8
    assert products(tmp_path / "T064")[BURSTS[0]] == [*PAIRS, "20200628_20200815"]


def test_what_has_been_made_can_be_fetched_later(services, get):
    services.polls_to_finish = 5
    done = get(wait=False)
    assert (done.fetched, done.waiting) == (0, 6)
    assert not done.inputs
    done = get()
    assert (done.fetched, done.waiting, len(services.jobs)) == (6, 0, 6)


def test_interferograms_that_could_not_be_made_are_named_and_ordered_again_on_demand(services, get, tmp_path):
    get(wait=False)
    services.jobs[1].update(status_code="FAILED")
    done = get()
    name = f"{BURSTS[0]} {PAIRS[1]}"
    assert done.failed == {name: f"{name}: HyP3 could not make it; --retry-failed orders it again"}
    assert done.fetched == 5
    assert get().failed == done.failed
    assert len(services.jobs) == 6
    assert get(retry_failed=True).fetched == 1
    assert len(services.jobs) == 7
    assert products(tmp_path / "T064")[BURSTS[0]] == PAIRS


def test_products_that_expired_are_ordered_anew(services, get, tmp_path):
    get(wait=False)
    for job in services.jobs[:2]:
        job.update(status_code="SUCCEEDED", files=[], expiration_time="2001-01-01T00:00:00+00:00")
    assert get().fetched == 6
    assert len(services.jobs) == 8


def test_a_damaged_product_costs_only_itself_and_comes_with_the_next_run(services, get, tmp_path):
    get(wait=False)
    finish(services)
    bad = next(iter(services.files))
    good, services.files[bad] = services.files[bad], b"x" * len(services.files[bad])
    done = get()
    name = bad.rsplit("/", 1)[1]
    assert done.failed == {name: f"{name}: the archive is damaged, twice; run again later, or tell the service"}
    assert done.fetched == 5
    services.files[bad] = good
    assert get().fetched == 1
    assert len(services.jobs) == 6


def test_too_few_credits_are_told_before_anything_is_ordered(services, get):
    services.user["remaining_credits"] = 5
    line = r"^6 interferograms: 6 credits are needed, 5 are left this month; take fewer with --max-days, --pair-mode or"
    with pytest.raises(CreditsError, match=line):
        get()
    assert services.jobs == []
    services.user["remaining_credits"] = None
    assert get().fetched == 6


def test_fewer_pairs_are_ordered_where_that_is_asked(services, get, tmp_path):
    get(pair_mode="sequential")
    assert products(tmp_path / "T064") == dict.fromkeys(BURSTS, PAIRS[::2])


def test_images_are_fetched_with_their_static_layers(services, get, tmp_path):
    services.fail(OPERA, Reply(429, headers={"Retry-After": "3"}))
    done = get(product="opera-cslc")
    folder = tmp_path / "T064" / BURSTS[0]
    names = sorted(p.name for p in folder.iterdir())
    assert len(names) == 4
    assert names[0] == "OPERA_L2_CSLC-S1-STATIC_T064-136231-IW2_20140403_S1A_v1.0.h5"
    assert (done.fetched, done.failed, done.inputs) == (4, {}, (folder,))
    assert not services.asked(HYP3)
    # One that was cut off since is fetched again, the others are not.
    (folder / names[1]).write_bytes(b"half")
    assert get(product="opera-cslc").fetched == 1


def test_a_disk_without_room_is_told_before_anything_is_fetched(services, get, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 0, 9))
    with pytest.raises(OutputError, match=r"T064: 0\.0 GB are to come, 0\.0 GB are free; free some space"):
        get(product="opera-cslc")
    assert not services.asked(OPERA)


def test_a_folder_keeps_to_one_kind_of_data(services, get, tmp_path):
    get(wait=False)
    line = rf"^--looks: {tmp_path}/T064 holds a plan with 20x4, instead got 5x1; choose another output folder$"
    with pytest.raises(SettingError, match=line):
        get(looks="5x1")
    with pytest.raises(SettingError, match=r"^--track: .* holds a plan with 64, instead got 128"):
        get(track=128)


def test_nothing_to_get_is_explained(services, get):
    with pytest.raises(NoDataError, match=r"^track 99 has no images over the area .*; tracks there: 64 \(descending\)"):
        get(track=99)
    with pytest.raises(NoDataError, match=r"^no two images of a burst of track 64 .* within 6 days; move start or end"):
        get(max_days=6)
    with pytest.raises(SettingError, match=r"^the area: expected well-known text, W,S,E,N or a vector file"):
        get(area="Danba")


def test_without_credentials_there_is_a_plan_and_a_price(services, tmp_path, monkeypatch, get, waits):
    monkeypatch.delenv("EARTHDATA_TOKEN")
    config = AcquireConfig(
        area="101.9,30.42,102.1,30.7", output=tmp_path / "T064", start="2020-06-01", end="2020-07-01", track=64
    )
    facts = preview_acquire(config, Reporter(quiet=True), waits.append)
    assert [b["burst"] for b in facts["bursts"]] == BURSTS
    assert (facts["images"], facts["pairs"], facts["to_come"], facts["credits"]) == (6, 6, 6, 6.0)
    assert not (tmp_path / "T064").exists()
    assert services.jobs == []
    with pytest.raises(CredentialsError, match=r"^no Earthdata credentials; set EARTHDATA_TOKEN"):
        get()


def test_no_secret_is_written_or_told(services, get, tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("EARTHDATA_TOKEN")
    monkeypatch.setenv("EARTHDATA_USERNAME", "ann")
    monkeypatch.setenv("EARTHDATA_PASSWORD", "open-sesame")
    done = get()
    images = get(product="opera-cslc", output=tmp_path / "slc")
    monkeypatch.setenv("EARTHDATA_PASSWORD", "wrong-word")
    with pytest.raises(CredentialsError) as caught:
        get(output=tmp_path / "other")
    written = [p.read_text(errors="replace") for p in tmp_path.rglob("*") if p.is_file()]
    told = [*capfd.readouterr(), repr(done), repr(images), str(caught.value), json.dumps(dict(done.facts))]
    for secret in (TOKEN, "open-sesame", "wrong-word", "Signature=hush"):
        assert not [text for text in (*written, *told) if secret in text]
    assert read_plan(tmp_path / "T064" / "plan.json").concluded
