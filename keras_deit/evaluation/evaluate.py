"""Evaluating a model on a dataset."""

import dataclasses

import numpy as np

from keras_deit.data import InputPipeline
from keras_deit.data.sources.labelled_images import check_labelled_images
from keras_deit.evaluation.classes import map_classes
from keras_deit.evaluation.evaluation import Evaluation, Mistake
from keras_deit.evaluation.figures import as_probabilities, confusion_matrix, ranks, top_accuracy
from keras_deit.evaluation.heads import FUSED, TEACHER, Heads, check_finite
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


class UnlabelledError(ValueError):
    """None of the images that are to be evaluated has a label."""


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
        teacher: Function from a batch of images, normalised for the model, to the teacher's logits in the order of the
            model's classes, both arrays; its predictions are evaluated beside those of the model. None means no teacher.

    Raises:
        ValueError: See `evaluate`.
    """

    def __init__(
        self,
        model,
        data,
        image_size=None,
        pipeline="auto",
        num_workers=None,
        *,
        teacher=None,
        **overrides,
    ):
        check_labelled_images(data)
        model = getattr(model, "student", model)  # of a Distiller
        self.data = data
        self.heads = Heads(model)
        self._teacher = teacher
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
            UnlabelledError: If no image is labelled.
            ValueError: If an image cannot be read, or a prediction is not finite.
        """
        return self.evaluation_of(self.predict())

    def predict(self):
        """Predicts the labelled images.

        Returns:
            `Predictions`.

        Raises:
            UnlabelledError, ValueError: See `run`.
        """
        tqdm = require("tqdm", extra="run", purpose="The progress bar")
        found, total = [], len(self._inputs.data)
        with tqdm.tqdm(total=total, desc=f"evaluating {self.data.name}", unit="image", disable=None) as bar:
            for images, rows in evaluation_batches(self._inputs):
                indices = self._indices[self._num_done :][: len(rows)]
                found.append(_of_batch(self._outputs(images), rows, self.classes, indices))
                self._num_done += len(rows)
                bar.update(len(rows))
        predictions = _joined(found)
        if not len(predictions.labels):
            raise self._unlabelled()
        return predictions

    def evaluation_of(self, predictions):
        """Computes the figures of predictions.

        Args:
            predictions: What `predict` returned.

        Returns:
            An `Evaluation`.
        """
        return _evaluation(self, predictions)

    def _outputs(self, images):
        """The outputs of the heads, and of the teacher if there is one, for a batch of images."""
        outputs = self.heads.predict(images)
        if self._teacher is not None:
            outputs[TEACHER] = self._teacher(images)
            check_finite(outputs[TEACHER])
        return outputs

    def _unlabelled(self):
        return UnlabelledError(
            f"The evaluation needs labelled images. {self.data.name!r} has {len(self.data):,} images without a label."
        )


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What a model predicts for labelled images, one entry for each image in every array.

    The dictionaries have a key for each of `keras_deit.evaluation.heads.Heads.predict`, and `"teacher"` if there is one.

    Attributes:
        indices: Indices of the images in the dataset.
        labels: Classes by their position in `ClassMap.names`.
        predicted: Dictionary of the predicted classes, by the same positions.
        probabilities: Dictionary of the probabilities of the predicted classes.
        ranks: Dictionary of what `figures.ranks` returns.
    """

    indices: np.ndarray
    labels: np.ndarray
    predicted: dict
    probabilities: dict
    ranks: dict

    def mistakes(self):
        """Returns the positions of the images whose class was not predicted, the most confident prediction first."""
        (wrong,) = np.nonzero(self.predicted[FUSED] != self.labels)
        return wrong[np.argsort(-self.probabilities[FUSED][wrong], kind="stable")]


def _joined(found):
    def join(name):
        values = [getattr(one, name) for one in found]
        if isinstance(values[0], dict):
            return {head: np.concatenate([one[head] for one in values]) for head in values[0]}
        return np.concatenate(values)

    return Predictions(*(join(field.name) for field in dataclasses.fields(Predictions)))


def _of_batch(outputs, rows, classes, indices):
    """The predictions of a batch, without its unlabelled images. `indices` are those of its images."""
    (labelled,) = np.nonzero(rows.any(axis=-1))
    outputs = {head: values[labelled] for head, values in outputs.items()}
    labels = rows[labelled].argmax(axis=-1)
    right = classes.theirs[labels]
    predicted = {head: classes.ours[values.argmax(axis=-1)] for head, values in outputs.items()}
    probabilities = {head: as_probabilities(values).max(axis=-1) for head, values in outputs.items()}
    of_heads = {head: ranks(values, right) for head, values in outputs.items()}
    return Predictions(indices[labelled], labels, predicted, probabilities, of_heads)


def _evaluation(evaluator, predictions):
    data, classes = evaluator.data, evaluator.classes
    columns = np.minimum(predictions.predicted[FUSED], classes.num_ours)  # one for all other classes
    shape = (classes.num_ours, classes.num_ours + classes.has_others)
    return Evaluation(
        dataset=data.name,
        num_images=len(predictions.labels),
        num_unlabelled=len(data) - len(predictions.labels),
        accuracies=_accuracies(predictions.ranks, evaluator.heads.num_classes),
        class_names=classes.names[: classes.num_ours],
        confusion=confusion_matrix(predictions.labels, columns, shape),
        mistakes=_mistakes(predictions, classes.names, data),
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


def _mistakes(predictions, names, data):
    """Every `Mistake`, the most confident one first; `data` names the images."""
    return tuple(
        Mistake(
            image=data.describe(int(predictions.indices[position])),
            true=names[predictions.labels[position]],
            predicted=names[predictions.predicted[FUSED][position]],
            probability=float(predictions.probabilities[FUSED][position]),
        )
        for position in predictions.mistakes()
    )
