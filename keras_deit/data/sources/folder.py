"""A folder that holds a folder of image files for each class."""

import collections
import os
import pathlib

import numpy as np

from keras_deit.choices import TEST_SPLITS
from keras_deit.data.sources.classes import label_of, order_classes, order_note
from keras_deit.data.sources.image_files import ImageFiles
from keras_deit.data.sources.image_tree import describe_ignored, find_images, has_image, list_folder
from keras_deit.data.sources.split_folders import find_split_folders
from keras_deit.data.sources.splits import divide, split_of_name
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.shorten import shorten


def load_folder(path, split, class_names=None, train_folder=None, test_folder=None, test_split=None):
    """Loads the image files of a folder.

    Args:
        path: `pathlib.Path` of a folder that holds a folder for each class, or folders named as splits (such as `train` and
            `val`) that hold those.
        split: `"train"` or `"test"`.
        class_names: Names of the classes in the order of the labels; None means alphabetical order, or the order of the
            numbers if all names are numbers.
        train_folder, test_folder, test_split: See `load`.

    Returns:
        `ImageFiles`.

    Raises:
        ValueError: If a folder cannot be read, if it is not clear which folders are splits, if there are fewer than two
            classes, a class without training images, or a class that is not among `class_names`.
    """
    folders = find_split_folders(path, train_folder, test_folder, test_split)
    if test_split is not None and folders.test is None:
        raise ValueError(f"{str(path)!r} has no splits to choose from. Received: test_split={test_split!r}")
    found = _found_classes(path, folders)
    names = class_names or _class_names(path, folders, found)
    is_divided = folders.test is None
    root = folders.test if split == "test" and not is_divided else folders.train
    rows, ignored = _image_rows(
        root, is_unlabelled=not is_divided and root == folders.train and not _class_folders(root)
    )
    if not rows:
        raise ValueError(f"The folder {str(root)!r} holds no image files of the {split} split.")
    notes = [f"Ignored files of {root}: {describe_ignored(ignored)}."] if ignored else []
    notes += order_note(names) if class_names is None else []
    notes += _unused_note(path, folders)
    origin = None if root == path else f"{pathlib.PurePath(os.path.relpath(root, path)).as_posix()}/"
    return label_files(path, rows, split if is_divided else None, names, origin, tuple(notes))


def label_files(path, rows, split, class_names, origin=None, notes=()):
    """Makes a dataset of image files with the names of their classes.

    Args:
        path: `pathlib.Path` of the dataset, for its name and for messages.
        rows: List of pairs `(path of the image file, name of its class)`; the name is empty for an unlabelled image.
        split: The split to take if the rows are those of a dataset without splits; None takes all rows. Rows of the same
            file belong to the same split, whichever path or symbolic link names it.
        class_names: Names of the classes in the order of the labels.
        origin, notes: See `LabelledImages`.

    Returns:
        `ImageFiles`.

    Raises:
        ValueError: If a class is not among `class_names`, or a class or a split is left without images.
    """
    indices = {name: label_of(name, class_names) for name in {name for _, name in rows}}
    unknown = sorted(name for name, label in indices.items() if label is None and name)
    if unknown:
        raise ValueError(f"{str(path)!r} has the class {unknown[0]!r}, which is not among {shorten(class_names)}.")
    labels = np.array([indices[name] if name else -1 for _, name in rows])
    paths = [str(file) for file, _ in rows]
    chosen = np.ones(len(rows), bool)
    if split is not None:
        chosen = divide(path, labels, split, class_names, keys=_resolved(paths))
    files = tuple(file for file, is_chosen in zip(paths, chosen, strict=True) if is_chosen)
    name = path.name or path.resolve().name
    return ImageFiles(name, files, labels[chosen], tuple(class_names), origin, notes)


def _resolved(paths):
    """The paths as absolute ones without symbolic links; each folder is resolved once, since that takes long."""
    folders = {folder: os.path.realpath(folder) for folder in set(map(os.path.dirname, paths))}
    files = [os.path.join(folders[os.path.dirname(path)], os.path.basename(path)) for path in paths]
    return [os.path.realpath(file) if os.path.islink(file) else file for file in files]


