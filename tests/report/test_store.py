import re
from dataclasses import replace

import h5py
import numpy as np
import pytest
from tests.report.contents import make_moving, make_pairs, make_track

from groundshift.errors import DamagedFileError, MissingFileError, OutputError, UnknownFormatError
from groundshift.report import ReportContent, read_content, render_report, write_content


def plain(page):
    """A page without the numbers that bokeh gives to its objects anew each time."""
    return re.sub(r"p\d{4,}", "p", re.sub(r'"[0-9a-f]{8}-[0-9a-f-]{27}"', '""', page))


@pytest.fixture
def full():
    """A content with something in every field."""
    return replace(
        make_moving(),
        tracks=[
            make_track(
                pairs_used=[], files_left_out=["a: too short"], warnings=["strange", "überall"], look=None
            ),
            make_track("T2", pairs_used=[], significance=None, masks=[]),
        ],
        messages=["one", "two"], facts={"Zeta": 1, "Alpha": "2"}, settings={"a": {"b": None, "c": [1, 2.5]}},
    )  # fmt: skip


def test_the_page_made_of_what_is_kept_is_the_page(full, tmp_path):
    write_content(tmp_path / "report.h5", full)
    assert plain(render_report(read_content(tmp_path / "report.h5", full.targets))) == plain(render_report(full))


def test_what_is_kept_comes_back(full, tmp_path):
    unused = [replace(pair, perpendicular_baseline=-12.5) for pair in make_pairs(2)]
    first, second = full.tracks
    content = replace(full, tracks=[replace(first, pairs_used=make_pairs(), pairs_unused=unused), second])
    write_content(tmp_path / "report.h5", content)
    again = read_content(tmp_path / "report.h5", content.targets)
    assert again.settings == content.settings
    assert list(again.facts) == ["Zeta", "Alpha"]
    for track, kept in zip(content.tracks, again.tracks, strict=True):
        assert (kept.pairs_used, kept.pairs_unused) == (list(track.pairs_used), list(track.pairs_unused))
        assert [(k.name, k.unit, k.vmin, k.vmax, k.cmap, k.base, k.evidence) for k in kept.layers] == [
            (k.name, k.unit, k.vmin, k.vmax, k.cmap, k.base, k.evidence) for k in track.layers
        ]
        for layer, other in zip(track.layers, kept.layers, strict=True):
            np.testing.assert_array_equal(layer.values, other.values)


def test_series_come_back_by_target_and_those_of_vanished_targets_are_not_kept(tmp_path):
    content = make_moving()
    first, second, third = content.targets
    path = tmp_path / "report.h5"
    write_content(path, replace(content, targets=[second, third]))
    assert list(read_content(path, []).series) == [second.id]
    write_content(path, content)
    kept = read_content(path, content.targets).series
    assert set(kept) == {first.id, second.id}
    assert third.id not in kept
    for one, other in zip(content.series[first.id], kept[first.id], strict=True):
        assert (one.track, one.breaks, dict(one.facts), one.bounds, one.reason) == (
            other.track, other.breaks, dict(other.facts), other.bounds, other.reason,
        )  # fmt: skip
        for name in ("dates", "displacement_mm", "sigma_mm", "fit_dates", "fit_mm"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert kept[second.id][0].reason == "no stable ground within 2 km"


def test_descriptions_have_no_limit_of_length(tmp_path):
    content = ReportContent("Long", {}, messages=["x" * 100] * 2000)
    write_content(tmp_path / "report.h5", content)
    assert read_content(tmp_path / "report.h5", []).messages == content.messages


def test_what_cannot_be_read_is_one_line(tmp_path):
    path = tmp_path / "report.h5"
    with pytest.raises(MissingFileError, match="not there; run the survey again"):
        read_content(path, [])
    write_content(path, make_moving())
    good = path.read_bytes()
    path.write_bytes(good[: len(good) // 3])
    with pytest.raises(DamagedFileError, match="cannot be read; run the survey again"):
        read_content(path, [])
    with h5py.File(path, "w") as file:
        file["about"] = "[1]"
    with pytest.raises(DamagedFileError, match="cannot be read"):
        read_content(path, [])
    with h5py.File(path, "w") as file:
        file["about"] = '{"version": 99}'
    with pytest.raises(UnknownFormatError, match="newer Groundshift"):
        read_content(path, [])
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        write_content(tmp_path / "file" / "report.h5", make_moving())
