"""Inputs of a run: opened, named, and what is wrong with them told."""

import itertools
import re
from dataclasses import replace
from pathlib import Path

from groundshift.errors import NoDataError, ProductError
from groundshift.io import InterferogramStack, holds_interferograms, holds_slcs, open_slcs, open_stack
from groundshift.workflows.config import SurveyConfig
from groundshift.workflows.maps import is_located
from groundshift.workflows.masked import without_decorrelated
from groundshift.workflows.progress import Reporter

__all__ = ["open_input", "open_tracks", "tell_problems"]

_TOLD = 5
"""Problems of one track that are told on the terminal."""


def open_tracks(config: SurveyConfig, *, located: bool = True) -> list[InterferogramStack]:
    """Open all inputs and give each a name of its own.

    Raises
    ------
    GroundshiftError
        If an input cannot be opened or is given twice, or `located` is asked for and it does not know where it lies on
        Earth.
    """
    stacks: list[InterferogramStack] = []
    for number, path in enumerate(config.inputs):
        if path.resolve() in [other.resolve() for other in config.inputs[:number]]:
            raise ProductError(f"{path}: given twice; name each input once")
        for stack in open_input(path, config):
            # The name becomes that of a folder, whatever the product says.
            plain = re.sub(r"[^\w.-]+", "-", stack.track).strip(".-") or "track"
            taken = {s.track for s in stacks}
            names = itertools.chain([plain], (f"{plain}-{k}" for k in itertools.count(2)))
            name = next(n for n in names if n not in taken)
            if located and not is_located(stack.grid):
                raise NoDataError(
                    f"{path}: the product does not tell where its pixels lie on Earth; add its lookup table or "
                    "geometry files, or use `groundshift stack`"
                )
            stacks.append(replace(stack, track=name))
    return stacks


def open_input(path: Path, config: SurveyConfig) -> list[InterferogramStack]:
    """Open interferograms, or images to form them of: one stack, or one for each burst.

    Where a folder holds both, the interferograms are taken; name the folder of the images to have these. Decorrelated
    ground is left out as `config.mask` says.

    Raises
    ------
    GroundshiftError
        If it cannot be opened.
    """
    return [without_decorrelated(stack, config.mask, config.output / "masks") for stack in _open(path, config)]


def _open(path: Path, config: SurveyConfig) -> list[InterferogramStack]:
    """Open interferograms as they are."""
    told = config.pattern is not None or config.wavelength is not None
    if not told and not holds_interferograms(path, config.product) and holds_slcs(path, config.product):
        from groundshift.workflows.forming import interferograms_of  # noqa: PLC0415  (its kernels load slowly)

        images = open_slcs(path, product=config.product, strict=config.stack.strict)
        return [interferograms_of(burst, config) for burst in images]
    return [
        open_stack(
            path,
            product=config.product,
            pattern=config.pattern,
            wavelength=config.wavelength,
            strict=config.stack.strict,
        )
    ]


def tell_problems(source: InterferogramStack, reporter: Reporter) -> None:
    """Tell what the reader found wrong: the first lines on the terminal, all of them in the log."""
    in_order = sorted(source.problems, key=lambda p: not p.skipped)
    for problem in in_order[:_TOLD]:
        reporter.console.print(f"warning: {problem.message}", style="yellow", markup=False)
    if len(in_order) > _TOLD:
        more = len(in_order) - _TOLD
        reporter.warn(f"{source.track}: {more} more such lines; log.jsonl and `groundshift info` have them all")
    for problem in source.problems:
        reporter.log("problem", track=source.track, path=problem.path, text=problem.message, skipped=problem.skipped)
