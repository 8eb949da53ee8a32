"""The rule-based detector on samples, as a survey runs it on stacks: the baseline that networks must beat."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from groundshift.constants import SENTINEL1_WAVELENGTH
from groundshift.detect.outline import score_of
from groundshift.detect.planes import PLANES, REFERENCE_PIXEL
from groundshift.detect.prediction import Prediction
from groundshift.detect.rules import Rules, find_bodies
from groundshift.detect.screen import Screen
from groundshift.errors import NoDataError
from groundshift.gradients.differences import directions_of
from groundshift.gradients.integrate import relative_velocity
from groundshift.gradients.stack import GradientStack
from groundshift.training.samples import Sample
from groundshift.types import RadarGrid

__all__ = ["RuleDetector", "stack_of"]


@dataclass(frozen=True, eq=False)
class _SampleStack(GradientStack):
    """A stack whose significance is known as such."""

    known_significance: NDArray[np.float32]

    @property
    def significance(self) -> NDArray[np.float32]:
        """(direction, y, x): as the planes hold it, at most 50 either way; NaN without data."""
        return self.known_significance


def stack_of(sample: Sample, smoothing_m: float) -> GradientStack:
    """Return the stack that a sample's planes were made from.

    Parameters
    ----------
    sample : Sample
    smoothing_m : float
        Side of the averaging window behind the sample, metres; planes do not tell it.

    Returns
    -------
    GradientStack
        On a grid of square pixels without a place on Earth. Its phases are those of Sentinel-1's wavelength, and it
        holds no residues; NaN where the planes know nothing.
    """
    plane = {name: sample.planes[k] for k, name in enumerate(PLANES)}
    known = plane["known"] > 0
    per_step = sample.pixel_m / REFERENCE_PIXEL
    gradient = np.stack([plane["gradient_y"], plane["gradient_x"]]) * per_step
    sigma = np.stack([plane["sigma_y"], plane["sigma_x"]]) * per_step
    has_data = known & (sigma > 0)
    radian_per_mm = -4 * math.pi / (1000 * SENTINEL1_WAVELENGTH)
    grid = RadarGrid(known.shape, (sample.pixel_m, sample.pixel_m))
    pairs = min(sample.total_pairs, np.iinfo(np.uint16).max)
    return _SampleStack(
        track=sample.scene,
        window=sample.window,
        grid=grid,
        smoothing=max(1, round(smoothing_m / sample.pixel_m)),
        wavelength=SENTINEL1_WAVELENGTH,
        directions=directions_of(grid.axis_names),
        rate=np.where(has_data, gradient * radian_per_mm, np.nan).astype(np.float32),
        sigma=np.where(has_data, sigma * -radian_per_mm, np.nan).astype(np.float32),
        effective_pairs=np.where(known, sample.total_pairs, 0).astype(np.float32),
        n_pairs=np.where(known, pairs, 0).astype(np.uint16),
        mean_coherence=np.where(known, plane["coherence"], np.nan).astype(np.float32),
        residues=np.where(known, 0, np.nan).astype(np.float32),
        total_pairs=sample.total_pairs,
        total_years=sample.radians / radian_per_mm,
        known_significance=np.where(
            has_data, np.stack([plane["significance_y"], plane["significance_x"]]), np.nan
        ).astype(np.float32),
    )


@dataclass(frozen=True)
class RuleDetector:
    """Thresholds as in a survey."""

    rules: Rules = field(default_factory=Rules)
    screen: Screen = field(default_factory=Screen)
    reach_m: float = 2000.0
    """Velocities are compared over this distance, metres."""
    least_coherence: float = 0.08
    """Nodes of lower mean coherence are left out."""
    smoothing_m: float = 160.0
    """Side of the averaging window behind the samples, metres."""
    least_significance: float = 2.0
    """Bodies of less significance than `rules` asks for are told as well, down to this, for the curves; they score less
    than 0.5, so that a survey's own choice is what scores 0.5 and more."""

    def predict(self, sample: Sample) -> list[Prediction]:
        """Find the bodies of a sample, the most significant one first."""
        stack = stack_of(sample, self.smoothing_m)
        try:
            velocity = relative_velocity(stack, reach=self.reach_m / sample.pixel_m)
        except NoDataError:
            return []
        valid = np.nan_to_num(stack.mean_coherence) >= self.least_coherence
        valid &= stack.n_pairs > 1
        rules = replace(self.rules, significance=min(self.least_significance, self.rules.significance))
        found = []
        for body in find_bodies(stack, velocity, valid, rules):
            if not self.screen.passes(stack, body):
                continue
            (top, left), (height, width) = body.corner, body.mask.shape
            found.append(
                Prediction(
                    (float(left), float(top), float(left + width), float(top + height)),
                    score_of(body.significance, self.rules.significance),
                    body.mask,
                )
            )
        return found
