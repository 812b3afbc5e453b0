"""`.npz` files in the convention of `keras.datasets`."""

import itertools
import warnings

import keras
import numpy as np
import pytest

from keras_deit.data import Augmentation, ImageData, InputPipeline, load
from tests.data.images import noise

LABELS = np.array([2, 0, 1, -1, 0, 0])
TEST_LABELS = np.array([3, 1])
backend_independent = pytest.mark.backend_independent


def save(path, **arrays):
    """Writes an `.npz` file with arrays for both splits; an array that is None is left out."""
    arrays = {
        "x_train": noise(6, 5, 4, 3),
        "y_train": LABELS,
        "x_test": noise(2, 5, 4, 3, seed=1),
        "y_test": TEST_LABELS,
        **arrays,
    }
    np.savez(path, **{name: values for name, values in arrays.items() if values is not None})
    return path


@backend_independent
def test_rgb_images_and_labels_are_those_of_the_arrays(tmp_path):
    path = save(tmp_path / "mine.npz")
    train, test = load(path), load(path, "test")
    np.testing.assert_array_equal(train.images, noise(6, 5, 4, 3))
    np.testing.assert_array_equal(test.images, noise(2, 5, 4, 3, seed=1))
    assert (train.labels.tolist(), test.labels.tolist()) == (LABELS.tolist(), TEST_LABELS.tolist())
    assert train.class_names == test.class_names == ("0", "1", "2", "3")  # the largest label is in the test split
    assert (train.name, train.images.dtype, train.image_size) == ("mine.npz", np.uint8, (5, 4))


@backend_independent
@pytest.mark.parametrize("shape", [(6, 5, 4), (6, 5, 4, 1)])
def test_grey_images_become_rgb(shape, tmp_path):
    grey = noise(*shape)
    received = load(save(tmp_path / "grey.npz", x_train=grey)).images
    assert received.shape == (6, 5, 4, 3)
    for channel in range(3):
        np.testing.assert_array_equal(received[..., channel], grey.reshape(6, 5, 4))


@backend_independent
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_labels_may_be_a_column_of_any_integers(dtype, tmp_path):
    column = np.abs(LABELS)[:, None].astype(dtype)
    received = load(save(tmp_path / "cifar.npz", y_train=column)).labels
    assert (received.tolist(), received.dtype) == ([2, 0, 1, 1, 0, 0], np.int64)


@backend_independent
def test_without_test_arrays_the_first_of_every_five_images_of_a_class_is_a_test_image(tmp_path):
    images, labels = noise(13, 5, 4, 3), np.array([0, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 0])
    path = save(tmp_path / "one.npz", x_train=images, y_train=labels, x_test=None, y_test=None)
    of_test = [0, 1, 7, 11]  # images 0 and 5 of each class
    np.testing.assert_array_equal(load(path, "test").images, images[of_test])
    np.testing.assert_array_equal(load(path, "test").labels, [0, 1, 0, 1])
    np.testing.assert_array_equal(load(path).images, np.delete(images, of_test, axis=0))


@backend_independent
def test_a_class_of_one_image_cannot_be_divided(tmp_path):
    labels = np.array([0, 1, 0, 0, 1, 2])
    path = save(tmp_path / "few.npz", y_train=labels, x_test=None, y_test=None)
    with pytest.raises(ValueError, match="few.npz' has no image left for the train split of the classes 2: a fifth"):
        load(path)


@backend_independent
def test_classes_may_be_named_and_must_be_enough(tmp_path):
    path = save(tmp_path / "named.npz")
    assert load(path, class_names=tuple("abcd")).class_names == tuple("abcd")
    assert load(path, class_names=tuple("abcde")).num_classes == 5  # a class without images
    with pytest.raises(ValueError, match="must be from 0 to 2 for its 3 classes.*Received: 3"):
        load(path, "test", class_names=tuple("abc"))


@backend_independent
def test_labels_below_minus_one_are_refused(tmp_path):
    with pytest.raises(ValueError, match="or -1 for an unlabelled image. Received: -2"):
        load(save(tmp_path / "below.npz", y_train=LABELS - 1))


@backend_independent
@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": None}, "has no array 'x_train'.*Received: y_train, x_test, y_test"),
        ({"y_train": None}, "has no array 'y_train'"),
        ({"y_test": None}, "has no array 'y_test'"),
        (dict.fromkeys(("x_train", "y_train", "x_test", "y_test")), "Received: no arrays"),
        ({"x_train": noise(6, 5, 4, 3) / 255}, "'x_train'.*must be uint8 pixels in 0..255.*dtype=float64"),
        ({"x_train": noise(6, 5, 4, 4)}, r"'x_train'.*shape=\(6, 5, 4, 4\)"),
        ({"x_train": noise(6, 60)}, r"'x_train'.*shape=\(6, 60\)"),
        ({"x_test": noise(2, 5, 4, 3).astype("int64")}, "'x_test'.*dtype=int64"),
        ({"y_train": LABELS.astype("float32")}, "'y_train'.*must be 6 integers.*dtype=float32"),
        ({"y_train": LABELS[:5]}, r"'y_train'.*must be 6 integers.*shape=\(5,\)"),
        ({"y_train": np.eye(6, dtype=int)}, r"'y_train'.*shape=\(6, 6\)"),
        ({"y_test": np.array(["a", "b"])}, "'y_test'.*must be 2 integers"),
        ({"x_train": np.array([noise(2, 2, 3), None], object)}, "cannot be read as arrays: Object arrays"),
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_other_arrays_are_refused(arrays, message, split, tmp_path):
    with pytest.raises(ValueError, match=message):
        load(save(tmp_path / "wrong.npz", **arrays), split)


