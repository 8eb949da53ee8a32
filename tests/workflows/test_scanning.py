"""Scans of single interferograms: what they see and believe, what they keep, and what stops them."""

import shutil
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from tests import onnx_models
from tests.mines import AIR, BOWL, DATES, SHAPE, TRACK, WET, hill
from tests.workflows.bowl_models import write_bowl_model

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.detect.fringes import scan_fringes
from groundshift.errors import DamagedFileError, MissingFileError, NoDataError, UnknownFormatError
from groundshift.io import open_stack
from groundshift.io.stack import InterferogramStack
from groundshift.types import Looks, Pair
from groundshift.unwrap import average_igram
from groundshift.workflows import scanning
from groundshift.workflows.config import BowlConfig, SettingError
from groundshift.workflows.progress import Reporter
from groundshift.workflows.scanning import Watcher, choose_watcher, read_averaged, scan_track

RULES = BowlConfig(look_for="bowls", bowl_detector="rules")


class Told(Reporter):
    """Keeps what is said and warned of."""

    def __init__(self):
        super().__init__(quiet=True)
        self.said, self.warned = [], []

    def say(self, message, **facts):
        self.said.append(message)

    def warn(self, message, **facts):
        self.warned.append(message)


@pytest.fixture
def told():
    return Told()


@pytest.fixture(scope="module")
def stack(mines):
    return open_stack(mines)


@pytest.fixture(scope="module")
def first(stack, tmp_path_factory):
    """A scan by the rules: its folder, what it found and what it said."""
    folder, told = tmp_path_factory.mktemp("scan") / TRACK, Told()
    return folder, scan_track(stack, RULES, choose_watcher(RULES), folder, told), told


@pytest.fixture
def folder(first, tmp_path):
    """A copy of its folder."""
    return shutil.copytree(first[0], tmp_path / "kept")


@pytest.fixture
def reads(monkeypatch):
    """The names of the pairs that are read."""
    found, read = [], scanning.read_pair

    def noted(stack, pair, window):
        found.append(pair.name)
        return read(stack, pair, window)

    monkeypatch.setattr(scanning, "read_pair", noted)
    return found


def scan(stack, folder, told, config=RULES, watcher=None, **given):
    return scan_track(stack, config, watcher or choose_watcher(config), folder, told, **given)


def blind(wrapped, coherence):
    """See nothing."""
    return np.zeros(wrapped.shape, np.float32), np.zeros(wrapped.shape, np.float32)


BLIND = Watcher("blind", "", blind)


def changed(stack, **igrams):
    """The stack with other interferograms for the pairs named; an error is raised."""

    def read(pair, window):
        other = igrams.get(f"p{pair.name}")
        if isinstance(other, Exception):
            raise other
        return stack.read_pair(pair, window) if other is None else other[window.rows, window.columns]

    return replace(stack, read_pair=read)


def names(pairs):
    return [pair.name for pair in pairs]


def same(one, other):
    """Whether two scans found the same."""
    assert len(one.sites) == len(other.sites)
    for a, b in zip(one.sites, other.sites, strict=True):
        assert (a.window, a.score) == (b.window, b.score)
        np.testing.assert_array_equal(a.mask, b.mask)
        assert [(s.pair.name, s.bowl.peak) for s in a.sightings] == [(s.pair.name, s.bowl.peak) for s in b.sightings]
    assert sorted(names(one.pairs)) == sorted(names(other.pairs))
    np.testing.assert_allclose(one.coherence, other.coherence, atol=1e-6)


# What is seen and believed


def test_a_sinking_bowl_is_a_site_at_its_place_and_air_of_one_date_is_none(first):
    folder, found, told = first
    (site,) = found.sites
    inside = np.zeros(SHAPE, bool)
    inside[site.window.rows, site.window.columns] = site.mask
    assert np.mean(np.nonzero(inside), axis=1) == pytest.approx(BOWL, abs=1.0)
    assert inside[hill(BOWL) > 0.5].all()
    assert not inside[hill(BOWL) < 0.01].any()
    assert all(s.bowl.peak > 0 for s in site.sightings)
    assert site.score > 0.9
    # All 17 pairs of up to 24 days show it, and it covers all of what is to be seen on average.
    assert {s.pair for s in site.sightings} == set(found.pairs)
    assert (len(found.pairs), found.problems, found.detector) == (17, (), "fringes")
    assert {pair.days for pair in found.pairs} == {12, 24}
    # The air was seen as well, with the one sign before its date and the other one after it.
    signs = {}
    for path in (folder / "bowls").glob("*.npz"):
        with np.load(path) as kept:
            for (y, x, height, width), peak in zip(kept["windows"], kept["peaks"], strict=True):
                if abs(y + height / 2 - AIR[0]) < 5 and abs(x + width / 2 - AIR[1]) < 5:
                    signs[path.stem] = np.sign(peak)
    wet = f"{DATES[WET]:%Y%m%d}"
    assert signs == {pair.name: 1.0 if pair.name.endswith(wet) else -1.0 for pair in found.pairs if wet in pair.name}
    assert told.said == [f"{TRACK}: {17 + len(signs)} bowls in 17 pairs, 1 site confirmed"]
    assert told.warned == []


