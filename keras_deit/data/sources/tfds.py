"""Datasets of TensorFlow Datasets (TFDS)."""

import difflib
import re

from keras_deit.data.sources.image_records import ImageRecords
from keras_deit.data.sources.splits import SPLIT_WORDS, TEST_EVERY, TEST_SPLITS
from keras_deit.runtime.optional import require

TFDS_NAME = r"\w+(/[\w.-]+)?(:[\d.*]+)?"  # a name, with a configuration and a version if needed


def load_tfds(name, split, data_dir=None, test_split=None):
    """Loads a dataset of TFDS, downloading and preparing it first if needed.

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
    tfds = require("tensorflow_datasets", extra="datasets", purpose="A dataset of TFDS")
    known = tfds.list_builders(with_community_datasets=False)
    if re.match(r"\w+", name)[0] not in known:
        nearest = difflib.get_close_matches(name, ["digits", *known], n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(
            f"There is no dataset {name!r}: neither 'digits', nor a folder, CSV file or .npz file at that path, nor a "
            f"dataset of TFDS.{hint}"
        )
    builder = tfds.builder(name, data_dir=data_dir, file_format="array_record")  # records can be read in any order
    _check_features(builder)
    try:
        builder.download_and_prepare()
    except AssertionError as error:  # TFDS raises it for missing files that it may not download
        raise ValueError(
            f"The dataset {name!r} has to be downloaded by hand first, since its provider asks for an account. TFDS says "
            f"where to put the files: {error}"
        ) from error
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


def _test_words(test_split):
    return sum((SPLIT_WORDS[one] for one in TEST_SPLITS if test_split in (None, one)), ())


def _check_features(builder):
    features = builder.info.features
    missing = [key for key in ("image", "label") if key not in features]
    if missing:
        raise ValueError(
            f"The dataset {builder.name!r} of TFDS has no feature {missing[0]!r}; it has {', '.join(features)}. "
            "Write a CSV file of its image files, or pass its records as `keras_deit.data.ImageRecords`."
        )
