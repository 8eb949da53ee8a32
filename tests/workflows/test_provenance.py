"""Where a result comes from."""

import hashlib
import json

import pytest

from groundshift import __version__
from groundshift.workflows.progress import Reporter
from groundshift.workflows.provenance import checksums_beside, write_provenance

QUIET = Reporter(quiet=True)


def test_every_file_has_its_checksum_and_one_that_is_gone_has_none(tmp_path):
    content = {"b.tif": b"two", "a.tif": b"", "c.tif": bytes(range(256)) * 5000}
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    files = [*(tmp_path / name for name in content), tmp_path / "a.tif", tmp_path / "gone.tif"]
    with checksums_beside(files, "checksums", QUIET) as found:
        assert found == {}
    expected = {str(tmp_path / n): hashlib.sha256(d).hexdigest() for n, d in content.items()}
    assert found == expected | {str(tmp_path / "gone.tif"): None}


def test_what_fails_beside_checksums_fails_as_it_did(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"one")
    with (
        pytest.raises(KeyboardInterrupt),
        checksums_beside([tmp_path / "a.tif"] * 2, "checksums", QUIET) as found,
    ):
        raise KeyboardInterrupt
    assert found == {}


def test_the_record_has_versions_facts_and_the_files_in_order(tmp_path):
    sums = {"c.tif": "0c", "a.tif": None, "b.tif": "0b"}
    write_provenance(tmp_path / "p.json", sums, {"seed": 4, "where": tmp_path})
    found = json.loads((tmp_path / "p.json").read_text())
    assert list(found["inputs"].items()) == sorted(sums.items())
    assert (found["groundshift"], found["seed"], found["where"]) == (__version__, 4, str(tmp_path))
    assert "numpy" in found["libraries"]


def test_a_survey_notes_all_files_that_it_read(surveyed, simulated):
    found = json.loads((surveyed / "provenance.json").read_text())
    read = {p.name for p in simulated.glob("2018*.tif")}
    assert {name.rsplit("/", 1)[1] for name in found["inputs"]} >= read
    assert len(read) == 60
    assert found["pairs"] == {"simulated-3": 30}
    path = simulated / sorted(read)[0]
    assert found["inputs"][str(path)] == hashlib.sha256(path.read_bytes()).hexdigest()
