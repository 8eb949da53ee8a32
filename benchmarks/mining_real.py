"""Real mines: bowls of one interferogram, and hand-drawn footprints of forty.

    python benchmarks/mining_real.py phase $GROUNDSHIFT_DATA/mining_phase WORK [--model bowlnet]
    python benchmarks/mining_real.py masks $GROUNDSHIFT_DATA/mining_masks WORK [--model bowlnet] [--start bowlnet]

*phase*: the bowls found, their unwrapped peaks, and the residues inside before and after (the command
`groundshift bowls`; its picture is in WORK).

*masks*: pixels of hand-drawn footprints found in 40 interferograms that are colour renderings: precision, recall, F1,
and IoU over all pixels. Zero-shot: the weights and the probability of 0.5 as they come, and the rules. With `--start`
also fine-tuned from such weights by `groundshift train-mining`: on half of the scenes, judged on the other half, both
ways. Which patches are of one scene is not told; those that are alike stay together.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.colors import rgb_to_hsv
from matplotlib.figure import Figure
from rasterio.transform import Affine
from skimage.io import imread

from groundshift.cli import main as groundshift
from groundshift.detect.bowl_network import BowlNetwork
from groundshift.detect.fringes import scan_fringes
from groundshift.io.estimate import phase_consistency
from groundshift.io.rasters import write_geotiff
from groundshift.types import MapGrid

COUNT = 40
ALIKE = ((3, 5), (6, 7, 18, 22, 35, 39), (15, 33))
"""Patches whose patterns of coherence correlate by 0.65 or more under shift, rotation and mirror."""
STEPS, RATE = 400, 3e-4
"""Of the fine-tuning."""
PROBABILITY = 0.5


def read_patch(folder: Path, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return wrapped phase, decoded from the circle of colours, and the footprint."""
    hue = rgb_to_hsv(imread(folder / "image" / f"{number}.png")[..., :3] / 255.0)[..., 0]
    mask = imread(folder / "label" / f"{number}.png")
    return np.angle(np.exp(2j * np.pi * hue)).astype(np.float32), (mask if mask.ndim == 2 else mask[..., 0]) > 0


def halves() -> tuple[list[int], list[int]]:
    """Part the patches so that those alike stay together, every second scene to either half."""
    scenes = list(ALIKE)
    scenes += [(k,) for k in range(1, COUNT + 1) if not any(k in group for group in ALIKE)]
    scenes.sort()
    return [k for group in scenes[::2] for k in group], [k for group in scenes[1::2] for k in group]


def scores(found: dict[int, np.ndarray], truth: dict[int, np.ndarray]) -> tuple[float, float, float, float]:
    """Return precision, recall, F1 and IoU over all pixels."""
    right = sum(int((found[k] & truth[k]).sum()) for k in found)
    claimed, wanted = (sum(int(m[k].sum()) for k in found) for m in (found, truth))
    return right / claimed, right / wanted, 2 * right / (claimed + wanted), right / (claimed + wanted - right)


def find(model: str, phases: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """Return the footprints that a network finds, or the rules."""
    network = None if model == "rules" else BowlNetwork.load(model)
    found = {}
    for number, wrapped in phases.items():
        known = np.ones(wrapped.shape, np.bool_)
        if network is None:
            probability = scan_fringes(wrapped, known).probability
        else:
            probability = network.look(wrapped, phase_consistency(wrapped, known)).probability
        found[number] = probability >= PROBABILITY
    return found


def write_half(folder: Path, numbers: list[int], phases: dict[int, np.ndarray], truth: dict[int, np.ndarray]) -> None:
    """Write patches as `groundshift train-mining` reads them."""
    scene = {k: group[0] for group in ALIKE for k in group}
    for part in ("phase", "mask"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for k in numbers:
        grid = MapGrid(phases[k].shape, Affine(20, 0, 0, 0, -20, 0), "EPSG:32649")
        name = f"scene{scene.get(k, k)}_{k}.tif"
        write_geotiff(folder / "phase" / name, phases[k], grid)
        write_geotiff(folder / "mask" / name, truth[k].astype(np.uint8), grid)


def fine_tuned(
    work: Path, start: Path, network: str, phases: dict[int, np.ndarray], truth: dict[int, np.ndarray]
) -> dict[int, np.ndarray]:
    """Return what is found in each half by weights that have learned from the other."""
    found = {}
    parts = halves()
    for number, (learned, judged) in enumerate((parts, parts[::-1])):
        folder, run = work / f"half{number}", work / f"run{number}"
        write_half(folder, learned, phases, truth)
        failed = groundshift([
            "train-mining", str(folder), "-o", str(run), "--network", network, "--start-from", str(start),
            "--steps", str(STEPS), "--rate", str(RATE), "--validate-every", "100", "--average", "0.99", "--quiet",
        ])  # fmt: skip
        if failed:
            raise SystemExit(failed)
        found |= find(str(run / "model.onnx"), {k: phases[k] for k in judged})
    return found


def masks(args: argparse.Namespace) -> None:
    """Judge footprints."""
    patches = {k: read_patch(args.data, k) for k in range(1, COUNT + 1)}
    phases, truth = ({k: patch[part] for k, patch in patches.items()} for part in (0, 1))
    rows = {"rules": find("rules", phases), f"{args.model}, zero-shot": find(args.model, phases)}
    if args.start is not None:
        rows[f"{args.model}, fine-tuned"] = fine_tuned(args.work, args.start, args.network, phases, truth)
    print(f"{'':>28} {'precision':>9} {'recall':>7} {'F1':>7} {'IoU':>7}")
    for name, found in rows.items():
        print(f"{name:>28} " + " ".join(f"{v:>7.3f}" for v in scores(found, truth)))
    figure = Figure(figsize=(20, 9), layout="constrained")
    for k, axes in enumerate(figure.subplots(4, 10).flat, 1):
        axes.imshow(phases[k], cmap="twilight")
        axes.contour(truth[k], levels=[0.5], colors="white", linewidths=1)
        for found, colour in zip(list(rows.values())[1:], ("lime", "black"), strict=False):
            if found[k].any():
                axes.contour(found[k], levels=[0.5], colors=colour, linewidths=1)
        axes.set_title(str(k), fontsize=7)
        axes.axis("off")
    args.work.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.work / "masks.png", dpi=70)


def phase(args: argparse.Namespace) -> None:
    """Look at the real interferogram as a user does."""
    models = ["--bowl-model", args.model, "--foresight", args.model]
    failed = groundshift(["bowls", str(args.data), "-o", str(args.work), *models, "--quiet"])
    if failed:
        raise SystemExit(failed)
    print((args.work / "bowls.csv").read_text(encoding="utf-8"), end="")


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["phase", "masks"])
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--model", default="bowlnet", help="name or file of the network")
    parser.add_argument("--network", default="bowlnet", help="its architecture, to fine-tune")
    parser.add_argument("--start", type=Path, default=None, help="weights to fine-tune from: bowlnet, or a checkpoint")
    args = parser.parse_args()
    {"phase": phase, "masks": masks}[args.what](args)


if __name__ == "__main__":
    main()
