"""What a run's report shows of the student on test images."""

import dataclasses

import numpy as np

from keras_deit.evaluation.evaluate import Evaluator
from keras_deit.evaluation.evaluation import Evaluation
from keras_deit.evaluation.heads import FUSED, TEACHER
from keras_deit.explain.disagreement import disagreement
from keras_deit.report.pixels import shown_pixels

MAX_MISTAKES = 24


@dataclasses.dataclass(frozen=True)
class ShownMistake:
    """A wrongly classified image.

    Attributes:
        pixels: Float array `(height, width, 3)` of pixels in 0..1, as the student sees them.
        image: Path of the file, or index and dataset.
        true, predicted: Names of the classes.
        probability: Probability of the predicted class.
        teacher: Name of the class that the teacher predicts, or None without a teacher.
        teacher_probability: Its probability according to the teacher, or None.
    """

    pixels: np.ndarray
    image: str
    true: str
    predicted: str
    probability: float
    teacher: str | None = None
    teacher_probability: float | None = None


@dataclasses.dataclass(frozen=True)
class Findings:
    """What the report shows of the student on test images.

    Attributes:
        evaluation: `Evaluation`.
        num_candidates: Number of images in the test split.
        mistakes: The most confident ones, a tuple of `ShownMistake`.
        disagreement: The names of the heads and `"teacher"`, and the matrix of the fractions of the images that two of them
            classify differently; None for one head without a teacher.
    """

    evaluation: Evaluation
    num_candidates: int
    mistakes: tuple
    disagreement: tuple | None


class Examiner:
    """Predicts test images and chooses what the report shows.

    Args:
        student: `DeiT`, or the convnet of a run that fine-tunes a teacher.
        data: `keras_deit.data.LabelledImages`, the test split.
        max_images: Number of images that are predicted, at equal distances in the order of the split; None means all.
        teacher, **options: See `keras_deit.evaluation.evaluate.Evaluator`.

    Raises:
        UnlabelledError: If no image has a label.
        ValueError: If the student gives an image several classes.
    """

    def __init__(self, student, data, max_images=None, teacher=None, **options):
        self.data = data
        self._indices = data.spaced_indices(max_images or len(data))  # of the images that are predicted
        chosen = data if len(self._indices) == len(data) else data.select(self._indices)
        self.evaluator = Evaluator(student, chosen, teacher=teacher, **options)

    def findings(self):
        """Predicts the images.

        Returns:
            `Findings`.

        Raises:
            UnlabelledError: If no image has a label, which may not be known before.
            ValueError: If an image cannot be read, or a prediction is not finite.
        """
        predictions = self.evaluator.predict()
        return Findings(
            evaluation=self.evaluator.evaluation_of(predictions),
            num_candidates=len(self.data),
            mistakes=self._mistakes(predictions),
            disagreement=disagreement(predictions.predicted) if len(predictions.predicted) > 1 else None,
        )

    def _mistakes(self, predictions):
        positions = predictions.mistakes()[:MAX_MISTAKES]
        if not len(positions):
            return ()
        indices = self._indices[predictions.indices[positions]]
        pixels = shown_pixels(self.data.select(indices), self.evaluator.preparation)
        return tuple(
            self._mistake(predictions, position, int(index), image)
            for position, index, image in zip(positions, indices, pixels, strict=True)
        )

    def _mistake(self, predictions, position, index, pixels):
        names = self.evaluator.classes.names
        teacher = {}
        if TEACHER in predictions.predicted:
            teacher = {
                "teacher": names[predictions.predicted[TEACHER][position]],
                "teacher_probability": float(predictions.probabilities[TEACHER][position]),
            }
        return ShownMistake(
            pixels=pixels,
            image=self.data.describe(index),
            true=names[predictions.labels[position]],
            predicted=names[predictions.predicted[FUSED][position]],
            probability=float(predictions.probabilities[FUSED][position]),
            **teacher,
        )
