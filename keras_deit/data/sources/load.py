"""Datasets by name."""

import pathlib
import re

from keras_deit.data.sources.csv_table import load_table
from keras_deit.data.sources.folder import load_folder
from keras_deit.data.sources.npz import load_npz
from keras_deit.data.sources.sklearn_digits import load_digits
from keras_deit.data.sources.splits import SPLITS, shorten
from keras_deit.data.sources.tfds import TFDS_NAME, load_tfds


def load(name="digits", split="train", data_dir=None, class_names=None):
    """Loads a dataset.

    Args:
        name: One of
            - `"digits"`: the 1,797 handwritten digits of 8×8 pixels that scikit-learn ships;
            - the path of a folder that holds a folder of image files for each class, or such folders under `train` and `val`
              (image files right under `train` are unlabelled; a teacher can label them);
            - the path of a `.csv` file with the columns `path` (relative to the folder of the file), `label` (empty for an
              unlabelled image) and, if the dataset has splits, `split` (`train` or `test`);
            - the path of an `.npz` file with the arrays `x_train`, `y_train`, `x_test` and `y_test`, as in `keras.datasets`;
            - the name of a dataset of TFDS with images and labels, such as `"imagenet2012"`, `"cifar10"` or
              `"oxford_flowers102"`.
        split: `"train"` or `"test"`. In a dataset without splits, the first of every five images of a class, by name,
            belongs to the test split, in every run the same ones.
        data_dir: Directory where TFDS keeps its datasets; None means the default directory of TFDS.
        class_names: Names of the classes in the order of the labels; None means the order of the dataset, alphabetical for
            folders and tables.

    Returns:
        `keras_deit.data.LabelledImages`: `ImageData` for arrays, `ImageFiles` for image files, which are read when they are
        needed, or `ImageRecords` for TFDS.

    Raises:
        ValueError: If there is no such dataset or split, or its classes differ from `class_names`.
        ImportError: If a package is missing; the message names the extra.

    Example:

    >>> load("digits", "test").images.shape
    (364, 8, 8, 3)
    """
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {SPLITS}. Received: split={split!r}")
    name, path = str(name), pathlib.Path(name)
    if name == "digits":
        data = load_digits(split)
    elif path.is_dir():
        data = load_folder(path, split, class_names)
    elif path.suffix == ".csv":
        data = load_table(path, split, class_names)
    elif path.suffix == ".npz":
        data = load_npz(path, split, class_names)
    elif re.fullmatch(TFDS_NAME, name):
        data = load_tfds(name, split, data_dir)
    else:
        raise ValueError(
            f"There is no dataset at {name!r}: neither a folder of class folders, nor a .csv file, nor an .npz file."
        )
    if class_names is not None and tuple(class_names) != data.class_names:
        raise ValueError(
            f"The classes of {data.name!r} are {shorten(data.class_names)}. Received: class_names={shorten(class_names)}"
        )
    return data
