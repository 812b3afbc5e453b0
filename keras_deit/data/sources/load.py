"""Datasets by name: the digits, folders of pictures, tables of them, TFDS."""

import csv
import dataclasses
import difflib
import pathlib
import re

import numpy as np

from keras_deit.data.sources.kinds import ImageData, ImageFiles, ImageRecords
from keras_deit.imaging.image_files import IMAGE_EXTENSIONS
from keras_deit.runtime.optional import require

SPLITS = ("train", "test")
TEST_EVERY = 5  # where nobody has divided the data: the first of every five images of a class is a test image
FOLDERS = {"train": ("train", "training"), "test": ("val", "valid", "validation", "test")}
COLUMNS = ("path", "label")
TFDS_NAME = r"\w+(/[\w.-]+)?(:[\d.*]+)?"  # with a configuration and a version, if need be


def load(name="digits", split="train", data_dir=None, class_names=None):
    """Loads a dataset.

    Args:
        name: One of
            - `"digits"`: the 1,797 handwritten digits, 8×8 pixels, that scikit-learn ships;
            - the path of a folder with a folder of pictures for each class, or with such folders under `train` and `val`
              (pictures right under `train` have no label, and may be distilled);
            - the path of a CSV file with the columns `path` (from the file's own folder) and `label` (empty for none), and
              `split` (`train` or `test`) if it is divided;
            - the name of a dataset of TFDS with images and labels, such as `"imagenet2012"`, `"cifar10"` or
              `"oxford_flowers102"`.
        split: `"train"` or `"test"`. Where nobody has divided the images, the first of every five of a class, by name, is a
            test image, once and for all.
        data_dir: Where TFDS keeps its datasets; None means its own place.
        class_names: Names of the classes, in the order that the labels shall have; None means the dataset's own order, that
            of the alphabet for folders and tables.

    Returns:
        Labelled images: an `ImageData` of arrays, an `ImageFiles` of pictures that are read when they are needed, or an
        `ImageRecords` of TFDS.

    Raises:
        ValueError: If there is no such dataset or split, or it has other classes than `class_names`.
        ImportError: If a package is missing; the message names the extra.

    Example:

    >>> load("digits", "test").images.shape
    (364, 8, 8, 3)
    """
    if split not in SPLITS:
        raise ValueError(f"`split` must be one of {SPLITS}. Received: split={split!r}")
    name, path = str(name), pathlib.Path(name)
    if name == "digits":
        data = _load_digits(split)
    elif path.is_dir():
        data = _load_folder(path, split, class_names)
    elif path.suffix == ".csv":
        data = _load_table(path, split, class_names)
    elif not re.fullmatch(TFDS_NAME, name):
        raise ValueError(f"There is no dataset at {str(name)!r}: neither a folder of class folders nor a CSV file.")
    else:
        data = _load_tfds(name, split, data_dir)
    if class_names is not None and tuple(class_names) != data.class_names:
        raise ValueError(
            f"The classes of {data.name!r} are {_shortened(data.class_names)}. Received: class_names="
            f"{_shortened(class_names)}"
        )
    return data


def _load_digits(split):
    datasets = require("sklearn.datasets", extra="run", purpose="The dataset of digits")
    digits = datasets.load_digits()
    chosen = _is_test(digits.target) if split == "test" else ~_is_test(digits.target)
    grey = np.round(digits.images[chosen] * (255 / 16)).astype("uint8")  # shipped as 0..16
    images = np.repeat(grey[..., None], 3, axis=-1)
    return ImageData("digits", images, digits.target[chosen], tuple(str(digit) for digit in range(10)))


def _is_test(labels):
    """Which examples of a dataset that nobody has divided are for testing."""
    rank_in_class = np.zeros(len(labels), int)
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        rank_in_class[members] = np.arange(len(members))
    return rank_in_class % TEST_EVERY == 0


def _load_folder(path, split, class_names):
    divided = {part: _first_folder(path, names) for part, names in FOLDERS.items()}
    if any(divided.values()) and not all(divided.values()):
        missing = next(part for part, folder in divided.items() if folder is None)
        raise ValueError(
            f"The folder {str(path)!r} is divided, and has no part to {missing} with: a folder named "
            f"{', '.join(FOLDERS[missing])}."
        )
    is_divided = all(divided.values())
    root = divided[split] if is_divided else path
    folders = _class_folders(root)
    # Both parts have the classes of the training part; where that has no class folders, its pictures have no labels.
    names = (_class_folders(divided["train"]) or _class_folders(divided["test"])) if is_divided else folders
    if is_divided and split == "train" and not folders:
        rows = [(file, "") for file in sorted(root.iterdir())]
    else:
        rows = [(file, name) for name in folders for file in sorted((root / name).rglob("*"))]
    files = [(file, name) for file, name in rows if file.is_file() and not file.name.startswith(".")]
    pictures = [(file, name) for file, name in files if file.suffix.lower() in IMAGE_EXTENSIONS]
    if not pictures:
        raise ValueError(
            f"The folder {str(root)!r} holds no pictures in class folders, such as {str(root / 'cat' / '1.jpg')!r}. "
            f"Known endings: {' '.join(IMAGE_EXTENSIONS)}"
        )
    data = _files(path, pictures, split, is_divided, class_names or names)
    return dataclasses.replace(data, ignored=len(files) - len(pictures))


