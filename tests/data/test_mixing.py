"""Mixup and cutmix, against the published distributions."""

import numpy as np
import pytest

from keras_deit.data.mixing import draw_mixing, mix

NUM_DRAWS = 5_000


def test_half_of_the_batches_is_cut_and_half_is_blended():
    rng = np.random.default_rng(0)
    masks = [draw_mixing(rng, 16, 16)[0] for _ in range(NUM_DRAWS)]
    blended = [mask for mask in masks if 0 < mask[0, 0, 0] < 1]
    assert len(blended) / NUM_DRAWS == pytest.approx(0.5, abs=0.03)
    shares = np.array([mask[0, 0, 0] for mask in blended])
    assert all(np.all(mask == mask[0, 0, 0]) for mask in blended)
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.var() == pytest.approx(1 / (4 * (2 * 0.8 + 1)), abs=0.01)  # of Beta(0.8, 0.8)


def test_what_is_cut_has_the_published_area_and_the_label_follows_it():
    rng, expected = np.random.default_rng(1), np.random.default_rng(2)
    drawn = [draw_mixing(rng, 100, 60, cutmix_probability=1.0) for _ in range(NUM_DRAWS)]
    for mask, share in drawn[:200]:
        assert set(np.unique(mask)) <= {0.0, 1.0}
        assert share == pytest.approx(mask.mean())
        rows, columns = np.nonzero(mask[..., 0] == 0)
        if len(rows):  # one rectangle
            assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    areas = 1 - np.array([share for _, share in drawn])
    # A box of a uniform share of the image's area around a uniform centre, cut off at the border, by simulation.
    sides, centres = np.sqrt(expected.random(200_000)), expected.random((2, 200_000))
    lengths = np.minimum(centres + sides / 2, 1) - np.maximum(centres - sides / 2, 0)
    simulated = lengths.prod(axis=0)
    shares = np.arange(0.1, 0.95, 0.1)
    np.testing.assert_allclose(np.quantile(areas, shares), np.quantile(simulated, shares), atol=0.03)


def test_images_and_labels_are_mixed_with_those_at_the_other_end():
    images = np.arange(4 * 2 * 2 * 3, dtype="float32").reshape(4, 2, 2, 3)
    labels = np.eye(4, dtype="float32")
    mask = np.array([[1, 0], [0.25, 1]], "float32")[..., None]
    mixed, shares = mix(images, labels, mask, 0.5625)
    np.testing.assert_allclose(mixed[0, 0, 0], images[0, 0, 0])
    np.testing.assert_allclose(mixed[0, 0, 1], images[3, 0, 1])
    np.testing.assert_allclose(mixed[1, 1, 0], 0.25 * images[1, 1, 0] + 0.75 * images[2, 1, 0])
    np.testing.assert_allclose(shares[0], [0.5625, 0, 0, 0.4375])
    np.testing.assert_allclose(shares.sum(axis=-1), 1)
