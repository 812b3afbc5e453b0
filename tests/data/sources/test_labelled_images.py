"""The protocol of labelled images, with a dataset that defines only what it must."""

import itertools
import pathlib

import keras
import numpy as np
import pytest

from keras_deit.data import (
    Augmentation,
    ImageData,
    ImageFiles,
    ImageRecords,
    InputPipeline,
    LabelledImages,
    load,
    validate,
)
from keras_deit.data.sources.labelled_images import JoinedSplits, check_labels, class_indices, indices_of
from tests.data.images import encode, noise, write_folder

CLASSES = ("a", "b", "c")
backend_independent = pytest.mark.backend_independent


class Noise(LabelledImages):
    """Ten images that are computed when they are needed."""

    name, class_names = "noise", CLASSES

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return noise(12, 10, 3, seed=int(index)), int(index) % 4 - 1


@backend_independent
def test_examples_at_equal_distances():
    assert [label for _, label in Noise().evenly_spaced(4)] == [index % 4 - 1 for index in (0, 3, 6, 9)]
    assert len(Noise().evenly_spaced(1)) == 1
    assert len(Noise().evenly_spaced(11)) == 10


class Files(LabelledImages):
    """Image files whose labels are only known by reading the examples."""

    name, class_names = "files", CLASSES

    def __init__(self, folder):
        self.paths = tuple(str(folder / f"{index}.png") for index in range(10))
        for index, path in enumerate(self.paths):
            pathlib.Path(path).write_bytes(encode(noise(12, 10, 3, seed=index)))

    def __len__(self):
        return 10

    def __getitem__(self, index):
        return pathlib.Path(self.paths[index]).read_bytes(), index % 4 - 1


def in_memory():
    images = np.stack([noise(12, 10, 3, seed=index) for index in range(10)])
    return ImageData("arrays", images, np.arange(10) % 4 - 1, CLASSES)


def first_batches(data, pipeline):
    augmentation = Augmentation(crop_scale=(0.5, 1.0), flip=0.5, erasing=0.5, mixup=0.8)
    options = dict(image_size=(8, 6), batch_size=4, augmentation=augmentation, pipeline=pipeline, num_workers=0)
    batches = InputPipeline(data, **options).training_batches()
    return [keras.tree.map_structure(np.asarray, batch) for batch in itertools.islice(iter(batches), 3)]


@backend_independent
def test_the_rest_of_the_protocol_has_defaults():
    data = Noise()
    assert [label for _, label in data] == [-1, 0, 1, 2, -1, 0, 1, 2, -1, 0]  # iteration ends after the last example
    assert data.num_classes == 3
    assert (data.labels, data.paths, data.in_memory, data.image_size, data.identity) == (None, None, False, None, None)
    assert (data.origin, data.notes) == (None, ())
    assert data.describe(7) == "image 7 of 'noise'"
    assert data.resized(8) is data
    assert data.content_digest() == Noise().content_digest()
    selected = data.select([7, 2])
    np.testing.assert_array_equal(selected[0][0], data[7][0])
    assert [selected.describe(index) for index in (0, 1)] == ["image 7 of 'noise'", "image 2 of 'noise'"]
    assert (len(selected), selected.name, selected.num_classes) == (2, "noise", 3)


@backend_independent
def test_a_class_without_examples_cannot_be_instantiated():
    class Empty(LabelledImages):
        name, class_names = "empty", CLASSES

    with pytest.raises(TypeError, match="abstract"):
        Empty()


@backend_independent
def test_a_selection_keeps_labels_and_paths(tmp_path):
    data = Files(tmp_path)
    data.labels = np.arange(10) % 4 - 1
    selected = data.select([9, 3])
    assert (selected.paths, selected.labels.tolist()) == ((data.paths[9], data.paths[3]), [0, 2])
    assert selected.describe(1) == data.paths[3]


@backend_independent
def test_it_is_validated(tmp_path):
    pytest.importorskip("tqdm", reason="the progress bar is tqdm's")
    report = validate(Noise(), progress=False)
    assert report.problems == {str(index): ["tiny"] for index in range(10)}
    assert (report.dataset, report.checked, report.unlabelled) == ("noise", 10, ["0", "4", "8"])
    files = Files(tmp_path)
    pathlib.Path(files.paths[4]).write_bytes(b"not an image")
    problems = validate(files, progress=False).problems
    assert problems[files.paths[4]] == ["unreadable"]
    assert set(problems) == set(files.paths)  # the others are tiny


