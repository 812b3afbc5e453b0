"""What a benchmark measures: a model's step, or an input pipeline."""

import dataclasses

import numpy as np

from keras_deit.benchmark.costs import NUM_CLASSES, multiply_adds, parts_of_step, regnety_multiply_adds
from keras_deit.models import get_variant


@dataclasses.dataclass(frozen=True)
class Setting:
    """The step of a model that is timed.

    Attributes:
        variant: Name of the variant.
        mode: `"inference"`, `"training"` (a whole training step with AdamW) or `"distillation"` (a whole step of hard
            distillation with AdamW).
        batch_size: Images per step.
        precision: `"float32"` or `"bfloat16"`. Inference in bfloat16 also stores the weights in bfloat16; training in
            bfloat16 is mixed precision.
        architecture: Dictionary of constructor arguments of `keras_deit.DeiTBackbone`.
        teacher: Name of the RegNetY variant that is the teacher in distillation.
    """

    variant: str
    mode: str
    batch_size: int
    precision: str
    architecture: dict
    teacher: str = "regnety_002"

    @property
    def policy(self):
        """Name of the Keras dtype policy."""
        mixed = self.precision != "float32" and self.mode != "inference"
        return f"mixed_{self.precision}" if mixed else self.precision

    @property
    def model_flops(self):
        """Floating-point operations of the model per step. The backward pass counts as two forward passes."""
        passes = 1 if self.mode == "inference" else 3
        return passes * 2 * multiply_adds(**self.architecture) * self.batch_size

    @property
    def parts(self):
        """List of `keras_deit.benchmark.costs.Part`: those of the model's step."""
        number_bytes = {"float32": 4, "bfloat16": 2}[self.precision]
        return parts_of_step(self.batch_size, self.mode != "inference", number_bytes, **self.architecture)

    @property
    def teacher_flops(self):
        """Floating-point operations of the teacher's forward pass for one batch."""
        arguments = get_variant(self.teacher, "regnety").arguments
        return 2 * regnety_multiply_adds(self.architecture["image_size"], **arguments) * self.batch_size

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
