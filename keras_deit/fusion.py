"""Fusion of the logits of the two heads. Pure functions of tensors."""

from keras import ops

MEANS = ("mean_logits", "mean_probabilities")  # the fusions that both heads take part in
EARLY_FUSIONS = (*MEANS, "class", "distillation")


def fuse(class_logits, distillation_logits=None, fusion="mean_logits"):
    """Fuses the logits of the class head and of the distillation head.

    Args:
        class_logits: Tensor of shape `(..., classes)`.
        distillation_logits: Tensor of the same shape; None for a model with one token. The means are then
            computed from the class logits alone.
        fusion: `"mean_logits"` averages the logits, as the official code does. `"mean_probabilities"` averages the
            probabilities, as the paper describes, and returns log-probabilities, which can be used as logits. `"class"`
            and `"distillation"` return the logits of one head.

    Returns:
        Tensor of shape `(..., classes)`.

    Raises:
        ValueError: If `fusion` is unknown, or is `"distillation"` without distillation logits.

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
            raise ValueError("fusion='distillation' needs a distillation head, but the model has only a class token.")
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
    return ops.logsumexp(log_probabilities, axis=0) - 0.6931471805599453  # log of the mean: minus log 2
