"""Which patches learn, which choose the best weights, and which judge: as coded by Bralet et al. (2024), and cleanly.

The authors say that 80 % of the interferograms were drawn at random. Their code takes the first 80 % of each delay and
zone in alphabetical order of the dates, as text with the day of the month first, to learn from, in all zones but
Queyras, and the last 20 % of those of Queyras to judge by; only masks that show motion are used.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple, Protocol

import numpy as np

from groundshift.errors import NoDataError
from groundshift.training.data import split_by_scene

__all__ = ["Patch", "Split", "clean_split", "held_back", "paper_split"]

_JUDGING_ZONE = "Queyras"
_LEARNING_SHARE = 0.8


class Patch(Protocol):
    """What a split needs to know of a patch; see `groundshift.io.isslide.SegmentPatch`."""

    @property
    def delay(self) -> str:
        """Folder of the delay, such as `6days`."""
        ...

    @property
    def zone(self) -> str:
        """Folder of the zone."""
        ...

    @property
    def dates(self) -> str:
        """Folder of the interferogram, such as `02Jul2018_08Jul2018`."""
        ...

    @property
    def move_id(self) -> int:
        """Number of the moving area."""
        ...


class Split(NamedTuple):
    """Indices into the patches, ascending."""

    learn: list[int]
    judge: list[int]


def paper_split(patches: Sequence[Patch], moving: Sequence[bool]) -> Split:
    """Split as the code of Bralet et al. (2024) does.

    Parameters
    ----------
    patches : sequence of Patch
    moving : sequence of bool
        Whether the mask of each shows motion; the others count interferograms but are in no part.

    Raises
    ------
    NoDataError
        If either part is empty.
    """
    learn: list[int] = []
    judge: list[int] = []
    order = sorted(range(len(patches)), key=lambda k: (patches[k].delay, patches[k].zone))
    for (_, zone), members in groupby(order, key=lambda k: (patches[k].delay, patches[k].zone)):
        own = list(members)
        names = sorted({patches[k].dates for k in own})
        first = set(names[: int(_LEARNING_SHARE * len(names))])
        judging = _JUDGING_ZONE in zone
        (judge if judging else learn).extend(k for k in own if moving[k] and (patches[k].dates in first) != judging)
    if not learn or not judge:
        zones = ", ".join(sorted({p.zone for p in patches})[:5]) or "none"
        raise NoDataError(
            f"the split of the paper judges by the last interferograms of the zone {_JUDGING_ZONE} and learns from the "
            f"first of others, instead got zones {zones}; use --split clean"
        )
    return Split(sorted(learn), sorted(judge))


def clean_split(patches: Sequence[Patch], seed: int) -> Split:
    """Hold a fifth of the zones back to judge by; no zone is on both sides, at whatever delay.

    Parameters
    ----------
    patches : sequence of Patch
    seed : int
        Of the draw.

    Raises
    ------
    NoDataError
        If there are fewer than two zones.
    """
    try:
        learn, judge = split_by_scene([p.zone for p in patches], (_LEARNING_SHARE, 1 - _LEARNING_SHARE), seed)
    except ValueError as error:
        raise NoDataError("all patches are of one zone, and some zones judge; add patches of another zone") from error
    return Split(learn, judge)


def held_back(patches: Sequence[Patch], learn: Sequence[int], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Part what learns once more: to learn from, and to choose the best weights by.

    Parameters
    ----------
    patches : sequence of Patch
    learn : sequence of int
        Indices of those that are parted.
    share : float
        Share of the moving areas that choose, 0 to 1; an area is never on both sides.
    seed : int

    Raises
    ------
    NoDataError
        If `share` is above 0 and there is only one moving area.
    """
    if not share:
        return list(learn), []
    places = [f"{patches[k].zone} {patches[k].move_id}" for k in learn]
    try:
        kept, held = split_by_scene(places, (1 - share, share), seed)
    except ValueError as error:
        raise NoDataError(
            "all patches to learn from show one place, and some places choose the best weights; add patches of another "
            "or give --validation-share 0"
        ) from error
    of = np.asarray(learn, np.int64)
    return of[kept].tolist(), of[held].tolist()
