"""How often classifiers predict different classes."""

import numpy as np

from keras_deit.explain.classifiers import as_classifier, predict_batches
from keras_deit.runtime.concrete import concrete_values


def disagreement(models, dataset=None, image_mean=None, image_std=None):
    """Computes how often each two of several classifiers predict different classes.

    Args:
        models: Dictionary from names to classifiers of the same classes. A classifier is a `DeiT`, a `DeiTClassifier` or
            another Keras model of normalised images; a `Head` of a `DeiT`; a `keras_deit.Teacher`, which prepares the images
            as it needs them; a function of normalised images that returns logits or probabilities `(batch, classes)`; or an
            array with the predictions of all images: classes, integers `(images,)`, or logits `(images, classes)`.
            `student_and_teacher` makes the usual dictionary.
        dataset: Normalised images `(images, height, width, 3)`, or batches of them in any form that Keras takes, such as
            `keras_deit.data.InputPipeline.evaluation_batches()`; labels are not used. None is enough for arrays.
        image_mean, image_std: Normalisation of the images of `dataset`, for pixels in 0..1, which a `Teacher` undoes. None
            means that of the first student that stores its `preprocessing`, or ImageNet's.

    Returns:
        The names, a tuple, and a float64 array `(names, names)` of rates in 0..1: the fraction of the images for which two
        classifiers predict different classes. The array is symmetric with a diagonal of zeros.

    Raises:
        ValueError: If the classifiers have different classes, an array has not one prediction for each image, or predictions
            are not finite or not of single classes.

    Example:

    >>> names, rates = disagreement({"teacher": np.array([0, 1, 1, 2]), "class": np.array([0, 1, 2, 0])})
    >>> names, rates.tolist()
    (('teacher', 'class'), [[0.0, 0.5], [0.5, 0.0]])

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), table 4.
    """
    models = {name: as_classifier(model) for name, model in models.items()}
    if len(models) < 2:
        raise ValueError(f"A disagreement needs at least two classifiers. Received: {list(models)}")
    found = {name: _Predictions(name) for name in models}
    computed = {name: model for name, model in models.items() if not _is_array(model)}
    for name, model in models.items():
        if name not in computed:
            found[name].add(concrete_values(model))
    for outputs in predict_batches(computed, dataset, image_mean, image_std) if computed else ():
        for name, values in outputs.items():
            found[name].add(values)
    _check_equal("images", {name: sum(map(len, one.classes)) for name, one in found.items()})
    _check_equal("classes", {name: one.num_classes for name, one in found.items() if one.num_classes})
    predicted = np.stack([np.concatenate(one.classes) for one in found.values()])  # (names, images)
    return tuple(models), np.array([(predicted != row).mean(axis=1) for row in predicted])


class _Predictions:
    """The classes that a classifier predicts, batch by batch."""

    def __init__(self, name):
        self.name = name
        self.classes = []
        self.num_classes = None

    def add(self, outputs):
        """Adds classes `(images,)`, or logits `(images, classes)`."""
        if outputs.ndim == 1 and np.issubdtype(outputs.dtype, np.integer):
            self.classes.append(outputs)
            return
        if outputs.ndim != 2 or outputs.shape[1] < 2:
            raise ValueError(
                "A classifier must predict logits (images, classes) of two or more classes, or an array must hold classes, "
                f"integers (images,). Received: {self.name!r} with shape={outputs.shape}, dtype={outputs.dtype}"
            )
        if not np.all(np.isfinite(outputs)):
            raise ValueError(f"Predictions must be finite. Received: NaN or infinity among those of {self.name!r}.")
        self.num_classes = outputs.shape[1]
        self.classes.append(outputs.argmax(axis=1))


def _is_array(model):
    return hasattr(model, "shape") and hasattr(model, "dtype")


def _check_equal(what, numbers):
    if len(set(numbers.values())) > 1:
        received = ", ".join(f"{name!r}: {number:,}" for name, number in numbers.items())
        raise ValueError(f"All classifiers must predict the same number of {what}. Received: {received}")
