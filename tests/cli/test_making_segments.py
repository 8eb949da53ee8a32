"""`groundshift make-segments` and `groundshift simulate-segments`: what they say, leave and refuse."""

import json
import re

import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.cli.making_segments import make_segments, simulate_segments  # noqa: E402
from groundshift.cli.options import UsageError  # noqa: E402
from groundshift.errors import MissingFileError, OutputError  # noqa: E402
from groundshift.io.isslide import find_patches  # noqa: E402
from groundshift.simulate.segments.config import ZoneConfig  # noqa: E402
from groundshift.workflows.config import SettingError  # noqa: E402

torch.set_num_threads(1)

SMALL = ZoneConfig(shape=(96, 96), dates=4, slides=(60, 60))


def test_simulating_says_what_it_makes_and_makes_it(tmp_path, capsys):
    out = tmp_path / "set"
    assert simulate_segments(out, scenes=1, seed=5, ground=SMALL, dry_run=True, as_json=True) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["zones"], facts["zones_there"], facts["interferograms"]) == (1, 0, 3 + 2 + 1)
    assert facts["delays"] == ["6days", "12days", "18days"]
    assert not out.exists()
    assert simulate_segments(out, scenes=1, seed=5, ground=SMALL, as_json=True) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["patches"] == len(find_patches(out)[0]) == made["made"] > 0
    assert simulate_segments(out, scenes=1, seed=5, ground=SMALL, as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["made"] == 0
    with pytest.raises(OutputError, match="holds a set of another ground"):
        simulate_segments(out, scenes=1, seed=5, quiet=True)


def test_settings_may_stand_in_a_file(tmp_path, capsys):
    config = tmp_path / "set.yaml"
    config.write_text("scenes: 3\nseed: 2\nground:\n  dates: 5\n")
    simulate_segments(tmp_path / "set", config=config, seed=4, dry_run=True, as_json=True)
    facts = json.loads(capsys.readouterr().out)
    assert (facts["zones"], facts["interferograms"]) == (3, 3 * (4 + 3 + 2))
    config.write_text("zones: 3\n")
    with pytest.raises(SettingError, match="zones: no such setting"):
        simulate_segments(tmp_path / "set", config=config)


def test_what_lacks_is_said_in_one_line(tmp_path):
    with pytest.raises(UsageError, match="no output given; name a folder with -o"):
        simulate_segments()
    with pytest.raises(UsageError, match="no inputs given; name the raw set, or folders or files of interferograms"):
        make_segments(output=tmp_path / "out")
    lost = tmp_path / "lost"
    with pytest.raises(MissingFileError, match=re.escape(f"{lost}: no such file or folder; check the spelling")):
        make_segments((lost,), output=tmp_path / "out")
    (tmp_path / "stack").mkdir()
    with pytest.raises(MissingFileError, match=re.escape(f"{lost}: no such file or folder")):
        make_segments((tmp_path / "stack",), polygons=lost, output=tmp_path / "out")
    with pytest.raises(SettingError, match="zone"):
        make_segments((tmp_path / "stack",), zone=("a/b",), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()
