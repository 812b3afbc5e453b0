"""Images to patch tokens."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_deit")
class PatchEmbedding(keras.layers.Layer):
    """Cuts an image into square patches and projects each to a token.

    The layer is a convolution whose stride equals its kernel size. Since the windows do not overlap, it is computed as
    one matrix product over the flattened patches, which is faster and gives the same values.

    Args:
        hidden_dim: Length of a token, a positive integer.
        patch_size: Side of a patch in pixels, a positive integer that divides both sides of the image.

    Input shape:
        `(batch, height, width, channels)`, channels last whatever `keras.config.image_data_format()` says.

    Output shape:
        `(batch, patches, hidden_dim)` with `patches = (height // patch_size) * (width // patch_size)`, row by row.

    Raises:
        ValueError: If `patch_size` does not divide the image, or the images have another shape than the layer was built
            for.

    Example:

    >>> tuple(PatchEmbedding(hidden_dim=192, patch_size=16)(keras.ops.ones((1, 224, 224, 3))).shape)
    (1, 196, 192)

    Reference:
        Dosovitskiy et al., 2020 (arXiv 2010.11929), equation 1. Initial values: uniform in
        ±1/√(channels · patch_size²) for kernel and bias, the defaults of PyTorch's `Conv2d`, which the official DeiT
        code keeps.
    """

    def __init__(self, hidden_dim, patch_size, **kwargs):
        super().__init__(**kwargs)
        if hidden_dim < 1 or patch_size < 1:
            raise ValueError(
                f"`hidden_dim` and `patch_size` must be positive. Received: hidden_dim={hidden_dim}, patch_size={patch_size}"
            )
        self.hidden_dim = hidden_dim
        self.patch_size = patch_size

    def build(self, input_shape):
        """Creates kernel and bias for images of shape `(height, width, channels) = input_shape[1:]`."""
        _check_divisible(input_shape, self.patch_size)
        self.image_shape = tuple(input_shape[1:])
        channels = input_shape[-1]
        limit = (channels * self.patch_size**2) ** -0.5
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.patch_size, self.patch_size, channels, self.hidden_dim),
            initializer=keras.initializers.RandomUniform(-limit, limit),
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.hidden_dim,), initializer=keras.initializers.RandomUniform(-limit, limit)
        )

    def call(self, images):
        """Maps images to patch tokens."""
        self._check_shape(images.shape)
        height, width, channels = self.image_shape
        rows, columns, size = height // self.patch_size, width // self.patch_size, self.patch_size
        # No tensor of five dimensions: the programs that run exported models on GPUs and NPUs refuse them.
        strips = ops.reshape(images, (-1, size, columns, size * channels))  # (batch * rows, ...)
        patches = ops.transpose(strips, (0, 2, 1, 3))  # (batch * rows, columns, size, size * channels)
        patches = ops.reshape(patches, (-1, size * size * channels))  # (batch * patches, pixels of a patch)
        kernel = ops.reshape(self.kernel, (-1, self.hidden_dim))
        tokens = ops.matmul(patches, kernel) + self.bias
        return ops.reshape(tokens, (-1, rows * columns, self.hidden_dim))

    def compute_output_shape(self, input_shape):
        """Returns `(batch, patches, hidden_dim)`."""
        if self.built:
            self._check_shape(input_shape)
        batch, height, width, _ = input_shape
        return (batch, (height // self.patch_size) * (width // self.patch_size), self.hidden_dim)

    def get_config(self):
        return {**super().get_config(), "hidden_dim": self.hidden_dim, "patch_size": self.patch_size}

    def _check_shape(self, shape):
        received = tuple(shape)
        if len(received) == 4 and received[1:] == self.image_shape:
            return
        hint = "Resize the images, or build the model with another `image_size`."
        if len(received) == 3:
            hint = "A single image needs a batch axis: `images[None]`."
        elif received[1] == self.image_shape[-1]:
            hint = "The images look channels-first: move the channels to the end with `np.moveaxis(images, 1, -1)`."
        elif received[-1] != self.image_shape[-1]:
            hint = f"Convert the images to {self.image_shape[-1]} channels (greyscale: repeat the channel)."
        raise ValueError(
            f"Expected images of shape (batch, height, width, channels) = {('batch', *self.image_shape)}. "
            f"Received: shape={received}. {hint}"
        )


def _check_divisible(input_shape, patch_size):
    if len(input_shape) != 4 or None in input_shape[1:]:
        raise ValueError(
            "Expected images of a known shape (batch, height, width, channels), channels last. "
            f"Received: input_shape={tuple(input_shape)}"
        )
    height, width = input_shape[1:3]
    if height % patch_size or width % patch_size:
        lower = (height // patch_size * patch_size, width // patch_size * patch_size)
        raise ValueError(
            f"The patch must divide both sides of the image. Received: image_size=({height}, {width}), "
            f"patch_size={patch_size}. The nearest smaller image that fits is {lower}; or choose another `patch_size`."
        )
