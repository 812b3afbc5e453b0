"""What the options of the commands that classify images mean: which model, and how its images are prepared."""

from keras_deit.models import pretrained

PREPARATION = ("crop_ratio", "interpolation", "squash", "mean", "std")  # options that replace what the record says


def load_model(options, any_keras_model=False):
    """Loads the classifier that the options name.

    Args:
        options: What the parser returned.
        any_keras_model: Whether a `.keras` file may hold another model than one of this package.

    Returns:
        The model; a `DeiT` as a `DeiTClassifier`.

    Raises:
        ValueError: If there is no such model, or it is no classifier.
    """
    model = pretrained(
        options.weights,
        image_size=options.image_size,
        fused=True,
        variant=options.variant,
        num_heads=options.num_heads,
        weights_entry=options.weights_entry,
        any_keras_model=any_keras_model,
    )
    if not any_keras_model and not hasattr(model, "num_classes"):
        raise ValueError(f"Expected a classifier in {options.weights!r}. Received: {type(model).__name__}")
    return model


def given_preparation(options):
    """Returns the given options that override how a model's images are prepared.

    Args:
        options: What the parser returned.

    Returns:
        Dictionary of arguments of `keras_deit.ImageProcessor`.
    """
    given = {name: getattr(options, name) for name in PREPARATION}
    return {name: value for name, value in given.items() if value is not None}
