"""Scenes over mines: laws of motion, of noise and of coherence, and what is to be found in them."""

import math

import numpy as np
import pytest
from pydantic import ValidationError

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.simulate.batched.decorrelation import strain_loss  # noqa: E402
from groundshift.simulate.mining.config import MiningConfig  # noqa: E402
from groundshift.simulate.mining.scenes import draw_scenes, footprint, knothe  # noqa: E402

torch.set_num_threads(1)

STILL = {
    "turbulence_rad": (0, 0), "ramp_rad": (0, 0), "terrain_rad": (0, 0), "water_share": 0, "patch_share": 0,
}  # fmt: skip
"""No air, no terrain, no water: the ground alone."""


def drawn(seed=0, **settings):
    return draw_scenes(MiningConfig(**{"shape": (64, 48), "scenes": 6, **settings}), seed)


# What is drawn


def test_the_same_seed_draws_the_same_scenes_and_another_one_others():
    one, again, other = (drawn(seed).pair(0, 1) for seed in (3, 3, 4))
    for name in one._fields:
        assert torch.equal(getattr(one, name), getattr(again, name)), name
        if name not in ("footprint", "bowl"):
            assert not torch.equal(getattr(one, name), getattr(other, name)), name


def test_noise_is_that_of_the_pair_whatever_was_asked_for_before():
    scenes = drawn()
    alone = drawn().pair(1, 2)
    scenes.pair(0, 1)
    assert torch.equal(scenes.pair(1, 2).wrapped, alone.wrapped)
    assert not torch.equal(scenes.pair(0, 2).wrapped - scenes.pair(0, 2).phase, alone.wrapped - alone.phase)


def test_numbers_of_bowls_are_those_of_the_settings():
    scenes = drawn(scenes=400, shape=(32, 32), bowls=(1, 3), dates=2)
    there = scenes.courses[..., -1].view(400, 3, 5).abs().sum(2) > 0
    counts = np.bincount(there.sum(1).numpy(), minlength=4)
    assert counts[0] == 0
    # Binomial: a third of 400 each, with a standard deviation of 9.
    assert np.abs(counts[1:] - 400 / 3).max() < 4 * 9.5


def test_scenes_without_bowls_are_still():
    scenes = drawn(bowls=(0, 0))
    pair = scenes.pair(0, 1)
    assert (pair.bowl == 0).all()
    assert (pair.footprint == 0).all()
    torch.testing.assert_close(pair.phase, scenes.delays[:, 1] - scenes.delays[:, 0])


def test_pixels_are_rows_and_columns():
    pair = drawn(shape=(32, 80)).pair(0, 1)
    assert all(getattr(pair, name).shape == (6, 32, 80) for name in pair._fields)


# How the ground moves


def test_motion_of_pairs_adds_up_over_the_dates():
    scenes = drawn(dates=4)
    whole, parts = scenes.pair(0, 3), [scenes.pair(k, k + 1) for k in range(3)]
    for name in ("bowl", "phase"):
        added = sum(getattr(p, name) for p in parts)
        torch.testing.assert_close(added, getattr(whole, name), rtol=1e-4, atol=1e-4)
    assert whole.bowl.abs().max() > 1


@pytest.mark.parametrize(("share", "sense"), [(0, 1), (1, -1)])
def test_phase_grows_where_the_ground_sinks_and_falls_where_it_rises(share, sense):
    pair = drawn(uplift_share=share, bowls=(2, 4), **STILL).pair(0, 2)
    assert (sense * pair.bowl >= 0).all()
    assert (sense * pair.bowl).amax() > 1
    torch.testing.assert_close(pair.phase, pair.bowl)


@pytest.mark.parametrize("panels", [0, 1])
def test_no_bowl_is_deeper_than_its_peak_and_those_that_stay_reach_it(panels):
    scenes = drawn(
        scenes=60, bowls=(1, 1), peak_rad=(7, 7), panel_share=panels, sigma_pixels=(8, 12), distortion_pixels=(0, 0)
    )
    deepest = scenes.sunk(0, 2).abs().amax((2, 3))[:, 0]
    assert deepest.max() <= 7 + 1e-4
    if not panels:
        # Three quarters of the centres lie within the scene; where a pixel is nearest to one, little is lost.
        assert (deepest > 6.9).float().mean() > 0.6


