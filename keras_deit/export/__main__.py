"""TensorFlow's part of an export: `python -m keras_deit.export saved_model|litert|run ...`.

The other backends start it, see `keras_deit.export.subprocess_tensorflow`.
"""

import sys

import keras
import numpy as np

from keras_deit.export.litert import write_litert
from keras_deit.export.report import run_saved_model
from keras_deit.export.saved_model import write_saved_model


def main(task, source, *arguments):
    """Does one task.

    Args:
        task: `"saved_model"` (source: a `.keras` file; the directory to write), `"litert"` (source: a `.keras` file;
            the file to write, the batch size) or `"run"` (source: a SavedModel; `.npy` files of images and of logits).
        source: What to read.
        *arguments: What the task needs beside it.
    """
    if task == "saved_model":
        write_saved_model(keras.models.load_model(source, compile=False), *arguments)
    elif task == "litert":
        path, batch_size = arguments
        write_litert(keras.models.load_model(source, compile=False), path, int(batch_size))
    else:
        images, logits = arguments
        np.save(logits, run_saved_model(source, np.load(images)))


if __name__ == "__main__":
    main(*sys.argv[1:])
