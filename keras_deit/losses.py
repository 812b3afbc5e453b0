"""The distillation losses: pure functions of tensors, one value per example, no reduction, no model.

Half-precision inputs are taken to float32 first. No gradient is stopped here: a teacher's tensors are constants because
whoever computes them keeps them out of the gradient.
"""

import keras
from keras import ops

_TINY = 1e-30  # the smallest attention whose logarithm is taken; a float32 softmax can round to zero


def hard_distillation(teacher_logits, student_logits):
    """Cross-entropy of the student with the teacher's decision.

    Args:
        teacher_logits: Tensor `(batch, classes)`. Only its argmax counts; of equal logits the first.
        student_logits: Tensor `(batch, classes)`.

    Returns:
        Tensor `(batch,)`, in nats.

    Raises:
        ValueError: If the shapes differ.

    Example:

    >>> import numpy as np
    >>> loss = hard_distillation(np.array([[0.0, 9.0]]), np.array([[0.0, 0.0]]))
    >>> round(float(loss[0]), 4)
    0.6931

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), equation 3, its second cross-entropy.
    """
    teacher_logits, student_logits = _as_logits(teacher_logits, student_logits)
    decision = ops.argmax(teacher_logits, axis=-1)
    log_probabilities = ops.log_softmax(student_logits, axis=-1)
    return -ops.squeeze(ops.take_along_axis(log_probabilities, ops.expand_dims(decision, -1), axis=-1), -1)


def soft_distillation(teacher_logits, student_logits, temperature=3.0):
    """Kullback-Leibler divergence from the teacher's softened distribution to the student's, times the temperature².

    The sum runs over the classes. The official code then divides by the number of elements, batch × classes, where the
    mean over the batch is meant; `Distiller(soft_reduction="official")` repeats that.

    Args:
        teacher_logits: Tensor `(batch, classes)`.
        student_logits: Tensor `(batch, classes)`.
        temperature: Positive float that both logits are divided by.

    Returns:
        Tensor `(batch,)`, in nats.

    Raises:
        ValueError: If the shapes differ or the temperature is not positive.

    Example:

    >>> import numpy as np
    >>> logits = np.array([[1.0, 2.0, 3.0]])
    >>> float(soft_distillation(logits, logits, temperature=2.0)[0])
    0.0

    Reference:
        Hinton et al., 2015 (arXiv 1503.02531), section 2; Touvron et al., 2020 (arXiv 2012.12877), equation 2.
    """
    if not temperature > 0:
        raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
    teacher_logits, student_logits = _as_logits(teacher_logits, student_logits)
    return _divergence(teacher_logits / temperature, student_logits / temperature) * temperature**2


def attention_distillation(teacher_attention, student_attention):
    """Kullback-Leibler divergence from the teacher's attention to the student's, over the patch tokens.

    The maps are averaged over the heads, so that the numbers of heads may differ, and each row becomes a distribution
    over the patches. Each student block m of M is compared with the teacher's block ⌈m·L/M⌉ of L, so that the last meets
    the last. The result is the mean over rows and blocks.

    Args:
        teacher_attention: Tensor `(batch, heads, patches, patches)` of attention after its softmax, the prefix tokens cut
            off (rows need not sum to 1), or a list of them, one a block.
        student_attention: The same of the student, with any number of heads and blocks.

    Returns:
        Tensor `(batch,)`, in nats.

    Raises:
        ValueError: If the numbers of patches differ.

    Example:

    >>> import numpy as np
    >>> uniform = np.full((1, 3, 4, 4), 0.25)
    >>> abs(float(attention_distillation([uniform] * 12, [uniform[:, :1]] * 6)[0])) < 1e-6
    True

    Reference:
        Wang et al., 2020, MiniLM (arXiv 2002.10957), section 3.1: rows of self-attention as distributions, compared by
        the Kullback-Leibler divergence. Averaging over the heads first is ours, since the paper needs equal numbers.
        The map between blocks is the uniform one of Jiao et al., 2019, TinyBERT (arXiv 1909.10351), section 3.
    """
    teacher_maps, student_maps = _as_list(teacher_attention), _as_list(student_attention)
    terms = []
    for block, student_map in enumerate(student_maps, start=1):
        matched = -(-block * len(teacher_maps) // len(student_maps))  # rounded up
        terms.append(_attention_divergence(teacher_maps[matched - 1], student_map))
    return sum(terms) / len(terms)


def _attention_divergence(teacher_map, student_map):
    if tuple(teacher_map.shape[2:]) != tuple(student_map.shape[2:]):
        raise ValueError(
            "Attention is compared patch by patch, so teacher and student need the same number of patches: the same "
            "ratio of image size to patch size. "
            f"Received: teacher {tuple(teacher_map.shape[2:])}, student {tuple(student_map.shape[2:])}."
        )
    teacher, student = (
        ops.log(ops.maximum(ops.mean(attention, axis=1), _TINY))  # (batch, patches, patches)
        for attention in _in_common_precision(teacher_map, student_map)
    )
    return ops.mean(_divergence(teacher, student), axis=-1)


def _divergence(teacher_logits, student_logits):
    # In logarithms to the end: a row that is nearly empty has a sum whose square, in a gradient, would be zero.
    teacher = ops.log_softmax(teacher_logits, axis=-1)
    student = ops.log_softmax(student_logits, axis=-1)
    return ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)


def _as_logits(teacher_logits, student_logits):
    teacher_logits, student_logits = _in_common_precision(teacher_logits, student_logits)
    if tuple(teacher_logits.shape[1:]) != tuple(student_logits.shape[1:]):
        raise ValueError(
            "Teacher and student must answer for the same classes, with logits of shape (batch, classes). "
            f"Received: teacher {tuple(teacher_logits.shape)}, student {tuple(student_logits.shape)}."
        )
    return teacher_logits, student_logits


def _in_common_precision(*tensors):
    tensors = [ops.convert_to_tensor(tensor) for tensor in tensors]
    dtype = keras.backend.result_type(*(tensor.dtype for tensor in tensors), "float32")
    return [ops.cast(tensor, dtype) for tensor in tensors]


def _as_list(attention):
    return list(attention) if isinstance(attention, (list, tuple)) else [attention]
