"""What a benchmark measures: a model's step, or an input pipeline."""

import dataclasses

import numpy as np

NUM_CLASSES = 1000


@dataclasses.dataclass(frozen=True)
class Setting:
    """The step of a model that is timed.

    Attributes:
        variant: Name of the variant.
        mode: `"inference"` or `"training"` (a whole training step with AdamW).
        batch_size: Images per step.
        precision: `"float32"` or `"bfloat16"`. Inference in bfloat16 also stores the weights in bfloat16; training in
            bfloat16 is mixed precision.
        architecture: Dictionary of constructor arguments of `keras_deit.DeiTBackbone`.
    """

    variant: str
    mode: str
    batch_size: int
    precision: str
    architecture: dict

    @property
    def policy(self):
        """Name of the Keras dtype policy."""
        mixed = self.precision != "float32" and self.mode == "training"
        return f"mixed_{self.precision}" if mixed else self.precision

    @property
    def step_flops(self):
        """Floating-point operations per step. The backward pass counts as two forward passes."""
        passes = 3 if self.mode == "training" else 1
        return passes * 2 * multiply_adds(**self.architecture) * self.batch_size

    def random_batch(self):
        """Draws the batch of a step.

        Returns:
            Float32 array of images `(batch, height, width, 3)`, standard normal, and integer labels `(batch,)`.
        """
        generator, size = np.random.default_rng(0), self.architecture["image_size"]
        images = generator.standard_normal((self.batch_size, size, size, 3), dtype="float32")
        return images, generator.integers(0, NUM_CLASSES, self.batch_size)


@dataclasses.dataclass(frozen=True)
class PipelineSetting:
    """The batches that an input pipeline makes while it is timed.

    Attributes:
        image_size: Side of the augmented images in pixels.
        batch_size: Images per batch.
        num_batches: Number of timed batches.
        num_workers: Number of threads or worker processes.
    """

    image_size: int
    batch_size: int
    num_batches: int
    num_workers: int


def multiply_adds(
    image_size, patch_size, hidden_dim, num_layers, distilled=True, intermediate_dim=None, num_classes=NUM_CLASSES, **_
):
    """Counts the multiplications in the matrix products of one image's forward pass.

    As usual, layer norms, softmax and GELU are not counted. They are less than one percent.

    Args:
        image_size: Side of the image in pixels.
        patch_size, hidden_dim, num_layers, distilled, intermediate_dim: As for `keras_deit.DeiTBackbone`. Its other
            arguments are accepted and do not change the count.
        num_classes: Number of classes.

    Returns:
        The number of multiplications. Each product is also added to a sum, so the number of floating-point operations is
        twice as large.

    Example:

    >>> round(multiply_adds(224, 16, hidden_dim=768, num_layers=12, distilled=False) / 1e9, 1)
    17.6

    Reference:
        timm and the DeiT III paper (Touvron et al., 2022, arXiv 2204.07118) give 1.3, 4.6 and 17.6 billion for the tiny,
        small and base models with one token.
    """
    heads = 2 if distilled else 1
    patches = (image_size // patch_size) ** 2
    tokens = patches + heads
    projections = 4 * hidden_dim**2 + 2 * hidden_dim * (intermediate_dim or 4 * hidden_dim)  # of attention and MLP
    attention = 2 * tokens**2 * hidden_dim  # the attention logits and the weighted sum of the values
    return (
        patches * 3 * patch_size**2 * hidden_dim
        + num_layers * (tokens * projections + attention)
        + heads * hidden_dim * num_classes
    )
