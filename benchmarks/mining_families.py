"""Footprints of mining subsidence by networks that were made for something else, beside those for mines.

    python benchmarks/mining_families.py $GROUNDSHIFT_DATA/mining_masks WORK
        [--families mask segment fringes] [--as-it-comes]

Pixels of 40 hand-drawn footprints (`mining_real.py masks` has the rows of BowlNet). Each family is judged as it comes,
and after 400 steps of its own training command on half of the scenes, from its shipped model; judged on the other half,
both ways. What stands for a footprint: ground that Mask Net calls decorrelated, ground that
SlideNet calls moving, the cells of 10 x 10 pixels that the fringe classifier calls the middle of fringes.
"""

import argparse
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from rasterio.transform import Affine

from groundshift.cli import main as groundshift
from groundshift.detect.fringe_scan import CELL, WINDOW, FringeScanner
from groundshift.detect.mask_network import MaskNetwork
from groundshift.detect.segments import SegmentNetwork
from groundshift.io.estimate import phase_consistency
from groundshift.io.isslide import PatchPlanes, dates_text, delay_text, write_patches
from groundshift.training.fringes.patches import FringeSample, write_patch
from groundshift.types import MapGrid, Pair
from mining_real import ALIKE, COUNT, halves, read_patch, scores, write_half

STEPS, RATE = 400, 3e-4
PROBABILITY = 0.5
SIDE = 100
"""Of a patch of ISSLIDE, pixels."""
CELLS = 60
"""Windows of each class cut out of a patch."""

Patches = dict[int, np.ndarray]


def coherence_of(wrapped: np.ndarray) -> np.ndarray:
    """Return how alike neighbouring phases are; the renderings bring no coherence."""
    return phase_consistency(wrapped, np.ones(wrapped.shape, np.bool_))


def scene_of(number: int) -> int:
    """Return the scene that a patch is of: the first of those alike."""
    return next((group[0] for group in ALIKE if number in group), number)


def learned_from(folder: Path, run: Path, command: list[str]) -> Path:
    """Train by a command on a folder, and return the model."""
    failed = groundshift([
        *command, str(folder), "-o", str(run), "--steps", str(STEPS), "--rate", str(RATE), "--threads", "1",
        "--validate-every", "100", "--average", "0.99", "--quiet",
    ])  # fmt: skip
    if failed:
        raise SystemExit(failed)
    return run / "model.onnx"


class Mask:
    """Mask Net: what is not coherent."""

    model = "masknet"

    def find(self, model: str, phases: Patches) -> Patches:
        """Return footprints."""
        network = MaskNetwork.load(model)
        return {k: network.look(p, coherence_of(p)) < 1 - PROBABILITY for k, p in phases.items()}

    def learn(self, folder: Path, run: Path, numbers: list[int], phases: Patches, truth: Patches) -> Path:
        """Learn that footprints are what is to be masked."""
        write_half(folder, numbers, phases, {k: ~truth[k] for k in numbers})
        return learned_from(folder, run, ["train-mask", "--start-from", self.model])


class Segment:
    """SlideNet: what moves."""

    model = "slidenet"

    def find(self, model: str, phases: Patches) -> Patches:
        """Return footprints."""
        network = SegmentNetwork.load(model)
        return {k: network.look(p[None], coherence_of(p)[None]) >= PROBABILITY for k, p in phases.items()}

    def learn(self, folder: Path, run: Path, numbers: list[int], phases: Patches, truth: Patches) -> Path:
        """Learn from a data set in the format of ISSLIDE: nine patches of each picture, a zone for each scene."""
        for k in numbers:
            coherence = coherence_of(phases[k])
            steps = [round(s) for s in np.linspace(0, phases[k].shape[0] - SIDE, 3)]
            planes = []
            for n, (y, x) in enumerate((y, x) for y in steps for x in steps):
                cut = np.s_[y : y + SIDE, x : x + SIDE]
                grid = MapGrid((SIDE, SIDE), Affine(1e-4, 0, 0.01 * n, 0, -1e-4, 0.01 * k), "EPSG:4326")
                planes.append((f"{k}_{n}", grid, PatchPlanes(phases[k][cut], coherence[cut], truth[k][cut])))
            first = date(2020, 1, 1) + timedelta(days=k)
            pair = Pair(first, first + timedelta(days=12))
            write_patches(folder, delay_text(pair), f"Scene{scene_of(k)}", dates_text(pair), planes)
        return learned_from(folder, run, ["train-segment", "--split", "clean", "--start-from", self.model])


