"""A Distiller whose values can be computed by hand, and helpers of its tests."""

import keras
import numpy as np
from keras import ops

import keras_deit as kd
from tests.toys import scripted_student, scripted_teacher

BACKEND = keras.backend.backend()
CLASSES, EXAMPLES, LEARNING_RATE = 4, 6, 0.1
INTEGERS = np.array([0, 1, 2, 3, 3, 1])
ONE_HOT = np.eye(CLASSES)[INTEGERS].astype("float32")
MIXED = np.random.default_rng(5).dirichlet(np.ones(CLASSES), size=EXAMPLES).astype("float32")
SOME_UNLABELLED = np.array([1, 1, 0, 1, 0, 1])
WEIGHTS = np.array([1.0, 0.0, 2.5, 0.5, 1.5, 0.0], "float32")
HEADS = ("class", "distillation")


def crossentropy(**arguments):
    return keras.losses.CategoricalCrossentropy(from_logits=True, **arguments)


def random_logits(seed=0, examples=EXAMPLES):
    """Logits of the class head, the distillation head and the teacher."""
    return np.random.default_rng(seed).normal(scale=2, size=(3, examples, CLASSES))


def compiled(student=None, teacher=scripted_teacher, *, options=None, **arguments):
    """A compiled Distiller, by default of scripted student and teacher and with plain SGD."""
    distiller = kd.Distiller(student or scripted_student(), teacher, **arguments)
    distiller.compile(**{"optimizer": keras.optimizers.SGD(LEARNING_RATE), "loss": crossentropy(), **(options or {})})
    return distiller


def fit(distiller, *data, **arguments):
    history = distiller.fit(*data, **{"shuffle": False, "verbose": 0, **arguments}).history
    return {name: values[0] if len(values) == 1 else values for name, values in history.items()}


def evaluate(distiller, *data, **arguments):
    return distiller.evaluate(*data, return_dict=True, verbose=0, **arguments)


def weights_of(model):
    return [ops.convert_to_numpy(variable) for variable in model.variables]


def assert_same_weights(received, expected, tolerance=1e-6):
    for value, reference in zip(received, expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=0, atol=tolerance * max(1e-3, np.abs(reference).max()))


def small_deit(**arguments):
    arguments = {"image_size": 16, "patch_size": 8, "hidden_dim": 16, "num_layers": 1, "num_heads": 2, **arguments}
    return kd.DeiT(num_classes=CLASSES, **arguments)


def small_images(examples=8, size=16):
    return np.random.default_rng(1).normal(size=(examples, size, size, 3)).astype("float32")


# The logs of `fit` with labels and a teacher.
FIT_LOGS = {
    *("loss", "class_loss", "distillation_loss", "accuracy", "class_accuracy"),
    *("distillation_accuracy", "teacher_accuracy", "teacher_agreement"),
}
