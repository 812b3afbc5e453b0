"""The environment of a Python process that the package starts."""

import os
import pathlib

PACKAGE_PARENT = pathlib.Path(__file__).parents[2]


def child_environment(backend, **variables):
    """Builds the environment of a child process that imports this package with another backend.

    Args:
        backend: Name of the Keras backend of the child process.
        **variables: Further environment variables, strings.

    Returns:
        Dictionary of strings. `PYTHONPATH` begins with the folder of this package, so that the child process also finds a
        package that is not installed.

    Example:

    >>> child_environment("jax", OMP_NUM_THREADS="1")["KERAS_BACKEND"]
    'jax'
    """
    paths = [str(PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(paths), **variables}
