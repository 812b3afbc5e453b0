"""The benchmarks' results as image files."""

import numpy as np

from keras_deit.benchmark.sweep import by_series
from keras_deit.benchmark.table import title
from keras_deit.runtime.files import replacing
from keras_deit.runtime.optional import require

OURS, PEER = "#1f6f8b", "#b8b8b8"


def draw_comparison(measurements, path):
    """Draws a bar of images per second for each implementation, and one panel for each setting.

    Args:
        measurements: List of `Measurement`.
        path: The image file to write, for example a `.png` file.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    settings = []
    for measurement in measurements:
        if measurement.setting not in settings:
            settings.append(measurement.setting)
    panels = [[found for found in measurements if found.setting == setting] for setting in settings]
    heights = [sum(len(measurement.timings) for measurement in panel) for panel in panels]
    figure = _figure((9, 1.2 + 0.32 * sum(heights) + 0.7 * len(panels)))
    all_axes = figure.subplots(len(panels), 1, squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axes, setting, panel in zip(all_axes, settings, panels, strict=True):
        _draw_bars(axes, setting, panel)
    _save(figure, path)


def _draw_bars(axes, setting, panel):
    """Horizontal bars: the median, and a line from the lower to the upper quartile."""
    rows = [(measurement, timing) for measurement in panel for timing in measurement.timings]
    for position, (_, timing) in enumerate(rows):
        low, middle, high = np.percentile(setting.batch_size / np.array(timing.seconds), (25, 50, 75))
        axes.barh(position, middle, color=PEER if timing.is_peer else OURS)
        axes.plot([low, high], [position, position], color="black", linewidth=1)
        axes.annotate(f" {middle:.1f}", (max(high, middle), position), va="center", fontsize=8)
    several = len({measurement.backend for measurement in panel}) > 1
    labels = [f"{timing.name} ({measurement.backend})" if several else timing.name for measurement, timing in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("images per second", fontsize=8)
    axes.set_title(f"{title(setting)}; {panel[0].device}", fontsize=9)


def draw_sweep(measurements, dimension, path):
    """Draws how the time of a step grows with its operations.

    The upper panels show the time over the operations, and dashed lines on which the time is proportional to the operations,
    through the fastest point of each line. The lower panels show the time per operation relative to that point: 1 is as
    expected, and a jump is a cliff.

    Args:
        measurements: List of `Measurement` that differ in one dimension.
        dimension: One of `keras_deit.benchmark.sweep.DIMENSIONS`.
        path: The image file to write, for example a `.png` file.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    modes = list(dict.fromkeys(measurement.setting.mode for measurement in measurements))
    figure = _figure((1.5 + 4.5 * len(modes), 7))
    panels = figure.subplots(2, len(modes), squeeze=False, sharex="col", gridspec_kw={"height_ratios": (2, 1)})
    for (times, costs), mode in zip(panels.T, modes, strict=True):
        for series in by_series(measurements, dimension):
            if series.mode == mode:
                _draw_series(times, costs, series)
        times.set_title(mode, fontsize=10)
        times.set_yscale("log")
        costs.set_xscale("log")
        _set_plain_ticks(times.yaxis)
        _set_plain_ticks(costs.xaxis)
        for panel in (times, costs):  # they share the axis, and the names of the values need space at its end
            panel.margins(x=0.12)
        costs.set_xlabel("GFLOP per step")
        costs.set_ylim(0, 1.1 * costs.get_ylim()[1])
        costs.axhline(1, color="black", linewidth=0.8, linestyle="--")
    panels[0, 0].set_ylabel("ms per step")
    panels[1, 0].set_ylabel("time per operation,\nrelative to the fastest")
    panels[0, 0].legend(fontsize=8)
    figure.suptitle(f"time of a step over {dimension}, {measurements[0].device}", fontsize=10)
    _save(figure, path)


def _draw_series(times, costs, series):
    operations, milliseconds = np.array(series.flops) / 1e9, 1e3 * np.array(series.seconds)
    (line,) = times.plot(operations, milliseconds, marker="o", label=series.name)
    fastest = min(milliseconds / operations)
    times.plot(operations, fastest * operations, color=line.get_color(), linewidth=0.8, linestyle="--")
    for value, x, y in zip(series.values, operations, milliseconds, strict=True):
        times.annotate(f" {value}", (x, y), fontsize=8, va="top")
    costs.plot(operations, series.relative_costs(), marker="o", color=line.get_color())


def _set_plain_ticks(axis):
    """Writes plain numbers, such as 200, along a logarithmic axis."""
    ticker = require("matplotlib.ticker", extra="run", purpose="Drawing a plot")
    axis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(ticker.NullFormatter())


def _figure(size):
    return require("matplotlib.figure", extra="run", purpose="Drawing a plot").Figure(
        figsize=size, layout="constrained"
    )


def _save(figure, path):
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=120)
