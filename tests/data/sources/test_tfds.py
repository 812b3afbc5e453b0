"""Datasets of TensorFlow Datasets."""

import io
import pathlib

import numpy as np
import pytest

from keras_deit import data

tfds = pytest.importorskip("tensorflow_datasets", reason="the datasets are those of TFDS")
pytest.importorskip("importlib_resources", reason="TFDS needs it for ImageNet")
pytestmark = pytest.mark.backend_independent


class TinyPhotos(tfds.core.GeneratorBasedBuilder):
    """Ten training images and four validation images of several widths, with a feature that no run needs."""

    VERSION = tfds.core.Version("1.2.0")

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(None, None, 3)),
            "label": tfds.features.ClassLabel(names=["cat", "dog"]),
            "boxes": tfds.features.Sequence(tfds.features.BBoxFeature()),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(10, 0), "validation": self._generate_examples(4, 50)}

    def _generate_examples(self, number, grey):
        for index in range(number):
            yield index, {"image": pixels(index, grey), "label": index % 2, "boxes": []}


def pixels(index, grey):
    return np.full((8, 9 + index, 3), grey + index, "uint8")


def of_tfds(data_dir, split, **options):
    """Width, grey value and label of every image that `tfds.load` gives, which prepares the dataset if needed."""
    examples = tfds.as_numpy(tfds.load("tiny_photos", split=split, data_dir=data_dir, **options))
    return [(one["image"].shape[1], one["image"][0, 0, 0], one["label"]) for one in examples]


def of_records(data_dir, split):
    """The same of every image that is loaded here."""
    pillow = pytest.importorskip("PIL.Image", reason="Pillow reads the images")
    records = data.load("tiny_photos", split, data_dir=str(data_dir))
    images = [(np.asarray(pillow.open(io.BytesIO(image))), label) for image, label in records]
    return [(image.shape[1], image[0, 0, 0], label) for image, label in images]


def test_a_dataset_that_is_prepared_in_another_format_is_converted_beside_it_once(tmp_path, capsys, monkeypatch):
    pytest.importorskip("tensorflow", reason="TensorFlow reads TFDS's own format")
    expected = {split: of_tfds(tmp_path, split) for split in ("train", "validation")}
    monkeypatch.setattr(TinyPhotos, "_split_generators", None)  # nothing is made from the downloads again
    assert of_records(tmp_path, "train") == expected["train"]
    assert of_records(tmp_path, "test") == expected["validation"]
    printed = capsys.readouterr().out
    beside = tmp_path / "array_record" / "tiny_photos" / "1.2.0"
    assert printed.count(f"Preparing tiny_photos/1.2.0 of TFDS in {beside}") == 1
    assert "KiB in" in printed
    assert of_tfds(tmp_path, "train") == expected["train"]


def test_preparing_a_dataset_leaves_the_place_of_tfds_alone(tmp_path):
    pytest.importorskip("tensorflow", reason="TensorFlow reads TFDS's own format")
    received = of_records(tmp_path, "train")
    assert sorted(received) == [(9 + index, index, index % 2) for index in range(10)]
    assert not (tmp_path / "tiny_photos").exists()
    assert sorted(of_tfds(tmp_path, "train")) == sorted(received)


def test_a_dataset_that_is_prepared_in_a_format_of_any_order_is_used_as_it_is(tmp_path, capsys):
    tfds.builder("tiny_photos", data_dir=tmp_path, file_format="array_record").download_and_prepare()
    capsys.readouterr()
    assert len(of_records(tmp_path, "train")) == 10
    assert "Preparing" not in capsys.readouterr().out
    assert not (tmp_path / "array_record").exists()


def test_a_split_that_a_dataset_does_not_have_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no test split; it has .*validation.* Received: test_split='test'"):
        data.load("tiny_photos", "test", data_dir=str(tmp_path), test_split="test")
    assert len(data.load("tiny_photos", "test", data_dir=str(tmp_path), test_split="val")) == 4


@pytest.mark.parametrize("name", ["cifar10", "oxford_flowers102", "imagenet2012"])
def test_names_of_tfds_give_images_and_labels(name):
    pillow = pytest.importorskip("PIL.Image", reason="Pillow reads the images")
    with tfds.testing.mock_data(num_examples=4):
        for split in ("train", "test"):
            received = data.load(name, split)
            assert len(received) == 4
            assert received.num_classes == {"cifar10": 10, "oxford_flowers102": 102, "imagenet2012": 1000}[name]
            content, label = received[1]
            assert 0 <= label < received.num_classes
            assert min(pillow.open(io.BytesIO(content)).size) > 1
            assert received.labels is None
            assert received.identity.startswith(f"{name}/")


def test_imagenet_must_be_downloaded_by_hand_and_the_error_says_how(tmp_path):
    with pytest.raises(ValueError, match=r"by hand first(.|\n)*ILSVRC2012_img_train.tar"):
        data.load("imagenet2012", data_dir=str(tmp_path))


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match="There is no dataset 'cifar11'.*Did you mean 'cifar1"):
        data.load("cifar11")


@pytest.mark.parametrize("name", ["cloths", "data/cloths"])
def test_an_unknown_name_is_refused_with_a_similar_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    similar = pathlib.Path(name).with_name("clothes")
    similar.mkdir(parents=True)
    with pytest.raises(ValueError, match=f"There is no dataset {name!r}.*Did you mean {str(similar)!r}"):
        data.load(name)


class TextLabels(TinyPhotos):
    """Images whose label is a text."""

    def _info(self):
        features = {"image": tfds.features.Image(shape=(None, None, 3)), "label": tfds.features.Text()}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))


class SeveralLabels(TinyPhotos):
    """Images with several labels each."""

    def _info(self):
        labels = tfds.features.Sequence(tfds.features.ClassLabel(names=["cat", "dog"]))
        features = {"image": tfds.features.Image(shape=(None, None, 3)), "label": labels}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))


@pytest.mark.parametrize(("name", "feature"), [("text_labels", "Text"), ("several_labels", "Sequence")])
def test_labels_that_are_no_classes_are_refused(name, feature, tmp_path):
    with pytest.raises(ValueError, match=f"The feature 'label'.*must be a ClassLabel.*Received: {feature}"):
        data.load(name, data_dir=str(tmp_path))
