"""The protocol that every source of labelled images follows."""

import abc
import hashlib

import numpy as np


class LabelledImages(abc.ABC):
    """Labelled images that are read by index: the base class of every dataset.

    To define a dataset, derive a class from this one, set `name` and `class_names`, and define `__len__` and `__getitem__`.
    The defaults of the other members are right for any dataset.

    Attributes:
        name: Name of the dataset, used in messages.
        class_names: Tuple of the names of the classes, in the order of the labels.
        labels: Integer array `(examples,)`, -1 for an unlabelled image; None if the examples must be read to know the
            labels.
        paths: Tuple of the paths of the image files, whose content `dataset[index]` returns; None if the images are not in
            files.
        in_memory: Whether the images are arrays of pixels in memory, which are not checked for damage.
        images: Array `(examples, height, width, 3)` of all images, or a list of images of several sizes; None if the images
            are not in memory.
        image_size: `(height, width)` of the array `images`; None if there is no such array.
        origin: The part of the dataset that this split comes from, such as `"Training/"`; None for the whole dataset.
        notes: Tuple of sentences for the user, for example about files that are no images.
        identity: String that changes if the images change, such as a name with a version; None if there is no such string.
        bit_depth: Number of bits that the pixels use in files of 16 bits that do not state it; None means 16.

    Example:

    >>> class Noise(LabelledImages):
    ...     name, class_names = "noise", ("a", "b")
    ...
    ...     def __len__(self):
    ...         return 4
    ...
    ...     def __getitem__(self, index):
    ...         return np.random.default_rng(index).integers(0, 256, (32, 32, 3)).astype("uint8"), index % 2
    >>> Noise().num_classes, Noise().describe(3), len(Noise().select([0, 2]))
    (2, "image 3 of 'noise'", 2)
    """

    name: str
    class_names: tuple
    labels = None
    paths = None
    in_memory = False
    images = None
    image_size = None
    identity = None
    bit_depth = None
    origin = None
    notes = ()

    @abc.abstractmethod
    def __len__(self):
        """Number of examples."""

    @abc.abstractmethod
    def __getitem__(self, index):
        """Reads an example.

        Args:
            index: Integer from 0 to `len(self) - 1`.

        Returns:
            A pair `(image, label)`. The image is the content of an image file as bytes, or uint8 pixels
            `(height, width, 3)`. The label is an integer, -1 for an unlabelled image.
        """

    def __iter__(self):
        return (self[index] for index in range(len(self)))

    @property
    def num_classes(self):
        """Number of classes."""
        return len(self.class_names)

    def describe(self, index):
        """Names an example for a message: the path of its file, or its index and the name of the dataset."""
        return self.paths[index] if self.paths else f"image {index} of {self.name!r}"

    def select(self, indices):
        """Returns a dataset that holds only some of the examples.

        Args:
            indices: Indices of the examples in the wanted order, or one boolean for each example.

        Returns:
            `LabelledImages`.

        Raises:
            IndexError: If there is no such example, or the number of booleans is not that of the examples.
        """
        return Subset(self, indices)

    def evenly_spaced(self, count):
        """Returns a dataset that holds only some of the examples, at equal distances in the order of the dataset.

        Args:
            count: Positive number of examples. A smaller dataset is returned whole.

        Returns:
            `LabelledImages`.
        """
        return self.select(self.spaced_indices(count))

    def spaced_indices(self, count):
        """Returns the indices of the examples that `evenly_spaced` returns, an integer array."""
        return np.linspace(0, len(self) - 1, min(count, len(self))).round().astype(int)

    def resized(self, image_size):
        """Returns the dataset with images in memory resized to `image_size`; other images stay as they are."""
        return self

    def content_digest(self):
        """Computes a digest of what distinguishes this dataset from others without reading every image.

        Returns:
            Hexadecimal SHA-256 of the name and the number of examples, and of more where a source knows more.
        """
        return self._digest().hexdigest()

    def _digest(self):
        return hashlib.sha256(repr((self.name, len(self))).encode())


def check_labelled_images(data):
    """Checks that an argument is labelled images.

    Raises:
        ValueError: If it is anything else.

    Example:

    >>> check_labelled_images(("images", "labels"))
    Traceback (most recent call last):
    ...
    ValueError: `data` must be a dataset of `keras_deit.data.load(name, split)` or, of arrays, ...
    """
    if not isinstance(data, LabelledImages):
        raise ValueError(
            "`data` must be a dataset of `keras_deit.data.load(name, split)` or, of arrays, of "
            "`keras_deit.data.ImageData(name, images, labels, class_names)` with pixels in 0..255. Received: "
            f"{type(data).__name__}"
        )


