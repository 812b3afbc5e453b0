"""Operations and bytes of the parts of a step, computed from the architecture."""

import dataclasses
import math

from keras_deit.models.regnet import STEM_WIDTH

NUM_CLASSES = 1000
OPERATIONS = {"norm": 8, "softmax": 5, "gelu": 10, "add": 1, "loss": 6, "optimizer": 12}  # per number, about


@dataclasses.dataclass(frozen=True)
class Part:
    """A part of a step, summed over all blocks.

    Attributes:
        name: Name of the part.
        flops: Floating-point operations: of a matrix product two for each multiplication, otherwise an estimate.
        num_bytes: Bytes that are read and written if no result stays in a cache.
        is_product: Whether the part is a matrix product.
    """

    name: str
    flops: float
    num_bytes: float
    is_product: bool

    @property
    def intensity(self):
        """Arithmetic intensity: operations per byte."""
        return self.flops / self.num_bytes


def parts_of_step(
    batch_size,
    training,
    number_bytes,
    image_size,
    patch_size,
    hidden_dim,
    num_layers,
    num_heads,
    distilled=True,
    intermediate_dim=None,
    num_classes=NUM_CLASSES,
    **_,
):
    """Counts the operations and bytes of each part of a step.

    Every part reads its inputs and writes its outputs once, and the attention maps are written to memory. In the backward
    pass, a matrix product becomes two products of the same size. Another part reads two arrays (its input and the gradient,
    or two gradients to be added), writes one, and computes about twice as much as in the forward pass.

    Args:
        batch_size: Images per step.
        training: Whether backward pass, loss and optimizer (AdamW) are counted too.
        number_bytes: Bytes of an activation or a weight: 4 in float32, 2 in bfloat16. The optimizer computes in float32.
        image_size: Side of the images in pixels.
        patch_size, hidden_dim, num_layers, num_heads, distilled, intermediate_dim: As for `keras_deit.DeiTBackbone`. Its
            other arguments are accepted and do not change the counts.
        num_classes: Number of classes.

    Returns:
        List of `Part`.

    Example:

    >>> parts = parts_of_step(1, False, 4, image_size=224, patch_size=16, hidden_dim=192, num_layers=12, num_heads=3)
    >>> [part.name for part in parts][:3]
    ['patch embedding', 'QKV', 'attention logits']
    """
    heads, patches = 2 if distilled else 1, (image_size // patch_size) ** 2
    tokens, head_dim = patches + heads, hidden_dim // num_heads
    intermediate_dim = intermediate_dim or 4 * hidden_dim
    rows, maps = batch_size * tokens, batch_size * num_heads
    counter = _Counter(training, number_bytes)
    parts = [
        counter.product("patch embedding", batch_size * patches, 3 * patch_size**2, hidden_dim),
        counter.product("QKV", rows, hidden_dim, 3 * hidden_dim, num_layers),
        counter.product("attention logits", tokens, head_dim, tokens, num_layers * maps),
        counter.elementwise("softmax", maps * tokens**2, num_layers),
        counter.product("attention values", tokens, tokens, head_dim, num_layers * maps),
        counter.product("projection", rows, hidden_dim, hidden_dim, num_layers),
        counter.product("MLP", rows, hidden_dim, intermediate_dim, 2 * num_layers),
        counter.elementwise("gelu", rows * intermediate_dim, num_layers),
        counter.elementwise("norm", rows * hidden_dim, 2 * num_layers + 1),
        counter.elementwise("add", rows * hidden_dim, 2 * num_layers, inputs=2),
        counter.product("heads", batch_size, hidden_dim, num_classes, heads),
    ]
    if training:
        weights = num_layers * (4 * hidden_dim**2 + 2 * hidden_dim * intermediate_dim)
        weights += 3 * patch_size**2 * hidden_dim + heads * hidden_dim * num_classes
        parts.append(counter.elementwise("loss", heads * batch_size * num_classes))
        # Weight, gradient and both moments are read; the weight and both moments are written.
        parts.append(Part("optimizer", OPERATIONS["optimizer"] * weights, 7 * 4 * weights, is_product=False))
    return parts


class _Counter:
    """Makes the parts of a step, with their backward passes in training."""

    def __init__(self, training, number_bytes):
        self.training = training
        self.number_bytes = number_bytes

    def product(self, name, rows, inner, columns, count=1):
        """`count` products of matrices `(rows, inner)` and `(inner, columns)`."""
        passes = 3 if self.training else 1
        numbers = rows * inner + inner * columns + rows * columns
        flops = 2 * rows * inner * columns
        return Part(name, passes * count * flops, passes * count * numbers * self.number_bytes, is_product=True)

    def elementwise(self, name, size, count=1, inputs=1):
        """`count` times a function of arrays with `size` numbers each."""
        flops, numbers = OPERATIONS[name] * size, (inputs + 1) * size
        if self.training:
            flops, numbers = 3 * flops, numbers + 3 * size
        return Part(name, count * flops, count * numbers * self.number_bytes, is_product=False)


def multiply_adds(**architecture):
    """Counts the multiplications in the matrix products of one image's forward pass.

    As usual, layer norms, softmax and GELU are not counted. They are less than one percent.

    Args:
        **architecture: Arguments of `parts_of_step`: those of `keras_deit.DeiTBackbone`, and `num_classes`.

    Returns:
        The number of multiplications. Each product is also added to a sum, so the number of floating-point operations is
        twice as large.

    Example:

    >>> count = multiply_adds(
    ...     image_size=224, patch_size=16, hidden_dim=768, num_layers=12, num_heads=12, distilled=False
    ... )
    >>> round(count / 1e9, 1)
    17.6

    Reference:
        timm and the DeiT III paper (Touvron et al., 2022, arXiv 2204.07118) give 1.3, 4.6 and 17.6 billion for the tiny,
        small and base models with one token.
    """
    parts = parts_of_step(1, training=False, number_bytes=4, **architecture)
    return sum(part.flops for part in parts if part.is_product) // 2


def regnety_multiply_adds(image_size, widths, depths, group_width, num_classes=NUM_CLASSES):
    """Counts the multiplications in the convolutions and the head of a RegNetY for one image.

    Batch norms and the squeeze-and-excitation layers, which act on one vector per image, are not counted.

    Args:
        image_size: Side of the image in pixels.
        widths, depths, group_width: As for `keras_deit.RegNetY`.
        num_classes: Number of classes.

    Returns:
        The number of multiplications. The number of floating-point operations is twice as large.

    Example:

    >>> round(regnety_multiply_adds(224, (24, 56, 152, 368), (1, 1, 4, 7), group_width=8) / 1e9, 1)
    0.2

    Reference:
        Radosavovic et al., 2020 (arXiv 2003.13678), table 4: the number in the name of a model, such as RegNetY-16GF.
    """
    side, inputs = math.ceil(image_size / 2), STEM_WIDTH
    total = side**2 * 3 * 9 * inputs
    for width, depth in zip(widths, depths, strict=True):
        for block in range(depth):
            outputs_side = math.ceil(side / 2) if block == 0 else side
            shortcut = inputs * width if block == 0 else 0
            per_output = 9 * group_width * width + width**2 + shortcut
            total += side**2 * inputs * width + outputs_side**2 * per_output
            side, inputs = outputs_side, width
    return total + inputs * num_classes
