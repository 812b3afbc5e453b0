"""A table of image files and their labels."""

import csv

from keras_deit.data.sources.folder import label_files
from keras_deit.data.sources.splits import SPLIT_NAMES

COLUMNS = ("path", "label")


def load_table(path, split, class_names=None):
    """Loads the image files that a CSV file lists.

    Args:
        path: `pathlib.Path` of a CSV file with the columns `path` (relative to the folder of the CSV file), `label`
            (empty for an unlabelled image) and, if the dataset has splits, `split` (`train` or `test`).
        split: `"train"` or `"test"`.
        class_names: Names of the classes in the order of the labels; None means alphabetical order.

    Returns:
        `ImageFiles`.

    Raises:
        ValueError: If the file cannot be read, a column is missing, a split is unknown or the split has no image.
    """
    rows = _read(path)
    has_splits = bool(rows) and rows[0].get("split") is not None
    unknown = {row["split"] for row in rows} - set(sum(SPLIT_NAMES.values(), ())) if has_splits else ()
    if unknown:
        raise ValueError(
            f"The table {str(path)!r} has the split {sorted(unknown)[0]!r}. Known splits: {', '.join(SPLIT_NAMES)}."
        )
    names = class_names or sorted({row["label"] for row in rows if row["label"]})
    if has_splits:
        rows = [row for row in rows if row["split"] in SPLIT_NAMES[split]]
    if not rows:
        raise ValueError(f"The table {str(path)!r} lists no image for the {split} split.")
    files = [(path.parent / row["path"], row["label"]) for row in rows]
    return label_files(path, files, None if has_splits else split, names)


def _read(path):
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (table.fieldnames or ())]
            if missing:
                raise ValueError(
                    f"The table {str(path)!r} has no column {missing[0]!r}. Expected the columns {', '.join(COLUMNS)}."
                )
            return [row for row in table if row["path"]]
    except OSError as error:
        raise ValueError(f"The table {str(path)!r} cannot be read: {error.strerror}.") from error
