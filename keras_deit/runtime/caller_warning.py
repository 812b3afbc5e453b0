"""Warnings that show the line of code of the user."""

import inspect
import warnings

INNER = ("keras_deit", "keras", "contextlib")  # packages between the code of the user and a warning


def warn_caller(message):
    """Issues a `UserWarning` with the line of the nearest caller outside of this package and of Keras.

    A fixed `stacklevel` would be right for one way of calling only: `fit` and `evaluate` lie between a user and a check of
    the Distiller, and `keras_deit.train` or a command between a user and a run.

    Args:
        message: Text.
    """
    level, frame = 1, inspect.currentframe()
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in INNER:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, stacklevel=level)
