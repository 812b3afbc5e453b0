"""A worker of a study, a process of its own: `python -m keras_deit.reproduction`.

From standard input, it reads lines of JSON that name one training and the directory of its results. It answers with the line
`done` when the files of the training are written.
`keras_deit.reproduction.workers` starts it.
"""

import json
import os
import sys

import keras

from keras_deit.reproduction.spec import Training
from keras_deit.reproduction.store import Store
from keras_deit.reproduction.training import train


def main():
    """Trains what standard input names, until it ends."""
    answers = _separate_answers()
    for line in sys.stdin:
        request = json.loads(line)
        training, store = Training.of(request["training"]), Store(request["directory"])
        teacher = None if training.teacher is None else store.load_model(training.teacher)
        model, figures = train(training, teacher)
        store.write(training, model if training.is_teacher else None, figures)
        del model, teacher
        keras.backend.clear_session()
        print("done", file=answers, flush=True)


def _separate_answers():
    """Returns a file of standard output; what libraries in Python or C print is no answer and goes to standard error."""
    output = sys.stdout.fileno()
    answers = os.fdopen(os.dup(output), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), output)
    return answers


if __name__ == "__main__":
    main()
