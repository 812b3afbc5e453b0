"""The report of a run as a page, `report.html`."""

import dataclasses
import json
import pathlib

import numpy as np

from keras_deit.explain.confusion import MAX_NAMED, confusion_figure
from keras_deit.report.charts import draw_charts
from keras_deit.report.results import accuracies
from keras_deit.runtime.files import format_bytes, user_path, write_whole
from keras_deit.runtime.html_page import embedded_figure, embedded_pixels, escape, page, table
from keras_deit.runtime.printing import format_count, format_duration

REPORT_FILE = "report.html"
MAX_PAIRS = 15  # of classes that are confused most often
UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True)
class Report:
    """What a run's report shows.

    Attributes:
        directory: `pathlib.Path` of the run.
        summary: Dictionary as in `summary.json`.
        history: List of dictionaries, one for each epoch, with the columns of `history.csv`.
        commands: Dictionary from what a command does to the command.
        findings: `keras_deit.report.findings.Findings`, or None.
        attention: List of `keras_deit.report.pixels.ShownAttention`.
        notes: Sentences on what is missing.
    """

    directory: pathlib.Path
    summary: dict
    history: list
    commands: dict
    findings: object = None
    attention: tuple = ()
    notes: tuple = ()

    def write(self):
        """Writes `report.html` into the directory of the run. An earlier report is replaced.

        Returns:
            The `pathlib.Path` of the file.

        Raises:
            ImportError: If matplotlib or Pillow is not installed.
        """
        path = self.directory / REPORT_FILE
        write_whole(path, self.to_html())
        return path

    def to_html(self):
        """Composes the page, a string."""
        sections = {name: "".join(html) for name, html in self._sections() if html}
        titles = ", ".join(f'<a href="#{_anchor(name)}">{name}</a>' for name in sections).replace(", ", "\n")
        parts = [
            f"<h1>{escape(self._title())}</h1>",
            f'<p class="note">{escape(self._subtitle())}</p>',
            *(f"<p>{escape(note)}</p>" for note in self.notes),
            f"<nav>{titles}</nav>",
            *(f'<h2 id="{_anchor(name)}">{name}</h2>\n{html}' for name, html in sections.items()),
        ]
        return page(self._title(), parts)

    def _sections(self):
        """The headings, and the HTML below each; a section without HTML is left out."""
        yield "Results", list(self._results())
        yield "Curves", list(_curves(self.history))
        if self.findings is not None:
            yield "Confusion matrix", list(_confusion(self.findings))
            yield "Most confident mistakes", list(_mistakes(self.findings, self._within_dataset))
            yield "Disagreement", list(_disagreement(self.findings))
        yield "Attention", list(_attention(self.attention, self._within_dataset))
        yield "Exports", list(_exports(self.summary.get("exports", ())))
        yield "Settings", list(self._settings())
        yield "Commands", [f"<p>{escape(what)}:</p><pre>{escape(line)}</pre>" for what, line in self.commands.items()]

    def _title(self):
        return f"Run {self.directory.absolute().name}"

    def _subtitle(self):
        settings, summary = self.summary["settings"], self.summary
        model = settings["architecture"] or settings["variant"]
        height, width = settings["image_size"]
        facts = [
            f"{model} with {summary['parameters']:,} parameters",
            f"{settings['dataset']}, images of {height}×{width} pixels",
            f"recipe {settings['recipe']}",
            f"{format_count(summary['epochs'], 'epoch')} in {format_duration(summary['seconds'])}",
            _state(summary),
        ]
        return " · ".join(facts)

    def _within_dataset(self, image):
        """The description of an image; a path is relative to the folder of the dataset if it is below that folder."""
        dataset = user_path(self.summary["settings"]["dataset"]).absolute()
        folder = dataset if dataset.is_dir() else dataset.parent
        path = pathlib.Path(image).absolute()
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else image

    def _results(self):
        names, rows = accuracies(self.summary)
        if names:
            yield table(["on the test split", *names], [[name, *map(_share, values)] for name, values in rows])
        best = self.summary.get("best_epoch")
        if best:
            yield f"<p>The best epoch is epoch {best['epoch']}, with an accuracy of {_share(best['accuracy'])}.</p>"
        yield table(["course of the run", ""], list(_course(self.summary)))

    def _settings(self):
        settings = [[name, _setting(value)] for name, value in self.summary["settings"].items()]
        versions = [[name, str(version)] for name, version in self.summary["versions"].items()]
        yield f"<details><summary>{len(settings)} settings</summary>{table(['setting', 'value'], settings)}</details>"
        yield f"<details open><summary>Versions</summary>{table(['package', 'version'], versions)}</details>"


def _anchor(name):
    return name.lower().replace(" ", "-")


def _state(summary):
    if "diverged" in summary:
        return "diverged"
    return "complete" if summary["complete"] else "interrupted"


def _share(value):
    return "" if value is None else f"{value:.2%}"


def _setting(value):
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _course(summary):
    """The rows of a table about speed, memory and what was left out."""
    speed, waiting, memory = (summary[name] for name in ("images_per_second", "waiting_for_data", "peak_memory_bytes"))
    yield ["steps", f"{summary['steps']:,}"]
    yield ["training images per second", UNKNOWN if speed is None else f"{speed:,.0f}"]
    yield ["waiting for data", UNKNOWN if waiting is None else f"{waiting:.1%} of the training time"]
    yield ["peak memory", UNKNOWN if memory is None else format_bytes(memory)]
    for split, counts in summary["skipped"].items():
        if counts["images"]:
            yield [f"images of the {split} split that were left out", f"{counts['images']:,}"]
    if summary.get("skipped_steps"):
        yield ["steps that were skipped", f"{summary['skipped_steps']:,}"]


