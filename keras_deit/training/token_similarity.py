"""The similarity of the class token and the distillation token during training."""

import keras

from keras_deit.explain.forward import BatchFunction
from keras_deit.explain.token_similarity import token_cosines
from keras_deit.training.usable_images import explain_unreadable_images

NUM_IMAGES = 32
COLUMN = "token_similarity"  # of `history.csv`


class TokenSimilarity(keras.callbacks.Callback):
    """Adds the mean cosine of the two tokens after the last block to the logs of each epoch, as `token_similarity`.

    It is measured on 32 test images, the same in every epoch; see `keras_deit.explain.token_similarity`. Callbacks that read
    the logs come after this one.

    Args:
        student: `DeiT` with two tokens.
        data: `RunData`.

    Raises:
        UnreadableError: If one of the images cannot be read.
    """

    def __init__(self, student, data):
        super().__init__()
        with explain_unreadable_images(lambda: [(data.test, data.test.spaced_indices(NUM_IMAGES))]):
            self._images, _ = data.prepared(data.test, NUM_IMAGES)
        self._cosines = BatchFunction(lambda images: token_cosines(student.backbone, images), student.backbone)

    def on_epoch_end(self, epoch, logs=None):
        if self.model is not None and logs is not None:  # on JAX, reading `model` brings its variables up to date
            logs[COLUMN] = float(self._cosines.predict_on_batch(self._images)[:, -1].mean())
