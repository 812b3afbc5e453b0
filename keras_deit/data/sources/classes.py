"""The classes of a dataset: their order, their number, and how many images each has."""

import collections
import decimal
import math
import unicodedata

import numpy as np

from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.shorten import shorten

LABEL_SIGNS = ("|", ",", ";")  # between the labels of an image that has several
MAX_LISTED = 20  # classes whose numbers of images are listed one by one


def order_classes(names):
    """Sorts the names of classes: as numbers if all are numbers, else as text.

    Args:
        names: Iterable of strings.

    Returns:
        Sorted list of the names.

    Example:

    >>> order_classes(["10", "9", "1"]), order_classes(["b10", "b9"])
    (['1', '9', '10'], ['b10', 'b9'])
    """
    names = sorted(names)
    return sorted(names, key=float) if all(map(_is_number, names)) else names


def order_note(names):
    """Says the order of classes whose names are numbers, unless each name is its label.

    Args:
        names: Names of the classes in the order of the labels.

    Returns:
        List of one sentence or none.

    Example:

    >>> order_note(["1", "2", "10"])
    ['The names of the classes are numbers and in the order of the numbers: label 0 is class 1, label 2 is class 10.']
    >>> order_note(["0", "1"]), order_note(["cat", "dog"])
    ([], [])
    """
    if not all(map(_is_number, names)) or (list(names) == list(map(str, range(len(names)))) and len(names) <= 10):
        return []
    last = len(names) - 1
    return [
        "The names of the classes are numbers and in the order of the numbers: label 0 is class "
        f"{names[0]}, label {last} is class {names[last]}."
    ]


def label_of(name, class_names):
    """Finds the label of a class.

    Args:
        name: Name of the class, in any Unicode form: macOS writes an accent in names of folders as a letter of its own.
        class_names: Names of the classes in the order of the labels.

    Returns:
        Index of the name, of another form of the name if it is not there; None if there is neither.

    Example:

    >>> label_of("cafe\\u0301", ["tea", "caf\\u00e9"]), label_of("milk", ["tea"])
    (1, None)
    """
    if name in class_names:
        return list(class_names).index(name)
    forms = [unicodedata.normalize("NFC", one) for one in class_names]
    form = unicodedata.normalize("NFC", name)
    return forms.index(form) if form in forms else None


def check_classes(name, class_names):
    """Checks that a dataset has at least two classes.

    Args:
        name: Name or path of the dataset.
        class_names: Names of the classes.

    Raises:
        ValueError: If there are fewer than two.
    """
    if len(class_names) < 2:
        raise ValueError(
            f"A dataset needs at least two classes. {str(name)!r} has {shorten(class_names) or 'none'}. Add images of "
            "another class."
        )


def warn_of_similar_names(name, class_names):
    """Warns of classes whose names differ only in case, spaces, the Unicode form of a letter or the spelling of a number.

    Args:
        name: Name or path of the dataset.
        class_names: Names of the classes.
    """
    spellings = collections.defaultdict(list)
    for one in class_names:
        spellings[_spoken(one)].append(one)
    similar = [", ".join(map(ascii, group)) for group in spellings.values() if len(group) > 1]
    if similar:
        warn_caller(
            f"Classes of {name} have names that differ only in case, spaces, the Unicode form of a letter or the spelling "
            f"of a number: {'; '.join(similar)}. Give them one name if they are one class."
        )


def warn_of_combined_names(name, class_names):
    """Warns of classes whose names combine those of other classes, as tables write several labels of an image.

    Args:
        name: Name or path of the dataset.
        class_names: Names of the classes.
    """
    combined = [
        one for one in class_names for sign in LABEL_SIGNS if sign in one and _parts(one, sign) <= set(class_names)
    ]
    if combined:
        warn_caller(
            f"Classes of {name} combine other classes: {shorten(combined)}. Each of them is a class of its own, because an "
            "image of a folder or a table has one class."
        )


def _parts(name, sign):
    return {part.strip() for part in name.split(sign)}


