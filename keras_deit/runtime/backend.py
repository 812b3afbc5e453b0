"""Chooses an installed backend before Keras is imported.

Keras takes its backend from the variable `KERAS_BACKEND`, else from its configuration file, else TensorFlow. If that backend
is not installed, `import keras` fails even if another one is. `select_backend` then chooses the first installed one, unless
`KERAS_BACKEND` is set.
"""

import importlib.util
import json
import os
import sys

from keras_deit.runtime.files import keras_home

BACKENDS = ("tensorflow", "jax", "torch")


def select_backend():
    """Sets `KERAS_BACKEND` if the configured backend is not installed and the variable is not set.

    Raises:
        ImportError: If the backend is none of this package.
    """
    given = os.environ.get("KERAS_BACKEND")
    name = given or _configured_backend()
    if name not in BACKENDS and (given or "keras" not in sys.modules):
        raise ImportError(
            f"keras_deit runs on the backends {', '.join(BACKENDS)}. Received: the backend {name!r}. Set the environment "
            f"variable KERAS_BACKEND{'=torch for PyTorch' if 'torch' in name.lower() else ' to one of them'}."
        )
    if given is not None or "keras" in sys.modules:
        return
    if _is_installed(_configured_backend()):
        return
    installed = [name for name in BACKENDS if _is_installed(name)]
    if installed:
        os.environ["KERAS_BACKEND"] = installed[0]


def _configured_backend():
    try:
        return json.loads((keras_home() / "keras.json").read_text()).get("backend", "tensorflow")
    except (OSError, ValueError):  # no file, or one that Keras cannot read either: Keras's own default applies
        return "tensorflow"


def _is_installed(name):
    return name not in BACKENDS or importlib.util.find_spec(name) is not None
