"""Data-efficient image transformers (DeiT) in Keras 3, on TensorFlow, JAX and PyTorch."""

import sys

from keras_deit.runtime.backend import select_backend
from keras_deit.runtime.command import COMMAND, is_command

try:
    select_backend()  # before the first import of Keras
except ImportError as error:
    if not is_command():
        raise
    print(f"{COMMAND}: error: {error}", file=sys.stderr)
    sys.exit(2)

if not is_command():  # a command imports Keras when it has read its options: `--help` is printed at once
    from keras_deit.public import *  # noqa: F403
    from keras_deit.public import __all__  # noqa: F401