@backend_independent
@pytest.mark.parametrize("damage", ["empty", "text", "npy", "cut", "flipped"])
def test_files_that_are_no_archives_or_damaged_are_refused(damage, tmp_path):
    path = tmp_path / "damaged.npz"
    np.savez_compressed(path, x_train=noise(6, 5, 4, 3), y_train=LABELS)
    content = bytearray(path.read_bytes())
    if damage == "npy":
        with open(path, "wb") as file:
            np.save(file, noise(6, 5, 4, 3))
    elif damage == "flipped":
        content[120] ^= 0xFF  # within the compressed pixels
        path.write_bytes(content)
    else:
        path.write_bytes({"empty": b"", "text": b"not an archive", "cut": content[:-40]}[damage])
    with pytest.raises(ValueError, match=f"The file {str(path)!r} cannot be read as arrays"):
        load(path)


def test_a_file_gives_the_batches_of_its_arrays(tmp_path):
    path = save(tmp_path / "mine.npz", x_train=noise(6, 5, 4), y_train=LABELS[:, None])
    images = np.repeat(noise(6, 5, 4)[..., None], 3, axis=-1)
    arrays = ImageData("arrays", images, LABELS, tuple("0123"))
    options = dict(image_size=(5, 4), batch_size=2, augmentation=Augmentation(flip=0.5, mixup=0.8), pipeline="python")
    for augmented in (options, {**options, "augmentation": Augmentation()}):
        loaded, expected = (InputPipeline(data, **augmented) for data in (load(path), arrays))
        for one, two in zip(
            *(itertools.islice(iter(p.training_batches()), 4) for p in (loaded, expected)), strict=True
        ):
            keras.tree.map_structure(np.testing.assert_array_equal, one, two)
        batches = [pipeline.evaluation_batches(4) for pipeline in (loaded, expected)]
        for index in range(2):
            keras.tree.map_structure(np.testing.assert_array_equal, *(one[index] for one in batches))


@backend_independent
@pytest.mark.parametrize("first", [1, 5])
def test_labels_that_do_not_begin_with_0_are_refused_unless_the_classes_are_named(first, tmp_path):
    train = np.where(LABELS < 0, -1, LABELS + first)
    path = save(tmp_path / "svhn.npz", y_train=train, y_test=TEST_LABELS + first)
    with pytest.raises(
        ValueError, match=f"from 0. Received: labels from {first} to {first + 3}. Subtract {first} from"
    ):
        load(path)
    names = [f"class {label}" for label in range(4 + first)]
    assert load(path, class_names=names).class_names == tuple(names)


@backend_independent
def test_numbers_that_no_image_has_are_warned_of(tmp_path):
    path = save(tmp_path / "gaps.npz", y_train=np.array([0, 1, 5, 3, -1, 0]), y_test=np.array([0, 1]))
    with pytest.warns(UserWarning, match="leave out 2, 4: these classes") as warned:
        assert load(path).class_names == ("0", "1", "2", "3", "4", "5")
    assert warned[0].filename == __file__


@backend_independent
@pytest.mark.parametrize("name", ["x_val", "x_valid", "X_test", "test_images"])
def test_a_test_split_of_another_name_is_refused(name, tmp_path):
    path = save(tmp_path / "val.npz", x_test=None, y_test=None, **{name: noise(2, 5, 4, 3)})
    with pytest.raises(ValueError, match=f"has the array '{name}' and no 'x_test'.*Rename the arrays"):
        load(path)


@backend_independent
def test_arrays_that_are_not_used_are_named(tmp_path):
    path = save(tmp_path / "more.npz", x_val=noise(2, 5, 4, 3), names=np.array(["a"]))
    with pytest.warns(UserWarning, match="that are not used: x_val, names. Expected x_train, y_train"):
        load(path)
    none = dict.fromkeys(("x_train", "y_train", "x_test", "y_test"))
    path = save(tmp_path / "medical.npz", **none, train_images=noise(2, 5, 4, 3), train_labels=np.array([0, 1]))
    with pytest.raises(ValueError, match="no array 'x_train'.*Received: train_images, train_labels"):
        load(path)


@backend_independent
def test_labels_that_are_ids_are_refused_before_they_are_counted(tmp_path):
    path = save(tmp_path / "ids.npz", y_train=np.array([0, 17, 10**12, 0, 17, 0]), y_test=np.array([0, 17]))
    with pytest.raises(
        ValueError, match="3 different labels for 8 images, the largest 1000000000000. Number the classes"
    ):
        load(path)


@backend_independent
def test_names_without_images_are_warned_of(tmp_path):
    path = save(tmp_path / "names.npz", y_train=np.array([0, 1, 0, 1, 0, 1]), y_test=np.array([0, 1]))
    with pytest.warns(UserWarning, match="leave out cat: these classes"):
        load(path, class_names=["index", "dog", "cat"])


@backend_independent
@pytest.mark.parametrize(("largest", "warns"), [(1, True), (16, True), (63, True), (64, False), (0, False)])
def test_arrays_of_a_small_range_are_warned_of(largest, warns, tmp_path):
    images = np.zeros((6, 5, 4, 3), "uint8")
    images[3, 2, 2] = largest
    path = save(tmp_path / "dark.npz", x_train=images)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        load(path)
    texts = [str(one.message) for one in caught]
    expected = f"none is above {largest}: the images come out almost black. If {largest} is white"
    assert any(expected in text for text in texts) == warns