def test_bowls_that_stay_keep_their_shape_and_those_over_panels_wander():
    settings = {"scenes": 40, "bowls": (1, 1), "peak_rad": (10, 10), "sigma_pixels": (6, 12)}
    still, wandering = (drawn(panel_share=share, **settings) for share in (0, 1))

    def likeness(scenes):
        early, late = (scenes.sunk(k, k + 1)[:, 0].flatten(1) for k in (0, 1))
        moving = (early.norm(dim=1) > 1) & (late.norm(dim=1) > 1)
        return torch.cosine_similarity(early, late)[moving]

    torch.testing.assert_close(likeness(still), torch.ones(len(likeness(still))), rtol=0, atol=1e-4)
    assert (likeness(wandering) < 0.95).float().mean() > 0.2


def test_subsidence_after_knothe():
    days = torch.tensor([0.0, 30.0, 30.0 + math.log(2) / 0.05, 1e6])
    share = knothe(days, torch.tensor(30.0), torch.tensor(0.05))
    torch.testing.assert_close(share, torch.tensor([0.0, 0.0, 0.5, 1.0]))


def test_bowls_never_come_back():
    courses = drawn(dates=6, uplift_share=0, scenes=40).courses
    assert (courses.diff(dim=2) >= -1e-4).all()


# What is to be found


@pytest.mark.parametrize(
    ("peak", "edge"),
    [(math.pi / 2 - 0.01, None), (math.pi / 2 + 0.01, math.pi / 3), (10.0, math.pi / 3), (50.0, 5.0), (-50.0, 5.0)],
)
def test_footprints_end_at_a_third_of_pi_or_a_tenth_of_the_peak_and_need_half_pi(peak, edge):
    slope = torch.linspace(0, 1, 1001)
    found = footprint((peak * slope).expand(1, 1, 3, 1001))[0, 1]
    expected = torch.zeros(1001) if edge is None else (abs(peak) * slope > edge).float()
    assert torch.equal(found, expected)


def test_each_bowl_has_its_own_footprint():
    """A shallow bowl beside a deep one is found; together they are one field of which it is less than a tenth."""
    each = torch.zeros(1, 2, 8, 8)
    each[0, 0, :4], each[0, 1, 4:] = 40.0, 2.0
    assert (footprint(each) == 1).all()
    assert (footprint(each.sum(1, keepdim=True))[0, 4:] == 0).all()


def test_footprints_of_pairs_are_those_of_their_own_motion():
    scenes = drawn(scenes=20)
    for first, second in ((0, 1), (0, 2)):
        assert torch.equal(scenes.pair(first, second).footprint, footprint(scenes.sunk(first, second)))


# Coherence and noise


def test_coherence_falls_with_time_and_strain():
    scenes = drawn(interval_days=20)
    for first, second in ((0, 1), (0, 2)):
        pair = scenes.pair(first, second)
        days = 20 * (second - first)
        kept = torch.exp(-days / scenes.memory)[:, None, None]
        torch.testing.assert_close(pair.true_coherence, scenes.coherence * kept * strain_loss(pair.phase))


def test_neighbouring_dates_have_the_coherence_of_the_settings():
    settings = {**STILL, "bowls": (0, 0), "coherence": (0.6, 0.6), "memory_days": (50, 200), "scenes": 40}
    scenes = drawn(**settings)
    near, far = (scenes.pair(0, k).true_coherence.mean((1, 2)) for k in (1, 2))
    # The texture has no mean over many scenes.
    assert float(near.mean()) == pytest.approx(0.6, abs=0.02)
    torch.testing.assert_close(far / near, torch.exp(-12 / scenes.memory))


def test_a_ramp_costs_coherence_by_its_slope():
    scenes = drawn(**STILL | {"ramp_rad": (60, 60)}, bowls=(0, 0))
    pair = scenes.pair(0, 1)
    dy, dx = pair.phase[:, 1, 0] - pair.phase[:, 0, 0], pair.phase[:, 0, 1] - pair.phase[:, 0, 0]
    slope = (dy**2 + dx**2)[:, None, None]
    lost = pair.true_coherence / (scenes.coherence * torch.exp(-12 / scenes.memory)[:, None, None])
    torch.testing.assert_close(lost[:, :-1, :-1], torch.exp(-slope / 24).expand(6, 63, 47), rtol=1e-3, atol=1e-3)
    assert lost[:, :-1, :-1].min() < 0.9