def _curves(history):
    if history:
        yield '<p class="note">Solid lines: test split; dashed lines: training.</p>'
        yield f'<div class="plots">{"".join(draw_charts(history))}</div>'


def _confusion(findings):
    evaluation = findings.evaluation
    yield f'<p class="note">{escape(_extent(findings))}</p>'
    if len(evaluation.class_names) <= MAX_NAMED:
        figure = confusion_figure(evaluation.confusion, evaluation.class_names, evaluation.predicted_names)
        description = f"Confusion matrix of {len(evaluation.class_names)} classes; the table lists its largest errors"
        yield f'<div class="scroll">{embedded_figure(figure, description)}</div>'
    pairs = most_confused(evaluation.confusion)
    if pairs:
        yield f"<h3>The {len(pairs)} most frequent confusions</h3>" if len(pairs) > 1 else "<h3>The only confusion</h3>"
        names, predicted = evaluation.class_names, evaluation.predicted_names
        rows = [[names[row], predicted[column], f"{count:,}", _share(share)] for row, column, count, share in pairs]
        yield table(["true class", "predicted class", "images", "fraction of the true class"], rows)


def _extent(findings):
    evaluation, candidates = findings.evaluation, findings.num_candidates
    seen = evaluation.num_images + evaluation.num_unlabelled
    images = f"{evaluation.num_images:,} labelled test images"
    if seen < candidates:
        images += f", chosen at equal distances in the order of the {candidates:,} images of the test split"
    note = f" {evaluation.note}" if evaluation.note else ""
    return f"Accuracy {_share(evaluation.accuracies['accuracy'])} on {images}.{note}"


def most_confused(confusion):
    """Finds the pairs of classes that are confused most often.

    Args:
        confusion: Integer array `(classes, predictions)`, see `keras_deit.evaluation.evaluation.Evaluation`.

    Returns:
        List of `(row, column, number of images, fraction of the images of the row)`, the most frequent first; 15 at most.

    Example:

    >>> most_confused(np.array([[9, 1], [2, 2]]))
    [(1, 0, 2, 0.5), (0, 1, 1, 0.1)]
    """
    errors = confusion.copy()
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:MAX_PAIRS]
    images = confusion.sum(axis=1)
    found = zip(*np.unravel_index(order, errors.shape), strict=True)
    pairs = ((int(row), int(column), int(errors[row, column])) for row, column in found)
    return [(row, column, count, count / int(images[row])) for row, column, count in pairs if count]


def _mistakes(findings, name):
    """`name` is a function of the description of an image, and returns what the page calls the image."""
    total = len(findings.evaluation.mistakes)
    if not total:
        yield "<p>There is no mistake.</p>"
        return
    shown = len(findings.mistakes)
    yield f'<p class="note">{shown:,} of {format_count(total, "mistake")}, as the student sees the images.</p>'
    yield f'<div class="cards">{"".join(_mistake(one, name(one.image)) for one in findings.mistakes)}</div>'


def _mistake(mistake, name):
    lines = [
        f"true: <b>{escape(mistake.true)}</b>",
        f'predicted: <b class="bad">{escape(mistake.predicted)}</b> ({mistake.probability:.1%})',
    ]
    if mistake.teacher is not None:
        kind = "good" if mistake.teacher == mistake.true else "bad"
        lines.append(
            f'teacher: <span class="{kind}">{escape(mistake.teacher)}</span> ({mistake.teacher_probability:.1%})'
        )
    lines.append(f'<span class="note">{escape(name)}</span>')
    image = embedded_pixels(mistake.pixels, f"{mistake.true}, predicted as {mistake.predicted}: {name}")
    return f"<figure>{image}<figcaption>{'<br>'.join(lines)}</figcaption></figure>"


def _disagreement(findings):
    if findings.disagreement is not None:
        names, rates = findings.disagreement
        yield '<p class="note">Fraction of the images that two of them put into different classes.</p>'
        yield table(["", *names], [[name, *map(_share, row)] for name, row in zip(names, rates.tolist(), strict=True)])


def _attention(examples, name):
    if examples:
        yield (
            '<p class="note">Attention rollout over test images at equal distances in the order of the split: how much of '
            "each patch reaches a token through all blocks.</p>"
        )
        yield f'<div class="plots large">{"".join(_attended(one.figure, name(one.image)) for one in examples)}</div>'


def _attended(figure, name):
    image = embedded_figure(figure, f"attention over {name}")
    return f'<figure>{image}<figcaption class="note">{escape(name)}</figcaption></figure>'


def _exports(reports):
    if reports:
        header = ["format", "largest difference of a logit", "agreement", "accuracy"]
        yield table(header, [_export(report) for report in reports])


def _export(report):
    difference = report["largest_difference"]  # None in JSON if it is not finite
    name = report["format"] if report["agrees"] else f"{report['format']} (do not use)"
    shown = "not finite" if difference is None else f"{difference:.1e}"
    return [name, shown, _share(report["agreement"]), _share(report["accuracy"])]
