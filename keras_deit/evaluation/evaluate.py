"""Evaluating a model on a dataset."""

import dataclasses

import numpy as np

from keras_deit.data import InputPipeline
from keras_deit.data.sources.labelled_images import check_labelled_images
from keras_deit.evaluation.classes import map_classes
from keras_deit.evaluation.evaluation import Evaluation, Mistake
from keras_deit.evaluation.figures import as_probabilities, confusion_matrix, ranks, top_accuracy
from keras_deit.evaluation.heads import FUSED, Heads
from keras_deit.evaluation.prepared_images import (
    BATCH_SIZE,
    UNKNOWN_PREPARATION,
    evaluation_batches,
    knows_preparation,
    preparation_of,
)
from keras_deit.runtime.optional import require

TOP = 5
PREFETCHED = 4  # batches that a pipeline may have read beyond the one that is predicted
NO_RECORD = (
    f"{UNKNOWN_PREPARATION} "
    "If the model needs other values, pass `mean` and `std` (--mean, --std); for pixels in 0..255, pass 0 and 1/255."
)


def evaluate(model, data, image_size=None, pipeline="auto", num_workers=None, **overrides):
    """Evaluates a classifier on labelled images.

    The images are prepared by `model.image_processor()`, and the classes are matched by name.

    Args:
        model: A `DeiT`, `DeiTClassifier` or `RegNetY`, for example from `keras_deit.pretrained`; a `Distiller`, whose
            student is evaluated; any Keras model from normalised images to outputs `(batch, classes)`; or a
            `keras_deit.export.exported_model.ExportedModel`.
        data: `keras_deit.data.LabelledImages`, for example from `keras_deit.data.load`. Unlabelled images are left out.
            The dataset may have fewer classes than the model.
        image_size: Side of the images in pixels, or `(height, width)`; None means the image size of the model. A DeiT takes
            no other size; build it for the size with `keras_deit.pretrained(source, image_size=...)`.
        pipeline, num_workers: See `keras_deit.data.InputPipeline`.
        **overrides: `crop_ratio`, `interpolation`, `squash`, `mean` and `std`, which replace those of `model.preprocessing`.

    Returns:
        An `Evaluation`.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        ValueError: If the model takes no RGB images or none of `image_size`, the dataset has classes that the model lacks,
            no image is labelled, an image cannot be read, or a prediction is not finite.

    Example:

    ```python
    evaluation = kd.evaluate(kd.pretrained("runs/mine"), kd.data.load("images/", "test"))
    print(evaluation)
    print(evaluation.accuracies["accuracy"])  # in 0..1
    evaluation.write("evaluation/")
    ```
    """
    return Evaluator(model, data, image_size, pipeline, num_workers, **overrides).run()


