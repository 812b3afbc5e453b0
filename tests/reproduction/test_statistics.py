"""The intervals are those of SciPy."""

import math

import numpy as np
import pytest
from scipy import stats

from keras_deit.reproduction.statistics import estimate, paired_difference

pytestmark = pytest.mark.backend_independent

VALUES, OTHERS = np.random.default_rng(0).normal(0.7, 0.05, size=(2, 5))


def test_the_interval_of_a_mean_is_that_of_a_t_test():
    found = estimate(VALUES)
    expected = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)
    assert (found.mean, found.count) == (pytest.approx(np.mean(VALUES)), 5)


def test_the_interval_of_a_paired_difference_is_that_of_a_paired_t_test():
    found = paired_difference(dict(enumerate(VALUES)), dict(enumerate(OTHERS)))
    expected = stats.ttest_rel(VALUES, OTHERS).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_seeds_without_a_partner_are_left_out():
    found = paired_difference({0: 0.5, 1: 0.7, 2: 0.9}, {2: 0.8, 0: 0.4})
    assert found.count == 2
    assert found.mean == pytest.approx(0.1)
    assert paired_difference({0: 0.5}, {1: 0.5}) is None


def test_one_value_has_no_interval():
    assert math.isnan(estimate([0.5]).half_width)