def _first_folder(path, names):
    return next((path / name for name in names if (path / name).is_dir()), None)


def _class_folders(root):
    return [folder.name for folder in sorted(root.iterdir()) if folder.is_dir() and not folder.name.startswith(".")]


def _load_table(path, split, class_names):
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            missing = [column for column in COLUMNS if column not in (table.fieldnames or ())]
            if missing:
                raise ValueError(
                    f"The table {str(path)!r} has no column {missing[0]!r}. It needs: {', '.join(COLUMNS)}"
                )
            rows = [row for row in table if row["path"]]
    except OSError as error:
        raise ValueError(f"The table {str(path)!r} cannot be read: {error.strerror}.") from error
    is_divided = bool(rows) and rows[0].get("split") is not None
    unknown = {row["split"] for row in rows} - set(sum(FOLDERS.values(), ())) if is_divided else ()
    if unknown:
        raise ValueError(f"The table {str(path)!r} has the split {sorted(unknown)[0]!r}; known are train and test.")
    names = class_names or sorted({row["label"] for row in rows if row["label"]})
    if is_divided:
        rows = [row for row in rows if row["split"] in FOLDERS[split]]
    rows = [(path.parent / row["path"], row["label"]) for row in rows]
    if not rows:
        raise ValueError(f"The table {str(path)!r} names no picture for {split!r}.")
    return _files(path, rows, split, is_divided, names)


def _files(path, rows, split, is_divided, names):
    places = {name: place for place, name in enumerate(names)}
    unknown = sorted({name for _, name in rows if name} - set(places))
    if unknown:
        raise ValueError(f"{str(path)!r} has the class {unknown[0]!r}, which is not among {_shortened(names)}.")
    labels = np.array([places[name] if name else -1 for _, name in rows])
    chosen = np.ones(len(rows), bool) if is_divided else _is_test(labels) == (split == "test")
    if not chosen.any():
        raise ValueError(
            f"{str(path)!r} has no picture left for {split!r}: a class needs two pictures, or divide them by yourself."
        )
    files = tuple(str(file) for (file, _), is_chosen in zip(rows, chosen, strict=True) if is_chosen)
    return ImageFiles(path.name, files, labels[chosen], tuple(names))


def _load_tfds(name, split, data_dir):
    tfds = require("tensorflow_datasets", extra="datasets", purpose="A dataset of TFDS")
    known = tfds.list_builders(with_community_datasets=False)
    if re.match(r"\w+", name)[0] not in known:
        nearest = difflib.get_close_matches(name, ["digits", *known], n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(
            f"There is no dataset {name!r}: neither 'digits', nor a folder or CSV file at that path, nor a dataset "
            f"of TFDS.{hint}"
        )
    builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")  # records can be read in any order
    _check_supervised(builder)
    try:
        builder.download_and_prepare()
    except AssertionError as error:  # how TFDS says that files are missing which it may not download
        raise ValueError(
            f"The dataset {name!r} has to be downloaded by hand first, which takes an account of yours. TFDS says "
            f"where to put the files: {error}"
        ) from error
    chosen = next((one for one in FOLDERS[split] if one in builder.info.splits), None)
    if chosen is None:  # some have but one part
        chosen = f"train[{100 - 100 // TEST_EVERY}%:]" if split == "test" else f"train[:{100 - 100 // TEST_EVERY}%]"
    records = builder.as_data_source(chosen, decoders={"image": tfds.decode.SkipDecoding()})
    return ImageRecords(builder.info.full_name, records, tuple(builder.info.features["label"].names))


def _check_supervised(builder):
    features = builder.info.features
    missing = [key for key in ("image", "label") if key not in features]
    if missing:
        raise ValueError(
            f"The dataset {builder.name!r} of TFDS has no feature {missing[0]!r}; it has {', '.join(features)}. "
            "Write a CSV of its files, or hand its records over as `keras_deit.data.ImageRecords`."
        )


def _shortened(names):
    names = [str(name) for name in names]
    return ", ".join(names) if len(names) <= 10 else f"{', '.join(names[:8])}, ... ({len(names)} in all)"
