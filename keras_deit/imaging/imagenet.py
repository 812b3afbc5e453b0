"""ImageNet-1k, which the published DeiT and their teachers were trained on: normalisation and class names."""

import functools
import pathlib

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # red, green and blue, for pixels in 0..1
IMAGENET_STD = (0.229, 0.224, 0.225)


def class_names():
    """Returns the names of the 1,000 classes of ImageNet-1k, in the order of the published classifiers' logits.

    Returns:
        A tuple of strings; a class with synonyms lists them, separated by commas.

    Example:

    >>> class_names()[281]
    'tabby, tabby cat'

    Reference:
        Russakovsky et al., 2015, ILSVRC (arXiv 1409.0575): the classes of 2012, ordered by the numbers of their WordNet
        3.0 synsets. The names are the synsets' lemmas.
    """
    return tuple(_names_of_synsets().values())


def synsets():
    """Returns the synsets of the 1,000 classes of ImageNet-1k, such as `n01440764`, in the order of `class_names`.

    Returns:
        A tuple of strings.

    Example:

    >>> synsets()[281]
    'n02123045'
    """
    return tuple(_names_of_synsets())


def name_of_synset(name):
    """Translates a synset of WordNet 3.0, as the folders of ImageNet are called, to the name of its class.

    Args:
        name: A string, such as `"n01440764"`.

    Returns:
        The name of the class, such as `"tench, Tinca tinca"`; `name` itself if it is no synset of ImageNet-1k.

    Example:

    >>> name_of_synset("n02123045"), name_of_synset("cat")
    ('tabby, tabby cat', 'cat')
    """
    return _names_of_synsets().get(name, name)


@functools.cache
def _names_of_synsets():
    lines = pathlib.Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").splitlines()
    return {synset: name for synset, _, name in (line.partition(" ") for line in lines)}