@pytest.mark.parametrize("pipeline", ["python", "grain", "tf.data"])
def test_it_goes_through_every_pipeline(pipeline, tmp_path):
    pytest.importorskip("PIL.Image", reason="Pillow writes the image files")
    if pipeline != "python":
        name = {"tf.data": "tensorflow", "grain": "grain"}[pipeline]
        pytest.importorskip(name, reason=f"{name} makes the batches")
    if pipeline == "grain" and keras.backend.backend() == "tensorflow":
        pytest.skip("with TensorFlow the pipeline is tf.data")
    expected = first_batches(in_memory(), pipeline)
    for data in (Noise(), Files(tmp_path), Noise().select(range(10))):
        keras.tree.map_structure(np.testing.assert_array_equal, first_batches(data, pipeline), expected)


@pytest.mark.parametrize("pipeline", ["python", "tf.data"])
def test_it_is_evaluated_on(pipeline):
    if pipeline == "tf.data":
        pytest.importorskip("tensorflow", reason="TensorFlow makes the batches")
    batches = InputPipeline(Noise(), image_size=(12, 10), pipeline=pipeline).evaluation_batches(10)
    batch = batches[0] if pipeline == "python" else next(iter(batches))
    images, labels, weights = map(np.asarray, batch)
    expected = (in_memory().images / 255 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(images, expected, atol=1e-5)
    np.testing.assert_array_equal(labels.argmax(-1)[labels.any(-1)], [0, 1, 2, 0, 1, 2, 0])
    assert weights.tolist() == [1.0] * 10


@backend_independent
@pytest.mark.parametrize("label", [-2, 3])
def test_labels_are_class_indices_or_minus_one(label):
    check_labels("mine", [-1, 0, 2], 3)
    check_labels("mine", [], 3)
    with pytest.raises(ValueError, match=f"'mine' must be from 0 to 2 for its 3 classes, or -1 .* Received: {label}"):
        check_labels("mine", [0, label], 3)


class Column:
    """Like a column of a shuffled pandas table: `column[label]` looks up the labels of the rows."""

    dtype, shape = np.dtype("int64"), (4,)

    def __init__(self, values, rows):
        self.values, self.rows = np.asarray(values), list(rows)

    def __len__(self):
        return len(self.values)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)

    def __getitem__(self, row):
        return self.values[self.rows.index(row)]


@backend_independent
@pytest.mark.parametrize(
    "labels",
    [
        [0, 1, 1, 0],
        np.array([0, 1, 1, 0], "uint8"),
        np.array([0, 1, 1, 0], "float32"),
        np.array([False, True, True, False]),
        np.array([[0], [1], [1], [0]]),
        Column([0, 1, 1, 0], rows=[3, 1, 0, 2]),
    ],
    ids=["list", "uint8", "float32", "booleans", "(examples, 1)", "column of a table"],
)
def test_whole_numbers_of_any_type_are_labels(labels):
    for data in (
        ImageData("mine", noise(4, 6, 6, 3), labels, ("a", "b")),
        ImageFiles("mine", "abcd", labels, ("a", "b")),
    ):
        assert (data.labels.tolist(), data.labels.dtype) == ([0, 1, 1, 0], np.int64)


@backend_independent
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 0.5], r"must be integers.*float64, such as \[0.0\]"),
        ([0, np.nan], "must be integers"),
        ([0, np.inf], "must be integers"),
        (["a", "b"], r"must be integers.*such as \['a'\]"),
        (np.eye(2), r"one integer for each image.*shape=\(2, 2\).*argmax"),
        (np.zeros((2, 1, 1)), r"one integer for each image.*shape=\(2, 1, 1\)\.$"),
        (3, r"one integer for each image.*shape=\(\)"),
        ([0.0, 2.0], "from 0 to 1"),
    ],
)
def test_what_is_no_label_is_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        class_indices("mine", labels, 2)


@backend_independent
def test_examples_are_chosen_by_index_mask_or_slice_as_in_numpy(tmp_path):
    mask = np.arange(10) % 3 == 0
    labels = np.arange(10) % 4 - 1
    files = Files(tmp_path)
    datasets = (
        in_memory(),
        ImageData("list", list(in_memory().images), labels, CLASSES),
        ImageFiles("files", files.paths, labels, CLASSES),
        ImageRecords("records", list(zip(in_memory().images, labels, strict=True)), CLASSES),
        Noise(),
        files,
    )
    for data in datasets:
        for chosen in (mask, mask.tolist(), [0, 3, 6, 9], slice(0, None, 3), range(0, 10, 3), (-10, 3, 6, -1)):
            selected = data.select(chosen)
            assert [label for _, label in selected] == [-1, 2, 1, 0]
            np.testing.assert_array_equal(selected[1][0], data[3][0])
        assert len(data.select([])) == len(data.select(np.zeros(10, bool))) == 0
        for wrong in (mask[:9], [10], [-11]):
            with pytest.raises(IndexError):
                data.select(wrong)


