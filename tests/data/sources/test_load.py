"""Datasets by name."""

import io

import numpy as np
import pytest

from keras_deit import data

datasets = pytest.importorskip("sklearn.datasets", reason="the digits come from scikit-learn")


def test_the_split_is_fixed_disjoint_and_whole():
    train, test = data.load("digits", "train"), data.load("digits", "test")
    assert (len(train.labels), len(test.labels)) == (1433, 364)
    digits = datasets.load_digits()
    everything = np.concatenate([train.images, test.images])[..., 0].astype("float64")
    shipped = np.round(digits.images * 255 / 16)
    assert sorted(map(bytes, everything.astype("uint8"))) == sorted(map(bytes, shipped.astype("uint8")))
    np.testing.assert_array_equal(test.labels[:3], digits.target[:3])
    assert set(np.bincount(test.labels)) == {35, 36, 37}  # every class is there alike


def test_images_are_rgb_bytes_with_a_label_each():
    train = data.load("digits", "train")
    assert train.images.shape == (1433, 8, 8, 3)
    assert train.images.dtype == np.uint8
    assert train.images.max() == 255
    np.testing.assert_array_equal(train.images[..., 0], train.images[..., 2])
    assert train.class_names == tuple("0123456789")
    assert train.num_classes == 10


def test_resizing_keeps_the_mean_and_the_range():
    test = data.load("digits", "test")
    larger = test.resized(16)
    assert larger.images.shape == (364, 16, 16, 3)
    assert larger.images.dtype == np.uint8
    np.testing.assert_allclose(larger.images.mean(), test.images.mean(), atol=1.0)
    assert test.resized(8) is test


def write_pictures(folder, number, **classes):
    pillow = pytest.importorskip("PIL.Image", reason="pictures are written by Pillow")
    for name, grey in classes.items():
        (folder / name).mkdir(parents=True)
        for place in range(number):
            pixels = np.full((40, 50, 3), grey + place, "uint8")
            pillow.fromarray(pixels).save(folder / name / f"{place:02d}.png")


def test_a_folder_of_class_folders_is_divided_once_and_for_all(tmp_path):
    write_pictures(tmp_path / "pets", 10, dog=10, cat=100)
    (tmp_path / "pets" / "dog" / "notes.txt").write_text("no picture")
    train, test = data.load(tmp_path / "pets"), data.load(tmp_path / "pets", "test")
    assert (len(train), len(test), train.class_names) == (16, 4, ("cat", "dog"))
    assert [path[-10:] for path in test.paths] == ["cat/00.png", "cat/05.png", "dog/00.png", "dog/05.png"]
    assert not set(train.paths) & set(test.paths)
    assert test.labels.tolist() == [0, 0, 1, 1]
    assert (train.ignored, train.name) == (1, "pets")
    content, label = train[0]
    assert content.startswith(b"\x89PNG")
    assert label == 0


def test_a_divided_folder_stays_as_it_is(tmp_path):
    write_pictures(tmp_path / "train", 6, a=0, b=50)
    write_pictures(tmp_path / "val", 2, a=100, b=150)
    assert [len(data.load(tmp_path, split)) for split in ("train", "test")] == [12, 4]


def test_both_parts_have_the_classes_of_the_training_part(tmp_path):
    write_pictures(tmp_path / "train", 2, bird=0, cat=50, dog=100)
    write_pictures(tmp_path / "val", 2, cat=100, dog=150)
    assert data.load(tmp_path, "test").class_names == ("bird", "cat", "dog")
    assert data.load(tmp_path, "test").labels.tolist() == [1, 1, 2, 2]
    write_pictures(tmp_path / "val", 1, eel=10)
    with pytest.raises(ValueError, match="class 'eel', which is not among bird, cat, dog"):
        data.load(tmp_path, "test")


def test_a_folder_that_is_divided_by_half_and_one_without_enough_are_refused(tmp_path):
    write_pictures(tmp_path / "half" / "train", 2, cat=50, dog=100)
    with pytest.raises(ValueError, match="no part to test with: a folder named val, valid, validation, test"):
        data.load(tmp_path / "half")
    write_pictures(tmp_path / "few", 1, cat=50, dog=100)
    with pytest.raises(ValueError, match="no picture left for 'train': a class needs two"):
        data.load(tmp_path / "few")


