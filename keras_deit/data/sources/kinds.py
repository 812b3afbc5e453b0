"""Labelled images, wherever they lie: each has a length, and gives an image and its label by number."""

import dataclasses
import pathlib

import keras
import numpy as np


@dataclasses.dataclass(frozen=True)
class ImageData:
    """Labelled images in memory.

    Attributes:
        name: Name of the dataset.
        images: Uint8 array `(examples, height, width, 3)`, pixels in 0..255; or a list of such images of several sizes.
        labels: Integer array `(examples,)`; -1 stands for no label.
        class_names: Names of the classes, in the order of the labels.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    class_names: tuple

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index], self.labels[index]

    @property
    def num_classes(self):
        """Number of classes."""
        return len(self.class_names)

    def resized(self, image_size):
        """The same images at `(image_size, image_size)` pixels, bilinear."""
        if self.images.shape[1:3] == (image_size, image_size):
            return self
        size = (image_size, image_size)
        resized = keras.ops.image.resize(
            self.images.astype("float32"), size, antialias=True, data_format="channels_last"
        )
        images = np.clip(np.round(keras.ops.convert_to_numpy(resized)), 0, 255).astype("uint8")
        return dataclasses.replace(self, images=images)


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Labelled pictures in files, which are read when they are needed.

    Attributes:
        name: Name of the dataset.
        paths: Tuple of their paths, strings.
        labels: Integer array `(examples,)`; -1 stands for no label.
        class_names: Names of the classes, in the order of the labels.
        ignored: Number of files beside them that are no pictures by their endings.
    """

    name: str
    paths: tuple
    labels: np.ndarray
    class_names: tuple
    ignored: int = 0

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return pathlib.Path(self.paths[index]).read_bytes(), self.labels[index]

    @property
    def num_classes(self):
        """Number of classes."""
        return len(self.class_names)

    def without(self, paths):
        """The same dataset without some of its files, given as a set of paths."""
        kept = [place for place, path in enumerate(self.paths) if path not in paths]
        return dataclasses.replace(self, paths=tuple(self.paths[place] for place in kept), labels=self.labels[kept])


@dataclasses.dataclass(frozen=True)
class ImageRecords:
    """Labelled pictures of a sequence of records, such as those of TFDS or a `grain.MapDataset` of your own.

    Attributes:
        name: Name of the dataset.
        records: Has a length and gives a record by number: a dictionary, or a pair of image and label. An image is the
            content of a picture's file, bytes, or uint8 pixels `(height, width, 3)`.
        class_names: Names of the classes, in the order of the labels.
    """

    name: str
    records: object
    class_names: tuple

    def __len__(self):
        return len(self.records)

    def __getitem__(self, index):
        record = self.records[int(index)]
        return (record["image"], record["label"]) if isinstance(record, dict) else tuple(record)

    @property
    def num_classes(self):
        """Number of classes."""
        return len(self.class_names)
