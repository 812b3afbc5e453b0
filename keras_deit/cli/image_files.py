"""The image files that a command classifies, and the names and probabilities of their classes."""

import pathlib
import sys

import keras

from keras_deit.data.sources.image_tree import describe_ignored, find_images
from keras_deit.export.metadata import activation_of
from keras_deit.runtime.similar_names import did_you_mean, similar_paths

BATCH_SIZE = 32


def find_image_files(paths):
    """Yields the given files, and the image files in the given directories.

    Args:
        paths: List of paths.

    Yields:
        `pathlib.Path`.

    Raises:
        ValueError: If a path does not exist, or a directory has no image file.
    """
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            found = find_images(path)
            if found.ignored:
                print(f"Ignored files of {path}: {describe_ignored(found.ignored)}.", file=sys.stderr)
            if not found.images:
                raise ValueError(f"There is no image file below {str(path)!r}.")
            yield from found.images
        elif path.exists():
            yield path
        else:
            raise ValueError(f"There is no image file at {str(path)!r}.{did_you_mean(similar_paths(path))}")


class ImageReader:
    """Reads image files in batches, and prints which ones cannot be read.

    Args:
        command: Name of the command.
        paths: List of paths.
        processor: `keras_deit.ImageProcessor`.
    """

    def __init__(self, command, paths, processor):
        self.command = command
        self.paths = paths
        self.processor = processor
        self.num_unreadable = 0

    def batches(self):
        """Yields non-empty lists of the positions of images in `paths` and the images, `(height, width, 3)`."""
        for start in range(0, len(self.paths), BATCH_SIZE):
            images = list(self._read(range(start, min(start + BATCH_SIZE, len(self.paths)))))
            if images:
                yield images

    def check(self):
        """Raises a ValueError if an image could not be read."""
        if self.num_unreadable:
            raise ValueError(f"{self.num_unreadable} of {len(self.paths)} images could not be read.")

    def _read(self, positions):
        for position in positions:
            try:
                yield position, self.processor(self.paths[position])
            except ValueError as error:
                self.num_unreadable += 1
                print(f"keras-deit {self.command}: error: {error}", file=sys.stderr)


def class_names_of(model, names, given):
    """Finds the names of a model's classes.

    Args:
        model: Classifier.
        names: Names that the user gives, or None for those of the model.
        given: Where the former are from, for the message.

    Returns:
        Sequence of as many names as the model has classes.

    Raises:
        ValueError: If the numbers differ.
    """
    if names is None:
        return model.class_names or [f"class {index}" for index in range(model.num_classes)]
    if len(names) != model.num_classes:
        raise ValueError(f"{given!r} has {len(names)} names, but the model has {model.num_classes} classes.")
    return names


def as_probabilities(model, outputs):
    """Computes the probabilities of the classes.

    Args:
        model: Classifier, or `ExportedModel`.
        outputs: What the model returns, `(images, classes)`.

    Returns:
        NumPy array of the same shape.
    """
    metadata = getattr(model, "metadata", None) or {}  # an exported model may give probabilities: activation None
    outputs = keras.ops.convert_to_tensor(outputs)
    activation = metadata.get("activation", activation_of(model.multi_label, outputs.shape[-1]))
    return keras.ops.convert_to_numpy(getattr(keras.ops, activation)(outputs) if activation else outputs)


def most_probable(probabilities, names, top):
    """Returns the pairs of the probability and the name of the most probable classes, the first `top` ones."""
    return [(probabilities[index], names[index]) for index in probabilities.argsort()[::-1][:top]]
