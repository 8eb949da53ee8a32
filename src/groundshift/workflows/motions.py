"""What is told of how all targets moved: followed anew where interferograms are at hand, else as it was kept."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from groundshift.inventory import Target, TargetSeries, is_current
from groundshift.io.patches import patch_path
from groundshift.report import SeriesContent
from groundshift.workflows.config import SeriesConfig
from groundshift.workflows.directions import with_directions
from groundshift.workflows.motion import Record, TargetMotion, shown
from groundshift.workflows.progress import Reporter
from groundshift.workflows.series import Source, follow_targets

__all__ = ["of_others", "shown_series", "tell_motions"]


def tell_motions(
    targets: Sequence[Target],
    sources: Mapping[str, Source],
    folder: Path,
    config: SeriesConfig,
    reporter: Reporter,
) -> dict[str, list[TargetMotion]]:
    """Follow the current targets on the tracks at hand, and recall all else that was made before.

    Parameters
    ----------
    targets : sequence of Target
        All of an inventory.
    sources : mapping
        By name of the track.
    folder : path
        Where series are kept.
    config : SeriesConfig
    reporter : Reporter

    Returns
    -------
    dict
        By identity of the target; targets of which nothing is told are missing.

    Raises
    ------
    GroundshiftError
        As `follow_targets`.
    """
    current = [t for t in targets if is_current(t) and set(t.tracks) & set(sources)]
    motions = follow_targets(current, sources, folder, config, reporter) if current else {}
    found = {}
    for target in targets:
        followed = {m.record.track: m for m in motions.get(target.id, ())}
        told = [followed.get(track) or _recalled(folder, target.id, track) for track in target.tracks]
        if any(told):
            found[target.id] = with_directions(target, [motion for motion in told if motion is not None])
    return found


def of_others(
    series: Sequence[TargetSeries],
    tracks: Collection[str],
    motions: Mapping[str, Sequence[TargetMotion]],
    targets: Sequence[Target],
) -> list[TargetSeries]:
    """Return those series of an inventory that neither tracks nor motions tell anew, as those from offsets."""
    names = {target.id for target in targets}
    own = {*tracks, *(motion.record.track for told in motions.values() for motion in told)}
    return [s for s in series if s.track not in own and s.target in names]


def shown_series(
    motions: Mapping[str, Sequence[TargetMotion]], further: Sequence[TargetSeries]
) -> dict[str, list[SeriesContent]]:
    """Return what the report shows of all targets: what tracks tell, and series from elsewhere."""
    found = {name: [motion.content() for motion in told] for name, told in motions.items()}
    for one in further:
        content = SeriesContent(one.track, one.dates, one.displacement_mm, one.sigma_mm)
        found.setdefault(one.target, []).append(content)
    return found


def _recalled(folder: Path, target: str, track: str) -> TargetMotion | None:
    """Return what an earlier run has made of a target as seen from a track; None if there is nothing whole."""
    path = patch_path(folder, target, track)
    try:
        return shown(Record.model_validate_json(path.with_suffix(".json").read_bytes()), path)
    except (OSError, ValueError):
        return None
