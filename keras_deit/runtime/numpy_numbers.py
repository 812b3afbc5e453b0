"""NumPy numbers as Python numbers."""

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