def _found_classes(path, folders):
    """Dictionary from the name of each class folder to whether it has images; raises an error for test images alone."""
    roots = [folders.train] if folders.test is None else [folders.train, folders.test]
    has_images = [{folder.name: has_image(folder) for folder in _class_folders(root)} for root in roots]
    test = has_images[-1]
    train = has_images[0] or test  # images right under the training folder are unlabelled
    only_tested = sorted(name for name, is_used in train.items() if not is_used and test.get(name))
    if only_tested:
        raise ValueError(
            f"The classes {shorten(only_tested)} of {str(path)!r} have images in {str(folders.test)!r}, and none in "
            f"{str(folders.train)!r}. Add training images, or remove the folders."
        )
    return train


def _class_names(path, folders, found):
    names = order_classes(name for name, is_used in found.items() if is_used)
    empty = sorted(set(found) - set(names))
    if len(names) < 2:
        raise ValueError(_too_few(folders.train, names, empty))
    if empty:
        warn_caller(f"Folders of {path} without images are no classes: {shorten(empty)}.")
    _warn_of_inner_folders(folders.train, names)
    return names


def _warn_of_inner_folders(root, names):
    """Warns if no class folder holds files, and one holds several folders: these may be the classes, or splits."""
    inner = {}
    for name in names:
        entries = list_folder(root / name) if (root / name).is_dir() else None
        if entries is None or entries.files:
            return
        inner[name] = [folder.name for folder in entries.folders]
    name = max(inner, key=lambda one: len(inner[one]))
    if len(inner[name]) > 1:
        warn_caller(
            f"No class folder of {root} holds files, only folders: {name}/ holds {shorten(inner[name])}, whose images all "
            f"belong to the class {name!r}. If these folders are the classes or splits, arrange the images as "
            "train/class/image, or pass the folder that holds the folders of the classes."
        )


def _too_few(root, names, empty):
    """Text of the error for a folder with fewer than two classes; it names what was found."""
    found = f"one folder with images, {names[0]!r}" if names else "no folder with images"
    text = (
        f"A dataset needs images of at least two classes, in one folder each, such as {str(root / 'cat' / '1.jpg')!r}. "
    )
    text += f"{str(root)!r} holds {found}"
    if empty:
        text += f", and folders without images: {shorten(empty)}"
        ignored = sum(
            (find_images(root / name).ignored for name in empty if (root / name).is_dir()), collections.Counter()
        )
        text += f", whose files are no images: {describe_ignored(ignored)}" if ignored else ""
    if has_image(root) and not names:
        text += ", and images that are in no folder"
    inner = [folder for folder in _class_folders(root / names[0]) if has_image(folder)] if names else []
    if len(inner) > 1:
        listed = shorten(folder.name for folder in inner)
        return (
            f"{text}. The next level looks like the dataset: {str(root / names[0])!r} holds {listed}. Pass that folder."
        )
    return f"{text}."


def _unused_note(path, folders):
    """List of one sentence on the folders that are not used, or none."""
    if not folders.unused:
        return []
    note = f"Folders of {path} that are not used: {shorten(f'{folder.name}/' for folder in folders.unused)}."
    for folder in folders.unused:
        if split_of_name(folder.name) in TEST_SPLITS:
            note += f" With --test-split {split_of_name(folder.name)}, {folder.name}/ replaces {folders.test.name}/."
    return [f"{note} --train-folder and --test-folder name other folders."]


def _class_folders(root):
    return list_folder(root).folders


def _image_rows(root, is_unlabelled):
    """Pairs of file and class name, and a counter of the other files."""
    if is_unlabelled:
        found = find_images(root)
        return [(file, "") for file in found.images], found.ignored
    rows, ignored = [], collections.Counter()
    for folder in _class_folders(root):
        found = find_images(folder)
        rows += [(file, folder.name) for file in found.images]
        ignored += found.ignored
    outside = len(list_folder(root).files)
    return rows, ignored + collections.Counter({"outside the folders of the classes": outside} if outside else {})
