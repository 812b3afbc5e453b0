"""Verdicts, and the pairs that the findings compare."""

import math

import pytest

from keras_deit.reproduction.design import BASE, CONDITIONS, NO_TEACHER, USUAL_HARD, USUAL_SOFT
from keras_deit.reproduction.findings import FAILS, FINDINGS, HOLDS, UNDECIDED, difference, verdict
from keras_deit.reproduction.statistics import Estimate, estimate

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize(
    ("mean", "half_width", "expected"),
    [
        (0.02, 0.01, HOLDS),
        (-0.02, 0.01, FAILS),
        (0.02, 0.03, UNDECIDED),
        (-0.02, 0.02, UNDECIDED),
        (0.0, 0.0, UNDECIDED),
        (0.02, math.nan, UNDECIDED),
    ],
)
def test_the_interval_decides(mean, half_width, expected):
    assert verdict(Estimate(mean, half_width, 5)) == expected


@pytest.mark.parametrize("differences", [[0.02, 0.02], [0.02, 0.021], [0.8 - 0.6, 0.81 - 0.61, 0.82 - 0.62]])
def test_two_seeds_and_equal_differences_decide_nothing(differences):
    found = estimate(differences)
    assert found.low > 0
    assert verdict(found) == UNDECIDED


def test_every_finding_compares_conditions_of_the_study():
    for finding in FINDINGS:
        assert {finding.better[0], finding.worse[0]} <= CONDITIONS.keys()
        assert finding.better != finding.worse


def test_published_differences_are_those_of_table_3():
    published = [finding.published for finding in FINDINGS if finding.source == "table 3"]
    assert published == pytest.approx([1.2, 1.2, 0.4, 0.1, 0.4, 0.3])
    assert all(finding.published is None for finding in FINDINGS if finding.source != "table 3")


def test_soft_distillation_and_no_teacher_are_no_finding():
    pairs = [{finding.better[0], finding.worse[0]} for finding in FINDINGS]
    assert {USUAL_SOFT, NO_TEACHER} not in pairs
    assert {USUAL_HARD, USUAL_SOFT} in pairs


def test_the_difference_is_that_of_the_seeds():
    measured = {
        USUAL_HARD: {0: {"accuracy": 0.8}, 1: {"accuracy": 0.9}},
        NO_TEACHER: {0: {"accuracy": 0.7}, 1: {"accuracy": 0.6}},
        BASE: {0: {"accuracy": 0.8, "class_accuracy": 0.75, "distillation_accuracy": 0.5}},
    }
    hard = difference(FINDINGS[0], measured)
    assert (hard.mean, hard.count) == (pytest.approx(0.2), 2)
    heads = next(finding for finding in FINDINGS if finding.claim.startswith("The distillation head"))
    assert difference(heads, measured).mean == pytest.approx(-0.25)
    soft = next(finding for finding in FINDINGS if finding.claim.startswith("Hard distillation is better than soft"))
    assert difference(soft, measured) is None
