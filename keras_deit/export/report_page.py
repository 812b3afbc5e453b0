"""The report on exported models as files: `export_report.json`, and `export_report.html` with plots."""

import dataclasses

import numpy as np

from keras_deit.export.runtimes import FLOAT
from keras_deit.runtime.files import user_path, write_json, write_whole
from keras_deit.runtime.html_page import drawing, escape, page, table

SHOWN_PERCENTILES = ("50", "90", "99", "100")
REPORT_FILES = ("export_report.json", "export_report.html")
SMALLEST = 1e-9  # difference that the logarithmic axis begins with


@dataclasses.dataclass(frozen=True)
class Examined:
    """An export with what was found.

    Attributes:
        report: `keras_deit.export.report.Report`.
        profile: `keras_deit.export.profile.Profile`.
        metadata: What `keras_deit.export.metadata.export_metadata` returned, or None.
    """

    report: object
    profile: object
    metadata: dict | None


def write_report(directory, examined, model_latencies, facts):
    """Writes `export_report.json` and `export_report.html`. Earlier files are replaced.

    Args:
        directory: Path of the directory.
        examined: List of `Examined`.
        model_latencies: What `keras_deit.export.profile.model_latencies` returns, or an empty tuple.
        facts: Dictionary of further entries that JSON can hold, such as `{"dataset": "digits"}`. The page lists those that
            are strings or numbers.

    Returns:
        The `pathlib.Path` of the page.

    Raises:
        ImportError: If matplotlib is not installed.

    Example:

    ```python
    write_report("exports", [Examined(report, profile(exported, images[0]), exported.metadata)], (), {"dataset": "digits"})
    ```
    """
    directory = user_path(directory)
    entries = {
        **facts,
        "model_latencies": [dataclasses.asdict(latency) for latency in model_latencies],
        "exports": [_entry(one) for one in examined],
    }
    data, path = (directory / name for name in REPORT_FILES)
    write_json(data, entries)
    write_whole(path, _page(examined, model_latencies, facts))
    return path


def _entry(examined):
    return {
        **dataclasses.asdict(examined.report),
        **dataclasses.asdict(examined.profile),
        "arithmetic": examined.profile.arithmetic(),
        "metadata": examined.metadata,
    }


def _page(examined, model_latencies, facts):
    listed = [
        f"{name.replace('_', ' ')}: {value}" for name, value in facts.items() if isinstance(value, (str, int, float))
    ]
    parts = [
        "<h1>Exported models, compared with the model in Keras</h1>",
        f'<p class="note">{escape(" · ".join(listed))}</p>',
        f"<ul>{''.join(_verdict(one.report) for one in examined)}</ul>",
        "<h2>Summary</h2>",
        _summary(examined, model_latencies),
        '<p class="note">Differences are those of logits. Agreement: images that the export and the model put into the same '
        "class, and for several labels or one logit: logits of the same sign. Latency: median time of a call in "
        "milliseconds, and in parentheses the 10th and 90th percentile.</p>",
        "<h2>Plots</h2>",
        f'<div class="plots">{"".join(_plots(examined, model_latencies))}</div>',
        "<h2>Operators and stored weights</h2>",
        *(_details(one) for one in examined),
    ]
    return page("Exported models", parts)


def _verdict(report):
    kind, words = ("good", "kept") if report.agrees else ("bad", "NOT kept: do not use this export")
    limits = escape(report.limits)
    return f'<li><code>{escape(report.format)}</code>: {limits}: <span class="{kind}">{words}</span></li>'


def _summary(examined, model_latencies):
    batches = sorted({latency.batch_size for one in examined for latency in one.profile.latencies})
    header = ["format", "size", "largest difference", "mean difference", "agreement", "accuracy"]
    header += [f"latency, batch {batch}" for batch in batches]
    accuracy = examined[0].report.model_accuracy
    rows = [["model in Keras", "", "", "", "", _share(accuracy), *_times(model_latencies, batches)]]
    for one in examined:
        report = one.report
        differences = [f"{report.largest_difference:.2e}", f"{report.mean_difference:.2e}"]
        shares = [_share(report.agreement), _share(report.accuracy)]
        rows.append(
            [report.format, _format_size(report.size), *differences, *shares, *_times(one.profile.latencies, batches)]
        )
    return table(header, rows)


def _times(latencies, batches):
    of_batch = {latency.batch_size: str(latency).replace(" ms", "") for latency in latencies}
    return [of_batch.get(batch, "") for batch in batches]


def _details(examined):
    profile, name = examined.profile, escape(examined.report.format)
    arithmetic = ", ".join(f"{count} {words}" for words, count in profile.arithmetic().items())
    weights = ", ".join(f"{kind} {_format_size(size)}" for kind, size in profile.weight_bytes.items())
    rows = [[row["operator"], row["arithmetic"], str(row["count"])] for row in profile.operators]
    return (
        f"<details{' open' if set(profile.arithmetic()) != {FLOAT} else ''}><summary><code>{name}</code>: operators "
        f"{escape(arithmetic)}; weights {escape(weights)}</summary>"
        f"{table(['operator', 'arithmetic', 'count'], rows)}</details>"
    )


def _share(value):
    return "" if value is None else f"{value:.2%}"


def _format_size(size):
    return f"{size / 1e6:.2f} MB" if size > 1e5 else f"{size / 1e3:.1f} kB"


def _plots(examined, model_latencies):
    """Yields the images of the page."""
    names = [one.report.format for one in examined]
    yield drawing(lambda axes: _draw_differences(axes, examined), "Differences of logits")
    firsts = {one.report.format: one.profile.latencies[0] for one in examined}
    if model_latencies:
        firsts = {"model in Keras": model_latencies[0], **firsts}
    yield drawing(lambda axes: _draw_latencies(axes, firsts), "Latency")
    sizes = [one.report.size / 1e6 for one in examined]
    yield drawing(lambda axes: _draw_sizes(axes, names, sizes), "Size")


def _draw_differences(axes, examined):
    for index, one in enumerate(examined):
        values = np.maximum([one.report.difference_percentiles[at] for at in SHOWN_PERCENTILES], SMALLEST)  # keeps NaN
        style = dict(color=f"C{index}", marker="o", markersize=4, label=one.report.format)
        axes.plot(range(len(values)), values, **style)
    axes.set_yscale("log")
    axes.set_xticks(range(len(SHOWN_PERCENTILES)), [f"{at} %" for at in SHOWN_PERCENTILES])
    axes.set(title="Absolute difference of logits", xlabel="of this share of the logits, at most")
    axes.grid(alpha=0.3)
    axes.figure.legend(loc="outside lower center", ncols=3, fontsize="small")


def _draw_latencies(axes, latencies):
    medians = [latency.median for latency in latencies.values()]
    spread = [
        [latency.median - latency.low for latency in latencies.values()],
        [latency.high - latency.median for latency in latencies.values()],
    ]
    names = [f"{name}, batch {latency.batch_size}" for name, latency in latencies.items()]
    axes.barh(names, medians, xerr=spread, color="C0", ecolor="black", capsize=3)
    _finish_bars(axes, "Time of a call", "milliseconds: median, 10th and 90th percentile")


def _draw_sizes(axes, names, sizes):
    axes.barh(names, sizes, color="C2")
    _finish_bars(axes, "Size", "MB")


def _finish_bars(axes, title, label):
    axes.invert_yaxis()  # the first one at the top
    axes.set(title=title, xlabel=label)
    axes.grid(axis="x", alpha=0.3)
