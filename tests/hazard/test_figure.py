"""The figure: everything on one time axis."""

from datetime import date

import numpy as np

from groundshift.hazard import Forcing, creep_stages, failure_window, hazard_figure

DAYS = np.arange("2018-01-05", "2021-12-01", 60, dtype="datetime64[D]")
SERIES = -np.maximum(np.arange(DAYS.size) - 12, 0) * 0.3 - np.arange(DAYS.size) * 0.05
SERIES = SERIES + np.random.default_rng(1).normal(0, 0.01, DAYS.size)


def test_all_panels_share_the_time_axis_of_the_series():
    stages, window = creep_stages(DAYS, SERIES), failure_window(DAYS, SERIES)
    rain = Forcing("rain", "mm/day", date(2017, 1, 1), np.full(2000, 2.0))
    figure = hazard_figure(
        DAYS, SERIES, stages=stages, window=window, rain=rain, moisture=(DAYS, np.full(DAYS.size, -9.0))
    )
    series, bars, moisture = figure.axes
    assert series.get_xlim() == bars.get_xlim() == moisture.get_xlim()
    heights = {round(bar.get_height()) for bar in bars.patches if bar.get_width() < 32 and bar.get_height() > 1}
    assert heights == {56, 58, 60, 62}
    words = [text.get_text() for text in series.texts]
    slow, fast = (abs(stage.rate) / 0.36525 for stage in stages.stages)
    assert any(f"{slow:.2f} ±" in word or f"{slow:.1f} ±" in word for word in words)
    assert any(f"{fast:.2f} ±" in word or f"{fast:.1f} ±" in word for word in words)
    assert any(word == f"no failure window: {window.reason}" for word in words)
    figure.canvas.draw()


def test_series_alone_is_one_panel():
    figure = hazard_figure(DAYS, SERIES, np.full(DAYS.size, 0.01))
    assert len(figure.axes) == 1
    figure.canvas.draw()
