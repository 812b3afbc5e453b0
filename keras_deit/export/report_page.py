"""The report on exported models as files: `report.json`, and `report.html` with plots, which needs no network."""

import base64
import dataclasses
import html
import io

import numpy as np

from keras_deit.export.runtimes import FLOAT
from keras_deit.runtime.files import user_path, write_json, write_whole
from keras_deit.runtime.optional import require

SHOWN_PERCENTILES = ("50", "90", "99", "100")
REPORT_FILES = ("report.json", "report.html")
SMALLEST = 1e-9  # difference that the logarithmic axis begins with
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 80rem; padding: 1rem; color: #1c1c1c; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .5rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.plots img { width: 100%; height: auto; }
.good { color: #1a7f37; } .bad { color: #b3261e; font-weight: bold; }
.note { color: #555; } code { overflow-wrap: anywhere; } details { margin: .5rem 0; }
"""


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
    """Writes `report.json` and `report.html`. Earlier files are replaced.

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
    data, page = (directory / name for name in REPORT_FILES)
    write_json(data, entries)
    write_whole(page, _page(examined, model_latencies, facts))
    return page


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
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Exported models</title><style>{STYLE}</style></head><body>",
        "<h1>Exported models, compared with the model in Keras</h1>",
        f'<p class="note">{html.escape(" · ".join(listed))}</p>',
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
        "</body></html>",
    ]
    return "\n".join(parts) + "\n"


def _verdict(report):
    kind, words = ("good", "kept") if report.agrees else ("bad", "NOT kept: do not use this export")
    limits = html.escape(str(report.limits))
    return f'<li><code>{html.escape(report.format)}</code>: {limits}: <span class="{kind}">{words}</span></li>'


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
    return _table(header, rows)


def _times(latencies, batches):
    of_batch = {latency.batch_size: str(latency).replace(" ms", "") for latency in latencies}
    return [of_batch.get(batch, "") for batch in batches]


def _details(examined):
    profile, name = examined.profile, html.escape(examined.report.format)
    arithmetic = ", ".join(f"{count} {words}" for words, count in profile.arithmetic().items())
    weights = ", ".join(f"{kind} {_format_size(size)}" for kind, size in profile.weight_bytes.items())
    rows = [[row["operator"], row["arithmetic"], str(row["count"])] for row in profile.operators]
    return (
        f"<details{' open' if set(profile.arithmetic()) != {FLOAT} else ''}><summary><code>{name}</code>: operators "
        f"{html.escape(arithmetic)}; weights {html.escape(weights)}</summary>"
        f"{_table(['operator', 'arithmetic', 'count'], rows)}</details>"
    )


def _table(header, rows):
    lines = [_row("th", header), *(_row("td", row) for row in rows)]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _row(tag, cells):
    return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _share(value):
    return "" if value is None else f"{value:.2%}"


def _format_size(size):
    return f"{size / 1e6:.2f} MB" if size > 1e5 else f"{size / 1e3:.1f} kB"


def _plots(examined, model_latencies):
    """Yields the images of the page."""
    names = [one.report.format for one in examined]
    yield _image(lambda axes: _draw_differences(axes, examined), "Differences of logits")
    firsts = {one.report.format: one.profile.latencies[0] for one in examined}
    if model_latencies:
        firsts = {"model in Keras": model_latencies[0], **firsts}
    yield _image(lambda axes: _draw_latencies(axes, firsts), "Latency")
    sizes = [one.report.size / 1e6 for one in examined]
    yield _image(lambda axes: _draw_sizes(axes, names, sizes), "Size")


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


def _image(draw, description):
    figures = require("matplotlib.figure", extra="run", purpose="Drawing the report")
    figure = figures.Figure(figsize=(5.6, 3.6), layout="constrained")
    draw(figure.subplots())
    drawing = io.BytesIO()
    figure.savefig(drawing, format="svg")
    encoded = base64.b64encode(drawing.getvalue()).decode()
    return f'<img alt="{description}" src="data:image/svg+xml;base64,{encoded}">'
