"""The child process that runs TensorFlow for an export: `python -m keras_deit.export saved_model|litert|run ...`.

`keras_deit.export.subprocess_tensorflow` starts it when JAX or PyTorch is the active backend.
"""

import json
import os
import sys

import keras

from keras_deit.export.litert import write_litert
from keras_deit.export.runtimes import SavedModelRuntime
from keras_deit.export.saved_model import write_serving_model
from keras_deit.export.subprocess_tensorflow import serve


def main(task, source, *arguments):
    """Runs one task.

    Args:
        task: `"saved_model"` writes a SavedModel, `"litert"` writes a LiteRT file, `"run"` runs a SavedModel.
        source: The file or directory to read: a `.keras` file, or for `"run"` a SavedModel.
        *arguments: For `"saved_model"` the directory to write, and as JSON the further arguments of
            `write_serving_model`. For `"litert"` the file to write, the batch size and the kind of inputs. For `"run"`
            nothing: the images come from the standard input, and the logits go to the standard output.
    """
    if task == "saved_model":
        path, settings = arguments
        write_serving_model(keras.models.load_model(source, compile=False), path, *json.loads(settings))
    elif task == "litert":
        path, batch_size, inputs = arguments
        write_litert(keras.models.load_model(source, compile=False), path, int(batch_size), inputs)
    else:
        replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print would damage the replies
        serve(SavedModelRuntime(source), replies)


if __name__ == "__main__":
    main(*sys.argv[1:])
