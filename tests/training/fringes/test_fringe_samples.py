"""Windows in the order in which a network sees them, and what joins them to it."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (the train extra)")

from groundshift.errors import NoDataError  # noqa: E402
from groundshift.nets.fringe_alexnet import FringeAlexNet  # noqa: E402
from groundshift.simulate.fringe_config import FringeConfig  # noqa: E402
from groundshift.training.fringes import samples as making  # noqa: E402
from groundshift.training.fringes.config import CutConfig, FringeModelConfig  # noqa: E402
from groundshift.training.fringes.patches import FringeSample, find_patches, read_patch, write_patch  # noqa: E402
from groundshift.training.fringes.samples import FringeSupply, simulated_windows  # noqa: E402
from groundshift.training.fringes.tasks import FringeTask, make_fringe_task  # noqa: E402

SMALL = FringeConfig(side=240, pairs=2, slides=(6, 6))
CUT = CutConfig(least_data=0.2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("windows")
    rng = np.random.default_rng(0)
    for name, number in (("positive", 2), ("negative", 5)):
        for k in range(number):
            wrapped = rng.uniform(-3, 3, (150, 150)).astype(np.float32)
            sample = FringeSample(wrapped, np.full((150, 150), 0.1 * (k + 1), np.float32), name == "positive", "a")
            write_patch(root / name / f"a_{k}.tif", sample, 28.0)
    return root


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_simulated_windows_follow_from_seed_and_place_alone():
    first, second = (FringeSupply(SMALL, CUT, 4, 3) for _ in range(2))
    tiles = first.tiles(1)
    assert [t.positive for t in tiles] == [True, False, True, False]
    assert all(same(a, b) for a, b in zip(tiles[::-1], second.tiles(1)[::-1], strict=True))
    assert all(t.wrapped.shape == (150, 150) and t.coherence.max() <= 1 for t in tiles)
    assert not same(tiles[0], FringeSupply(SMALL, CUT, 4, 4).tile(4))


def test_what_is_validated_on_is_of_other_scenes(monkeypatch):
    monkeypatch.setattr(making, "_FEW", 2)
    held = simulated_windows(SMALL, CUT, 4, 3)
    assert [s.positive for s in held] == [True, False, True, False]
    assert {s.scene for s in held}.isdisjoint({t.scene for t in FringeSupply(SMALL, CUT, 4, 3).tiles(0)})


def test_scenes_without_any_candidate_end_with_a_line(monkeypatch):
    monkeypatch.setattr(making, "_TRIES", 2)
    still = SMALL.model_copy(update={"least_phase_rad": 1e6})
    with pytest.raises(NoDataError, match="none of 2 simulated scenes shows a candidate beside still ground"):
        FringeSupply(still, CUT, 4, 0).tile(0)


def test_given_windows_come_once_each_before_any_comes_again(folder):
    patches, _ = find_patches(folder)
    supply = FringeSupply(SMALL, CUT, 2, 0, patches)
    seen = [supply.tile(k) for k in range(20)]
    assert [s.positive for s in seen] == [True, False] * 10
    others = [round(10 * float(s.coherence.max())) for s in seen[1::2]]
    assert sorted(others[:5]) == sorted(others[5:]) == [1, 2, 3, 4, 5]
    assert others[:5] != others[5:]


def test_given_windows_are_turned_as_a_whole(folder):
    patches, _ = find_patches(folder)
    supply = FringeSupply(SMALL, CUT, 2, 0, patches)
    original = [read_patch(p).wrapped for p in patches if p.positive]
    turned = set()
    for k in range(0, 80, 2):
        window = supply.tile(k).wrapped
        ways = [
            (n, way)
            for n, plain in enumerate(original)
            for way in range(8)
            if np.array_equal(window, np.rot90(plain if way < 4 else plain.T, way))
        ]
        assert len(ways) == 1
        turned.add(ways[0])
    assert len(turned) >= 12


def test_task_joins_windows_and_network():
    task, model = make_fringe_task(FringeModelConfig(width=0.1))
    rng = np.random.default_rng(1)
    samples = [
        FringeSample(
            rng.uniform(-3, 3, (150, 150)).astype(np.float32), np.full((150, 150), 0.5, np.float32), k == 1, "a"
        )
        for k in range(3)
    ]
    batch = task.batch(samples)
    assert batch["interferogram"].shape == (3, 2, 150, 150)
    assert batch["positive"].tolist() == [0, 1, 0]
    model.eval()
    with torch.inference_mode():
        odds = task.outputs(model, batch, 0.0)
        (score,) = task.exported(model)(batch["interferogram"])
    torch.testing.assert_close(score.flatten(), torch.sigmoid(odds[:, 1] - odds[:, 0]))
    np.testing.assert_allclose(task.predict(model, samples), score.flatten(), atol=1e-6)
    assert task.losses(odds, batch)["class"] == pytest.approx(
        float(-(torch.log_softmax(odds, 1)[torch.arange(3), batch["positive"]]).mean())
    )


def test_networks_that_take_single_windows_say_so():
    assert make_fringe_task(FringeModelConfig())[0].free_size
    assert not make_fringe_task(FringeModelConfig(network="paper", width=0.05))[0].free_size
    assert FringeTask(free_size=False).examples == [(2, 150, 150), (1, 150, 150)]


def test_one_batch_can_be_memorised():
    torch.manual_seed(0)
    rng = np.random.default_rng(2)
    waves = np.sin(np.arange(150) / 4).astype(np.float32)[:, None] * np.ones((150, 150), np.float32)
    samples = [
        FringeSample((2 * waves if k % 2 else rng.uniform(-3, 3, (150, 150))).astype(np.float32),
                     np.full((150, 150), 0.7, np.float32), bool(k % 2), "a")
        for k in range(6)
    ]  # fmt: skip
    task, model = FringeTask(), FringeAlexNet("slim", 0.2)
    optimiser = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9)
    batch = task.batch(samples)
    for _ in range(25):
        optimiser.zero_grad()
        loss = task.losses(task.outputs(model, batch, 0.0), batch)["class"]
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.2
