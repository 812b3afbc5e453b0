"""Mixup and cutmix, against the published distributions."""

import numpy as np
import pytest

from keras_deit.data.augment.mixing import draw, mix

pytestmark = pytest.mark.backend_independent
NUM_DRAWS = 5_000


def test_cutmix_and_mixup_each_mix_half_of_the_batches():
    rng = np.random.default_rng(0)
    drawn = [draw(rng, 16, 16) for _ in range(NUM_DRAWS)]
    shares = np.array([share for share, box in drawn if box is None])
    assert len(shares) / NUM_DRAWS == pytest.approx(0.5, abs=0.03)
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.var() == pytest.approx(1 / (4 * (2 * 0.8 + 1)), abs=0.01)  # of Beta(0.8, 0.8)


def test_cut_boxes_have_the_published_area_and_determine_the_share():
    rng, expected = np.random.default_rng(1), np.random.default_rng(2)
    drawn = [draw(rng, 100, 60, mixup=0.0) for _ in range(NUM_DRAWS)]
    for share, (top, bottom, left, right) in drawn[:200]:
        assert 0 <= top <= bottom <= 100
        assert 0 <= left <= right <= 60
        assert share == pytest.approx(1 - (bottom - top) * (right - left) / 6000)
    areas = 1 - np.array([share for share, _ in drawn])
    # A box of a uniform share of the image's area around a uniform centre, cut off at the border, by simulation.
    sides, centres = np.sqrt(expected.random(200_000)), expected.random((2, 200_000))
    lengths = np.minimum(centres + sides / 2, 1) - np.maximum(centres - sides / 2, 0)
    simulated = lengths.prod(axis=0)
    shares = np.arange(0.1, 0.95, 0.1)
    np.testing.assert_allclose(np.quantile(areas, shares), np.quantile(simulated, shares), atol=0.03)


def test_images_and_labels_are_mixed_with_the_reversed_batch():
    images = np.arange(4 * 2 * 2 * 3, dtype="float32").reshape(4, 2, 2, 3)
    labels = np.eye(4, dtype="float32")
    overwritten = images.copy()
    blended, shares = mix(overwritten, labels, 0.25, None)
    assert blended is overwritten
    np.testing.assert_allclose(blended, 0.25 * images + 0.75 * images[::-1])
    np.testing.assert_allclose(shares[0], [0.25, 0, 0, 0.75])
    cut, shares = mix(images.copy(), labels, 0.75, (0, 1, 1, 2))
    expected = images.copy()
    expected[:, 0, 1] = images[::-1, 0, 1]
    np.testing.assert_array_equal(cut, expected)
    np.testing.assert_allclose(shares.sum(axis=-1), 1)


def test_only_one_of_the_two_methods():
    assert all(draw(np.random.default_rng(seed), 8, 8, cutmix=0)[1] is None for seed in range(20))
    assert all(draw(np.random.default_rng(seed), 8, 8, mixup=0)[1] is not None for seed in range(20))
