"""The plan of what to get, kept in a file so that a run that was killed goes on."""

import json
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from groundshift.acquire.planning import Scene, bursts_over, one_per_day, pairs_of, unpacked_bytes
from groundshift.acquire.wish import Wish
from groundshift.errors import DamagedFileError
from groundshift.io.atomic import write_text
from groundshift.pairs import date_graph
from groundshift.types import Pair

__all__ = ["BurstPlan", "FilePlan", "ImagePlan", "Plan", "make_plan", "read_plan", "write_plan"]

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"
"""Names become those of files: no place outside the folder can be named."""

_PAIR = re.compile(r"_(\d{8}_\d{8})_")


class _Part(BaseModel):
    """Frozen, and strict about unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FilePlan(_Part):
    """A file to download."""

    name: Annotated[str, Field(pattern=_NAME)]
    url: Annotated[str, Field(pattern=r"^https://")]
    size: int | None
    checksum: tuple[str, str] | None

    def is_at(self, path: Path) -> bool:
        """Whether a file of its size lies at `path`; only verified ones are put there."""
        return path.is_file() and self.size in (None, path.stat().st_size)


class ImagePlan(_Part):
    """The image of one day."""

    day: date
    granule: str


class BurstPlan(_Part):
    """What is got of one burst."""

    burst: Annotated[str, Field(pattern=_NAME)]
    images: tuple[ImagePlan, ...]
    pairs: tuple[tuple[date, date], ...]
    files: tuple[FilePlan, ...] = ()
    """Of OPERA CSLCs: the images, then their static layers."""
    bytes_per_pair: int | None = None
    """Of a HyP3 interferogram unpacked, at most."""

    def granules(self, pair: Pair) -> tuple[str, str]:
        """Return the granules of a pair, the earlier first."""
        by_day = {image.day: image.granule for image in self.images}
        return by_day[pair.reference], by_day[pair.secondary]

    def network(self) -> tuple[Pair, ...]:
        """Return the pairs."""
        return tuple(Pair(first, second) for first, second in self.pairs)

    def facts(self, max_spacing: int) -> dict[str, Any]:
        """Return the burst in numbers; `groups` are dates that pairs join, with gaps of `max_spacing` days."""
        days = [image.day for image in self.images]
        return {
            "burst": self.burst,
            "dates": len(days),
            "first": str(days[0]),
            "last": str(days[-1]),
            "pairs": len(self.pairs),
            "groups": len(date_graph(self.network(), max_spacing=max_spacing).groups),
        }

    def pairs_left(self, folder: Path) -> list[Pair]:
        """Return the pairs that have no product in the burst's folder below `folder`."""
        here = folder / self.burst
        names = [entry.name for entry in here.iterdir() if entry.is_dir()] if here.is_dir() else []
        there = {match[1] for match in map(_PAIR.search, names) if match}
        return [pair for pair in self.network() if pair.name not in there]

    def files_left(self, folder: Path) -> list[FilePlan]:
        """Return the files that are not, or not whole, in the burst's folder below `folder`."""
        return [file for file in self.files if not file.is_at(folder / self.burst / file.name)]


class Plan(_Part):
    """All that is to be got into one folder."""

    version: Literal[1] = 1
    name: str
    """That of the jobs at HyP3."""
    wish: Wish
    bursts: tuple[BurstPlan, ...]
    concluded: bool = False
    """Whether a run came to its end with it; one that was killed goes on with it as it is."""

    @property
    def of_pairs(self) -> bool:
        """Whether interferograms are got, not images."""
        return self.wish.looks is not None

    def left(self, folder: Path) -> int:
        """Return how many interferograms, or files, are not in `folder` yet."""
        return sum(len(b.pairs_left(folder) if self.of_pairs else b.files_left(folder)) for b in self.bursts)

    def bytes_left(self, folder: Path) -> int:
        """Return how much is still to come; of interferograms at most, unpacked."""
        if self.of_pairs:
            return sum(len(b.pairs_left(folder)) * (b.bytes_per_pair or 0) for b in self.bursts)
        return sum(file.size or 0 for b in self.bursts for file in b.files_left(folder))

    def facts(self, folder: Path) -> dict[str, Any]:
        """Return the plan in numbers, beside what is in `folder`."""
        return {
            "product": self.wish.product,
            "track": self.wish.track,
            "bursts": [b.facts(self.wish.max_days) for b in self.bursts],
            "images": sum(len(b.images) for b in self.bursts),
            "pairs": sum(len(b.pairs) for b in self.bursts),
            "to_come": self.left(folder),
            "gigabytes": round(self.bytes_left(folder) / 1e9, 3),
        }

    def taken(self, burst: str) -> dict[date, str]:
        """Return which granules were taken of a burst, by day."""
        return {image.day: image.granule for part in self.bursts if part.burst == burst for image in part.images}


def make_plan(
    wish: Wish, scenes: Sequence[Scene], statics: Sequence[Scene] = (), old: Plan | None = None
) -> tuple[Plan, dict[str, int]]:
    """Choose bursts, images and pairs.

    Parameters
    ----------
    wish : Wish
        What was asked for.
    scenes, statics : sequence of Scene
        What the catalogue has: images, and for OPERA CSLCs the static layers.
    old : Plan, optional
        That of an earlier run: what it took of a day is taken again.

    Returns
    -------
    plan : Plan
        Without bursts where nothing lies over the area.
    left_out : dict
        The bursts over the area that have no pair, with how many dates they have.
    """
    layers = bursts_over(statics, wish.geometry)
    bursts, left_out = [], {}
    for name, found in bursts_over(scenes, wish.geometry).items():
        images = one_per_day(found, None if old is None else old.taken(name))
        days = [scene.day for scene in images if scene.day is not None]
        pairs = pairs_of(days, max_days=wish.max_days, mode=wish.pair_mode, nearest=wish.nearest)
        if not pairs:
            left_out[name] = len(days)
            continue
        files: list[Scene] = []
        if wish.looks is None:
            files = [*images, *([max(layers[name], key=lambda s: s.rank)] if name in layers else [])]
        bursts.append(
            BurstPlan(
                burst=name,
                images=tuple(ImagePlan(day=s.day, granule=s.name) for s in images if s.day is not None),
                pairs=tuple((pair.reference, pair.secondary) for pair in pairs),
                files=tuple(FilePlan(name=f"{s.name}.h5", url=s.url, size=s.size, checksum=s.checksum) for s in files),
                bytes_per_pair=None if wish.looks is None else unpacked_bytes(images[-1].footprint, wish.looks),
            )
        )
    return Plan(name=wish.run_name, wish=wish, bursts=tuple(bursts)), left_out


def read_plan(path: Path) -> Plan | None:
    """Read a plan; None if there is none.

    Raises
    ------
    DamagedFileError
        If it cannot be read, or is of a newer Groundshift.
    """
    try:
        return Plan.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError) as error:
        raise DamagedFileError(
            f"{path}: not a plan that can be read; remove it and run again, what has been fetched stays"
        ) from error


def write_plan(plan: Plan, path: Path) -> None:
    """Write a plan, whole or not at all.

    Raises
    ------
    OutputError
        If the disk is full or the place cannot be written to.
    """
    write_text(path, plan.model_dump_json(indent=1) + "\n")
