import os
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from groundshift.errors import OutputError
from groundshift.pairs import date_graph
from groundshift.report.network import _baselines, network_figure, save_figure
from groundshift.types import Pair

START = date(2018, 1, 1)


def test_baselines_of_dates_are_those_the_pairs_were_made_from():
    rng = np.random.default_rng(0)
    dates = [START + timedelta(12 * i) for i in range(8)]
    true = rng.normal(0, 60, 8)
    true -= true.mean()
    pairs = [Pair(dates[i], dates[j], true[j] - true[i]) for i in range(8) for j in range(i + 1, min(8, i + 3))]
    np.testing.assert_allclose(list(_baselines(pairs).values()), true, atol=1e-9)


def test_one_unknown_baseline_turns_the_picture_to_time_spans():
    known = [Pair(START, START + timedelta(12), 30.0), Pair(START + timedelta(12), START + timedelta(24), -10.0)]
    unknown = [*known, Pair(START, START + timedelta(24))]
    assert network_figure(known).axes[0].get_ylabel() == "perpendicular baseline (m)"
    axes = network_figure(unknown).axes[0]
    assert axes.get_ylabel() == "time span of the pair (days)"
    heights = sorted(line[:, 1].max() for line in axes.collections[0].get_segments())
    np.testing.assert_allclose(heights, [12, 12, 24])


def test_every_pair_is_one_line_and_groups_have_their_own_colours(make_pairs):
    first, second = (
        make_pairs(5),
        [Pair(p.reference.replace(year=2021), p.secondary.replace(year=2021)) for p in make_pairs(3)],
    )
    unused = Pair(date(2018, 1, 1), date(2018, 1, 25))
    axes = network_figure([*first, *second, unused], [*first, *second]).axes[0]
    drawn = [(len(c.get_segments()), tuple(c.get_color()[0][:3])) for c in axes.collections]
    assert [n for n, _ in drawn] == [1, 5, 3]
    assert len({colour for _, colour in drawn}) == 3
    words = [t.get_text() for t in axes.texts]
    assert words == [f"no pair\n{(second[0].reference - first[-1].secondary).days} days"]


def test_only_unused_pairs_still_make_a_picture(make_pairs):
    axes = network_figure(make_pairs(4), []).axes[0]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == [
        "not used: 4 pairs",
        "without a used pair: 5 dates",
    ]


def test_a_network_needs_a_pair():
    with pytest.raises(ValueError, match=r"^pairs must hold at least one pair, instead got none$"):
        network_figure([])


@pytest.mark.parametrize(("ending", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")])
def test_a_figure_is_written_whole_and_the_same_each_time(tmp_path, make_pairs, ending, magic):
    path = tmp_path / "new" / f"network{ending}"
    written = []
    for _ in range(2):
        save_figure(network_figure(make_pairs()), path)
        written.append(path.read_bytes())
    assert written[0].startswith(magic)
    assert written[0] == written[1]
    assert os.listdir(path.parent) == [path.name]


def test_other_endings_and_places_are_refused(tmp_path, make_pairs):
    figure = network_figure(make_pairs())
    with pytest.raises(ValueError, match=r"network\.bmp: a figure is written as \.png, \.svg or \.pdf"):
        save_figure(figure, tmp_path / "network.bmp")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"network\.png: cannot be written"):
        save_figure(figure, tmp_path / "file" / "network.png")


@pytest.mark.real
@pytest.mark.skipif("GROUNDSHIFT_DATA" not in os.environ, reason="GROUNDSHIFT_DATA is not set")
def test_the_danba_network_falls_apart_once():
    names = sorted(p.name for p in (Path(os.environ["GROUNDSHIFT_DATA"]) / "danba" / "diff").iterdir())
    pairs = [Pair(date.fromisoformat(n[:8]), date.fromisoformat(n[9:17])) for n in names]
    assert len(pairs) == 201
    graph = date_graph(pairs)
    assert len(graph.groups) == 2
    assert [gap.days for gap in graph.gaps if not gap.spanned] == [552]
    assert "no pair\n552 days" in [t.get_text() for t in network_figure(pairs).axes[0].texts]
