"""The names of ImageNet's classes."""

import hashlib
import pathlib

import pytest

from keras_deit.imaging import imagenet


def test_a_thousand_classes_in_the_order_of_their_synsets():
    file = pathlib.Path(imagenet.__file__).with_name("imagenet_classes.txt")
    synsets = [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines()]
    assert synsets == sorted(synsets)
    assert len(set(synsets)) == len(imagenet.class_names()) == 1000


@pytest.mark.parametrize(
    ("index", "name"),
    [(0, "tench"), (1, "goldfish"), (207, "golden retriever"), (281, "tabby"), (999, "toilet tissue")],
)
def test_well_known_classes_have_their_indices(index, name):
    assert imagenet.class_names()[index].startswith(name)


def test_the_class_names_are_those_of_timm():
    names = "\n".join(imagenet.class_names())
    # SHA-256 of the descriptions of the 1,000 indices in timm 1.0.31, `ImageNetInfo("imagenet-1k").index_to_description`
    expected = "a40d9be82eb4738becd1dd69991b89f87f309975e860a6f3f45395d8c06a7e0d"
    assert hashlib.sha256(names.encode()).hexdigest() == expected
