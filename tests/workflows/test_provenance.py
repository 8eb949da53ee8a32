"""Where a result comes from."""

import hashlib
import json

from groundshift import __version__
from groundshift.workflows.progress import Reporter
from groundshift.workflows.provenance import write_provenance


def test_every_file_has_its_checksum_and_one_that_is_gone_has_none(tmp_path):
    content = {"b.tif": b"two", "a.tif": b"", "c.tif": bytes(range(256)) * 5000}
    for name, data in content.items():
        (tmp_path / name).write_bytes(data)
    files = [*(tmp_path / name for name in content), tmp_path / "a.tif", tmp_path / "gone.tif"]
    write_provenance(tmp_path / "p.json", files, {"seed": 4, "where": tmp_path}, Reporter(quiet=True))
    found = json.loads((tmp_path / "p.json").read_text())
    expected = {str(tmp_path / n): hashlib.sha256(d).hexdigest() for n, d in content.items()}
    assert found["inputs"] == expected | {str(tmp_path / "gone.tif"): None}
    assert list(found["inputs"]) == sorted(found["inputs"])
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
