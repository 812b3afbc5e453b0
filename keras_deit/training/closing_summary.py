"""The closing summary of a run, as text."""

import shlex

import keras

from keras_deit.report.results import accuracies
from keras_deit.runtime.files import format_bytes
from keras_deit.runtime.printing import format_count, format_duration


def describe(summary, directory, command=("keras-deit", "train")):
    """Describes the results of a run.

    Args:
        summary: Dictionary as in `summary.json`.
        directory: Output directory of the run.
        command: The beginning of a command line that trains, a sequence of strings.

    Returns:
        Text of several lines.
    """
    duration, memory = format_duration(summary["seconds"]), format_memory(summary["peak_memory_bytes"])
    speed = f"{summary['images_per_second']:,.0f} images a second, " if summary["images_per_second"] else ""
    if summary["waiting_for_data"] is not None:
        speed += f"{summary['waiting_for_data']:.0%} of the time waiting for data, "
    lines = [
        "",
        "Done." if summary["complete"] else "Interrupted: the state of the run and the student so far were saved.",
        "",
        *_accuracies(summary),
        *_skipped(summary["skipped"]),
        f"{summary['parameters']:,} parameters, {format_count(summary['epochs'], 'epoch')} in {duration}",
        f"{speed}{memory} at most",
        "",
        f"The model:   {directory / 'student.keras'} (keras.saving.load_model, after `import keras_deit`)",
    ]
    best = summary.get("best_epoch")
    if best and best["weights"]:
        found = f"epoch {best['epoch']}, {best['accuracy']:.2%} on the test split"
        lines.append(f"The best:    {directory / best['weights']} ({found})")
    if summary["epochs"]:
        lines.append(f"The curves:  {directory / 'curves.png'}")
    if summary.get("skipped_steps"):
        lines.insert(-1, f"{summary['skipped_steps']:,} steps were skipped, because their gradients were not finite")
    if not summary["complete"]:
        lines.append(how_to_resume(directory, command))
    return "\n".join(lines)


def how_to_resume(directory, command=("keras-deit", "train")):
    """Returns a line with the command that resumes an interrupted run; see `describe`."""
    line = shlex.join([*command, "--output-dir", str(directory), "--resume"])
    return f"Resume with:  KERAS_BACKEND={keras.backend.backend()} {line}"


def format_memory(peak):
    """Formats a number of bytes for people to read.

    Example:

    >>> format_memory(3 * 2**29), format_memory(None)
    ('1.50 GiB of memory', 'an unknown amount of memory')
    """
    return "an unknown amount of memory" if peak is None else f"{format_bytes(peak)} of memory"


def _skipped(skipped):
    for split, counts in skipped.items():
        if counts["images"]:
            issues = ", ".join(f"{number} {issue}" for issue, number in counts.items() if issue != "images")
            were = "was" if counts["images"] == 1 else "were"
            yield f"{format_count(counts['images'], 'image')} of the {split} split {were} left out ({issues})"


def _accuracies(summary):
    names, rows = accuracies(summary)
    if names:
        yield f"{'On the test split':<30}" + "".join(f"{name:>12}" for name in names)
        for label, values in rows:
            cells = (f"{'':>12}" if value is None else f"{value:>12.2%}" for value in values)
            yield f"  {label:<28}" + "".join(cells)
        yield ""
