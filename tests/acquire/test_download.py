"""Files that come in halves, damaged, slowly, or not at all."""

import errno
import hashlib
import os
import shutil
import signal
import threading

import pytest

pytest.importorskip("asf_search", reason="asf_search is not installed")
pytest.importorskip("hyp3_sdk", reason="hyp3-sdk is not installed")

from tests.acquire.services import PRODUCTS, Reply, archive

from groundshift.acquire import CredentialsError, ServiceError, check_room
from groundshift.acquire._download import Remote, fetch, fetch_all
from groundshift.acquire._session import Session
from groundshift.errors import DamagedFileError, MissingFileError, OutputError

BODY = bytes(range(256)) * 1200
CUT = 200_000
KEPT = 3 << 16
"""What is kept of a connection that breaks there: whole chunks."""
URL = f"https://{PRODUCTS}/x/a.h5"


@pytest.fixture
def remote(services, tmp_path):
    services.files[f"{PRODUCTS}/x/a.h5"] = BODY
    return Remote(URL, tmp_path / "burst" / "a.h5", len(BODY), ("md5", hashlib.md5(BODY).hexdigest()))


@pytest.fixture
def session(waits):
    return Session(sleep=waits.append)


def ranges(services):
    return [s.headers.get("Range") for s in services.asked(PRODUCTS)]


def test_a_file_arrives_whole(services, session, remote, tmp_path):
    counts = []
    fetch(session, remote, tmp_path / "parts", counts.append)
    assert remote.path.read_bytes() == BODY
    assert sum(counts) == len(BODY)
    assert not any((tmp_path / "parts").iterdir())
    # What is there and right is not fetched again.
    fetch(session, remote, tmp_path / "parts")
    assert len(services.seen) == 1


def test_a_connection_that_breaks_is_taken_up_where_it_broke(services, session, remote, tmp_path):
    services.fail(PRODUCTS, Reply(body=BODY, cut_at=CUT))
    fetch(session, remote, tmp_path / "parts")
    assert remote.path.read_bytes() == BODY
    assert ranges(services) == [None, f"bytes={KEPT}-"]


def test_half_a_file_of_a_killed_run_is_gone_on_with(services, session, remote, tmp_path):
    part = tmp_path / "parts" / "a.h5.part"
    part.parent.mkdir()
    part.write_bytes(BODY[:5000])
    fetch(session, remote, tmp_path / "parts")
    assert remote.path.read_bytes() == BODY
    assert ranges(services) == ["bytes=5000-"]


def test_a_service_without_parts_sends_the_whole_again(services, session, remote, tmp_path):
    services.ranges = False
    (tmp_path / "a.h5.part").write_bytes(BODY[:5000])
    fetch(session, remote, tmp_path)
    assert remote.path.read_bytes() == BODY


@pytest.mark.parametrize("left", [b"x" * 5000, BODY + b"more", b"x" * len(BODY)])
def test_half_a_file_that_is_another_is_fetched_anew(services, session, remote, tmp_path, left):
    (tmp_path / "a.h5.part").write_bytes(left)
    fetch(session, remote, tmp_path)
    assert remote.path.read_bytes() == BODY
    assert ranges(services)[-1] is None


def test_a_part_without_a_promised_size_that_is_all_is_enough(services, session, remote, tmp_path):
    (tmp_path / "a.h5.part").write_bytes(BODY)
    fetch(session, remote._replace(size=None), tmp_path)
    assert ranges(services) == [f"bytes={len(BODY)}-"]
    (tmp_path / "b.h5.part").write_bytes(BODY)
    fetch(session, remote._replace(size=None, checksum=None, path=tmp_path / "b.h5"), tmp_path)
    assert (tmp_path / "b.h5").read_bytes() == BODY


def test_a_wrong_checksum_is_fetched_again_and_then_told(services, session, remote, tmp_path):
    wrong = remote._replace(checksum=("md5", "0" * 32))
    with pytest.raises(DamagedFileError, match=r"^a\.h5: its md5 checksum is wrong, twice; run again later"):
        fetch(session, wrong, tmp_path)
    assert len(services.seen) == 2
    assert not remote.path.exists()
    services.fail(PRODUCTS, Reply(body=BODY[::-1]))
    fetch(session, remote, tmp_path)
    assert remote.path.read_bytes() == BODY


