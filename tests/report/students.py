"""A tiny student and its images."""

import numpy as np

import keras_deit as kd
from keras_deit.data import ImageData
from tests.data.images import noise

NAMES = ("ant", "<bee>", "cat")


def make_student(**overrides):
    """A DeiT of two blocks whose predictions depend on the image."""
    record = {"crop_ratio": 1.0, "squash": True, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}
    shape = {"image_size": 16, "patch_size": 8, "hidden_dim": 16, "num_layers": 2, "num_heads": 2}
    model = kd.DeiT(num_classes=3, **{"class_names": NAMES, "preprocessing": record, **shape, **overrides})
    generator = np.random.default_rng(0)
    for head in ("class_head", "distillation_head") if model.distilled else ("class_head",):
        model.get_layer(head).set_weights([generator.normal(size=(16, 3)), np.zeros(3)])
    return model


def make_data(labels=(0, 1, 2, -1) * 10):
    """Images of the size of the student, each fourth one unlabelled."""
    images = np.stack([noise(16, 16, 3, seed=index) for index in range(len(labels))])
    return ImageData("<noise>", images, np.array(labels), NAMES)
