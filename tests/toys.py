"""Models so small that their every number can be computed by hand."""

import keras
import numpy as np
from keras import ops

SCRIPTED_SHAPE = (
    2,
    2,
    3,
)  # twelve pixels: the class logits, the distillation logits and the teacher's logits of 4 classes


def softmax(logits):
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def run(function, images, variables=()):
    """Calls a function of images; on JAX compiled, since op by op a model takes several times as long."""
    if keras.backend.backend() == "jax":
        import jax

        function = jax.jit(function)
    return function(ops.convert_to_tensor(images))


def script(class_logits, distillation_logits, teacher_logits):
    """Images that make the scripted student and teacher give these logits, `(batch, 4)` each."""
    pixels = np.concatenate([class_logits, distillation_logits, teacher_logits], axis=-1)
    return pixels.reshape(-1, *SCRIPTED_SHAPE).astype("float32")


def scripted_student(distilled=True, dtype=None, **head_arguments):
    """Linear heads that begin by reading their logits from the image; with one head its output is a plain tensor."""
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
    """Reads its logits from the image."""
    return ops.reshape(images, (-1, 12))[:, 8:]


def conv_teacher(num_classes=4, image_shape=SCRIPTED_SHAPE, batch_norm=True, dropout=0.5, dtype=None, **head_arguments):
    """A convolutional classifier with what must stay still in a teacher: moving statistics and dropout."""
    images = keras.Input(image_shape)
    features = keras.layers.Conv2D(6, 3, padding="same", activation="relu", dtype=dtype)(images)
    if batch_norm:
        features = keras.layers.BatchNormalization(dtype=dtype)(features)
    features = keras.layers.GlobalAveragePooling2D(dtype=dtype)(features)
    if dropout:
        features = keras.layers.Dropout(dropout, dtype=dtype)(features)
    logits = keras.layers.Dense(num_classes, kernel_initializer="orthogonal", dtype=dtype, **head_arguments)(features)
    return keras.Model(images, logits)
