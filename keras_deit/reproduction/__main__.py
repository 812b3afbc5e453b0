"""A worker of a study, a process of its own: `python -m keras_deit.reproduction`.

From standard input, it reads lines of JSON that name one training and the directory of its results. It answers with the line
`done` when the files of the training are written.
`keras_deit.reproduction.workers` starts it.
"""

import json
import sys

import keras

from keras_deit.reproduction.spec import Training
from keras_deit.reproduction.store import Store
from keras_deit.reproduction.training import train


def main():
    """Trains what standard input names, until it ends."""
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    for line in sys.stdin:
        request = json.loads(line)
        training, store = Training.of(request["training"]), Store(request["directory"])
        teacher = None if training.teacher is None else store.load_model(training.teacher)
        model, figures = train(training, teacher)
        store.write(training, model if training.is_teacher else None, figures)
        del model, teacher
        keras.backend.clear_session()
        print("done", file=answers, flush=True)


if __name__ == "__main__":
    main()