def test_coherence_is_the_mean_of_all_pairs(stack, first):
    expected = np.mean([np.abs(stack.read(pair)) for pair in first[1].pairs], axis=0)
    np.testing.assert_allclose(first[1].coherence, expected, atol=1 / 255)


def test_sites_of_rising_ground_are_doubted_once_there_are_ten(map_grid, tmp_path, told):
    """Twelve places that rise are as many tests of the sign; one that twelve pairs show is a single one."""
    squares = np.zeros(SHAPE, np.float32)
    for y in range(8, 96, 32):
        for x in range(6, 96, 24):
            squares[y : y + 12, x : x + 12] = 1
    assert squares.sum() == 12 * 144

    def rising(wrapped, coherence):
        return squares, -5 * squares

    one = np.where(np.indices(SHAPE).sum(0) < 40, squares, 0)
    stack = quiet_stack(map_grid(SHAPE, 20.0))
    found = scan(stack, tmp_path / "many", told, watcher=Watcher("rising", "", rising))
    assert len(found.sites) == 12
    (line,) = told.warned
    assert line.startswith("T: phase falls in 12 of 12 bowls, as over rising ground, but ground over mines sinks: ")
    for name, look in (
        ("sinking", lambda *_: (squares, 5 * squares)),
        ("single", lambda *_: (one, -5 * one)),
    ):
        calm = Told()
        assert scan(stack, tmp_path / name, calm, watcher=Watcher(name, "", look)).sites
        assert calm.warned == []


def quiet_stack(grid, dates=14):
    """Still, coherent ground in memory."""
    days = [date(2020, 1, 1) + timedelta(12 * k) for k in range(dates)]
    still = np.full(grid.shape, 0.8, np.complex64)
    return InterferogramStack(
        product="memory", root="memory", track="T", pairs=tuple(map(Pair, days[:-1], days[1:])), grid=grid,
        wavelength=SENTINEL1_WAVELENGTH, sign="as here", coherence_source="product",
        read_pair=lambda _, window: still[window.rows, window.columns],
    )  # fmt: skip


# What is kept


def test_again_reads_nothing_and_finds_the_same(stack, first, folder, reads, told):
    again = scan(stack, folder, told)
    assert reads == []
    same(again, first[1])
    # Which pairs count, and how often a place must be seen, does not change what a pair shows.
    fewer = scan(stack, folder, told, RULES.model_copy(update={"bowl_days": 12, "site_dates": 10}))
    assert reads == []
    assert (len(fewer.pairs), len(fewer.sites)) == (9, 1)
    assert scan(stack, folder, told, RULES.model_copy(update={"bowl_days": 12, "site_dates": 11})).sites == ()


@pytest.mark.parametrize("damage", ["empty", "half", "middle", "text", "field", "bits"])
def test_what_is_kept_of_a_pair_and_is_damaged_is_made_anew(stack, first, folder, reads, told, damage):
    name = "20150129_20150222"
    path = folder / "bowls" / f"{name}.npz"
    content = path.read_bytes()
    if damage in ("field", "bits"):
        with np.load(path) as kept:
            fields = dict(kept)
        if damage == "field":
            del fields["peaks"]
        else:
            fields["masks"] = fields["masks"][:3]
        np.savez_compressed(path, **fields)
    else:
        half = len(content) // 2
        torn = content[:half] + bytes(b ^ 255 for b in content[half : half + 200]) + content[half + 200 :]
        path.write_bytes(
            {"empty": b"", "half": content[:half], "middle": torn, "text": b"nothing of that kind"}[damage]
        )
    again = scan(stack, folder, told)
    assert reads == [name]
    same(again, first[1])
    reads.clear()
    same(scan(stack, folder, told), first[1])
    assert reads == []


