"""Shipped models are the files that were judged, and a name that leads nowhere says what there is."""

import hashlib
import re

import pytest

from groundshift.detect.bowl_network import BowlNetwork
from groundshift.detect.fringe_scan import FringeScanner
from groundshift.detect.mask_network import MaskNetwork
from groundshift.detect.models import DEFAULT_MODEL, WEIGHTS, checksum, find_model, list_models, read_checksums
from groundshift.detect.network import NetworkDetector
from groundshift.detect.segments import SegmentNetwork
from groundshift.errors import DamagedFileError, MissingFileError
from groundshift.workflows.config import DetectConfig


@pytest.fixture
def folder(tmp_path):
    """Two models and their cards, listed as `sha256sum` lists them."""
    folder = tmp_path / "weights"
    folder.mkdir()
    lines = []
    for name in ("b.onnx", "b.md", "a.onnx", "a.md"):
        (folder / name).write_bytes(name.encode() * 1000)
        lines.append(f"{hashlib.sha256(name.encode() * 1000).hexdigest()}  {name}")
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")
    return folder


def test_names_are_those_of_the_list(folder, tmp_path):
    assert list_models(folder) == ["a", "b"]
    assert find_model("a", folder) == folder / "a.onnx"
    assert read_checksums(folder)["a.md"] == checksum(folder / "a.md")
    assert list_models(tmp_path) == []


def test_an_unknown_name_lists_those_there_are(folder, tmp_path):
    with pytest.raises(MissingFileError) as caught:
        find_model("c", folder)
    assert str(caught.value) == "c: no such model; choose one of: a, b; or name a file that ends in .onnx"
    with pytest.raises(MissingFileError, match=r"^c: no such model; none comes with this version; name a file that"):
        find_model("c", tmp_path)


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:-1] + b"?")])
def test_a_shipped_model_that_is_not_what_was_shipped_is_refused(folder, damage):
    damage(folder / "a.onnx")
    with pytest.raises(DamagedFileError) as caught:
        find_model("a", folder)
    assert str(caught.value) == f"{folder / 'a.onnx'}: not the file that was shipped as a; install groundshift again"
    assert find_model("b", folder) == folder / "b.onnx"


def test_a_file_of_ones_own_is_taken_as_it_is(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.onnx").write_bytes(b"mine")
    (tmp_path / "mine").write_bytes(b"mine")
    assert find_model("a.onnx", folder).read_bytes() == b"mine"
    assert find_model("./mine", folder).read_bytes() == b"mine"
    assert find_model(tmp_path / "a.onnx", folder) == tmp_path / "a.onnx"
    for missing in ("c.onnx", "./a"):
        with pytest.raises(MissingFileError, match=r"^(c\.onnx|a): no such file; check the spelling of --model$"):
            find_model(missing, folder)


def test_settings_name_the_default_model_and_use_it_as_soon_as_it_is_shipped():
    assert DetectConfig().model == DEFAULT_MODEL
    assert DetectConfig().detector == ("network" if DEFAULT_MODEL in list_models() else "rules")


OTHERS = {
    "bowlnet": BowlNetwork, "ddnet": BowlNetwork, "fringes": FringeScanner, "masknet": MaskNetwork,
    "punet": BowlNetwork, "slidenet": SegmentNetwork,
}  # fmt: skip
"""Which class opens models that are no detectors."""


@pytest.mark.parametrize("name", list_models())
def test_every_shipped_model_loads_and_has_a_card(name):
    network = OTHERS.get(name, NetworkDetector)
    assert network.load(name).name == name
    card = (WEIGHTS / f"{name}.md").read_text(encoding="utf-8")
    assert re.match(r"# .*\n", card)
    listed = read_checksums()
    assert {f"{name}.onnx", f"{name}.md"} <= set(listed)
    assert listed[f"{name}.md"] == checksum(WEIGHTS / f"{name}.md")