class Subset(LabelledImages):
    """Some examples of a dataset.

    Args:
        data: `LabelledImages`.
        indices: See `LabelledImages.select`.
    """

    def __init__(self, data, indices):
        self.data = data
        self.indices = indices_of(indices, len(data))
        self.name = data.name
        self.class_names = data.class_names
        self.labels = None if data.labels is None else data.labels[self.indices]
        self.paths = None if data.paths is None else tuple(data.paths[index] for index in self.indices)
        self.in_memory = data.in_memory
        self.origin, self.notes = data.origin, data.notes
        self.bit_depth = data.bit_depth

    def __len__(self):
        return len(self.indices)

    def __getitem__(self, index):
        return self.data[int(self.indices[index])]

    def describe(self, index):
        """Names the example as the whole dataset does."""
        return self.data.describe(int(self.indices[index]))

    def _digest(self):
        return hashlib.sha256(repr((self.data.content_digest(), self.indices.tolist())).encode())


class JoinedSplits(LabelledImages):
    """The splits of a dataset as one dataset.

    Args:
        splits: Dictionary from the names of the splits to their `LabelledImages`.
    """

    def __init__(self, splits):
        self.splits = splits
        parts = list(splits.values())
        self.name, self.class_names, self.bit_depth = parts[0].name, parts[0].class_names, parts[0].bit_depth
        self.in_memory = all(part.in_memory for part in parts)
        if all(part.labels is not None for part in parts):
            self.labels = np.concatenate([part.labels for part in parts])
        if all(part.paths is not None for part in parts):
            self.paths = tuple(path for part in parts for path in part.paths)

    def __len__(self):
        return sum(map(len, self.splits.values()))

    def __getitem__(self, index):
        split, index = self._locate(index)
        return self.splits[split][index]

    def describe(self, index):
        """Names an example as its split does, and the split of an example without a file."""
        split, index = self._locate(index)
        return f"{self.splits[split].describe(index)}{'' if self.paths else f' ({split})'}"

    def _locate(self, index):
        """The split of an example, and the index of the example there."""
        for split, part in self.splits.items():
            if index < len(part):
                return split, index
            index -= len(part)
        raise IndexError(f"{self.name!r} has {len(self)} examples. Received: an index beyond them")

    def _digest(self):
        return hashlib.sha256(repr([part.content_digest() for part in self.splits.values()]).encode())


def indices_of(chosen, num_examples):
    """Returns the indices that a selection of examples means.

    Args:
        chosen: Integers, a boolean for each example, or a slice. Negative integers count from the end, as in NumPy.
        num_examples: Number of examples.

    Returns:
        Integer array, each index from 0 to `num_examples - 1`.

    Raises:
        IndexError: If there is no such example, or the number of booleans is not `num_examples`.

    Example:

    >>> indices_of([True, False, True], 3).tolist(), indices_of([-1, 0], 3).tolist()
    ([0, 2], [2, 0])
    """
    if not isinstance(chosen, slice):
        chosen = np.asarray(chosen)
        chosen = chosen if chosen.size else chosen.astype(int)  # NumPy's empty array is one of floats
    return np.arange(num_examples)[chosen]


def class_indices(name, labels, num_classes):
    """Reads labels as class indices.

    Args:
        name: Name of the dataset.
        labels: Whole numbers or booleans `(examples,)` or `(examples, 1)` in an array, a list, a tensor or a column of a
            table. Their order counts, not the index of a pandas `Series`.
        num_classes: Number of classes.

    Returns:
        int64 array `(examples,)`.

    Raises:
        ValueError: If a label is neither -1 nor in `0..num_classes - 1`, or the labels have another form.

    Example:

    >>> class_indices("mine", [[0.0], [1.0]], 2).tolist()
    [0, 1]
    """
    integers = whole_numbers(name, labels)
    check_labels(name, integers, num_classes)
    return integers


def whole_numbers(name, labels):
    """Reads labels as integers of any range, see `class_indices`."""
    given = np.asarray(labels)
    if given.ndim not in (1, 2) or given.size != len(given):
        advice = " Pass labels.argmax(-1) for one-hot rows." if given.ndim == 2 else ""
        raise ValueError(
            f"The labels of {name!r} must be one integer for each image. Received: shape={given.shape}.{advice}"
        )
    is_numeric = given.dtype.kind in "biuf"
    if not is_numeric or not np.array_equal(given, np.floor(given)) or not np.all(np.isfinite(given)):
        raise ValueError(
            f"The labels of {name!r} must be integers, the indices of its classes, or -1 for an unlabelled image. "
            f"Received: dtype={given.dtype}, such as {given.ravel()[:1].tolist()}"
        )
    return given.reshape(-1).astype("int64")


def check_labels(name, labels, num_classes):
    """Checks that labels are class indices.

    Args:
        name: Name of the dataset.
        labels: Integers.
        num_classes: Number of classes.

    Raises:
        ValueError: If a label is neither -1 nor in `0..num_classes - 1`.
    """
    labels = np.asarray(labels)
    wrong = labels[(labels < -1) | (labels >= num_classes)]
    if len(wrong):
        raise ValueError(
            f"The labels of {name!r} must be from 0 to {num_classes - 1} for its {num_classes} classes, or -1 for an "
            f"unlabelled image. Received: {wrong[0]}"
        )
