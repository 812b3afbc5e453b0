"""Training a student from a teacher through `compile` and `fit`."""

from keras_deit.distiller.distiller import Distiller

__all__ = ["Distiller"]
