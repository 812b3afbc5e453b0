"""Training a student from a teacher with plain `fit`."""

from keras_deit.distiller.distiller import Distiller

__all__ = ["Distiller"]
