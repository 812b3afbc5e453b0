"""The environment variables of a Python process that the package starts."""

import os
import pathlib

PACKAGE_PARENT = pathlib.Path(__file__).parents[2]


def child_environment(backend, **variables):
    """Builds the environment variables of a child process that imports this package.

    Args:
        backend: Name of the child's Keras backend.
        **variables: Further environment variables, strings.

    Returns:
        Dictionary of strings: this process's variables and the given ones. `PYTHONPATH` begins with the folder that contains
        this package, so the child process finds the package even if it is not installed. Other files of the working
        directory, such as a `json.py`, are not imported (`PYTHONSAFEPATH`).

    Example:

    >>> child_environment("jax", OMP_NUM_THREADS="1")["KERAS_BACKEND"]
    'jax'
    """
    paths = [str(PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])]
    fixed = {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(paths), "PYTHONSAFEPATH": "1"}
    return {**os.environ, **fixed, **variables}