class Fringes:
    """The fringe classifier: cells in the middle of fringes."""

    model = "fringes"

    def find(self, model: str, phases: Patches) -> Patches:
        """Return footprints, drawn in cells."""
        scanner = FringeScanner.load(model)
        found = {}
        for k, wrapped in phases.items():
            cells = np.repeat(np.repeat(scanner.scan(wrapped, coherence_of(wrapped)) >= PROBABILITY, CELL, 0), CELL, 1)
            rows, columns = (n - m for n, m in zip(wrapped.shape, cells.shape, strict=True))
            found[k] = np.pad(cells, ((0, rows), (0, columns)), mode="edge")
        return found

    def learn(self, folder: Path, run: Path, numbers: list[int], phases: Patches, truth: Patches) -> Path:
        """Learn from windows whose middle cell lies in a footprint, and from others."""
        margin = (WINDOW - CELL) // 2
        for k in numbers:
            rng = np.random.default_rng(k)
            padded = [np.pad(p, margin) for p in (phases[k], coherence_of(phases[k]))]
            cells = [n // CELL for n in truth[k].shape]
            inside = truth[k][: cells[0] * CELL, : cells[1] * CELL].reshape(cells[0], CELL, cells[1], CELL).mean((1, 3))
            for positive, there in ((True, inside >= 0.5), (False, inside == 0)):
                places = np.argwhere(there)
                for y, x in rng.permutation(places)[:CELLS] * CELL:
                    wrapped, coherence = (p[y : y + WINDOW, x : x + WINDOW].astype(np.float32) for p in padded)
                    name = f"scene{scene_of(k)}_{k}_{y}_{x}.tif"
                    path = folder / ("positive" if positive else "negative") / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_patch(path, FringeSample(wrapped, coherence, positive, name), 20.0)
        return learned_from(folder, run, ["train-classify", "--optimiser", "adamw", "--start-from", self.model])


FAMILIES = {"mask": Mask(), "segment": Segment(), "fringes": Fringes()}


def main() -> None:
    """Judge all families."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--families", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    parser.add_argument(
        "--as-it-comes", action="store_true", help="without fine-tuning, which takes 10 minutes for each"
    )
    args = parser.parse_args()
    patches = {k: read_patch(args.data, k) for k in range(1, COUNT + 1)}
    phases, truth = ({k: patch[part] for k, patch in patches.items()} for part in (0, 1))
    print(f"{'':>28} {'precision':>9} {'recall':>7} {'F1':>7} {'IoU':>7}", flush=True)
    for name in args.families:
        family = FAMILIES[name]
        rows = {f"{family.model}, as it comes": family.find(family.model, phases)}
        if not args.as_it_comes:
            found: Patches = {}
            parts = halves()
            for number, (learned, judged) in enumerate((parts, parts[::-1])):
                folder, run = (args.work / name / f"{what}{number}" for what in ("half", "run"))
                model = family.learn(folder, run, learned, phases, truth)
                found |= family.find(str(model), {k: phases[k] for k in judged})
            rows[f"{family.model}, fine-tuned"] = found
        for row, footprints in rows.items():
            print(f"{row:>28} " + " ".join(f"{v:>7.3f}" for v in scores(footprints, truth)), flush=True)


if __name__ == "__main__":
    main()
