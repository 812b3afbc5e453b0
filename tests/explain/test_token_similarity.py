"""The cosine of the two tokens, compared with its definition in float64."""

import keras
import numpy as np
import pytest

from keras_deit.explain import token_similarity
from tests.explain.models import random_deit, random_images

pytestmark = pytest.mark.eager


def cosines(tokens):
    one, other = keras.ops.convert_to_numpy(tokens)[:, :2].astype("float64").transpose(1, 0, 2)
    return (one * other).sum(-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)


def test_the_similarity_is_the_mean_cosine_at_the_input_and_after_each_block():
    deit, images = random_deit(), random_images(4)
    prefix = deit.backbone.get_layer("prefix_tokens")
    tokens = prefix(deit.backbone.get_layer("patch_embedding")(images))
    expected = [cosines(tokens).mean()]
    for block in deit.backbone.blocks:
        tokens = block(tokens)
        expected.append(cosines(tokens).mean())
    found = token_similarity(deit, images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert len(found) == 3


def test_equal_tokens_are_similar_and_opposite_ones_are_not():
    deit = random_deit()
    prefix = deit.backbone.get_layer("prefix_tokens")
    values = {variable.name: np.zeros(variable.shape) for variable in prefix.weights}
    direction = np.linspace(-1, 1, 16)
    for sign in (1, -1):
        values["class_token"], values["distillation_token"] = (
            np.broadcast_to(token, values["class_token"].shape) for token in (direction, 2 * sign * direction)
        )
        prefix.set_weights([values[variable.name] for variable in prefix.weights])
        assert token_similarity(deit, random_images(2))[0] == pytest.approx(sign, abs=1e-5)


def test_one_token_has_no_similarity():
    with pytest.raises(ValueError, match="needs a model with a distillation token"):
        token_similarity(random_deit(distilled=False), random_images(1))
