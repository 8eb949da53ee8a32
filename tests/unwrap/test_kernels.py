"""The compiled loops of the closure check do what plain ones do."""

import numpy as np
import pytest

from groundshift.unwrap import triplets
from groundshift.unwrap._kernels import SPAN, count_closing, find_contradicted, propose_changes, tally

TURN = 2 * np.pi


def phases_of_dates(pairs, rng):
    dates = {d: rng.normal(0, 3, 60) for p in pairs for d in (p.reference, p.secondary)}
    return np.array([dates[p.reference] - dates[p.secondary] for p in pairs], np.float32)


def noisy(seed, join_dates):
    rng = np.random.default_rng(seed)
    pairs = [p for p in join_dates(range(0, 84, 12), 84) if rng.random() < 0.85]
    phase = phases_of_dates(pairs, rng)
    phase += rng.normal(0, 0.5, phase.shape).astype(np.float32)
    phase += np.float32(TURN) * (rng.random(phase.shape) < 0.12)
    phase[rng.random(phase.shape) < 0.1] = np.nan
    added = rng.integers(-1, 2, phase.shape).astype(np.int8) * (rng.random(phase.shape) < 0.05)
    corners = triplets(pairs)
    turns = np.round((phase[corners[:, 0]] + phase[corners[:, 1]] - phase[corners[:, 2]]) / TURN)
    level = np.array([np.bincount(t[np.isfinite(t)].astype(int) + 99).argmax() - 99 for t in turns])
    shift = added[corners[:, 0]] + added[corners[:, 1]] - added[corners[:, 2]]
    return phase, added.astype(np.int8), corners, level, turns, turns - level[:, None] + shift


def sign_of(corner, pair):
    return -1 if corner[2] == pair else 1


def propose_plainly(missing, corners, n_pairs, least):
    """Say for each pixel what `propose_changes` says, one condition after the other."""
    out = np.zeros((n_pairs, missing.shape[1]), np.int8)
    for x in range(missing.shape[1]):
        support, excess = np.zeros(n_pairs), np.zeros(n_pairs)
        for p in range(n_pairs):
            votes = [
                (-1 if place == 2 else 1) * missing[t, x]
                for t, place in np.argwhere(corners == p)
                if np.isfinite(missing[t, x])
            ]
            for value in set(votes) - {0}:
                agree, closed = votes.count(value), votes.count(0)
                if agree > len(votes) / 2 and agree >= least * (1 + closed):
                    support[p], excess[p] = agree - closed, value
        for p in np.flatnonzero(support):
            rivals = [
                q
                for t in np.flatnonzero((corners == p).any(axis=1) & np.isfinite(missing[:, x]) & (missing[:, x] != 0))
                for q in corners[t]
                if q != p and support[q] >= support[p]
                if any(missing[t, x] == sign_of(corners[t], r) * excess[r] for r in (p, q))
            ]
            if not rivals:
                out[p, x] = -excess[p]
    return out


@pytest.mark.parametrize("least", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_compiled_proposals_are_those_of_the_plain_rule(seed, least, join_dates):
    phase, added, corners, level, _, missing = noisy(seed, join_dates)
    order = np.argsort(corners.ravel(), kind="stable")
    first = np.searchsorted(corners.ravel()[order], np.arange(len(phase) + 1))
    out = np.full(phase.shape, 99, np.int8)
    sign, where = np.where(order % 3 == 2, -1, 1), np.arange(phase.shape[1]) != 7
    propose_changes(phase, added, corners, level, first, order // 3, sign, least, where, out)
    np.testing.assert_array_equal(out[:, where], propose_plainly(missing, corners, len(phase), least)[:, where])
    assert (out[:, 7] == 99).all()
    assert out[:, where].any() or least == 3


@pytest.mark.parametrize("seed", range(4))
def test_compiled_counts_are_those_of_numpy(seed, join_dates):
    phase, added, corners, level, turns, missing = noisy(seed, join_dates)
    known = np.isfinite(missing)
    expected = np.stack([(missing == 0).sum(axis=1), known.sum(axis=1)], axis=1)
    np.testing.assert_array_equal(count_closing(phase, added, corners, level), expected)
    where = np.arange(phase.shape[1]) % 3 > 0
    counts = tally(phase, corners, where)
    for t, own in zip(turns, counts, strict=True):
        good = t[where & np.isfinite(t)].astype(int)
        np.testing.assert_array_equal(own, np.bincount(good + SPAN, minlength=2 * SPAN + 1))
    contradicted = np.zeros(phase.shape, bool)
    find_contradicted(phase, added, corners, level, contradicted)
    for p, own in enumerate(contradicted):
        mine = (corners == p).any(axis=1)
        np.testing.assert_array_equal(own, (missing == 0)[mine].sum(axis=0) < known[mine].sum(axis=0) / 2)
