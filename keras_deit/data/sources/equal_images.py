"""Finding equal images in both splits of a dataset, or with several labels."""

import collections
import concurrent.futures
import hashlib
import os

import numpy as np

from keras_deit.data.sources.image_issues import CHUNK, example_key
from keras_deit.runtime.cores import usable_cores

TAIL = 4096  # bytes at the end of a file, which tell most files of one size apart


def find_equal_images(splits):
    """Finds images of equal content that are in several splits or have several labels.

    The content of a file is read only if another file has the same size and ends with the same bytes. Of a dataset whose
    labels are only known by reading, such as records, every example is read.

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
    groups = [[(split, index) for split, data in splits.items() for index in range(len(data))]]
    are_read = any(data.labels is None for data in splits.values())
    for key_of in (_digest,) if are_read else (_size, _tail, _digest):
        groups = [part for group in groups for part in _divided(group, splits, key_of)]
    return [group for group in groups if len({split for split, _ in group}) > 1 or len(_labels(splits, group)) > 1]


def keys_of_groups(groups, splits):
    """Turns groups of equal images into lists of their keys: paths of files, otherwise split and index."""
    return [list(dict.fromkeys(_key(splits, split, index) for split, index in group)) for group in groups]


def groups_of_keys(keys, splits):
    """Turns what `keys_of_groups` returned back into groups, without images that are not there now."""
    examples = collections.defaultdict(list)
    for split, data in splits.items():
        for index in range(len(data)):
            examples[_key(splits, split, index)].append((split, index))
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


def _key(splits, split, index):
    return example_key(splits[split], index) if splits[split].paths else f"{split} {index}"


def _divided(group, splits, key_of):
    """Divides a group by a key of its images, and drops images that are alone."""

    def key(example):
        try:
            return key_of(splits[example[0]], example[1])
        except (OSError, ValueError):
            return None  # the image checks report images that cannot be read

    parts = collections.defaultdict(list)
    with concurrent.futures.ThreadPoolExecutor(usable_cores()) as pool:
        computed = pool.map if key_of is _digest else map  # hashing takes longer than handing over to a thread
        for start in range(0, len(group), CHUNK):
            chunk = group[start : start + CHUNK]
            for example, found in zip(chunk, computed(key, chunk), strict=True):
                parts[found].append(example)
    parts.pop(None, None)
    return [part for part in parts.values() if len(part) > 1]


def _size(data, index):
    return os.path.getsize(data.paths[index]) if data.paths else np.shape(data[index][0])


def _tail(data, index):
    if not data.paths:
        return ()
    with open(data.paths[index], "rb") as file:
        file.seek(max(0, os.path.getsize(data.paths[index]) - TAIL))
        return file.read()


def _digest(data, index):
    image = data[index][0]
    if isinstance(image, bytes):
        return hashlib.sha256(image).digest()
    return np.shape(image), hashlib.sha256(np.ascontiguousarray(image)).digest()


def _labels(splits, group):
    return {_label(splits[split], index) for split, index in group} - {-1}


def _label(data, index):
    return int(data[index][1] if data.labels is None else data.labels[index])


def describe_example(data, split, index):
    """Names an image with its split and class, such as `pets/cat/1.jpg (train, cat)`."""
    label = _label(data, index)
    return f"{data.describe(index)} ({split}, {'unlabelled' if label < 0 else data.class_names[label]})"


def _pair(group, splits):
    """Names two images of a group: of different splits if there are, else of different labels."""
    first, *others = group
    other = max(others, key=lambda one: (one[0] != first[0], _labels(splits, [one]) != _labels(splits, [first])))
    return " and ".join(describe_example(splits[split], split, index) for split, index in (first, other))
