"""The distillation losses: pure functions of tensors, one value per example, no reduction, no model.

Half-precision inputs are cast to float32 first. The losses stop no gradient: the caller computes the teacher's tensors
outside the gradient.
"""

import keras
from keras import ops

_TINY = 1e-30  # lower bound before the logarithm, since a float32 softmax can round to zero


def hard_distillation(teacher_logits, student_logits, multi_label=False):
    """Cross-entropy of the student's logits with the class, or the classes, that the teacher predicts.

    Args:
        teacher_logits: Tensor of shape `(batch, classes)`. Only the argmax counts; among equal logits, the first.
        student_logits: Tensor of shape `(batch, classes)`.
        multi_label: Whether an image may have any number of classes. The teacher then predicts each class whose logit is
            positive, and the result is the mean over the classes of the binary cross-entropies.

    Returns:
        Tensor of shape `(batch,)`, in nats.

    Raises:
        ValueError: If the numbers of classes differ.

    Example:

    >>> import numpy as np
    >>> loss = hard_distillation(np.array([[0.0, 9.0]]), np.array([[0.0, 0.0]]))
    >>> round(float(loss[0]), 4)
    0.6931

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), equation 3, the second cross-entropy.
    """
    teacher_logits, student_logits = _as_logits(teacher_logits, student_logits)
    if multi_label:
        decisions = ops.cast(teacher_logits > 0, student_logits.dtype)
        return ops.mean(-_binary_log_likelihood(decisions, student_logits), axis=-1)
    decision = ops.argmax(teacher_logits, axis=-1)
    log_probabilities = ops.log_softmax(student_logits, axis=-1)
    return -ops.squeeze(ops.take_along_axis(log_probabilities, ops.expand_dims(decision, -1), axis=-1), -1)


def soft_distillation(teacher_logits, student_logits, temperature=3.0, multi_label=False):
    """Kullback-Leibler divergence KL(teacher ‖ student) of the softened distributions, times the temperature².

    The divergence is summed over the classes. The official code divides the sum over batch and classes by the number of
    elements, batch × classes, instead of the batch size; `Distiller(soft_reduction="official")` reproduces this.

    Args:
        teacher_logits: Tensor of shape `(batch, classes)`.
        student_logits: Tensor of shape `(batch, classes)`.
        temperature: Positive float by which both logits are divided.
        multi_label: Whether an image may have any number of classes. Each class then has a distribution of its own, present
            or absent with the sigmoid of its logit, and the divergence is averaged over the classes.

    Returns:
        Tensor of shape `(batch,)`, in nats.

    Raises:
        ValueError: If the numbers of classes differ or the temperature is not positive.

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
    divergence = _binary_divergence if multi_label else _divergence
    return divergence(teacher_logits / temperature, student_logits / temperature) * temperature**2


def attention_distillation(teacher_attention, student_attention):
    """Kullback-Leibler divergence KL(teacher ‖ student) of the attention among the patch tokens.

    The maps are averaged over the heads, so the numbers of heads may differ. Each row is then normalised to a
    distribution over the patches. Student block m of M is compared with teacher block ⌈m·L/M⌉ of L, so that the last
    blocks are compared with each other. The result is the mean over rows and blocks.

    Args:
        teacher_attention: Tensor of shape `(batch, heads, patches, patches)`: attention after the softmax, without the
            prefix tokens, so that rows need not sum to 1. Or a list of such tensors, one per block.
        student_attention: The student's attention in the same form, with any number of heads and blocks.

    Returns:
        Tensor of shape `(batch,)`, in nats.

    Raises:
        ValueError: If the numbers of patches differ.

    Example:

    >>> import numpy as np
    >>> uniform = np.full((1, 3, 4, 4), 0.25)
    >>> abs(float(attention_distillation([uniform] * 12, [uniform[:, :1]] * 6)[0])) < 1e-6
    True

    Reference:
        Wang et al., 2020, MiniLM (arXiv 2002.10957), section 3.1, compares rows of self-attention by the
        Kullback-Leibler divergence. The average over the heads is added here, because the paper requires equal numbers
        of heads. The assignment of blocks is the uniform one of Jiao et al., 2019, TinyBERT (arXiv 1909.10351),
        section 3.
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
            "Attention is compared patch by patch, so teacher and student must have the same number of patches: choose the "
            "same ratio of image size to patch size. "
            f"Received: teacher {tuple(teacher_map.shape[2:])}, student {tuple(student_map.shape[2:])}."
        )
    teacher, student = (
        ops.log(ops.maximum(ops.mean(attention, axis=1), _TINY))  # (batch, patches, patches)
        for attention in _in_common_precision(teacher_map, student_map)
    )
    return ops.mean(_divergence(teacher, student), axis=-1)


def _divergence(teacher_logits, student_logits):
    # Logarithms throughout: the gradient would contain the square of a row's sum, which underflows in a nearly empty row.
    teacher = ops.log_softmax(teacher_logits, axis=-1)
    student = ops.log_softmax(student_logits, axis=-1)
    return ops.sum(ops.exp(teacher) * (teacher - student), axis=-1)


def _binary_divergence(teacher_logits, student_logits):
    present = ops.sigmoid(teacher_logits)
    entropies = -_binary_log_likelihood(present, teacher_logits)
    return ops.mean(-_binary_log_likelihood(present, student_logits) - entropies, axis=-1)


def _binary_log_likelihood(present, logits):
    """Logarithm of the probability of each class: present with the probability `present`, predicted by its logit."""
    return present * ops.log_sigmoid(logits) + (1 - present) * ops.log_sigmoid(-logits)


def _as_logits(teacher_logits, student_logits):
    teacher_logits, student_logits = _in_common_precision(teacher_logits, student_logits)
    if tuple(teacher_logits.shape[1:]) != tuple(student_logits.shape[1:]):
        raise ValueError(
            "Teacher and student must have the same classes, with logits of shape (batch, classes). "
            f"Received: teacher {tuple(teacher_logits.shape)}, student {tuple(student_logits.shape)}."
        )
    return teacher_logits, student_logits


def _in_common_precision(*tensors):
    tensors = [ops.convert_to_tensor(tensor) for tensor in tensors]
    dtype = keras.backend.result_type(*(tensor.dtype for tensor in tensors), "float32")
    return [ops.cast(tensor, dtype) for tensor in tensors]


def _as_list(attention):
    return list(attention) if isinstance(attention, (list, tuple)) else [attention]
