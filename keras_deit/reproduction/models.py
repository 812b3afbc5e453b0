"""The models of the study."""

import keras
from keras import layers

from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models import DeiT
from keras_deit.reproduction.images import PATCHES
from keras_deit.reproduction.spec import CONVNET

HEAD_DIM = 16
WIDTHS = (32, 64, 128)  # of the convnet's stages


def build_model(setting, image_size, num_classes):
    """Builds the model of a training.

    Args:
        setting: `Setting`.
        image_size: `(height, width)` in pixels.
        num_classes: Number of classes.

    Returns:
        A `DeiT` with 4 × 4 patches, or a convnet of normalised images `(batch, height, width, 3)` that returns logits
        `(batch, classes)`.
    """
    if setting.architecture == CONVNET:
        return _convnet(image_size, num_classes)
    return DeiT(
        num_classes=num_classes,
        image_size=image_size,
        patch_size=image_size[0] // PATCHES,
        hidden_dim=setting.hidden_dim,
        num_layers=setting.num_layers,
        num_heads=setting.hidden_dim // HEAD_DIM,
        distilled=setting.distilled,
        preprocessing=Preprocessing(crop_ratio=1.0),
    )


def _convnet(image_size, num_classes):
    """Three stages of a 3 × 3 convolution with batch norm, each of which halves the image."""
    images = keras.Input((*image_size, 3), name="images")
    features = images
    for stage, width in enumerate(WIDTHS, start=1):
        options = dict(padding="same", use_bias=False, data_format="channels_last")
        features = layers.Conv2D(width, 3, name=f"convolution_{stage}", **options)(features)
        features = layers.ReLU(name=f"relu_{stage}")(layers.BatchNormalization(name=f"norm_{stage}")(features))
        if min(features.shape[1:3]) > 2:
            features = layers.MaxPooling2D(name=f"pool_{stage}", data_format="channels_last")(features)
    features = layers.GlobalAveragePooling2D(name="mean", data_format="channels_last")(features)
    features = layers.Dropout(0.3, name="dropout")(features)
    return keras.Model(images, layers.Dense(num_classes, name="head")(features), name="convnet")
