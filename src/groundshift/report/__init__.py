"""Figures, maps and the self-contained HTML report."""

from groundshift.report.content import (
    Bounds,
    Histogram,
    Layer,
    MaskShare,
    Patch,
    ReportContent,
    SeriesContent,
    TrackContent,
    cut_patches,
    significance_histogram,
)
from groundshift.report.figures import map_figure, radar_figure, to_png_bytes
from groundshift.report.html import render_report, render_target, write_report
from groundshift.report.layers import hill_shade, make_layer, render_layer
from groundshift.report.network import network_figure, save_figure
from groundshift.report.store import read_content, write_content
from groundshift.report.track_pictures import draw_track

__all__ = [
    "Bounds",
    "Histogram",
    "Layer",
    "MaskShare",
    "Patch",
    "ReportContent",
    "SeriesContent",
    "TrackContent",
    "cut_patches",
    "draw_track",
    "hill_shade",
    "make_layer",
    "map_figure",
    "network_figure",
    "radar_figure",
    "read_content",
    "render_layer",
    "render_report",
    "render_target",
    "save_figure",
    "significance_histogram",
    "to_png_bytes",
    "write_content",
    "write_report",
]
