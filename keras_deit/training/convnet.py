"""The small convolutional teacher that a run trains when none is given."""

import keras
from keras import layers

from keras_deit.data import Batches, FollowEpochs
from keras_deit.runtime.files import keras_home, replacing
from keras_deit.training.history import Progress

EPOCHS = 30
BATCH_SIZE = 64
LEARNING_RATE = 3e-3
WANTED_ACCURACY = 0.98


def small_convnet(image_size, num_classes):
    """A convnet of four 3×3 convolutions with batch norm, for small images.

    Args:
        image_size: Side of the square images in pixels.
        num_classes: Number of classes.

    Returns:
        A Keras model from normalised images `(batch, image_size, image_size, 3)` to logits `(batch, num_classes)`.

    Example:

    >>> small_convnet(8, 10).output_shape
    (None, 10)
    """
    images = keras.Input((image_size, image_size, 3), name="images")
    features = images
    for stage, (width, pooled) in enumerate(((32, False), (64, True), (128, True), (128, False)), start=1):
        options = dict(padding="same", use_bias=False, data_format="channels_last")
        features = layers.Conv2D(width, 3, name=f"convolution_{stage}", **options)(features)
        features = layers.ReLU(name=f"relu_{stage}")(layers.BatchNormalization(name=f"norm_{stage}")(features))
        if pooled:
            features = layers.MaxPooling2D(name=f"pool_{stage}", data_format="channels_last")(features)
    features = layers.GlobalAveragePooling2D(name="mean", data_format="channels_last")(features)
    features = layers.Dropout(0.3, name="dropout")(features)
    return keras.Model(images, layers.Dense(num_classes, name="head")(features), name="small_convnet")


def kept_path(data):
    """Where the teacher of a dataset is kept between runs: in Keras's own directory."""
    height, width = data.images.shape[1:3]
    return keras_home() / "keras_deit" / "teachers" / f"{data.name}-{height}x{width}.keras"


def trained_convnet(train, test, num_replicas, seed):
    """Loads the kept teacher of a dataset, or trains one and keeps it.

    Args:
        train, test: `ImageData` at the size of the dataset.
        num_replicas: Number of replicas that share a batch.
        seed: Integer.

    Returns:
        The Keras model and its accuracy on the test part.
    """
    path = kept_path(train)
    batches = Batches(test, 2 * BATCH_SIZE, multiple_of=num_replicas)
    if path.exists():
        try:
            teacher = keras.saving.load_model(path, compile=False)
        except (OSError, ValueError, KeyError) as error:
            print(f"The kept teacher {path} cannot be read ({error}); a new one is trained.")
        else:
            accuracy = _accuracy(teacher, batches)
            print(f"Teacher: the small convnet kept at {path}, {accuracy:.1%} on the test part.")
            return teacher, accuracy
    teacher = small_convnet(train.images.shape[1], train.num_classes)
    _train(teacher, train, batches, num_replicas, seed)
    accuracy = _accuracy(teacher, batches)
    if accuracy >= WANTED_ACCURACY:
        print(f"Teacher: {accuracy:.1%} on the test part; {_keep(teacher, path)}.")
    else:
        print(
            f"Teacher: only {accuracy:.1%} on the test part, less than {WANTED_ACCURACY:.0%}; it is used but not kept."
        )
    return teacher, accuracy


def _keep(teacher, path):
    try:
        with replacing(path) as temporary:
            teacher.save(temporary)
    except OSError as error:  # a home that cannot be written to is no reason to lose the run
        return f"it could not be kept for the next run at {path} ({error.strerror}; KERAS_HOME names another place)"
    return f"kept for the next run at {path}"


def _train(teacher, train, test_batches, num_replicas, seed):
    batches = Batches(train, BATCH_SIZE // num_replicas * num_replicas, training=True, shift_pixels=1, seed=seed)
    schedule = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, EPOCHS * batches.num_batches)
    _compile(teacher, keras.optimizers.AdamW(schedule, weight_decay=0.01))
    callbacks = [FollowEpochs(batches), Progress("teacher", EPOCHS, batches.num_batches)]
    teacher.fit(batches, epochs=EPOCHS, shuffle=False, validation_data=test_batches, callbacks=callbacks, verbose=0)


def _accuracy(teacher, test_batches):
    if not teacher.compiled:
        _compile(teacher, None)
    return float(teacher.evaluate(test_batches, verbose=0, return_dict=True)["accuracy"])


def _compile(teacher, optimizer):
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    teacher.compile(optimizer, loss=loss, weighted_metrics=["accuracy"])
