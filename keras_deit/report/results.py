"""The accuracies in the summary of a run, as a table."""

FUSED = "fused"
ROWS = {
    "accuracy": FUSED,
    "class_accuracy": "class head",
    "distillation_accuracy": "distillation head",
    "teacher_accuracy": "teacher",
    "teacher_agreement": "agreement with the teacher",
}
COLUMNS = {"student_average": "average", "without_teacher": "no teacher"}  # beside the student, or the convnet


def accuracies(summary):
    """Lists the accuracies of a run on the test split.

    Args:
        summary: Dictionary as in `summary.json`.

    Returns:
        List of the names of the columns, and list of rows `(name, values)` with a value in 0..1 or None for each column.
        Both are empty for a run that was interrupted, which was not evaluated.

    Example:

    >>> accuracies({"student": {"accuracy": 0.75, "loss": 1.5}, "teacher": {"accuracy": 0.875}})
    (['student'], [('accuracy', [0.75]), ('teacher', [0.875])])
    """
    if summary["student"] is None:
        return [], []
    columns = {
        "student": summary.get("model", "student"),
        **{key: name for key, name in COLUMNS.items() if key in summary},
    }
    results = [_with_teacher(summary, key) for key in columns]
    has_heads = any("class_accuracy" in values for values in results)
    labels = ROWS if has_heads else {**ROWS, "accuracy": "accuracy"}
    rows = [(label, [values.get(key) for values in results]) for key, label in labels.items()]
    return list(columns.values()), [row for row in rows if any_known(row[1])]


def any_known(values):
    """Returns whether one of the values is not None."""
    return any(value is not None for value in values)


def _with_teacher(summary, key):
    """The results of a column; the student's have the accuracy of the teacher, which stored teacher outputs leave out."""
    accuracy = summary["teacher"]["accuracy"]
    return {"teacher_accuracy": accuracy, **summary[key]} if key == "student" else summary[key]
