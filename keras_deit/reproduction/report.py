"""The report of a study: Markdown and CSV."""

import csv
import io

from keras_deit.reproduction.design import BASE, CONDITIONS, describe_labels
from keras_deit.reproduction.findings import BETTER_TEACHER, FAILS, FUSED, HOLDS, UNDECIDED, verdict
from keras_deit.reproduction.results import MAIN_ROWS, TEACHER_ROWS
from keras_deit.reproduction.training import FIGURES

NOT_MEASURED = "–"
INTRODUCTION = """\
The accuracies are in percent of the test split. A value after ± is half the width of the 95 % interval of the mean over the
seeds (Student's t). Differences are paired: in both conditions, a seed has the same labelled images and, if their settings
allow it, the same order of the images and the same teacher. The initial weights may differ. The intervals describe the
variation of the training, not that of the choice of the test images. Each verdict stands for itself: where two conditions
do not differ, about one verdict in twenty is wrong by chance.
"""


def markdown(results, title, facts, candidates):
    """Writes the report of one dataset.

    Args:
        results: `Results`.
        title: Title of the report.
        facts: Dictionary of text: what was measured, when and how.
        candidates: List of pairs: `Setting`, and its accuracy on the validation split.

    Returns:
        Markdown text.
    """
    sections = [
        f"# {title}",
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
        INTRODUCTION.rstrip(),
        "## Accuracy",
        _accuracy_table(results),
        f"## One factor at a time, {describe_labels(results.design.main_labels)}",
        _factor_table(results),
        "## The findings of the paper",
        _findings_table(results),
        statement(results),
        "## Choice of the settings on the validation split",
        _candidate_table(candidates),
    ]
    return "\n\n".join(sections) + "\n"


def statement(results):
    """Says which findings hold, which do not, and which are undecided, as a Markdown list.

    Args:
        results: `Results`.

    Returns:
        Markdown text. A finding that was not measured is left out.
    """
    lines = []
    for finding, differences in results.findings():
        by_verdict = {}
        for labels, found in differences.items():
            by_verdict.setdefault(verdict(found), []).append(describe_labels(labels))
        parts = [f"{word} ({', '.join(by_verdict[word])})" for word in (HOLDS, FAILS, UNDECIDED) if word in by_verdict]
        if parts:
            teachers = _teachers(results) if finding is BETTER_TEACHER else ""
            lines.append(f"- {finding.claim} {finding.source.capitalize()}. **{'; '.join(parts)}**{teachers}")
    return "\n".join(lines)


def csv_text(results):
    """Writes all figures, one training a line, as CSV with a line of names; accuracies are in 0..1."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["condition", "labels_per_class", "seed", *FIGURES, "seconds"])
    for training, figures in sorted(results.trainings, key=lambda pair: pair[0].name):
        labels = "all" if training.labels is None else training.labels
        values = [figures.get(name, "") for name in (*FIGURES, "seconds")]
        table.writerow([training.condition, labels, training.seed, *values])
    return text.getvalue()


def _accuracy_table(results):
    rows = []
    for name, row in {**TEACHER_ROWS, **MAIN_ROWS}.items():
        found = [results.accuracy(row, labels) for labels in results.design.labels]
        if any(found):
            rows.append([name, *map(_percent, found)])
    return _table(["", *map(describe_labels, results.design.labels)], rows)


def _factor_table(results):
    rows = []
    for name in results.design.conditions:
        reference = CONDITIONS[name].reference
        accuracy = results.accuracy((name, FUSED), results.design.main_labels)
        if results.is_base(name) and name != BASE:
            rows.append([name, "the base has it", _percent(accuracy), NOT_MEASURED])
        else:
            rows.append([name, reference or "", _percent(accuracy), _points(results.difference(name, reference))])
    return _table(["condition", "differs in one factor from", "accuracy", "difference, points (95 % interval)"], rows)


def _findings_table(results):
    labels = results.design.labels
    rows = []
    for finding, differences in results.findings():
        if differences:
            published = NOT_MEASURED if finding.published is None else f"{finding.published:+.1f}"
            cells = [_decided(differences.get(number)) for number in labels]
            rows.append([finding.claim, finding.source, published, *cells])
    return _table(["finding", "source", "in the paper, points", *map(describe_labels, labels)], rows)


def _candidate_table(candidates):
    rows = [
        [
            setting.architecture,
            f"{setting.hidden_dim} × {setting.num_layers}" if setting.architecture == "deit" else "",
            f"{setting.learning_rate:g}",
            setting.augmentation,
            f"{accuracy:.1%}",
        ]
        for setting, accuracy in candidates
    ]
    return _table(["model", "width × blocks", "learning rate", "augmentation", "validation accuracy"], rows)


def _teachers(results):
    accuracies = [
        f"{name} {_percent(results.accuracy(row, results.design.main_labels))}" for name, row in TEACHER_ROWS.items()
    ]
    return f". Accuracies: {'; '.join(accuracies)}"


def _table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _percent(found):
    return NOT_MEASURED if found is None else f"{100 * found.mean:.1f} ± {100 * found.half_width:.1f}"


def _points(found):
    if found is None:
        return NOT_MEASURED
    return f"{100 * found.mean:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _decided(found):
    return NOT_MEASURED if found is None else f"{_points(found)} {verdict(found)}"
