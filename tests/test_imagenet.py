"""The names of ImageNet's classes."""

import pathlib

import pytest

from keras_deit import imagenet


def test_a_thousand_classes_in_the_order_of_their_synsets():
    file = pathlib.Path(imagenet.__file__).with_name("imagenet_classes.txt")
    synsets = [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines()]
    assert synsets == sorted(synsets)
    assert len(set(synsets)) == len(imagenet.class_names()) == 1000


@pytest.mark.parametrize(
    ("index", "name"),
    [(0, "tench"), (1, "goldfish"), (207, "golden retriever"), (281, "tabby"), (999, "toilet tissue")],
)
def test_well_known_classes_have_their_numbers(index, name):
    assert imagenet.class_names()[index].startswith(name)


def test_the_classes_are_timms():
    try:
        from timm.data import ImageNetInfo
    except (ImportError, RuntimeError):  # timm needs a torchvision that fits PyTorch
        pytest.skip("timm is not there, or does not import")
    info = ImageNetInfo("imagenet-1k")
    assert [info.index_to_description(index) for index in range(1000)] == list(imagenet.class_names())