class Evaluator:
    """An evaluation whose arguments are checked.

    Args:
        model, data, image_size, pipeline, num_workers, **overrides: See `evaluate`.

    Raises:
        ValueError: See `evaluate`.
    """

    def __init__(self, model, data, image_size=None, pipeline="auto", num_workers=None, **overrides):
        check_labelled_images(data)
        model = getattr(model, "student", model)  # of a Distiller
        self.data = data
        self.heads = Heads(model)
        self.classes = map_classes(getattr(model, "class_names", None), self.heads.num_classes, data.class_names)
        self.preparation = preparation_of(model, image_size, overrides)
        has_record = knows_preparation(model) or {"mean", "std"} & overrides.keys()
        self.note = " ".join(filter(None, [self.classes.note, None if has_record else NO_RECORD])) or None
        labels = data.labels
        self._indices = np.arange(len(data)) if labels is None else np.flatnonzero(labels >= 0)  # of what is read
        chosen = data if len(self._indices) == len(data) else data.select(self._indices)
        self._inputs = InputPipeline(chosen, pipeline=pipeline, num_workers=num_workers, **self.preparation)
        self._num_done = 0
        if not len(chosen):
            raise self._unlabelled()

    @property
    def images_in_use(self):
        """Indices of the images that the pipeline may have read last."""
        return self._indices[self._num_done :][: PREFETCHED * BATCH_SIZE]

    def run(self):
        """Evaluates the model.

        Returns:
            An `Evaluation`.

        Raises:
            ValueError: If no image is labelled, an image cannot be read, or a prediction is not finite.
        """
        tqdm = require("tqdm", extra="run", purpose="The progress bar")
        found, total = [], len(self._inputs.data)
        with tqdm.tqdm(total=total, desc=f"evaluating {self.data.name}", unit="image", disable=None) as bar:
            for images, rows in evaluation_batches(self._inputs):
                found.append(_of_batch(self.heads.predict(images), rows, self.classes, first=self._num_done))
                self._num_done += len(rows)
                bar.update(len(rows))
        predictions = _joined(found)
        if not len(predictions.labels):
            raise self._unlabelled()
        return _evaluation(self, predictions, self._indices[predictions.positions])

    def _unlabelled(self):
        return ValueError(
            f"The evaluation needs labelled images. {self.data.name!r} has {len(self.data):,} images without a label."
        )


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model predicts for labelled images, one entry for each image in every array.

    Attributes:
        positions: Positions of the images among those that are read.
        labels, predicted: Classes by their position in `ClassMap.names`.
        probabilities: The probability of the predicted class.
        ranks: Dictionary from the heads to what `figures.ranks` returns.
    """

    positions: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    probabilities: np.ndarray
    ranks: dict


def _joined(found):
    ranks_of_heads = {head: np.concatenate([one.ranks[head] for one in found]) for head in found[0].ranks}
    names = ("positions", "labels", "predicted", "probabilities")
    return Predictions(*(np.concatenate([getattr(one, name) for one in found]) for name in names), ranks_of_heads)


def _of_batch(outputs, rows, classes, first):
    """The predictions of a batch, without its unlabelled images. `first` is the index of its first image."""
    (labelled,) = np.nonzero(rows.any(axis=-1))
    outputs = {head: values[labelled] for head, values in outputs.items()}
    labels = rows[labelled].argmax(axis=-1)
    right = classes.theirs[labels]
    predicted = outputs[FUSED].argmax(axis=-1)
    probabilities = as_probabilities(outputs[FUSED]).max(axis=-1)
    of_heads = {head: ranks(values, right) for head, values in outputs.items()}
    return Predictions(first + labelled, labels, classes.ours[predicted], probabilities, of_heads)


def _evaluation(evaluator, predictions, indices):
    data, classes = evaluator.data, evaluator.classes
    columns = np.minimum(predictions.predicted, classes.num_ours)  # one for all other classes
    shape = (classes.num_ours, classes.num_ours + classes.has_others)
    return Evaluation(
        dataset=data.name,
        num_images=len(indices),
        num_unlabelled=len(data) - len(indices),
        accuracies=_accuracies(predictions.ranks, evaluator.heads.num_classes),
        class_names=classes.names[: classes.num_ours],
        confusion=confusion_matrix(predictions.labels, columns, shape),
        mistakes=_mistakes(predictions, classes.names, lambda position: data.describe(int(indices[position]))),
        preparation=evaluator.preparation,
        note=evaluator.note,
    )


def _accuracies(ranks_of_heads, num_classes):
    accuracies = {}
    for head, of_images in ranks_of_heads.items():
        prefix = "" if head == FUSED else f"{head}_"
        accuracies[f"{prefix}accuracy"] = top_accuracy(of_images)
        if num_classes > TOP:
            accuracies[f"{prefix}top{TOP}_accuracy"] = top_accuracy(of_images, TOP)
    return accuracies


def _mistakes(predictions, names, describe):
    """The mistakes, the most confident one first. `describe` names an image by its position among the predictions."""
    (wrong,) = np.nonzero(predictions.predicted != predictions.labels)
    order = wrong[np.argsort(-predictions.probabilities[wrong], kind="stable")]
    classes = np.array([predictions.labels, predictions.predicted])
    return tuple(
        Mistake(describe(index), *(names[one] for one in classes[:, index]), float(predictions.probabilities[index]))
        for index in order
    )