def test_pictures_without_class_folders_are_unlabelled_beside_labelled_ones(tmp_path):
    write_pictures(tmp_path, 6, train=0)
    write_pictures(tmp_path / "val", 2, a=100, b=150)
    train = data.load(tmp_path, "train")
    assert (train.labels.tolist(), train.class_names) == ([-1] * 6, ("a", "b"))
    assert data.load(tmp_path, "test").labels.tolist() == [0, 0, 1, 1]


def test_a_table_names_the_same_pictures_as_the_folder(tmp_path):
    write_pictures(tmp_path / "pets", 10, dog=10, cat=100)
    folder = [data.load(tmp_path / "pets", split) for split in ("train", "test")]
    lines = [f"pets/{name}/{place:02d}.png,{name}" for name in ("cat", "dog") for place in range(10)]
    (tmp_path / "pets.csv").write_text("path,label\n" + "\n".join(lines) + "\n")
    for split, expected in zip(("train", "test"), folder, strict=True):
        received = data.load(tmp_path / "pets.csv", split)
        assert (received.paths, received.class_names) == (expected.paths, expected.class_names)
        np.testing.assert_array_equal(received.labels, expected.labels)


def test_a_table_may_be_divided_and_leave_labels_out(tmp_path):
    (tmp_path / "a.csv").write_text("split,path,label\ntrain,1.jpg,x\ntrain,2.jpg,\nval,3.jpg,y\n")
    train, test = data.load(tmp_path / "a.csv"), data.load(tmp_path / "a.csv", "test")
    assert (train.labels.tolist(), test.labels.tolist(), test.class_names) == ([0, -1], [1], ("x", "y"))
    ordered = data.load(tmp_path / "a.csv", class_names=["y", "x"])
    assert (ordered.labels.tolist(), ordered.class_names) == ([1, -1], ("y", "x"))


@pytest.mark.parametrize("name", ["cifar10", "oxford_flowers102", "imagenet2012"])
def test_tfds_names_give_pictures_and_labels(name):
    tfds = pytest.importorskip("tensorflow_datasets", reason="the names are those of TFDS")
    pytest.importorskip("importlib_resources", reason="TFDS needs it for ImageNet")
    pillow = pytest.importorskip("PIL.Image", reason="pictures are read by Pillow")
    with tfds.testing.mock_data(num_examples=4):
        for split in ("train", "test"):
            received = data.load(name, split)
            assert len(received) == 4
            assert received.num_classes == {"cifar10": 10, "oxford_flowers102": 102, "imagenet2012": 1000}[name]
            content, label = received[1]
            assert 0 <= label < received.num_classes
            assert min(pillow.open(io.BytesIO(content)).size) > 1


def test_imagenet_has_to_be_fetched_by_hand_and_the_error_says_how(tmp_path):
    pytest.importorskip("tensorflow_datasets", reason="the names are those of TFDS")
    pytest.importorskip("importlib_resources", reason="TFDS needs it for ImageNet")
    with pytest.raises(ValueError, match=r"by hand first(.|\n)*ILSVRC2012_img_train.tar"):
        data.load("imagenet2012", data_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "split", "message"),
    [
        ("digits", "dev", "`split` must be one of"),
        ("no/such/folder", "train", "There is no dataset at 'no/such/folder'"),
        ("table.csv", "train", "cannot be read: No such file"),
    ],
)
def test_unknown_names_say_what_there_is(name, split, message):
    with pytest.raises(ValueError, match=message):
        data.load(name, split)


def test_a_name_of_tfds_that_is_none_names_the_nearest():
    pytest.importorskip("tensorflow_datasets", reason="the names are those of TFDS")
    with pytest.raises(ValueError, match="Did you mean 'digits'"):
        data.load("digit")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,label\na.jpg,x\n", "no column 'path'"),
        ("path,label,split\na.jpg,x,dev\n", "the split 'dev'"),
        ("path,label\n", "names no picture"),
    ],
)
def test_tables_that_are_none_are_refused(text, message, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        data.load(tmp_path / "a.csv")


def test_folders_without_pictures_and_other_classes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no pictures in class folders"):
        data.load(tmp_path)
    write_pictures(tmp_path / "pets", 3, dog=10, cat=100)
    with pytest.raises(ValueError, match="class 'cat', which is not among dog, bird"):
        data.load(tmp_path / "pets", class_names=["dog", "bird"])
    with pytest.raises(ValueError, match="The classes of 'digits' are 0, 1"):
        data.load("digits", class_names=["a"])
