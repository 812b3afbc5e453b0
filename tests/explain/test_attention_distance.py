"""The mean distance of attention, compared with its definition in float64."""

import numpy as np
import pytest

from keras_deit.explain import attention_distance
from tests.explain.models import GRID, attention_of, random_deit, random_images

pytestmark = pytest.mark.eager


@pytest.mark.parametrize("distilled", [True, False])
def test_distances_of_patch_centres_are_weighted_by_the_attention_to_patches(distilled):
    deit, images = random_deit(distilled=distilled), random_images(3)
    centres = [np.array([4 * row + 2, 4 * column + 2]) for row in range(GRID[0]) for column in range(GRID[1])]
    first = 2 if distilled else 1
    expected = np.zeros((2, 2))
    attention = attention_of(deit, images)
    for block, head in np.ndindex(2, 2):
        means = []
        for image in attention[:, block, head]:
            for query, row in enumerate(image[first:, first:]):
                lengths = [np.linalg.norm(centres[query] - centre) for centre in centres]
                means.append(np.average(lengths, weights=row))
        expected[block, head] = np.mean(means)
    np.testing.assert_allclose(attention_distance(deit, images), expected, rtol=1e-3)
    assert expected.std() > 0.01


def test_uniform_attention_has_the_mean_distance_of_all_patches():
    deit = random_deit(image_size=(4, 8), num_layers=1)  # two patches: one at distance 0, one at distance 4
    deit.backbone.blocks[0].attention.qkv.set_weights([np.zeros((16, 48)), np.zeros(48)])
    np.testing.assert_allclose(attention_distance(deit, np.zeros((1, 4, 8, 3), "float32")), [[2, 2]], rtol=1e-6)
