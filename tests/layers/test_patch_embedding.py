"""Patch embedding against a naive strided convolution."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit.layers import PatchEmbedding
from tests import numpy_reference
from tests.battery import check_layer, weights_of
from tests.goldens.weights import fill, noise


def test_battery():
    check_layer(
        PatchEmbedding,
        {"hidden_dim": 12, "patch_size": 4},
        input_shape=(2, 8, 12, 3),
        output_shape=(2, 6, 12),
        num_weights=2,
        num_parameters=4 * 4 * 3 * 12 + 12,
    )


@pytest.mark.parametrize("shape", [(2, 8, 12, 3), (1, 12, 8, 3), (1, 8, 4, 1)])
def test_equals_a_strided_convolution(shape):
    layer = PatchEmbedding(hidden_dim=12, patch_size=4)
    layer.build(shape)
    fill(layer)
    images = noise("images", shape)
    expected = numpy_reference.patch_embedding(images.astype("float64"), weights_of(layer))
    np.testing.assert_allclose(ops.convert_to_numpy(layer(images)), expected, atol=1e-5)


def test_patches_are_ordered_row_by_row():
    layer = PatchEmbedding(hidden_dim=1, patch_size=2)
    layer.build((1, 4, 6, 1))
    layer.kernel.assign(np.full((2, 2, 1, 1), 0.25))
    layer.bias.assign([0.0])
    images = (
        np.arange(6.0).reshape(2, 3).repeat(2, axis=0).repeat(2, axis=1)[None, :, :, None]
    )  # every pixel of a patch holds the patch's index
    assert ops.convert_to_numpy(layer(images)).ravel().tolist() == [0, 1, 2, 3, 4, 5]


def test_initial_values_are_those_of_a_pytorch_convolution():
    layer = PatchEmbedding(hidden_dim=768, patch_size=16)
    layer.build((None, 32, 32, 3))
    limit = 1 / np.sqrt(3 * 16**2)
    for weight in layer.weights:
        values = ops.convert_to_numpy(weight)
        assert np.abs(values).max() <= limit
        assert np.abs(values).max() > 0.99 * limit
        assert abs(values.mean()) < 0.06 * limit
        assert values.std() == pytest.approx(limit / np.sqrt(3), rel=0.05)  # of a uniform distribution


@pytest.mark.parametrize(("size", "nearest"), [((30, 32), "(24, 32)"), ((32, 37), "(32, 32)")])
def test_patch_size_must_divide_both_sides(size, nearest):
    layer = PatchEmbedding(hidden_dim=8, patch_size=8)
    with pytest.raises(ValueError, match="must divide both sides") as error:
        layer(keras.Input((*size, 3)))
    assert f"image_size=({size[0]}, {size[1]}), patch_size=8" in str(error.value)
    assert nearest in str(error.value)


@pytest.mark.parametrize("arguments", [(0, 4), (8, 0), (-1, 4)])
def test_sizes_must_be_positive(arguments):
    with pytest.raises(ValueError, match=r"must be positive\. Received: hidden_dim="):
        PatchEmbedding(*arguments)


@pytest.mark.parametrize("shape", [(None, None, 3), (8, 3)])
def test_image_size_must_be_known(shape):
    with pytest.raises(ValueError, match="Expected images of a known shape"):
        PatchEmbedding(hidden_dim=8, patch_size=4)(keras.Input(shape))


@pytest.mark.parametrize(
    ("shape", "hint"),
    [
        ((8, 12, 3), "A single image needs a batch axis"),
        ((1, 3, 8, 12), "The images look channels-first"),
        ((1, 8, 12, 1), "Convert the images to 3 channels"),
        ((1, 16, 16, 3), "Resize the images"),
        ((1, 12, 8, 3), "Resize the images"),
    ],
)
def test_images_of_another_shape_are_refused_with_a_hint(shape, hint):
    layer = PatchEmbedding(hidden_dim=8, patch_size=4)
    layer.build((None, 8, 12, 3))
    with pytest.raises(ValueError, match=hint) as error:
        layer(np.zeros(shape, "float32"))
    assert str(shape) in str(error.value)
    assert "('batch', 8, 12, 3)" in str(error.value)
