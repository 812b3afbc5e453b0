"""Data-efficient image transformers (DeiT) in Keras 3, on TensorFlow, JAX and PyTorch."""

from keras_deit.runtime.backend import select_backend
from keras_deit.runtime.command import is_command

select_backend()  # before the first import of Keras

if not is_command():  # a command imports Keras when it has read its options: `--help` answers at once
    from keras_deit.public import *  # noqa: F403
    from keras_deit.public import __all__  # noqa: F401
