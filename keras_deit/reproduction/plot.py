"""The picture of a study."""

from keras_deit.reproduction.design import describe_labels
from keras_deit.reproduction.findings import FAILS, HOLDS, UNDECIDED, verdict
from keras_deit.reproduction.results import MAIN_ROWS, TEACHER_ROWS
from keras_deit.runtime.files import replacing
from keras_deit.runtime.optional import require

COLORS = {HOLDS: "C2", FAILS: "C3", UNDECIDED: "C7"}
SPREAD = 0.08  # distance of the rows at one number of labels, so that their intervals do not cover each other


def draw_results(results, title, path):
    """Draws the accuracies over the number of labels, and the differences that the findings are about.

    Args:
        results: `Results`.
        title: Title of the picture.
        path: The image file to write, for example a `.png` file.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    figures = require("matplotlib.figure", extra="run", purpose="Drawing the results")
    figure = figures.Figure(figsize=(8.5, 11), layout="constrained")
    figure.suptitle(title)
    accuracies, differences = figure.subfigures(2, 1, height_ratios=(1, 1.4))
    _draw_accuracies(accuracies, results)
    _draw_findings(differences.subplots(), results)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=110)


def _draw_accuracies(figure, results):
    axes = figure.subplots()
    rows = {**TEACHER_ROWS, **MAIN_ROWS}
    for index, (name, row) in enumerate(rows.items()):
        found = {x: results.accuracy(row, labels) for x, labels in enumerate(results.design.labels)}
        points = [(x + SPREAD * (index - len(rows) / 2), one) for x, one in found.items() if one]
        if points:
            positions, estimates = zip(*points, strict=True)
            means = [100 * one.mean for one in estimates]
            widths = [100 * one.half_width for one in estimates]
            style = dict(color=f"C{index}", marker="s" if name in TEACHER_ROWS else "o", markersize=4, capsize=3)
            axes.errorbar(positions, means, widths, label=name, linewidth=1, **style)
    axes.set_xticks(range(len(results.design.labels)), map(describe_labels, results.design.labels))
    axes.set(title="Accuracy on the test split, 95 % intervals", ylabel="%", xlabel="labelled images")
    axes.grid(axis="y", alpha=0.3)
    lowest, highest = axes.get_ylim()
    axes.set_ylim(max(lowest, -1), min(highest, 101))  # the intervals of few seeds may exceed 0..100 %
    figure.legend(loc="outside right upper", fontsize="small")


def _draw_findings(axes, results):
    lines = [
        (finding.claim, labels, found)
        for finding, differences in results.findings()
        for labels, found in differences.items()
    ]
    for position, (_, _, found) in enumerate(lines):
        style = dict(color=COLORS[verdict(found)], marker="o", markersize=4, capsize=2)
        axes.errorbar(100 * found.mean, position, xerr=100 * found.half_width, **style)
    names = [f"{claim} [{describe_labels(labels)}]" for claim, labels, _ in lines]
    axes.set_yticks(range(len(lines)), names, fontsize=8)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(axis="x", alpha=0.3)
    axes.set(title="Findings: paired differences, 95 % intervals", xlabel="percentage points")
    for word, color in COLORS.items():
        axes.plot([], [], "o", color=color, label=word)
    axes.legend(fontsize="small")