def test_a_damaged_archive_is_fetched_again(services, session, tmp_path):
    packed = archive("S1_x", **{"a.tif": "phase " * 500})
    at = packed.index(b"a.tif") + 30
    damaged = packed[:at] + bytes([packed[at] ^ 255]) + packed[at + 1 :]
    remote = Remote(f"https://{PRODUCTS}/a.zip", tmp_path / "a.zip", len(packed))
    services.files[f"{PRODUCTS}/a.zip"] = packed
    services.fail(PRODUCTS, Reply(body=damaged))
    fetch(session, remote, tmp_path)
    assert remote.path.read_bytes() == packed
    services.files[f"{PRODUCTS}/b.zip"] = damaged
    again = remote._replace(url=f"https://{PRODUCTS}/b.zip", path=tmp_path / "b.zip")
    with pytest.raises(DamagedFileError, match=r"^b\.zip: the archive is damaged, twice"):
        fetch(session, again, tmp_path)


def test_a_connection_that_breaks_time_and_again_is_told(services, session, remote, tmp_path):
    rest = Reply(206, BODY[KEPT:], {"Content-Range": f"bytes {KEPT}-{len(BODY) - 1}/{len(BODY)}"}, cut_at=10)
    services.fail(PRODUCTS, Reply(body=BODY, cut_at=CUT), *[rest] * 50)
    with pytest.raises(
        ServiceError, match=r"^a\.h5: the connection breaks at 196,608 bytes time and again; run the same"
    ):
        fetch(session, remote, tmp_path)
    assert (tmp_path / "a.h5.part").read_bytes() == BODY[:KEPT]
    assert len(services.seen) == 7


def test_throttling_within_a_download_is_waited_for(services, session, waits, remote, tmp_path):
    services.fail(PRODUCTS, Reply(body=BODY, cut_at=CUT), Reply(429, headers={"Retry-After": "9"}))
    fetch(session, remote, tmp_path)
    assert 9 in waits
    assert remote.path.read_bytes() == BODY


def test_a_full_disk_is_told_and_the_half_is_kept(services, session, remote, tmp_path, monkeypatch):
    (tmp_path / "a.h5.part").write_bytes(BODY[:100])

    def full(count):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OutputError, match=r"a\.h5\.part: the disk is full; free some space and run again"):
        fetch(session, remote, tmp_path, full)
    assert (tmp_path / "a.h5.part").read_bytes() == BODY[: (tmp_path / "a.h5.part").stat().st_size]
    monkeypatch.setattr(shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10**12, 0, 2 * 10**9))
    with pytest.raises(OutputError, match=r"new: 3\.5 GB are to come, 2\.0 GB are free; free some space"):
        check_room(tmp_path / "new" / "new", 3_500_000_000)
    check_room(tmp_path / "new", 1_999_999_999)


def test_one_file_that_is_gone_costs_only_itself(services, waits, tmp_path):
    for k in range(6):
        services.files[f"{PRODUCTS}/{k}.h5"] = BODY
    del services.files[f"{PRODUCTS}/3.h5"]
    remotes = [Remote(f"https://{PRODUCTS}/{k}.h5", tmp_path / f"{k}.h5", len(BODY)) for k in range(6)]
    found = {}
    fetch_all(
        remotes, tmp_path / "parts", lambda: Session(sleep=waits.append), parallel=3,
        done=lambda remote, problem: found.update({remote.path.stem: problem}),
    )  # fmt: skip
    assert sorted(found) == ["0", "1", "2", "3", "4", "5"]
    assert {name for name, problem in found.items() if problem is not None} == {"3"}
    assert isinstance(found["3"], MissingFileError)
    assert str(found["3"]) == "3.h5: the service has it no longer (403); run the same command again to ask for it anew"


def test_what_is_the_same_for_all_files_stops_them(services, waits, tmp_path):
    remotes = [Remote(f"https://cumulus.asf.earthdatacloud.nasa.gov/{k}.h5", tmp_path / f"{k}.h5") for k in range(20)]
    with pytest.raises(CredentialsError):
        fetch_all(remotes, tmp_path, lambda: Session("old", "EARTHDATA_TOKEN", sleep=waits.append), parallel=2)
    assert len(services.seen) < 20


def test_a_run_that_is_interrupted_does_not_wait_for_its_workers(services, tmp_path):
    services.fail(PRODUCTS, *[Reply(429, headers={"Retry-After": "600"})] * 2)
    # A process that was started in the background may ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # Ctrl-C, as soon as a worker has been asked to wait for ten minutes.
    pressed = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    waiting = threading.Lock()

    def tell(line):
        if waiting.acquire(blocking=False):
            pressed.start()

    remotes = [Remote(f"https://{PRODUCTS}/{k}.h5", tmp_path / f"{k}.h5") for k in range(2)]
    try:
        with pytest.raises(KeyboardInterrupt):
            fetch_all(remotes, tmp_path, lambda: Session(tell=tell), parallel=2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert not list(tmp_path.glob("*.h5"))