def count_labels(labels, num_classes):
    """Counts the images of each class.

    Args:
        labels: Integers; -1 for an unlabelled image.
        num_classes: Number of classes.

    Returns:
        Integer array `(num_classes + 1,)`; the last number is that of the unlabelled images.

    Example:

    >>> count_labels([0, 2, 2, -1], 3).tolist()
    [1, 0, 2, 1]
    """
    labels = np.asarray(labels, int)
    return np.bincount(np.where(labels < 0, num_classes, labels), minlength=num_classes + 1)


def check_trained(name, class_names, counts):
    """Checks that each class with test images has training images, unless there are unlabelled training images.

    Args:
        name: Name of the dataset.
        class_names: Names of the classes.
        counts: Dictionary from the names of the splits to what `count_labels` returns, or None where it is not known.

    Raises:
        ValueError: If there is a class with test images alone.
    """
    train, test = counts["train"], counts["test"]
    if train is None or test is None or train[-1]:
        return
    lost = [one for one, in_train, in_test in zip(class_names, train, test, strict=False) if in_test and not in_train]
    if lost:
        raise ValueError(
            f"The classes {shorten(lost)} of {name!r} have test images and no training images. Add training images, or "
            "remove the classes."
        )


def describe_classes(splits, counts):
    """Describes how many images each class has in each split.

    Args:
        splits: Dictionary from the names of the splits to `LabelledImages` of one dataset.
        counts: Dictionary from the names of the splits to what `count_labels` returns, or None where it is not known. The
            sizes of the splits in the text are those of the counts, which may leave out images that cannot be read.

    Returns:
        Text of several lines. With more than 20 classes it names the classes with the fewest and the most images. Without
        known labels it has the first line alone.

    Example:

    >>> from keras_deit.data import load
    >>> test = load("digits", "test")
    >>> print("\\n".join(describe_classes({"test": test}, {"test": count_labels(test.labels, 10)}).splitlines()[:3]))
    digits: 10 classes, 364 test
      class  test
      0        36
    """
    first = next(iter(splits.values()))
    numbers = {split: len(data) if counts[split] is None else sum(counts[split]) for split, data in splits.items()}
    sizes = ", ".join(f"{number:,} {split}" for split, number in numbers.items())
    origins = " and ".join(dict.fromkeys(data.origin for data in splits.values() if data.origin))
    lines = [f"{first.name}: {first.num_classes} classes, {sizes}{f', from {origins}' if origins else ''}"]
    if all(numbers is not None for numbers in counts.values()):
        counts = {split: np.asarray(numbers) for split, numbers in counts.items()}
        list_counts = _every_class if first.num_classes <= MAX_LISTED else _fewest_and_most
        lines += list_counts([*first.class_names, "unlabelled"], counts)
    notes = dict.fromkeys(note for data in splits.values() for note in data.notes)
    return "\n".join([*lines, *notes])


def _every_class(names, counts):
    rows = [("class", *counts)]
    for index, name in enumerate(names):
        numbers = [of_split[index] for of_split in counts.values()]
        if index < len(names) - 1 or any(numbers):
            rows.append((name, *(f"{number:,}" for number in numbers)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [f"  {_aligned(row, widths)}" for row in rows]


def _aligned(row, widths):
    (name, *cells), (width, *others) = row, widths
    return "  ".join([name.ljust(width), *(cell.rjust(other) for cell, other in zip(cells, others, strict=True))])


def _fewest_and_most(names, counts):
    lines = []
    for split, numbers in counts.items():
        of_classes = numbers[:-1]
        fewest, most = int(of_classes.argmin()), int(of_classes.argmax())
        text = f"{of_classes[fewest]:,} ({names[fewest]}) to {of_classes[most]:,} ({names[most]}) images of a class"
        if of_classes[fewest] == of_classes[most]:
            text = f"{of_classes[most]:,} of each class"
        unlabelled = f", {numbers[-1]:,} unlabelled" if numbers[-1] else ""
        lines.append(f"  {split}: {text}{unlabelled}")
    return lines


def _spoken(name):
    """What names that differ in their spelling alone have in common: a number, or a text."""
    if _is_number(name) and "_" not in name:  # Python reads 1_0 as 10, people do not
        return decimal.Decimal(name)
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())


def _is_number(name):
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False
