"""A table of image files and their labels."""

import csv
import io
import os
import re
from typing import NamedTuple

from keras_deit.choices import TEST_SPLITS
from keras_deit.data.sources.classes import label_of, order_classes, order_note
from keras_deit.data.sources.folder import label_files
from keras_deit.data.sources.splits import split_of_name
from keras_deit.runtime.shorten import shorten
from keras_deit.runtime.similar_names import did_you_mean, similar_paths

COLUMNS, SPLIT = ("path", "label"), "split"
NEWLINE = b"\n"
LINE_ENDS = ("\n", "\r")
WHOLE_NUMBER = r"-?[0-9]+(\.0+)?"
SEPARATORS = (",", ";", "\t")
STATED_SEPARATOR = r"\"?sep=(.)\"?"  # the first line of a table for Excel
MISSING_VALUES = ("nan", "<na>")  # what pandas writes for a missing value


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        line: Number of its line in the file, from 1.
        path: Path of the image file.
        label: Name of the class; empty for an unlabelled image.
        split: `"train"`, `"val"` or `"test"`; None in a table without splits.
    """

    line: int
    path: str
    label: str
    split: str | None


def load_table(path, split, class_names=None, test_split=None):
    """Loads the image files that a CSV file lists.

    Args:
        path: `pathlib.Path` of a file of values in UTF-8, separated by commas, semicolons or tabs, with the columns `path`
            (relative to the folder of the file), `label` (empty for an unlabelled image) and, if the dataset has splits,
            `split` (`train`, `val` or `test`). A first line such as `sep=;` states the separator. Cells are read without
            the spaces around them. A row is one line of the file. If all labels are whole numbers, `3.0` is the class `3`,
            unless `class_names` has `3.0`.
        split: `"train"` or `"test"`.
        class_names: Names of the classes in the order of the labels; None means alphabetical order, or the order of the
            numbers if all names are numbers.
        test_split: `"val"` or `"test"`: which is the test split if there are both; None means `"val"`.

    Returns:
        `ImageFiles`.

    Raises:
        ValueError: If the file cannot be read, a column is missing, a cell is not as expected, an image file does not exist
            or the split has no image. The message names the line and the column.
    """
    rows = _with_integer_labels(_read(path), class_names or ())
    names = class_names or order_classes({row.label for row in rows if row.label})
    _check_rows(path, rows, names if class_names else ())
    notes = order_note(names) if class_names is None else []
    has_splits = bool(rows) and rows[0].split is not None
    origin = None
    if has_splits:
        origin = _test_split(rows, test_split) if split == "test" else "train"
        unused = {row.split for row in rows} - {"train", _test_split(rows, test_split)}
        notes += [
            f"Rows of {path} that are not used: those of the split {one}. --test-split {one} uses them."
            for one in sorted(unused)
        ]
        rows = [row for row in rows if row.split == origin]
    elif test_split is not None:
        raise ValueError(f"The table {str(path)!r} has no column {SPLIT!r}. Received: test_split={test_split!r}")
    if not rows:
        raise ValueError(f"The table {str(path)!r} lists no image for the {split} split.")
    files = [(row.path, row.label) for row in rows]
    return label_files(path, files, None if has_splits else split, names, origin, tuple(notes))


def _test_split(rows, test_split):
    """The split of the rows that are the test split."""
    present = {row.split for row in rows}
    return test_split or next((split for split in TEST_SPLITS if split in present), "test")


def _read(path):
    """The rows of a table; each is checked by itself."""
    lines = enumerate(io.StringIO(f"{_text(path)}\n", newline=""), start=1)
    number, line = next(lines)
    stated = re.fullmatch(STATED_SEPARATOR, line.strip("\r\n"), re.IGNORECASE)
    if stated:
        number, line = next(lines, (2, ""))
    header, separator = _header(path, number, line, stated[1] if stated else SEPARATORS)
    rows = []
    for number, line in lines:
        cells = _cells(path, number, header, line, separator)
        if any(cells):
            rows.append(_row(path, number, header, cells))
    return rows


def _cells(path, number, header, line, separator):
    """The values of a line; the line break is in a value only if a quotation has no end in the line."""
    try:
        cells = next(csv.reader([line], delimiter=separator), [])
    except csv.Error as error:
        raise _wrong(path, number, None, f"the values cannot be separated: {error}") from error
    if cells and cells[-1].endswith(LINE_ENDS):
        raise _wrong(
            path,
            number,
            header[len(cells) - 1] if len(cells) <= len(header) else None,
            f"the quotation that begins with {cells[-1].strip()[:40]!r} does not end in its line, and a value must not hold "
            "a line break. Close or remove the quotation mark, or write the value in one line",
        )
    return [cell.strip() for cell in cells]


def _with_integer_labels(rows, class_names):
    """The rows with labels such as `3` for `3.0`, as pandas writes integers where others are missing, if all are whole."""
    if not all(re.fullmatch(WHOLE_NUMBER, row.label) for row in rows if row.label):
        return rows
    integers = {row.label: row.label.partition(".")[0] for row in rows if row.label not in class_names}
    return [Row(row.line, row.path, integers.get(row.label, row.label), row.split) for row in rows]


def _text(path):
    try:
        content = path.read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        hint = did_you_mean(similar_paths(path))
        raise ValueError(f"The table {str(path)!r} cannot be read: {error.strerror}.{hint}") from error
    except UnicodeDecodeError as error:
        before = content[: error.start]
        column = len(before) - (before.rfind(NEWLINE) + 1) + 1
        raise ValueError(
            f"The table {str(path)!r} is not in UTF-8: line {before.count(NEWLINE) + 1}, byte {column} of the line is "
            f"0x{content[error.start]:02x}. Save the table as UTF-8."
        ) from error


def _header(path, number, line, separators):
    """The names of the columns in lower case, and the separator that gives the expected ones."""
    headers = {}
    for separator in separators:
        headers[separator] = [cell.casefold() for cell in _cells(path, number, (), line, separator)]
        if set(COLUMNS) <= set(headers[separator]):
            break
    separator, header = max(headers.items(), key=lambda item: len(set(COLUMNS) & set(item[1])))
    missing = [column for column in COLUMNS if column not in header]
    if missing:
        raise ValueError(
            f"The table {str(path)!r} has no column {missing[0]!r}. Expected the columns {', '.join(COLUMNS)}. Received: "
            f"{shorten(header) or 'no names'}"
        )
    twice = [column for column in (*COLUMNS, SPLIT) if header.count(column) > 1]
    if twice:
        raise ValueError(f"The table {str(path)!r} has two columns {twice[0]!r}. Rename one of them.")
    return header, separator


def _row(path, line, header, cells):
    if len(cells) < len(header) or any(cells[len(header) :]):
        raise _wrong(
            path,
            line,
            None,
            f"expected {len(header)} values, as in the line of the names. Received: {len(cells)}. Put a value that holds "
            'the separator in double quotes ("...")',
        )
    values = dict(zip(header, cells, strict=False))
    if not values["path"]:
        raise _wrong(path, line, "path", "the path is empty. Remove the row or add the path")
    named_split = None
    if SPLIT in values:
        named_split = split_of_name(values[SPLIT])
        if named_split is None:
            raise _wrong(path, line, SPLIT, f"expected train, val or test. Received: {values[SPLIT]!r}")
    return Row(line, _file(path.parent, values["path"]), values["label"], named_split)


def _file(folder, name):
    """The path of an image file; a path of Windows is understood on other systems if it leads to a file there."""
    file = os.path.join(folder, os.path.expanduser(name))
    if "\\" in name and not os.path.isfile(file):
        with_slashes = os.path.join(folder, name.replace("\\", "/"))
        return with_slashes if os.path.isfile(with_slashes) else file
    return file


def _check_rows(path, rows, class_names):
    missing = [row for row in rows if not os.path.isfile(row.path)]
    if missing:
        raise _wrong(
            path,
            missing[0].line,
            "path",
            f"there is no file {os.path.abspath(missing[0].path)!r}. Paths are relative to the folder of the table. "
            f"{len(missing):,} of the {len(rows):,} files do not exist",
        )
    labels = {row.label for row in rows} - {""} if class_names else ()
    unknown = {label for label in labels if label_of(label, class_names) is None}
    for row in rows:
        if row.label.casefold() in MISSING_VALUES and row.label not in class_names:
            raise _wrong(
                path,
                row.line,
                "label",
                f"{row.label!r} stands for a missing value. Leave the cell empty for an unlabelled image. If there is a "
                "class of this name, pass --class-names (`class_names`)",
            )
        if row.label in unknown:
            raise _wrong(
                path, row.line, "label", f"the class {row.label!r} is not among {shorten(class_names)} of `class_names`"
            )


def _wrong(path, line, column, problem):
    where = f"line {line}, column {column!r}" if column else f"line {line}"
    return ValueError(f"The table {str(path)!r} is wrong in {where}: {problem}.")
