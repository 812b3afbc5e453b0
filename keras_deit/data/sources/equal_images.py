"""Finding equal images in both splits of a dataset, or with several labels."""

import collections
import hashlib
import os

import numpy as np

from keras_deit.data.sources.image_issues import example_key

TAIL = 4096  # bytes at the end of a file, which tell most files of one size apart


def find_equal_images(splits):
    """Finds images of equal content that are in several splits or have several labels.

    The content of a file is read only if another file has the same size and ends with the same bytes. Records are not
    compared, since each would have to be read.

    Args:
        splits: Dictionary from the names of the splits to `LabelledImages` of one dataset.

    Returns:
        List of groups of equal images. A group is a list of pairs of split and index.

    Example:

    >>> from keras_deit.data import ImageData
    >>> images = np.array([[[[7, 7, 7]]], [[[8, 8, 8]]]], "uint8")
    >>> train, test = (ImageData("two", pixels, np.array([0, 1]), ("a", "b")) for pixels in (images, images // 2 * 2))
    >>> find_equal_images({"train": train, "test": test})
    [[('train', 1), ('test', 1)]]
    """
    compared = {split: data for split, data in splits.items() if data.labels is not None}
    groups = [[(split, index) for split, data in compared.items() for index in range(len(data))]]
    for key_of in (_size, _tail, _digest):
        groups = [part for group in groups for part in _divided(group, compared, key_of)]
    return [group for group in groups if len({split for split, _ in group}) > 1 or len(_labels(compared, group)) > 1]


def keys_of_groups(groups, splits):
    """Turns groups of equal images into lists of their keys, see `example_key`."""
    return [list(dict.fromkeys(example_key(splits[split], index) for split, index in group)) for group in groups]


def groups_of_keys(keys, splits):
    """Turns what `keys_of_groups` returned for image files back into groups, without images that are not there now."""
    examples = collections.defaultdict(list)
    for split, data in splits.items():
        for index in range(len(data)):
            examples[example_key(data, index)].append((split, index))
    groups = [[example for key in group for example in examples.get(key, ())] for group in keys]
    return [group for group in groups if len(group) > 1]


def describe_equal_images(groups, splits):
    """Describes equal images in sentences.

    Args:
        groups: Groups as `find_equal_images` returns them.
        splits: Dictionary as for `find_equal_images`.

    Returns:
        List of at most two sentences: on images of several splits, and on images with several labels.
    """
    lines = []
    shared = [group for group in groups if len({split for split, _ in group}) > 1]
    if shared:
        number = sum(split == "test" for group in shared for split, _ in group)
        lines.append(
            f"{number:,} of the {len(splits['test']):,} test images equal training images, such as "
            f"{_pair(shared[0], splits)}. "
            "The accuracy on the test split will be too high. Remove the copies."
        )
    contradictory = [group for group in groups if len(_labels(splits, group)) > 1]
    if contradictory:
        lines.append(
            f"{sum(map(len, contradictory)):,} images equal images with another label, such as "
            f"{_pair(contradictory[0], splits)}. Correct the labels or remove the images."
        )
    return lines


def _divided(group, splits, key_of):
    """Divides a group by a key of its images, and drops images that are alone."""
    parts = collections.defaultdict(list)
    for split, index in group:
        try:
            parts[key_of(splits[split], index)].append((split, index))
        except OSError:
            continue  # the image checks report files that cannot be read
    return [part for part in parts.values() if len(part) > 1]


def _size(data, index):
    return os.path.getsize(data.paths[index]) if data.paths else np.shape(data[index][0])


def _tail(data, index):
    if not data.paths:
        return None
    with open(data.paths[index], "rb") as file:
        file.seek(max(0, os.path.getsize(data.paths[index]) - TAIL))
        return file.read()


def _digest(data, index):
    image = data[index][0]
    return hashlib.sha256(image if isinstance(image, bytes) else np.ascontiguousarray(image)).digest()


def _labels(splits, group):
    return {int(splits[split].labels[index]) for split, index in group} - {-1}


def describe_example(data, split, index):
    """Names an image with its split and class, such as `pets/cat/1.jpg (train, cat)`."""
    label = data.labels[index]
    return f"{data.describe(index)} ({split}, {'unlabelled' if label < 0 else data.class_names[label]})"


def _pair(group, splits):
    """Names two images of a group: of different splits if there are, else of different labels."""
    first, *others = group
    other = max(others, key=lambda one: (one[0] != first[0], _labels(splits, [one]) != _labels(splits, [first])))
    return " and ".join(describe_example(splits[split], split, index) for split, index in (first, other))