@backend_independent
def test_indices_are_integers():
    assert indices_of([], 3).dtype == int
    with pytest.raises(IndexError, match="integer"):
        indices_of([0.0, 1.0], 3)


@backend_independent
def test_names_of_classes_may_be_an_array():
    names, images, labels = np.unique(["b", "a", "a"]), noise(2, 6, 6, 3), [0, 1]
    for data in (
        ImageData("mine", images, labels, names),
        ImageFiles("mine", ("a.png", "b.png"), labels, list(names)),
        ImageRecords("mine", list(zip(images, labels, strict=True)), names),
    ):
        assert (data.class_names, {type(name) for name in data.class_names}) == (("a", "b"), {str})


@backend_independent
@pytest.mark.parametrize("label", [1, True, np.int64(1), np.uint8(1), 1.0, np.array([1]), np.float32(1)])
def test_labels_of_records_are_whole_numbers_of_any_type(label):
    data = ImageRecords("mine", [(noise(6, 6, 3), label)], ("a", "b"))
    assert [(label, type(label)) for _, label in data] == [(1, int)]
    for wrong in (0.5, "a", np.eye(2)[1]):
        with pytest.raises(ValueError, match="The labels of 'mine' must be"):
            ImageRecords("mine", [(noise(6, 6, 3), wrong)], ("a", "b"))[0]


class CountedFrom1(Noise):
    """A dataset whose labels are no indices: 1 to 3 for three classes."""

    def __getitem__(self, index):
        return noise(12, 10, 3, seed=int(index)), int(index) % 3 + 1


@pytest.mark.parametrize("pipeline", ["python", "tf.data"])
def test_labels_that_are_no_indices_are_refused_while_batches_are_made(pipeline):
    errors = ValueError
    if pipeline == "tf.data" or keras.backend.backend() == "tensorflow":  # which wraps errors in its own
        errors = pytest.importorskip("tensorflow").errors.OpError
    records = ImageRecords("noise", [(noise(12, 10, 3), 1 + index % 3) for index in range(10)], CLASSES)
    for data in (CountedFrom1(), records):
        inputs = InputPipeline(data, image_size=(12, 10), batch_size=10, pipeline=pipeline)
        for batches in (inputs.training_batches(), inputs.evaluation_batches()):
            is_keras_dataset = hasattr(batches, "num_batches")
            with pytest.raises(
                ValueError if is_keras_dataset else errors,
                match="labels of 'noise' must be from 0 to 2 for its 3 classes",
            ):
                batches[0] if is_keras_dataset else next(iter(batches))


@backend_independent
def test_joined_splits_are_one_dataset_that_knows_the_split_of_each_image():
    splits = {split: load("digits", split) for split in ("train", "test")}
    joined = JoinedSplits(splits)
    assert (len(joined), joined.num_classes, joined.name) == (1797, 10, "digits")
    np.testing.assert_array_equal(joined.labels, np.concatenate([data.labels for data in splits.values()]))
    for index, (split, position) in {
        0: ("train", 0),
        1432: ("train", 1432),
        1433: ("test", 0),
        1796: ("test", 363),
    }.items():
        np.testing.assert_array_equal(joined[index][0], splits[split].images[position])
        assert joined.describe(index) == f"image {position} of 'digits' ({split})"
    with pytest.raises(IndexError):
        joined[1797]
    assert joined.select([1433]).describe(0) == "image 0 of 'digits' (test)"
    digests = {JoinedSplits(dict(parts)).content_digest() for parts in (splits.items(), reversed(splits.items()))}
    assert len(digests) == 2


@backend_independent
def test_joined_splits_of_files_have_the_paths_of_all(tmp_path):
    write_folder(tmp_path / "pets", 5, cat=100, dog=200)
    splits = {split: load(tmp_path / "pets", split, bit_depth=12) for split in ("train", "test")}
    joined = JoinedSplits(splits)
    assert joined.paths == splits["train"].paths + splits["test"].paths
    assert joined.describe(9) == joined.paths[9] == splits["test"].paths[1]
    assert (joined.bit_depth, joined.in_memory) == (12, False)
    records = ImageRecords("records", [(np.zeros((8, 8, 3), "uint8"), 0)], ("cat", "dog"))
    assert (JoinedSplits({"test": records}).labels, JoinedSplits({"test": records}).paths) == (None, None)
