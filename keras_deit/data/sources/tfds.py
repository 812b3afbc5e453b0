"""Datasets of TensorFlow Datasets (TFDS)."""

import difflib
import importlib.util
import re

from keras_deit.choices import TEST_SPLITS
from keras_deit.data.sources.image_records import ImageRecords
from keras_deit.data.sources.splits import SPLIT_WORDS, TEST_EVERY
from keras_deit.runtime.devices import import_tensorflow
from keras_deit.runtime.optional import require
from keras_deit.runtime.similar_names import did_you_mean, similar_paths

FILE_FORMAT = "array_record"  # which can be read in any order
BESIDE = "array_record"  # folder, within the directory of TFDS, of the datasets that are prepared in that format
TFDS_NAME = r"\w+(/[\w.-]+)?(:[\d.*]+)?"  # a name, with a configuration and a version if needed


def load_tfds(name, split, data_dir=None, test_split=None):
    """Loads a dataset of TFDS, downloading and preparing it first if needed.

    Images are read in any order, for which TFDS needs files in the ArrayRecord format. A dataset that is prepared in such a
    format is used as it is. Otherwise ArrayRecord files are made in the folder `array_record` of the directory of TFDS: from
    files that are prepared in another format, or from the downloads. What `tfds.load` finds stays as it is.

    Args:
        name: Name of a dataset with the features `image` and `label`, such as `"cifar10"`.
        split: `"train"` or `"test"`. A dataset with a training split alone is divided: the last fifth is the test split.
        data_dir: Directory where TFDS keeps its datasets; None means the default directory of TFDS.
        test_split: `"val"` or `"test"`: which is the test split if there are both; None means `"val"`.

    Returns:
        `ImageRecords`.

    Raises:
        ValueError: If there is no such dataset, it lacks a feature, or its files must be downloaded by hand.
    """
    missing = f"There is no folder or file {name!r}.{_meant(name, [])} A dataset of TFDS of this name"
    tfds = require("tensorflow_datasets", extra="datasets", purpose=missing)
    known = tfds.list_builders(with_community_datasets=False)
    if re.match(r"\w+", name)[0] not in known:
        raise ValueError(
            f"There is no dataset {name!r}: neither 'digits', nor a folder, CSV file or .npz file at that path, nor a "
            f"dataset of TFDS.{_meant(name, known)}"
        )
    builder = _prepared_builder(tfds, name, data_dir)
    words = SPLIT_WORDS["train"] if split == "train" else _test_words(test_split)
    chosen = next((one for one in words if one in builder.info.splits), None)
    if chosen is None and split == "test" and test_split is not None:
        raise ValueError(
            f"The dataset {name!r} has no {test_split} split; it has {', '.join(builder.info.splits)}. Received: "
            f"test_split={test_split!r}"
        )
    if chosen is None:  # some datasets have a training split alone
        percent = 100 - 100 // TEST_EVERY
        chosen = f"train[{percent}%:]" if split == "test" else f"train[:{percent}%]"
    records = builder.as_data_source(chosen, decoders={"image": tfds.decode.SkipDecoding()})
    full_name, class_names = builder.info.full_name, tuple(builder.info.features["label"].names)
    return ImageRecords(full_name, records, class_names, identity=f"{full_name} {chosen} {builder.data_dir}")


def _meant(name, known):
    """The question whether a similar path, or a similar name among the known datasets, is meant."""
    return did_you_mean([*similar_paths(name), *difflib.get_close_matches(name, ["digits", *known], n=1)])


def is_of_tfds(name):
    """Tells whether TFDS, if it is installed, has a dataset of a name.

    Args:
        name: String.

    Returns:
        A boolean.
    """
    if not re.fullmatch(TFDS_NAME, name) or importlib.util.find_spec("tensorflow_datasets") is None:
        return False
    tfds = require("tensorflow_datasets", extra="datasets", purpose="A dataset of TFDS")
    return re.match(r"\w+", name)[0] in tfds.list_builders(with_community_datasets=False)


def _prepared_builder(tfds, name, data_dir):
    """A builder whose files can be read in any order."""
    builder = tfds.builder(name, data_dir=data_dir)
    _check_features(tfds, builder)
    if builder.is_prepared() and _can_be_read_in_any_order(tfds, builder):
        return builder
    full_name = builder.info.full_name  # name, configuration if any, and version
    root = builder.data_path.parents[len(full_name.split("/")) - 1]
    directory = root / BESIDE
    prepared = directory / full_name
    if prepared.exists():
        return tfds.builder_from_directory(prepared)
    print(f"Preparing {full_name} of TFDS in {prepared}, so that its images can be read in any order.")
    has_tensorflow = importlib.util.find_spec("tensorflow") is not None
    if has_tensorflow:
        import_tensorflow(purpose="Preparing a dataset of TFDS")
    if builder.is_prepared() and has_tensorflow:
        beside = _converted(tfds, builder, directory)
    else:
        beside = _downloaded(tfds, name, directory, root / "downloads")
    print(f"Prepared {full_name}: {beside.info.dataset_size} in {prepared}.")
    return beside


def _can_be_read_in_any_order(tfds, builder):
    return bool(builder.info.available_file_formats() & tfds.core.FileFormat.with_random_access())


def _converted(tfds, builder, directory):
    """Writes image and label of every example of a prepared dataset to ArrayRecord files, in their order."""
    kept = ("image", "label")
    examples = builder.as_dataset(decoders={"image": tfds.decode.SkipDecoding()})
    config = builder.builder_config
    return tfds.dataset_builders.store_as_tfds_dataset(
        name=builder.name,
        version=builder.version,
        config=config.name if config else None,
        features=tfds.features.FeaturesDict({key: builder.info.features[key] for key in kept}),
        split_datasets={
            split: dataset.map(lambda example: {key: example[key] for key in kept})
            for split, dataset in examples.items()
        },
        data_dir=directory,
        file_format=FILE_FORMAT,
        disable_shuffling=True,
    )


def _downloaded(tfds, name, directory, downloads):
    """Downloads a dataset, unless the downloads are there, and prepares ArrayRecord files."""
    builder = tfds.builder(name, data_dir=directory, file_format=FILE_FORMAT)
    try:
        builder.download_and_prepare(download_dir=downloads)
    except AssertionError as error:  # TFDS raises it for missing files that it may not download
        raise ValueError(
            f"The dataset {name!r} has to be downloaded by hand first, since its provider asks for an account. TFDS says "
            f"where to put the files: {error}"
        ) from error
    return builder


def _test_words(test_split):
    return sum((SPLIT_WORDS[one] for one in TEST_SPLITS if test_split in (None, one)), ())


def _check_features(tfds, builder):
    features = builder.info.features
    missing = [key for key in ("image", "label") if key not in features]
    if missing:
        raise ValueError(
            f"The dataset {builder.name!r} of TFDS has no feature {missing[0]!r}; it has {', '.join(features)}. "
            "Write a CSV file of its image files, or pass its records as `keras_deit.data.ImageRecords`."
        )
    if not isinstance(features["label"], tfds.features.ClassLabel):
        raise ValueError(
            f"The feature 'label' of the dataset {builder.name!r} of TFDS must be a ClassLabel, one class for each image. "
            f"Received: {type(features['label']).__name__}. Pass its records as `keras_deit.data.ImageRecords`, with "
            "integers as labels."
        )
