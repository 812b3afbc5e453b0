"""An `.npz` file of images and labels, in the convention of `keras.datasets`."""

import zipfile
import zlib

import numpy as np

from keras_deit.choices import TEST_SPLITS
from keras_deit.data.sources.image_data import ImageData
from keras_deit.data.sources.splits import divide, split_of_name
from keras_deit.imaging.pixel_range import warn_of_dark_pixels
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.shorten import shorten
from keras_deit.runtime.similar_names import did_you_mean, similar_paths

EXPECTED = "Expected x_train, y_train, x_test and y_test, as in `keras.datasets`"
ARRAYS = {"train": ("x_train", "y_train"), "test": ("x_test", "y_test")}


def load_npz(path, split, class_names=None):
    """Loads the arrays `x_train`, `y_train`, `x_test` and `y_test` of an `.npz` file.

    Args:
        path: `pathlib.Path` of the file. Images are uint8 pixels in 0..255, `(examples, height, width)` or
            `(examples, height, width, 1)` in grey or `(examples, height, width, 3)` in RGB; labels are integers
            `(examples,)` or `(examples, 1)`, -1 for an unlabelled image. Without `x_test` the training arrays are
            divided.
        split: `"train"` or `"test"`.
        class_names: Names of the classes in the order of the labels; None means `"0"`, `"1"`, ... up to the largest label.

    Returns:
        `ImageData` of RGB images.

    Raises:
        ValueError: If the file cannot be read, an array is missing or of another shape or dtype, or the split has no image.
    """
    arrays, others = _read(path)
    has_test = "x_test" in arrays
    images, labels = _checked(path, arrays, "train", others)
    _check_others(path, others, has_test)
    test_labels = labels
    if has_test:
        test_images, test_labels = _checked(path, arrays, "test", others)
    warn_of_dark_pixels(images, f"The images of {path.name!r}")
    all_labels = np.concatenate([labels, test_labels]) if has_test else labels
    if class_names is None:
        _check_counted_from_0(path, all_labels)
    names = tuple(class_names or map(str, range(1 + all_labels.max(initial=0))))
    _warn_of_unused(path, all_labels, names)
    if not has_test:
        chosen = divide(path, labels, split, names)
        images, labels = images[chosen], labels[chosen]
    elif split == "test":
        images, labels = test_images, test_labels
    if not len(labels):
        raise ValueError(f"The file {str(path)!r} has no image for the {split} split.")
    return ImageData(path.name, images, labels, names)


def _check_others(path, others, has_test):
    """Refuses arrays of a test split that have another name, and warns of other arrays, which are not read."""
    if not others:
        return
    tests = [name for name in others if split_of_name(name) in TEST_SPLITS]
    if tests and not has_test:
        raise ValueError(
            f"The file {str(path)!r} has the array {tests[0]!r} and no 'x_test'. {EXPECTED}. Rename the arrays of the test "
            "split, or leave them out."
        )
    warn_caller(f"Arrays of {str(path)!r} that are not used: {shorten(others)}. {EXPECTED}.")


def _check_counted_from_0(path, labels):
    """Refuses labels that do not number the classes: those that begin with another number than 0, and ids."""
    used = np.unique(labels[labels >= 0])
    if not used.size:
        return
    if used[0] > 0:
        raise ValueError(
            f"The labels of {str(path)!r} must count the classes from 0. Received: labels from {used[0]} to {used[-1]}. "
            f"Subtract {used[0]} from the labels, or, if the class 0 has no images, pass --class-names (`class_names`) with "
            "a name for it."
        )
    if used[-1] >= len(labels):
        raise ValueError(
            f"The labels of {str(path)!r} must count the classes from 0. Received: {len(used)} different labels for "
            f"{len(labels):,} images, the largest {used[-1]}. Number the classes: "
            "np.unique(labels, return_inverse=True)[1]."
        )


def _warn_of_unused(path, labels, names):
    """Warns of classes that no image has."""
    unused = np.setdiff1d(np.arange(len(names)), labels)
    if len(unused):
        warn_caller(
            f"The labels of {str(path)!r} leave out {shorten(names[label] for label in unused)}: these classes are kept "
            "without images."
        )


def _read(path):
    """The arrays of known names, and the names of the others."""
    known = sum(ARRAYS.values(), ())
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):  # of another file, np.load would say that it may hold pickled objects
                raise ValueError("it is not an .npz archive")
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                others = [name for name in arrays.files if name not in known]
                return {name: arrays[name] for name in known if name in arrays.files}, others
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        hint = did_you_mean(similar_paths(path))
        raise ValueError(f"The file {str(path)!r} cannot be read as arrays: {error}.{hint}") from error


def _checked(path, arrays, split, others):
    """Images and labels of a split, in the shapes of `ImageData`."""
    missing = [name for name in ARRAYS[split] if name not in arrays]
    if missing:
        raise ValueError(
            f"The file {str(path)!r} has no array {missing[0]!r}. {EXPECTED}. Received: "
            f"{shorten([*arrays, *others]) or 'no arrays'}"
        )
    images, labels = (arrays[name] for name in ARRAYS[split])
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3)):
        raise ValueError(
            f"{ARRAYS[split][0]!r} of {str(path)!r} must be uint8 pixels in 0..255 of shape (examples, height, width), "
            f"(examples, height, width, 1) or (examples, height, width, 3). Received: dtype={images.dtype}, "
            f"shape={images.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape not in ((len(images),), (len(images), 1)):
        raise ValueError(
            f"{ARRAYS[split][1]!r} of {str(path)!r} must be {len(images)} integers, one for each image. Received: "
            f"dtype={labels.dtype}, shape={labels.shape}"
        )
    images = images if images.ndim == 4 else images[..., None]
    return np.broadcast_to(images, (*images.shape[:3], 3)), labels.reshape(-1).astype("int64")