def test_water_has_next_to_no_coherence_and_covers_the_share_of_the_scenes():
    scenes = drawn(scenes=200, shape=(32, 32), water_share=0.3, patch_share=0)
    wet = scenes.coherence == np.float32(0.03)
    share = float(wet.any(2).any(1).float().mean())
    assert 0.15 < share < 0.4
    assert 0.02 < float(wet[wet.any(2).any(1)].float().mean()) < 0.5
    assert not (drawn(water_share=0).coherence == np.float32(0.03)).any()


def test_woods_take_coherence_with_sharp_edges():
    def steepest(share):
        coherence = drawn(scenes=100, shape=(48, 48), patch_share=share, water_share=0).coherence
        return coherence.diff(dim=2).abs().amax((1, 2))

    assert float(steepest(0).quantile(0.95)) < float(steepest(1).median())


def noise_of(looks, coherence):
    scenes = drawn(
        **STILL, bowls=(0, 0), scenes=30, looks=(looks, looks), coherence=(coherence, coherence), memory_days=(1e6, 1e6)
    )
    return scenes.pair(0, 1)


@pytest.mark.parametrize(("looks", "coherence"), [(20, 0.9), (60, 0.8)])
def test_phase_noise_has_the_variance_of_coherence_and_looks(looks, coherence):
    pair = noise_of(looks, coherence)
    true = pair.true_coherence
    expected = torch.sqrt((1 - true**2) / (2 * looks * true**2))
    error = pair.wrapped / expected
    assert float(error.var()) == pytest.approx(1, rel=0.1)
    assert float(error.mean()) == pytest.approx(0, abs=0.02)


def test_the_coherence_that_is_seen_is_the_true_one_but_for_noise_and_its_bias():
    pair = noise_of(60, 0.8)
    assert float((pair.coherence - pair.true_coherence).mean()) == pytest.approx(0, abs=0.01)
    water = drawn(
        **STILL | {"water_share": 1}, bowls=(0, 0), scenes=60, looks=(16, 16), coherence=(0.9, 0.9)
    )  # fmt: skip
    seen = water.pair(0, 1).coherence[water.coherence == np.float32(0.03)]
    # The mean magnitude of a mean of L looks of noise, that of a Rayleigh distribution.
    assert float(seen.mean()) == pytest.approx(math.sqrt(math.pi / (4 * 16)), rel=0.03)
    assert (seen > 0).all()


def test_without_noise_the_interferogram_is_the_wrapped_phase():
    pair = drawn(
        water_share=0, patch_share=0, looks=(1e8, 1e8), coherence=(0.97, 0.97), memory_days=(1e6, 1e6)
    ).pair(0, 2)  # fmt: skip
    off = torch.remainder(pair.wrapped - pair.phase + math.pi, 2 * math.pi) - math.pi
    clear = pair.true_coherence > 0.3
    assert off[clear].abs().max() < 2e-3
    assert clear.float().mean() > 0.5
    assert pair.wrapped.abs().max() <= math.pi + 1e-6


# Settings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"peak_rad": (5, 1)}, r"peak_rad must be \(low, high\) with 0 <= low <= high, instead got \(5.0, 1.0\)"),
        ({"bowls": (-1, 2)}, r"bowls must be \(low, high\)"),
        ({"sigma_pixels": (0, 4)}, r"sigma_pixels must be above 0, instead got \(0.0, 4.0\)"),
        ({"looks": (0.5, 4)}, r"looks must be at least 1, instead got \(0.5, 4.0\)"),
        ({"coherence": (0.5, 1.2)}, r"coherence must be at most 1, instead got \(0.5, 1.2\)"),
        ({"ramp_rad": (0, math.inf)}, "finite number"),
        ({"shape": (31, 64)}, "greater than or equal to 32"),
        ({"dates": 1}, "greater than or equal to 2"),
        ({"water_share": 1.1}, "less than or equal to 1"),
        ({"speed": 3}, "Extra inputs"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        MiningConfig(**settings)
