"""Which folders of a dataset are its splits, and which are its classes."""

import dataclasses
import pathlib

from keras_deit.choices import TEST_SPLITS
from keras_deit.data.sources.image_tree import has_image, list_folder
from keras_deit.data.sources.splits import SPLIT_WORDS, split_of_name
from keras_deit.runtime.shorten import shorten

MIN_SHARED = (
    0.5  # of the classes of the split that has fewer; with less in common, folders are no splits of one dataset
)


@dataclasses.dataclass(frozen=True)
class SplitFolders:
    """The folders of the splits of a dataset.

    Attributes:
        train: `pathlib.Path` of the folder of the training split; with `test` None, that of the whole dataset.
        test: `pathlib.Path` of the folder of the test split; None if the dataset has no splits.
        unused: Folders with images that belong to neither.
    """

    train: pathlib.Path
    test: pathlib.Path | None = None
    unused: tuple = ()


def find_split_folders(path, train_folder=None, test_folder=None, test_split=None):
    """Finds the folders of the splits of a dataset.

    Folders whose names stand for splits are splits if they hold folders of the same classes. Otherwise they are classes.

    Args:
        path: `pathlib.Path` of the folder of the dataset.
        train_folder, test_folder: Paths of the folders of the splits, relative to `path`; None means that they are found.
            With `train_folder` alone, that folder is the whole dataset.
        test_split: `"val"` or `"test"`: which folder is the test split if there are both; None means `"val"`.

    Returns:
        `SplitFolders`.

    Raises:
        ValueError: If a folder does not exist, or the folders may be understood in several ways.
    """
    folders = list_folder(path).folders
    if train_folder or test_folder:
        return _given_folders(path, folders, train_folder, test_folder)
    named = {split: [_unwrapped(one) for one in folders if split_of_name(one.name) == split] for split in SPLIT_WORDS}
    if not any(named.values()):
        return SplitFolders(path)
    others = [folder for folder in folders if split_of_name(folder.name) is None and has_image(folder)]
    tests = named["val"] + named["test"]
    if not named["train"] or not tests:
        _check_lone_split(path, named["train"] + tests, others)
        return SplitFolders(path)
    classes = {folder: _names(list_folder(folder).folders) for folder in named["train"] + tests}
    if others and not any(classes.values()):
        return SplitFolders(path)
    train = _one_with_classes(path, "train", named["train"], classes)
    test = _test_folder(path, named, classes, test_split)
    if _are_splits(classes[train], classes[test], others):
        _check_others(path, train, classes[train], others)
        unused = [folder for folder in [*classes, *others] if folder not in (train, test)]
        return SplitFolders(train, test, tuple(sorted(unused)))
    if others and classes[train] and classes[test]:
        return SplitFolders(path)
    raise _ambiguous(path, f"{_content(train, classes)}, {_content(test, classes)}")


def _unwrapped(folder):
    """The folder, or the one within it if that has the same name and is alone, as in some archives."""
    entries = list_folder(folder)
    is_wrapped = [one.name for one in entries.folders] == [folder.name] and not entries.files
    return entries.folders[0] if is_wrapped else folder


def _given_folders(path, folders, train_folder, test_folder):
    if train_folder is None:
        named = [folder for folder in folders if split_of_name(folder.name) == "train"]
        if len(named) != 1:
            raise ValueError(
                f"Which folder of {str(path)!r} is the training split? Pass --train-folder (`train_folder`) as well. "
                f"Received: test_folder={test_folder!r}. Folders: {shorten(_names(folders))}"
            )
        train_folder = named[0].name
    given = {"train_folder": train_folder, "test_folder": test_folder}
    for name, folder in given.items():
        if folder is not None and not (path / folder).is_dir():
            raise ValueError(
                f"`{name}` must be a folder below {str(path)!r}, which has {shorten(_names(folders)) or 'no folders'}. "
                f"Received: {name}={folder!r}"
            )
    return SplitFolders(path / train_folder, None if test_folder is None else path / test_folder)


def _check_lone_split(path, named, others):
    """Raises an error if a folder named as a split holds folders, and the folders beside it hold images directly."""
    for folder in named:
        if others and len(list_folder(folder).folders) > 1 and not any(list_folder(one).folders for one in others):
            raise _ambiguous(
                path, f"{folder.name}/ holds folders, and {shorten(f'{one.name}/' for one in others)} do not"
            )


def _test_folder(path, named, classes, test_split):
    if test_split is not None:
        if not named[test_split]:
            received = shorten(f"{folder.name}/" for folder in classes)
            raise ValueError(
                f"{str(path)!r} has no {test_split} split: a folder named {' or '.join(SPLIT_WORDS[test_split])}. Received: "
                f"test_split={test_split!r}, and the folders {received}"
            )
        return _one_with_classes(path, test_split, named[test_split], classes)
    present = [split for split in TEST_SPLITS if named[split]]
    chosen = next((split for split in present if any(classes[folder] for folder in named[split])), present[0])
    return _one_with_classes(path, chosen, named[chosen], classes)


def _one_with_classes(path, split, candidates, classes):
    """The folder of a split: the only candidate that holds folders, or the only candidate."""
    holding = [folder for folder in candidates if classes[folder]] or candidates
    if len(holding) > 1:
        raise _ambiguous(path, f"{shorten(f'{one.name}/' for one in holding)} may each be the {split} split")
    return holding[0]


def _are_splits(train_classes, test_classes, others):
    if not train_classes:  # images right under the training folder are unlabelled
        return bool(test_classes) and not others
    shared = set(train_classes) & set(test_classes)
    return len(shared) > 0 and len(shared) >= MIN_SHARED * min(len(train_classes), len(test_classes))


def _check_others(path, train, train_classes, others):
    """Raises an error if a folder that is not named as a split holds the same folders as the training split."""
    for folder in others:
        shared = set(train_classes) & set(_names(list_folder(folder).folders))
        if shared:
            raise _ambiguous(path, f"{folder.name}/ holds {shorten(sorted(shared))} as well as {train.name}/ does")


def _names(folders):
    return [folder.name for folder in folders]


def _content(folder, classes):
    names = classes[folder]
    return f"{folder.name}/ holds {f'the folders {shorten(names)}' if names else 'no folders'}"


def _ambiguous(path, reason):
    return ValueError(
        f"It is not clear which folders of {str(path)!r} are splits and which are classes: {reason}. Splits hold folders of "
        "the same classes. Name the splits with --train-folder and --test-folder (in Python `train_folder` and "
        "`test_folder`). --train-folder alone names a folder that is divided; with --train-folder . the folders of "
        f"{str(path)!r} are the classes."
    )
