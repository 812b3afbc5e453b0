"""Models that are small enough to compute their outputs by hand."""

import keras
import numpy as np
from keras import ops

# Twelve values per image: four class logits, four distillation logits and four logits of the teacher.
SCRIPTED_SHAPE = (2, 2, 3)


def softmax(logits):
    """Softmax over the last axis, in NumPy."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def run(function, images):
    """Calls a function of images. On JAX the function is compiled as a whole: to compile each operation takes longer."""
    images = keras.tree.map_structure(ops.convert_to_tensor, images)
    if keras.backend.backend() != "jax":
        return function(images)
    import jax

    return jax.jit(lambda images: function(images))(
        images
    )  # `jax.jit(model)` would keep the weights of an earlier call


def script(class_logits, distillation_logits, teacher_logits):
    """Makes images from which the scripted student and teacher read these logits, arrays `(batch, 4)`."""
    pixels = np.concatenate([class_logits, distillation_logits, teacher_logits], axis=-1)
    return pixels.reshape(-1, *SCRIPTED_SHAPE).astype("float32")


def scripted_student(distilled=True, dtype=None, **head_arguments):
    """Makes a student of linear heads that initially read their logits from the image.

    With one head, the student's output is a plain tensor and not a dictionary.
    """
    images = keras.Input(SCRIPTED_SHAPE)
    pixels = keras.layers.Flatten(dtype=dtype)(images)
    outputs = {}
    for position, name in enumerate(["class", "distillation"][: 1 + distilled]):
        head = keras.layers.Dense(4, dtype=dtype, name=f"{name}_head", **head_arguments)
        outputs[name] = head(pixels)
        kernel = np.zeros((12, 4))
        kernel[4 * position : 4 * position + 4] = np.eye(4)
        head.set_weights([kernel, np.zeros(4)])
    return keras.Model(images, outputs if distilled else outputs["class"])


def scripted_teacher(images):
    """Reads the teacher's logits from the image."""
    return ops.reshape(images, (-1, 12))[:, 8:]


def conv_teacher(num_classes=4, image_shape=SCRIPTED_SHAPE, batch_norm=True, dropout=0.5, dtype=None, **head_arguments):
    """Makes a convolutional classifier with moving statistics and dropout, which must stay inactive in a teacher."""
    images = keras.Input(image_shape)
    features = keras.layers.Conv2D(6, 3, padding="same", activation="relu", dtype=dtype)(images)
    if batch_norm:
        features = keras.layers.BatchNormalization(dtype=dtype)(features)
    features = keras.layers.GlobalAveragePooling2D(dtype=dtype)(features)
    if dropout:
        features = keras.layers.Dropout(dropout, dtype=dtype)(features)
    logits = keras.layers.Dense(num_classes, kernel_initializer="orthogonal", dtype=dtype, **head_arguments)(features)
    return keras.Model(images, logits)
