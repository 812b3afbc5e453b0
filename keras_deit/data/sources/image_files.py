"""Labelled image files."""

import dataclasses
import os
import pathlib

import numpy as np

from keras_deit.data.sources.labelled_images import LabelledImages, class_indices, indices_of
from keras_deit.imaging.class_names import names_in_order


@dataclasses.dataclass(frozen=True)
class ImageFiles(LabelledImages):
    """Labelled image files, which are read when they are needed.

    Attributes:
        name: Name of the dataset.
        paths: Tuple of the paths of the files, strings.
        labels: Integers `(examples,)` or `(examples, 1)`, which become an int64 array `(examples,)`; -1 for an unlabelled
            image.
        class_names: Names of the classes, in the order of the labels; a sequence of strings, which becomes a tuple.
        origin, notes, bit_depth: See `LabelledImages`.

    Raises:
        ValueError: If a label is not a class index.
    """

    name: str = dataclasses.field()
    paths: tuple = dataclasses.field()
    labels: np.ndarray = dataclasses.field()
    class_names: tuple = dataclasses.field()
    origin: str | None = None
    notes: tuple = ()
    bit_depth: int | None = None

    def __post_init__(self):
        object.__setattr__(self, "class_names", names_in_order(self.class_names))
        object.__setattr__(self, "labels", class_indices(self.name, self.labels, self.num_classes))

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return pathlib.Path(self.paths[index]).read_bytes(), self.labels[index]

    def select(self, indices):
        """Returns the dataset with some of its examples, see `LabelledImages.select`."""
        indices = indices_of(indices, len(self))
        paths = tuple(self.paths[index] for index in indices)
        return dataclasses.replace(self, paths=paths, labels=self.labels[indices])

    def _digest(self):
        digest = super()._digest()
        if self.bit_depth is not None:
            digest.update(f"{self.bit_depth} bits\n".encode())
        for path in self.paths:  # the class folder and the file, so that a dataset may be moved
            digest.update(os.fsencode(f"{'/'.join(pathlib.Path(path).parts[-2:])} {os.path.getsize(path)}\n"))
        return digest
