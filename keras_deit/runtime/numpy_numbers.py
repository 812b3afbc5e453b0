"""Numbers that are arguments, NumPy's included."""

import numbers

import numpy as np


def python_number(value):
    """Converts a NumPy number to Python's, because Keras's layers and JSON refuse NumPy's.

    Args:
        value: Value of a constructor argument.

    Returns:
        The number; any other value is returned unchanged.

    Example:

    >>> python_number(np.int64(10)), python_number(None)
    (10, None)
    """
    return value.item() if isinstance(value, np.generic) else value


def check_at_least(least, **values):
    """Checks that values are integers and not too small.

    Args:
        least: The smallest allowed integer.
        **values: Names and values. NumPy's integers count as well.

    Raises:
        ValueError: If a value is something else.

    Example:

    >>> check_at_least(1, batch_size=0)
    Traceback (most recent call last):
    ValueError: `batch_size` must be an integer of at least 1. Received: batch_size=0
    """
    for name, value in values.items():
        if not isinstance(value, numbers.Integral) or value < least:
            raise ValueError(f"`{name}` must be an integer of at least {least}. Received: {name}={value!r}")
