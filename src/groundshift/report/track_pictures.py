"""Pictures of one track's pairs and significances, which whoever surveys the track can draw."""

from groundshift.report.content import TrackContent, TrackPictures
from groundshift.report.figures import histogram_figure, pairs_per_month_figure, to_svg_text
from groundshift.report.network import network_figure

__all__ = ["draw_track"]


def draw_track(track: TrackContent) -> TrackPictures:
    """Draw the network of pairs, their number by month and the histogram of significances, as far as there are any."""
    every = sorted({*track.pairs_used, *track.pairs_unused}, key=lambda p: (p.reference, p.secondary))
    figures = {
        "network": network_figure(every, track.pairs_used) if every else None,
        "months": pairs_per_month_figure(track.pairs_used, track.pairs_unused) if every else None,
        "histogram": histogram_figure(track.significance) if track.significance is not None else None,
    }
    return TrackPictures(
        **{name: None if f is None else to_svg_text(f, key=f"{track.name} {name}") for name, f in figures.items()}
    )
