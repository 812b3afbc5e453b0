"""The figures of a study by condition, and their estimates."""

from keras_deit.reproduction.design import (
    BASE,
    NO_TEACHER,
    USUAL_HARD,
    USUAL_SOFT,
    conditions_at,
    setting_of,
    trained_as,
)
from keras_deit.reproduction.findings import CLASS_HEAD, DISTILLATION_HEAD, FINDINGS, FUSED, difference
from keras_deit.reproduction.spec import CONVNET, TEST, TRANSFORMER
from keras_deit.reproduction.statistics import estimate, paired_difference

MAIN_ROWS = {  # the rows of the paper's table 3, with the pair of condition and figure
    "no teacher": (NO_TEACHER, FUSED),
    "usual soft distillation": (USUAL_SOFT, FUSED),
    "usual hard distillation": (USUAL_HARD, FUSED),
    "distillation token: class head": (BASE, CLASS_HEAD),
    "distillation token: distillation head": (BASE, DISTILLATION_HEAD),
    "distillation token: both heads": (BASE, FUSED),
}
TEACHER_ROWS = {"convnet, the teacher": (CONVNET, FUSED), "transformer, the other teacher": (TRANSFORMER, FUSED)}


class Results:
    """The finished trainings of a dataset that were evaluated on the test split.

    Args:
        design: `Design`.
        base: `Setting` of the base.
        finished: List of pairs of `Training` and its dictionary of figures.
    """

    def __init__(self, design, base, finished):
        self.design = design
        self.base = base
        self.trainings = [(training, figures) for training, figures in finished if training.evaluated_on == TEST]

    def measured(self, labels):
        """The figures at a number of labels.

        Returns:
            Dictionary from conditions, and kinds of teachers, to dictionaries from seeds to dictionaries of figures.
        """
        found = {}
        for training, figures in self.trainings:
            if training.labels == labels:
                found.setdefault(training.condition, {})[training.seed] = figures
        names = {
            **trained_as(conditions_at(self.design, labels), self.base),
            CONVNET: CONVNET,
            TRANSFORMER: TRANSFORMER,
        }
        return {name: found[trained] for name, trained in names.items() if trained in found}

    def is_base(self, condition):
        """Whether a condition has the setting of the base."""
        return setting_of(condition, self.base) == self.base

    def accuracy(self, row, labels):
        """Estimates an accuracy.

        Args:
            row: Pair of the name of a condition and of a figure.
            labels: Number of labels per class.

        Returns:
            An `Estimate`, or None if it was not measured.
        """
        condition, figure = row
        of_seeds = self.measured(labels).get(condition)
        return of_seeds and estimate([figures[figure] for figures in of_seeds.values()])

    def difference(self, condition, reference):
        """Estimates how much a condition is better than its reference at `main_labels`, or None."""
        measured = self.measured(self.design.main_labels)
        if not {condition, reference} <= measured.keys():
            return None
        values, others = (
            {seed: figures[FUSED] for seed, figures in measured[name].items()} for name in (condition, reference)
        )
        return paired_difference(values, others)

    def findings(self):
        """Estimates the differences that the findings are about.

        Returns:
            List of pairs: `Finding`, and a dictionary from numbers of labels to the `Estimate` of its difference.
        """
        differences = {
            finding: {labels: difference(finding, self.measured(labels)) for labels in self.design.labels}
            for finding in FINDINGS
        }
        return [
            (finding, {labels: found for labels, found in of_labels.items() if found is not None})
            for finding, of_labels in differences.items()
        ]
