"""Datasets of TensorFlow Datasets."""

import io

import pytest

from keras_deit import data

tfds = pytest.importorskip("tensorflow_datasets", reason="the datasets are those of TFDS")
pytest.importorskip("importlib_resources", reason="TFDS needs it for ImageNet")
pytestmark = pytest.mark.backend_independent


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
