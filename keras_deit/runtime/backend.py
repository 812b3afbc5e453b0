"""Picks an installed backend for Keras before Keras is imported.

Keras takes its backend from `KERAS_BACKEND`, then from its configuration file, and falls back to TensorFlow. Where that
choice is not installed and no variable asks for it, `import keras` fails although another backend is at hand. The
first installed one is taken then; an explicit `KERAS_BACKEND` is never overruled.
"""

import importlib.util
import json
import os
import sys

from keras_deit.runtime.files import keras_home

BACKENDS = ("tensorflow", "jax", "torch")


def select_backend():
    """Sets `KERAS_BACKEND` when the configured backend is not installed and nobody asked for one."""
    if "KERAS_BACKEND" in os.environ or "keras" in sys.modules:
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
