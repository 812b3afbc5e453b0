"""A model for whatever weights are at hand."""

import pathlib
import warnings

import keras

from keras_deit.models.classifier import DeiTClassifier
from keras_deit.models.deit import DeiT
from keras_deit.models.image_model import ImageModel
from keras_deit.models.masked_image_model import DeiTMaskedImageModel
from keras_deit.models.presets import open_preset
from keras_deit.models.regnet import RegNetY


def pretrained(source, fused=False, image_size=None, variant=None, num_heads=None):
    """Builds the model that weights are of.

    Args:
        source: Name of a preset, `"hf://owner/repository"` or the path of weights, see `keras_deit.DeiT.from_preset`; or the
            path of a model saved as `.keras`, whose student is taken if it is a `Distiller`.
        fused: Whether the heads of a `DeiT` are fused to a `DeiTClassifier`.
        image_size, variant, num_heads: Of a transformer whose weights are loaded, see `keras_deit.DeiT.from_preset`.

    Returns:
        A `DeiT` or `DeiTClassifier`, a `DeiTMaskedImageModel` or a `RegNetY`.

    Raises:
        ImportError: If a package is missing; the message names the extra.
        OSError: If a download fails.
        ValueError: If there are no such weights, or they do not fit.
    """
    if str(source).endswith(".keras"):
        given = [value for value in (image_size, variant, num_heads) if value is not None]
        if given:
            raise ValueError(
                f"{str(source)!r} is a whole model, whose size and variant are settled. Received: {given[0]}"
            )
        model, notes = _saved(source), ()
    else:
        checkpoint, variant = open_preset(source, variant=variant)
        model_class = _model_class(checkpoint, fused)
        if model_class is RegNetY and num_heads is not None:
            raise ValueError(f"{checkpoint.label} is of a convnet, which has no heads. Received: num_heads={num_heads}")
        model, notes = model_class.from_checkpoint(checkpoint, variant, image_size=image_size, num_heads=num_heads)
    if notes:
        warnings.warn(f"{source}: {' '.join(notes)}", stacklevel=2)
    return DeiTClassifier(model) if fused and isinstance(model, DeiT) else model


def _saved(path):
    path = pathlib.Path(path).expanduser()
    if not path.exists():
        raise ValueError(f"There is no file {str(path)!r}.")
    model = keras.saving.load_model(path, compile=False)
    model = getattr(model, "student", model)
    if not isinstance(model, ImageModel):
        raise ValueError(f"{str(path)!r} holds a {type(model).__name__}, and no model of this package.")
    return model


def _model_class(checkpoint, fused):
    if checkpoint.family == "regnety":
        return RegNetY
    if checkpoint.has_mask_token:
        return DeiTMaskedImageModel
    return DeiTClassifier if fused else DeiT
