"""The closing summary, for a person to read."""

import shlex

import keras

from keras_deit.training.history import duration

_ROWS = {
    "accuracy": "fused",
    "class_accuracy": "class head",
    "distillation_accuracy": "distillation head",
    "teacher_accuracy": "teacher",
    "teacher_agreement": "agreement with the teacher",
}


def describe(summary, directory):
    """Puts a run's summary into words.

    Args:
        summary: Dictionary as in `summary.json`.
        directory: The run's output directory.

    Returns:
        Text of several lines.
    """
    minutes, memory = duration(summary["seconds"]), memory_in_words(summary["peak_memory_bytes"])
    speed = f"{summary['images_per_second']:,.0f} images a second, " if summary["images_per_second"] else ""
    if summary["waiting_for_data"] is not None:
        speed += f"{summary['waiting_for_data']:.0%} of the time waiting for data, "
    lines = [
        "",
        "Done." if summary["complete"] else "Interrupted: the student so far was saved.",
        "",
        *_accuracies(summary),
        "",
        *_skipped(summary["skipped"]),
        f"{summary['parameters']:,} parameters, {summary['epochs']} epochs in {minutes}",
        f"{speed}{memory} at the most",
        "",
        f"The student: {directory / 'student.keras'} (keras.saving.load_model, after `import keras_deit`)",
        f"The curves:  {directory / 'curves.png'}",
    ]
    if not summary["complete"]:
        lines.append(how_to_go_on(directory))
    return "\n".join(lines)


def how_to_go_on(directory):
    """The command that goes on with an interrupted run, as a line."""
    command = ["python", "scripts/train.py", "--output-dir", str(directory), "--resume"]
    return f"Go on with:  KERAS_BACKEND={keras.backend.backend()} {shlex.join(command)}"


def memory_in_words(peak):
    """A number of bytes for a person to read.

    Example:

    >>> memory_in_words(3 * 2**29), memory_in_words(None)
    ('1.50 GiB of memory', 'an unknown amount of memory')
    """
    return "an unknown amount of memory" if peak is None else f"{peak / 2**30:.2f} GiB of memory"


def _skipped(skipped):
    for part, counts in skipped.items():
        if counts["images"]:
            kinds = ", ".join(f"{number} {kind}" for kind, number in counts.items() if kind != "images")
            yield f"{counts['images']} pictures of the {part} part were left out ({kinds})"


def _accuracies(summary):
    columns = {"student": summary["student"]}
    if "student_average" in summary:
        columns["average"] = summary["student_average"]
    if "without_teacher" in summary:
        columns["no teacher"] = summary["without_teacher"]
    yield f"{'On the test part':<30}" + "".join(f"{name:>12}" for name in columns)
    for key, label in _ROWS.items():
        if any(key in results for results in columns.values()):
            cells = (f"{results[key]:>12.2%}" if key in results else f"{'':>12}" for results in columns.values())
            yield f"  {label:<28}" + "".join(cells)
