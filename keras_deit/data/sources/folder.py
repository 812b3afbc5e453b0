"""A folder that holds a folder of image files for each class."""

import dataclasses

import numpy as np

from keras_deit.data.sources.image_files import ImageFiles
from keras_deit.data.sources.splits import SPLIT_NAMES, is_in_split, shorten
from keras_deit.imaging.image_files import IMAGE_EXTENSIONS


def load_folder(path, split, class_names=None):
    """Loads the image files of a folder.

    Args:
        path: `pathlib.Path` of a folder that holds a folder for each class, or folders named as splits (`train` and
            `val`) that hold those.
        split: `"train"` or `"test"`.
        class_names: Names of the classes in the order of the labels; None means alphabetical order.

    Returns:
        `ImageFiles`.

    Raises:
        ValueError: If there are no image files, only one of the two splits, or a class that is not among `class_names`.
    """
    splits = {name: _first_folder(path, names) for name, names in SPLIT_NAMES.items()}
    if any(splits.values()) and not all(splits.values()):
        missing = next(name for name, folder in splits.items() if folder is None)
        raise ValueError(
            f"The folder {str(path)!r} is divided into splits and has no {missing} split: a folder named "
            f"{', '.join(SPLIT_NAMES[missing])}."
        )
    has_splits = all(splits.values())
    root = splits[split] if has_splits else path
    # Both splits have the classes of the training split. Images right under `train`, without class folders, are unlabelled.
    names = (_class_folders(splits["train"]) or _class_folders(splits["test"])) if has_splits else _class_folders(root)
    rows, num_ignored = _image_files(root, is_unlabelled=has_splits and split == "train" and not _class_folders(root))
    if not rows:
        raise ValueError(
            f"The folder {str(root)!r} holds no image files in class folders, such as {str(root / 'cat' / '1.jpg')!r}. "
            f"Known extensions: {' '.join(IMAGE_EXTENSIONS)}"
        )
    data = label_files(path, rows, None if has_splits else split, class_names or names)
    return dataclasses.replace(data, num_ignored=num_ignored)


def label_files(path, rows, split, class_names):
    """Makes a dataset of image files with the names of their classes.

    Args:
        path: `pathlib.Path` of the dataset, for its name and for messages.
        rows: List of pairs `(path of the image file, name of its class)`; the name is empty for an unlabelled image.
        split: The split to take if the rows are those of a dataset without splits; None takes all rows.
        class_names: Names of the classes in the order of the labels.

    Returns:
        `ImageFiles`.

    Raises:
        ValueError: If a class is not among `class_names`, or no image is left for the split.
    """
    indices = {name: index for index, name in enumerate(class_names)}
    unknown = sorted({name for _, name in rows if name} - set(indices))
    if unknown:
        raise ValueError(f"{str(path)!r} has the class {unknown[0]!r}, which is not among {shorten(class_names)}.")
    labels = np.array([indices[name] if name else -1 for _, name in rows])
    chosen = np.ones(len(rows), bool) if split is None else is_in_split(labels, split)
    if not chosen.any():
        raise ValueError(
            f"{str(path)!r} has no image left for the {split} split: a class needs at least two images. Add images, or "
            "divide the dataset into splits yourself."
        )
    files = tuple(str(file) for (file, _), is_chosen in zip(rows, chosen, strict=True) if is_chosen)
    return ImageFiles(path.name, files, labels[chosen], tuple(class_names))


def _first_folder(path, names):
    return next((path / name for name in names if (path / name).is_dir()), None)


def _class_folders(root):
    return [folder.name for folder in sorted(root.iterdir()) if folder.is_dir() and not folder.name.startswith(".")]


def _image_files(root, is_unlabelled):
    """Pairs of file and class name, and the number of other files."""
    if is_unlabelled:
        rows = [(file, "") for file in sorted(root.iterdir())]
    else:
        rows = [(file, name) for name in _class_folders(root) for file in sorted((root / name).rglob("*"))]
    files = [(file, name) for file, name in rows if file.is_file() and not file.name.startswith(".")]
    images = [(file, name) for file, name in files if file.suffix.lower() in IMAGE_EXTENSIONS]
    return images, len(files) - len(images)
