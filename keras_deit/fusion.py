"""How the logits of two heads become one answer. Pure functions of tensors."""

from keras import ops

EARLY_FUSIONS = ("mean_logits", "mean_probabilities", "class", "distillation")


def fuse(class_logits, distillation_logits=None, fusion="mean_logits"):
    """Fuses the answers of the class head and of the distillation head.

    Args:
        class_logits: Tensor of shape `(..., classes)`.
        distillation_logits: Tensor of the same shape; None for a model with one token, whose class logits are the mean.
        fusion: `"mean_logits"` averages the logits, as the official code does. `"mean_probabilities"` averages the
            softmax outputs, as the paper words it, and returns their logarithm, which is usable as logits. `"class"` and
            `"distillation"` take one head alone.

    Returns:
        Tensor of shape `(..., classes)`.

    Raises:
        ValueError: If the fusion is unknown, or asks for a distillation head that is not there.

    Example:

    >>> import numpy as np
    >>> fuse(np.array([[0.0, 2.0]]), np.array([[2.0, 2.0]])).tolist()
    [[1.0, 2.0]]

    Reference:
        Touvron et al., 2020 (arXiv 2012.12877), section 4, "Classification with our approach"; official code, `models.py`.
    """
    if fusion not in EARLY_FUSIONS:
        raise ValueError(f"`fusion` must be one of {EARLY_FUSIONS}. Received: fusion={fusion!r}")
    if distillation_logits is None:
        if fusion == "distillation":
            raise ValueError("fusion='distillation' needs a distillation head, and the model has one token only.")
        return ops.log_softmax(class_logits, axis=-1) if fusion == "mean_probabilities" else class_logits
    if fusion == "class":
        return class_logits
    if fusion == "distillation":
        return distillation_logits
    if fusion == "mean_logits":
        return (class_logits + distillation_logits) / 2
    log_probabilities = ops.stack(
        [ops.log_softmax(class_logits, axis=-1), ops.log_softmax(distillation_logits, axis=-1)]
    )
    return ops.logsumexp(log_probabilities, axis=0) - 0.6931471805599453  # minus log 2: the mean of two
