"""One track: heights and masks on the nodes, then detection on every time window."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from groundshift.detect import Body, Detection, Rules, Screen, find_bodies, score_of, to_detection
from groundshift.detect.detection import SINGLE_PAIRS
from groundshift.detect.measure import measure
from groundshift.detect.planes import network_planes
from groundshift.errors import GroundshiftError
from groundshift.geometry import SlopeAspect, downslope_sensitivity, layover_shadow, slope_aspect
from groundshift.gradients.integrate import relative_velocity
from groundshift.gradients.stack import GradientStack, node_offset
from groundshift.gradients.store import SumsFile
from groundshift.io.sample import sample_raster
from groundshift.masks import CombinedMask, combine, no_layover, no_shadow, snow_on_grid
from groundshift.workflows.config import DetectConfig, MaskConfig, ScreenConfig
from groundshift.workflows.progress import Reporter

if TYPE_CHECKING:
    from groundshift.detect.network import NetworkDetector

__all__ = [
    "Ground",
    "detect_on",
    "detector_facts",
    "is_believed",
    "load_detector",
    "look_at_ground",
    "valid_nodes",
    "velocity_of",
]

_AGREED = 2 / 3
"""Share of the least score that counts where several time windows agree."""
_FAST, _SURE = 100.0, 8.0
"""mm/yr and standard errors: what moves so fast and so surely counts from the same share of the least score on. Its
fringes are denser than networks have been shown, and its coherence is lower."""
_SLOPE_SMOOTHING = 150.0
"""Metres over which the slope of a body is averaged."""


@dataclass(frozen=True)
class Ground:
    """What is known of the terrain on the nodes of one track."""

    height: NDArray[np.float32] | None
    terrain: SlopeAspect | None
    sensitivity: NDArray[np.float64] | None
    """Share of down-slope motion that the line of sight sees, [-1, 1]."""
    masks: dict[str, NDArray[np.bool_]]
    """Named masks, True where usable."""


def look_at_ground(sums: SumsFile, config: MaskConfig, reporter: Reporter) -> Ground:
    """Read heights and make the masks that do not depend on the time window.

    Heights come from the DEM that `config` names, else from the product. Those of the product are taken as lying on the
    nodes although an even window moves the nodes by half a pixel.
    """
    plan = sums.plan
    offset = node_offset(plan.smoothing)
    grid = plan.grid.shifted(offset, offset)
    height = sums.read_height() if config.dem is None else sample_raster(config.dem, grid)
    if height is not None and not np.isfinite(height).any():
        reporter.warn(f"{plan.track}: no terrain height inside the scene; slopes, layover and kinds stay unknown")
        height = None
    terrain = sensitivity = None
    masks: dict[str, NDArray[np.bool_]] = {}
    if height is None:
        reporter.say(f"{plan.track}: no heights; give a DEM with --dem to tell landslides from subsidence")
    else:
        terrain = slope_aspect(height, grid, smoothing=_SLOPE_SMOOTHING, look=plan.look)
        if plan.look is not None:
            sensitivity = downslope_sensitivity(terrain.slope, terrain.aspect, plan.look)
            if config.layover:
                code = layover_shadow(height, grid, plan.look)
                masks["layover"], masks["shadow"] = no_layover(code), no_shadow(code)
    if config.snow:
        snow = snow_on_grid(
            config.snow, grid, share=config.snow_share, bands=config.snow_bands, offset=config.snow_offset
        )
        masks["snow"] = ~snow.snow
        reporter.say(f"{plan.track}: snow covers {snow.fraction:.1%} of what {len(config.snow)} inputs show")
    return Ground(height, terrain, sensitivity, masks)


def valid_nodes(stack: GradientStack, ground: Ground, config: MaskConfig) -> CombinedMask:
    """Join the masks of the ground with those of one time window."""
    with np.errstate(invalid="ignore"):
        coherent = np.nan_to_num(stack.mean_coherence) >= config.least_coherence
        closing = ~(stack.residues > config.most_residues)
    masks = {**ground.masks, "coherence": coherent, "residues": closing}
    return combine(masks, within=stack.n_pairs > 1)


def velocity_of(stack: GradientStack, config: DetectConfig) -> NDArray[np.float32]:
    """Integrate the gradients over the distance that the detector compares."""
    return relative_velocity(stack, reach=config.reach / float(np.mean(stack.grid.spacing)))


def load_detector(config: DetectConfig) -> "NetworkDetector | None":
    """Load the network that `config` names; None for the rules.

    Raises
    ------
    GroundshiftError
        If there is no such model, or it is not one.
    """
    if config.detector == "rules":
        return None
    from groundshift.detect.network import NetworkDetector  # noqa: PLC0415  (loads slowly, and the rules need none)

    return NetworkDetector.load(config.model)


def detector_facts(network: "NetworkDetector | None", config: DetectConfig) -> dict[str, Any]:
    """Tell for the provenance which detector looked, and with which weights."""
    if network is None:
        return {"name": "rules"}
    return {
        "name": network.name,
        "kind": network.kind,
        "file": network.path,
        "sha256": network.checksum,
        "calibration": network.calibration._asdict(),
        "least_score": _least_score(network, config),
    }


def detect_on(
    stack: GradientStack,
    velocity: NDArray[np.float32],
    ground: Ground,
    valid: NDArray[np.bool_],
    config: DetectConfig,
    screen: ScreenConfig,
    reporter: Reporter,
    network: "NetworkDetector | None" = None,
) -> list[Detection]:
    """Run the detector on one time window and screen what it finds: `network`, or the rules if there is none.

    A network's detections are kept from two thirds of the least score on; `is_believed` decides when all time windows
    have been seen.
    """
    if network is None:
        bodies, name = _by_rules(stack, velocity, valid, config), "rules"
    else:
        faintest = _AGREED * _least_score(network, config)
        bodies, name = _by_network(stack, velocity, ground, valid, network, faintest), network.name
    wanted = Screen(screen.least_gradient, screen.least_share)
    found: list[Detection] = []
    dropped = 0
    for body, score in bodies:
        if not wanted.passes(stack, body):
            dropped += 1
            continue
        try:
            detection = to_detection(body, stack, ground.terrain, score, name)
        except GroundshiftError as error:
            reporter.warn(f"{stack.track}: {error}")
            continue
        if not screen.keep_flat and detection.slope is not None and detection.slope < screen.least_slope:
            dropped += 1
            continue
        found.append(detection)
    reporter.log(
        "detected", track=stack.track, window=stack.window, detector=name, kept=len(found), screened_out=dropped
    )
    return found


def is_believed(group: Sequence[Detection], config: DetectConfig, network: "NetworkDetector | None" = None) -> bool:
    """Whether detections of one place make a target.

    One that reaches the least score does. So do fainter ones, of two thirds of it at least, in several time windows:
    noise seldom draws the same body twice; or in one, if they move by 100 mm/yr and eight standard errors. What the
    rules find is always believed, and so are sites of mining subsidence, which several pairs have confirmed.
    """
    if network is None or any(d.window == SINGLE_PAIRS for d in group):
        return True
    least = _least_score(network, config)
    faint = [d for d in group if d.score >= _AGREED * least]
    return (
        any(d.score >= least or (abs(d.velocity) >= _FAST and d.significance >= _SURE) for d in faint)
        or len({(d.track, d.window) for d in faint}) >= config.agreeing_windows
    )


def _by_rules(
    stack: GradientStack, velocity: NDArray[np.float32], valid: NDArray[np.bool_], config: DetectConfig
) -> Sequence[tuple[Body, float]]:
    """Find bodies and their scores by the rules."""
    rules = Rules(
        significance=config.significance,
        least_velocity=config.least_velocity,
        outline=config.outline,
        separation=config.separation,
        least_area_m2=config.least_area,
    )
    found = find_bodies(stack, velocity, valid, rules)
    return [(body, score_of(body.significance, rules.significance)) for body in found]


def _by_network(
    stack: GradientStack,
    velocity: NDArray[np.float32],
    ground: Ground,
    valid: NDArray[np.bool_],
    network: "NetworkDetector",
    least_score: float,
) -> Sequence[tuple[Body, float]]:
    """Find bodies and their scores with a network.

    It judges coherence and contradictions itself, as it was taught; only layover, shadow and snow are hidden from it.
    """
    seen = np.logical_and.reduce([np.ones_like(valid), *ground.masks.values()])
    radians = stack.radians[:2] if network.kind == "boxes" else None
    found = [p for p in network.predict(network_planes(stack, seen), radians) if p.score >= least_score]
    bodies = measure(found, stack, velocity, valid)
    return [(body, p.score) for body, p in zip(bodies, found, strict=True) if body is not None]


def _least_score(network: "NetworkDetector", config: DetectConfig) -> float:
    """Return the score that a detection needs: the setting, else what suits the model."""
    return network.calibration.least_score if config.least_score is None else config.least_score
