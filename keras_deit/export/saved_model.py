"""Export to a SavedModel of TensorFlow."""

import keras

from keras_deit.export import subprocess_tensorflow
from keras_deit.export.destination import destination
from keras_deit.export.serving import image_shape, serving_model
from keras_deit.runtime.files import user_path

SIGNATURE, INPUT, OUTPUT = "serving_default", "images", "logits"


def to_saved_model(model, path, overwrite=False):
    """Writes a model as a SavedModel, which TensorFlow and TensorFlow Serving run without this package or Keras.

    The SavedModel has the signature `serving_default`. Its input `images` is float32 of shape `(batch, height, width, 3)`,
    normalised as the model expects. Images of another shape raise `tf.errors.InvalidArgumentError`. Its output `logits` is
    float32 of shape `(batch, classes)`. The batch size is free.
    A model in mixed precision is exported in float32. On JAX and PyTorch, a child process with TensorFlow rebuilds the
    model and writes the SavedModel.

    Args:
        model: A `keras_deit.DeiTClassifier`; or a `keras_deit.DeiT`, whose heads are fused by the mean of their logits; or
            any functional Keras model with one image input and one output.
        path: The directory to write. An export that fails leaves no incomplete directory.
        overwrite: Whether an existing SavedModel at `path` is replaced.

    Returns:
        The `pathlib.Path` of the directory.

    Raises:
        FileExistsError: If `path` exists and `overwrite` is false, or if it is not a SavedModel.
        ImportError: If TensorFlow is not installed.
        RuntimeError: If the child process fails.
        ValueError: If the model does not have one image input and one output.

    Example:

    ```python
    kd.export.to_saved_model(student, "export/1")
    logits = tf.saved_model.load("export/1").signatures["serving_default"](images=images)["logits"]
    ```
    """
    served = serving_model(model)
    with destination(path, overwrite, marker="saved_model.pb") as temporary:
        if keras.backend.backend() == "tensorflow":
            write_saved_model(served, temporary)
        else:
            subprocess_tensorflow.write("saved_model", served, temporary)
    return user_path(path)


def write_saved_model(model, path, batch_size=None):
    """Writes a SavedModel on the TensorFlow backend, without checks and without fusing heads.

    Args:
        model: A Keras model with one image input and one output.
        path: The directory to write.
        batch_size: The fixed batch size of the signature; None leaves it free.
    """
    import tensorflow as tf

    shape = (batch_size, *image_shape(model))

    def serve(images):
        # A signature called with another shape would run: a traced function does not compare shapes by itself.
        images = tf.ensure_shape(images, shape, name=f"images_must_be_{'x'.join(map(str, shape[1:]))}")
        if batch_size is not None:
            images = _of_fixed_shape(images, shape)
        return {OUTPUT: keras.tree.flatten(model(images, training=False))[0]}

    signature = keras.InputSpec(shape=shape, dtype="float32", name=INPUT)
    archive = keras.export.ExportArchive()
    archive.add_endpoint(SIGNATURE, serve, input_signature=[signature])
    archive.write_out(str(path), verbose=False)


def _of_fixed_shape(images, shape):
    """Returns the images, through operations that fail in LiteRT's interpreter for images of another shape.

    LiteRT's converter drops `tf.ensure_shape`, and a signature runner resizes the input to every array that it gets. A
    concatenation compares the rank and every side but its own axis, whose length the slice and the model then fix.
    """
    import tensorflow as tf

    batch_size, _, *others = shape
    return tf.concat([tf.zeros((batch_size, 1, *others)), images], axis=1)[:, 1:]
