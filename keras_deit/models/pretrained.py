"""A model for whatever weights are at hand."""

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
        model = _saved(source)
    else:
        model, notes = _from_weights(*open_preset(source), image_size, variant, num_heads)
        if notes:
            warnings.warn(f"{source}: {' '.join(notes)}", stacklevel=2)
    return DeiTClassifier(model) if fused and isinstance(model, DeiT) else model


def _saved(path):
    model = keras.saving.load_model(path, compile=False)
    model = getattr(model, "student", model)
    if not isinstance(model, ImageModel):
        raise ValueError(f"{str(path)!r} holds a {type(model).__name__}, and no model of this package.")
    return model


def _from_weights(checkpoint, known_variant, image_size, variant, num_heads):
    if checkpoint.family == "regnety":  # which takes images of any size
        return RegNetY.from_checkpoint(checkpoint, known_variant or variant)
    model_class = DeiTMaskedImageModel if checkpoint.has_mask_token else DeiT
    return model_class.from_checkpoint(checkpoint, known_variant or variant, image_size=image_size, num_heads=num_heads)
