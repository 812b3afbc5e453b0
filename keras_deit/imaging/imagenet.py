"""What every published DeiT and its teacher were trained with: the normalisation and the classes of ImageNet-1k."""

import functools
import pathlib

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of red, green and blue, for pixels in 0..1
IMAGENET_STD = (0.229, 0.224, 0.225)


@functools.cache
def class_names():
    """Names of the 1,000 classes of ImageNet-1k, in the order of every published classifier's logits.

    Returns:
        A tuple of strings, synonyms separated by commas.

    Example:

    >>> class_names()[281]
    'tabby, tabby cat'

    Reference:
        Russakovsky et al., 2015, ILSVRC (arXiv 1409.0575): the classes of 2012 by the numbers of their WordNet 3.0 synsets,
        whose lemmas are the names.
    """
    lines = pathlib.Path(__file__).with_name("imagenet_classes.txt").read_text(encoding="utf-8").splitlines()
    return tuple(line.partition(" ")[2] for line in lines)