@pytest.mark.parametrize(
    "change",
    [
        {"bowl_pixel": 40.0},
        {"bowl_probability": 0.6},
        {"bowl_pixels": 30},
        {"name": "other"},
        {"checksum": "c0ffee"},
        {"least_score": 0.5},
        {"product": "images, 2 x 8 looks, Goldstein 0.5"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_with_other_settings_every_pair_is_scanned_anew(map_grid, tmp_path, told, reads, change):
    stack = quiet_stack(map_grid(SHAPE, 20.0), dates=4)
    scan(stack, tmp_path, told, watcher=BLIND)
    reads.clear()
    settings = {k: v for k, v in change.items() if k in BowlConfig.model_fields}
    own = {k: v for k, v in change.items() if k in Watcher._fields}
    product = {k: v for k, v in change.items() if k == "product"}
    for count in (3, 0):
        scan(replace(stack, **product), tmp_path, told, RULES.model_copy(update=settings), BLIND._replace(**own))
        assert len(reads) == count
        reads.clear()


def test_a_file_that_changed_is_read_again(mines, stack, tmp_path, told, reads):
    copy = shutil.copytree(mines, tmp_path / "scene")
    scan(open_stack(copy), tmp_path / "out", told, watcher=BLIND)
    path = copy / f"{stack.pairs[0].name}_coh.tif"
    path.write_bytes(path.read_bytes())
    reads.clear()
    scan(open_stack(copy), tmp_path / "out", told, watcher=BLIND)
    assert reads == [stack.pairs[0].name]


# What cannot be used


def test_a_damaged_pair_is_named_and_left_out_and_the_others_go_on(stack, first, folder, told):
    name = "20150129_20150222"
    (folder / "bowls" / f"{name}.npz").unlink()
    broken = changed(stack, **{f"p{name}": DamagedFileError(f"{name}_phase.tif: not a readable raster")})
    found = scan(broken, folder, told)
    assert told.warned == [f"{name}_phase.tif: not a readable raster; pair left out"]
    assert [(p.path.name, p.message, p.skipped) for p in found.problems] == [
        (f"{name}_phase.tif", f"{name}_phase.tif: not a readable raster", True)
    ]
    assert set(names(first[1].pairs)) - set(names(found.pairs)) == {name}
    (site,) = found.sites
    assert names(s.pair for s in site.sightings) == [n for n in names(first[1].pairs) if n != name]
    # Once it can be read all is as it would have been.
    same(scan(stack, folder, told), first[1])


def test_without_a_pair_that_can_be_read_there_is_no_scan(stack, tmp_path, told):
    gone = PermissionError(13, "Permission denied", "a.tif")
    broken = changed(stack, **{f"p{name}": gone for name in names(stack.pairs)})
    line = rf"^{stack.root}: none of 17 pairs could be read; last: a.tif: cannot be read \(Permission denied\)$"
    with pytest.raises(NoDataError, match=line):
        scan(broken, tmp_path, told)
    assert len(told.warned) == 17


def test_pairs_of_noise_are_named_and_show_nothing(stack, first, folder, told):
    rng = np.random.default_rng(5)
    noise = (0.3 * np.exp(2j * np.pi * rng.random(SHAPE))).astype(np.complex64)
    some = ["20150105_20150117", "20150306_20150318"]
    for name in some:
        (folder / "bowls" / f"{name}.npz").unlink()
    noisy = changed(stack, **{f"p{name}": noise for name in some})
    lines = [f"{TRACK}: {name} is all noise; nothing can be seen in it" for name in some]
    for _ in range(2):  # scanned, and recalled
        found = scan(noisy, folder, told)
        assert told.warned == lines
        told.warned.clear()
        (site,) = found.sites
        assert names(s.pair for s in site.sightings) == [n for n in names(first[1].pairs) if n not in some]
        assert len(found.pairs) == 17


def test_where_all_is_noise_there_is_no_site_and_every_pair_is_named(stack, tmp_path, told):
    rng = np.random.default_rng(6)
    noise = {f"p{n}": np.exp(2j * np.pi * rng.random(SHAPE)).astype(np.complex64) for n in names(stack.pairs)}
    found = scan(changed(stack, **noise), tmp_path, told)
    assert found.sites == ()
    assert told.warned == [f"{TRACK}: {n} is all noise; nothing can be seen in it" for n in names(found.pairs)]
    assert told.said == [f"{TRACK}: 0 bowls in 17 pairs, 0 sites confirmed"]


def test_a_pair_without_data_shows_nothing_and_lowers_no_coherence(map_grid, tmp_path, told):
    stack = quiet_stack(map_grid(SHAPE, 20.0), dates=4)
    hole = np.full(SHAPE, 0.8, np.complex64)
    hole[:20] = 0
    second, third = names(stack.pairs)[1:]
    found = scan(changed(stack, **{f"p{second}": np.zeros(SHAPE, np.complex64), f"p{third}": hole}), tmp_path, told)
    assert (found.sites, len(found.pairs), told.warned) == ((), 3, [])
    np.testing.assert_allclose(found.coherence, 0.8, atol=1 / 255)


def test_without_a_short_pair_the_remedy_is_said(stack, tmp_path, told):
    long = stack.select([pair for pair in stack.pairs if pair.days > 24])
    with pytest.raises(NoDataError, match=f"^{stack.root}: no pair of up to 24 days; raise --bowl-days$"):
        scan(long, tmp_path / "out", told)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_kept_is_said(stack, tmp_path, told):
    (tmp_path / "bowls").write_text("in the way")
    with pytest.raises(OSError, match=r"bowls/20150105_20150117\.npz: cannot be written \(") as caught:
        scan(stack, tmp_path, told, watcher=BLIND)
    assert "\n" not in str(caught.value)


# Updates


def test_new_pairs_alone_give_what_all_of_them_give(stack, first, tmp_path, told, reads):
    early = [pair for pair in stack.pairs if pair.secondary <= DATES[6]]
    late = [pair for pair in stack.pairs if pair not in early]
    scan(stack.select(early), tmp_path, told)
    reads.clear()
    found = scan(stack.select(late), tmp_path, told, with_former=True)
    assert set(reads) == {pair.name for pair in late if pair.days <= 24}
    same(found, first[1])
    # Without what was before there are fewer.
    assert len(scan(stack.select(late), tmp_path, told).pairs) == len(set(reads))


def test_former_pairs_count_whose_files_are_gone(mines, first, tmp_path, told):
    copy = shutil.copytree(mines, tmp_path / "scene")
    stack, out = open_stack(copy), tmp_path / "out"
    scan(stack, out, told, watcher=BLIND)
    gone = stack.pairs[0].name
    for path in copy.glob(f"{gone}_*.tif"):
        path.unlink()
    found = scan(stack, out, told, watcher=BLIND, with_former=True)
    assert (len(found.pairs), told.warned) == (17, [])
    found = scan(stack, out, told, watcher=BLIND)
    assert gone not in names(found.pairs)
    assert len(told.warned) == 1


def test_former_pairs_count_only_as_the_last_scan_had_them(map_grid, tmp_path, told):
    """Neither what is too long now, nor what was left out since, nor what other settings have seen."""
    stack = quiet_stack(map_grid(SHAPE, 20.0), dates=8)
    one, *rest = stack.pairs
    new, old = stack.select(rest[-1:]), stack.select([one, *rest[:-1]])

    def formers(config=RULES, watcher=BLIND):
        folder = shutil.copytree(tmp_path / "kept", tmp_path / "copy", dirs_exist_ok=True)
        found = scan(new, folder, told, config, watcher, with_former=True)
        shutil.rmtree(folder)
        return set(names(found.pairs)) - set(names(new.pairs))

    scan(old, tmp_path / "kept", told, watcher=BLIND)
    assert formers() == set(names(old.pairs))
    assert formers(watcher=BLIND._replace(checksum="other")) == set()
    far = old.pairs[0]
    long = replace(old, pairs=(*old.pairs, Pair(far.reference, far.reference + timedelta(24))))
    scan(long, tmp_path / "kept", told, watcher=BLIND)
    assert len(formers()) == 7
    assert formers(RULES.model_copy(update={"bowl_days": 12})) == set(names(old.pairs))
    scan(stack.select(rest[:-1]), tmp_path / "kept", told, watcher=BLIND)
    assert formers() == set(names(rest[:-1]))
    (tmp_path / "kept" / "bowls" / "scanned.json").write_text("[1, {")
    assert formers() == set()


# Reading


@pytest.mark.parametrize(
    ("looks", "size"), [(Looks(1, 1), 1), (Looks(2, 3), 4000), (Looks(5, 7), 1), (Looks(96, 96), 1)]
)
def test_strips_make_what_the_whole_makes(stack, monkeypatch, looks, size):
    monkeypatch.setattr(scanning, "_STRIP_BYTES", size)
    pair = stack.pairs[3]
    rows, columns = 96 // looks.y, 96 // looks.x
    whole = average_igram(stack.read(pair)[: rows * looks.y, : columns * looks.x], looks)
    np.testing.assert_array_equal(read_averaged(stack, pair, looks), whole)


# Who looks


def named(path):
    return BowlConfig(bowl_model=str(path))


def test_a_network_tells_probability_and_phase(tmp_path, stack):
    path = write_bowl_model(tmp_path / "a.onnx", "bowls")
    watcher = choose_watcher(named(path))
    assert watcher.name == "tiny-bowls"
    assert len(watcher.checksum) == 64
    igram = stack.read(stack.pairs[0])
    wrapped = np.angle(igram).astype(np.float32)
    wrapped[:5] = np.nan
    coherence = np.where(np.isnan(wrapped), 0, np.abs(igram)).astype(np.float32)
    probability, phase = watcher.look(wrapped, coherence)
    known = np.isfinite(wrapped)
    np.testing.assert_allclose(probability[known], 1 / (1 + np.exp(-10 * wrapped[known])), atol=1e-6)
    assert (probability[~known] == 0).all()
    # Up to a constant, as the model tells differences.
    assert np.ptp(phase[known] - wrapped[known]) < 0.05


@pytest.mark.parametrize(("kind", "usual"), [("bowls", 0.8), ("footprint", 0.0)])
def test_a_bowl_counts_from_the_score_that_suits_the_detector_or_is_given(tmp_path, kind, usual):
    network = named(write_bowl_model(tmp_path / "a.onnx", kind))
    assert choose_watcher(network).least_score == usual
    assert choose_watcher(RULES).least_score == 0.0
    for config in (network, RULES):
        assert choose_watcher(config.model_copy(update={"bowl_score": 0.3})).least_score == 0.3


def test_where_a_network_only_finds_the_phase_is_that_of_the_fringes(tmp_path, stack):
    watcher = choose_watcher(named(write_bowl_model(tmp_path / "a.onnx", "footprint")))
    igram = stack.read(stack.pairs[-1])
    wrapped, coherence = np.angle(igram).astype(np.float32), np.abs(igram)
    probability, phase = watcher.look(wrapped, coherence)
    np.testing.assert_allclose(probability, 1 / (1 + np.exp(-10 * wrapped)), atol=1e-6)
    expected = scan_fringes(wrapped, np.ones(SHAPE, bool), coherence)
    np.testing.assert_array_equal(phase, expected.phase)
    rules = choose_watcher(RULES)
    assert (rules.name, rules.checksum) == ("fringes", "")
    for ours, theirs in zip(rules.look(wrapped, coherence), (expected.probability, expected.phase), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_model_that_does_not_find_bowls_is_refused_in_one_line(tmp_path):
    phase_only = write_bowl_model(tmp_path / "p.onnx", "unwrapped")
    with pytest.raises(SettingError) as caught:
        choose_watcher(named(phase_only))
    assert str(caught.value) == (f"--bowl-model: {phase_only} unwraps but does not find bowls; choose bowlnet or ddnet")
    bodies = onnx_models.write_random(tmp_path / "b.onnx")
    text = tmp_path / "t.onnx"
    text.write_text("not a model")
    for name, kind, message in (
        (
            bodies,
            UnknownFormatError,
            rf"--bowl-model: {bodies}: not a model for Groundshift \(groundshift\.kind is 'bod",
        ),
        (text, UnknownFormatError, rf"--bowl-model: {text}: not a model for Groundshift \(ONNX Runtime cannot read it"),
        (tmp_path / "no.onnx", MissingFileError, rf"--bowl-model: {tmp_path / 'no.onnx'}: no such file"),
        ("bowlnett", MissingFileError, "--bowl-model: bowlnett: no such model"),
    ):
        with pytest.raises(kind, match=f"^{message}") as caught:
            choose_watcher(named(name))
        assert "\n" not in str(caught.value)
