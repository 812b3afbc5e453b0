"""Datasets by name."""

import dataclasses
import re

from keras_deit.choices import BIT_DEPTHS, SPLITS, TEST_SPLITS
from keras_deit.data.sources.classes import check_classes, warn_of_combined_names, warn_of_similar_names
from keras_deit.data.sources.csv_table import load_table
from keras_deit.data.sources.folder import load_folder
from keras_deit.data.sources.npz import load_npz
from keras_deit.data.sources.sklearn_digits import load_digits
from keras_deit.data.sources.tfds import TFDS_NAME, is_of_tfds, load_tfds
from keras_deit.imaging.class_names import names_in_order
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.files import user_path
from keras_deit.runtime.shorten import shorten
from keras_deit.runtime.similar_names import did_you_mean, similar_paths

TABLE_EXTENSIONS = (".csv", ".tsv")


def load(
    name="digits",
    split="train",
    data_dir=None,
    class_names=None,
    *,
    train_folder=None,
    test_folder=None,
    test_split=None,
    bit_depth=None,
):
    """Loads a dataset.

    Args:
        name: One of:

            - `"digits"`: the 1,797 handwritten digits of 8×8 pixels that scikit-learn ships;
            - the path of a folder that holds a folder of image files for each class, or such folders under `train` and
              `val`, `Training` and `Testing`, `x_train` and `x_test` or the like (image files right under `train` are
              unlabelled; a teacher can label them);
            - the path of a `.csv` or `.tsv` file with the columns `path` (relative to the folder of the file), `label`
              (empty for an unlabelled image) and, if the dataset has splits, `split` (`train`, `val` or `test`);
            - the path of an `.npz` file with the arrays `x_train`, `y_train`, `x_test` and `y_test`, as in `keras.datasets`;
            - the name of a dataset of TFDS with images and labels, such as `"imagenet2012"`, `"cifar10"` or
              `"oxford_flowers102"`.
        split: `"train"` or `"test"`. In a dataset without splits, the first of every five images of a class, by name,
            belongs to the test split. The test images are the same in every run.
        data_dir: Directory where TFDS keeps its datasets; None means the default directory of TFDS.
        class_names: Names of the classes in the order of the labels; None means the order of the dataset: for folders and
            tables alphabetical order, or numerical order if all names are numbers.
        train_folder, test_folder: Names of the folders of the splits, below the folder `name`; None means that they are
            recognised. With `train_folder` alone, the images of that folder are divided into both splits.
        test_split: `"val"` or `"test"`: which of the two is the test split in a folder, a table or a dataset of TFDS that
            has both; None means `"val"`.
        bit_depth: Number of bits that the pixels use in image files of 16 bits that do not state it, 9 to 16; None means 16.

    Returns:
        `keras_deit.data.LabelledImages`: `ImageData` for arrays, `ImageFiles` for image files, which are read when they are
        needed, or `ImageRecords` for TFDS.

    Raises:
        ValueError: If there is no such dataset or split, if there are fewer than two classes, or if the classes differ from
            `class_names`.
        ImportError: If a package is missing; the message names the extra.

    Example:

    >>> load("digits", "test").images.shape
    (364, 8, 8, 3)
    """
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {SPLITS}. Received: split={split!r}")
    if not str(name):
        raise ValueError(
            f"`name` must be the name or path of a dataset; '.' is the current folder. Received: name={name!r}"
        )
    if test_split is not None and (test_split not in TEST_SPLITS or test_folder is not None):
        raise ValueError(
            f"`test_split` must be one of {TEST_SPLITS}, and None if `test_folder` is given. Received: "
            f"test_split={test_split!r}, test_folder={test_folder!r}"
        )
    class_names = None if class_names is None else names_in_order(class_names)
    data = _load(name, split, data_dir, class_names, (train_folder, test_folder), test_split)
    if bit_depth is not None:
        data = _with_bit_depth(data, bit_depth)
    check_classes(data.name, data.class_names)
    warn_of_similar_names(data.name, data.class_names)
    warn_of_combined_names(data.name, data.class_names)
    if class_names is not None and class_names != data.class_names:
        raise ValueError(
            f"The classes of {data.name!r} are {shorten(data.class_names)}. Received: class_names={shorten(class_names)}"
        )
    return data


def is_in_memory(name):
    """Returns whether a dataset is one of arrays, which has no image files.

    Args:
        name: As for `load`.

    Returns:
        Boolean.

    Example:

    >>> is_in_memory("digits"), is_in_memory("some.npz"), is_in_memory("images/")
    (True, True, False)
    """
    path = user_path(name)
    return _is_digits(name) or (path.suffix.lower() == ".npz" and not path.is_dir())


def _is_digits(name):
    return str(name) == "digits" and (isinstance(name, str) or not user_path(name).is_dir())


def _with_bit_depth(data, bit_depth):
    if data.in_memory or bit_depth not in BIT_DEPTHS:
        raise ValueError(
            f"`bit_depth` must be from {BIT_DEPTHS[0]} to {BIT_DEPTHS[-1]} and is for image files. Received: "
            f"bit_depth={bit_depth} for {data.name!r}"
        )
    return dataclasses.replace(data, bit_depth=bit_depth)


def _load(name, split, data_dir, class_names, folders, test_split):
    path = user_path(name)
    is_digits = _is_digits(name)
    if path.is_dir() and not is_digits:
        if isinstance(name, str) and is_of_tfds(name):
            warn_caller(
                f"{name!r} is taken as the folder './{name}', and not as the dataset of TFDS of that name. Pass './{name}' "
                "for the folder, or run in another folder for the dataset of TFDS."
            )
        return load_folder(path, split, class_names, *folders, test_split)
    if any(folders):
        raise ValueError(f"`train_folder` and `test_folder` are for a folder. Received: {str(name)!r}")
    if path.suffix.lower() in TABLE_EXTENSIONS:
        return load_table(path, split, class_names, test_split)
    if test_split is not None and (is_digits or path.suffix.lower() == ".npz"):
        raise ValueError(f"{str(name)!r} has no splits to choose from. Received: test_split={test_split!r}")
    if is_digits:
        if path.is_dir():
            warn_caller("'digits' is the built-in dataset of scikit-learn. The folder of that name is './digits'.")
        return load_digits(split)
    if path.suffix.lower() == ".npz":
        return load_npz(path, split, class_names)
    if path.is_file():
        raise ValueError(
            f"A dataset in a file has the extension {', '.join(TABLE_EXTENSIONS)} or .npz. Received: {str(name)!r}. Unpack "
            "an archive first, and pass its folder."
        )
    if re.fullmatch(TFDS_NAME, str(name)):
        return load_tfds(str(name), split, data_dir, test_split)
    raise ValueError(
        f"There is no dataset at {str(name)!r}: neither a folder of class folders, nor a .csv file, nor an .npz file."
        f"{did_you_mean(similar_paths(path))}"
    )
