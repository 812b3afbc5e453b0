"""The findings of the paper as comparisons of two conditions, and what the measurements say about them."""

import dataclasses

from keras_deit.reproduction.design import (
    ATTENTION,
    BASE,
    NO_AUGMENTATION,
    NO_TEACHER,
    REPEATED,
    STRONG,
    TRANSFORMER_TEACHER,
    UNLABELLED,
    USUAL_HARD,
    USUAL_SOFT,
)
from keras_deit.reproduction.statistics import paired_difference

HOLDS, FAILS, UNDECIDED = "holds", "does not hold", "undecided"
FUSED, CLASS_HEAD, DISTILLATION_HEAD = "accuracy", "class_accuracy", "distillation_accuracy"
TABLE_2, TABLE_3, TABLE_8 = "table 2", "table 3", "table 8"
NOT_PUBLISHED = "not in the paper"
MIN_SEEDS = 3  # of a verdict: accuracies move in steps of one test image, so two equal differences are no rarity
NO_SPREAD = 1e-6  # half width of the interval of equal differences, with the rounding errors of accuracies in float32


@dataclasses.dataclass(frozen=True)
class Finding:
    """A claim that one row is better than another one.

    Attributes:
        claim: The claim in words.
        better, worse: Pairs of the name of a condition and the figure of its head.
        source: Where in the paper the claim is from.
        published: Difference of the two top-1 accuracies of DeiT-B at 224 pixels in the paper's table 3, in percentage
            points; None for a finding from elsewhere.
    """

    claim: str
    better: tuple
    worse: tuple
    source: str
    published: float | None = None


BETTER_TEACHER = Finding("A convnet is the better teacher.", (BASE, FUSED), (TRANSFORMER_TEACHER, FUSED), TABLE_2)
FINDINGS = (  # soft distillation is not among them: table 3 has the same accuracy for it as for no teacher
    Finding(
        "Hard distillation is better than no teacher.", (USUAL_HARD, FUSED), (NO_TEACHER, FUSED), TABLE_3, 83.0 - 81.8
    ),
    Finding("Hard distillation is better than soft.", (USUAL_HARD, FUSED), (USUAL_SOFT, FUSED), TABLE_3, 83.0 - 81.8),
    Finding(
        "The distillation token (both heads) is better than usual hard distillation.",
        (BASE, FUSED),
        (USUAL_HARD, FUSED),
        TABLE_3,
        83.4 - 83.0,
    ),
    Finding(
        "The distillation head is better than the class head.",
        (BASE, DISTILLATION_HEAD),
        (BASE, CLASS_HEAD),
        TABLE_3,
        83.1 - 83.0,
    ),
    Finding(
        "Both heads together are better than the class head.", (BASE, FUSED), (BASE, CLASS_HEAD), TABLE_3, 83.4 - 83.0
    ),
    Finding(
        "Both heads together are better than the distillation head.",
        (BASE, FUSED),
        (BASE, DISTILLATION_HEAD),
        TABLE_3,
        83.4 - 83.1,
    ),
    BETTER_TEACHER,
    Finding("Strong augmentation helps.", (STRONG, FUSED), (NO_AUGMENTATION, FUSED), TABLE_8),
    Finding("Repeated augmentation helps.", (REPEATED, FUSED), (STRONG, FUSED), TABLE_8),
    Finding("Unlabelled images help.", (UNLABELLED, FUSED), (BASE, FUSED), NOT_PUBLISHED),
    Finding("Attention distillation helps.", (ATTENTION, FUSED), (TRANSFORMER_TEACHER, FUSED), NOT_PUBLISHED),
)


def difference(finding, measured):
    """Estimates the difference that a finding is about.

    Args:
        finding: `Finding`.
        measured: Dictionary from conditions to dictionaries from seeds to figures, at one number of labels.

    Returns:
        An `Estimate`; None if a condition was not measured.
    """
    better, worse = (
        {seed: figures[figure] for seed, figures in measured.get(condition, {}).items()}
        for condition, figure in (finding.better, finding.worse)
    )
    return paired_difference(better, worse)


def verdict(found):
    """Decides about a finding.

    Args:
        found: `Estimate` of the difference between what should be better and what should be worse.

    Returns:
        `HOLDS` if the whole 95 % interval lies above 0, `FAILS` if it lies below 0, otherwise `UNDECIDED`. Fewer than
        `MIN_SEEDS` seeds, or equal differences of all seeds, leave a finding undecided.

    Example:

    >>> from keras_deit.reproduction.statistics import Estimate
    >>> verdict(Estimate(0.02, half_width=0.01, count=5)), verdict(Estimate(0.02, half_width=0.03, count=5))
    ('holds', 'undecided')
    """
    if found.count < MIN_SEEDS or found.half_width < NO_SPREAD:
        return UNDECIDED
    if found.low > 0:
        return HOLDS
    return FAILS if found.high < 0 else UNDECIDED
