"""The signatures of a SavedModel for serving: from images in any form to logits, names of classes and features."""

import keras

from keras_deit.export.image_bytes import decode_image
from keras_deit.export.metadata import export_metadata
from keras_deit.export.serving import image_shape
from keras_deit.models import DeiTClassifier

SERVING_DEFAULT, SERVE_BYTES, SERVE_IMAGES, FEATURES = "serving_default", "serve_bytes", "serve_images", "features"
NORMALIZED, PIXELS, BYTES = "normalized", "pixels", "bytes"
INPUT, OUTPUT = "images", "logits"  # of normalised images
INPUTS = {NORMALIZED: INPUT, PIXELS: "pixels", BYTES: "image_bytes"}  # what a model takes, and the name of the input


def is_rgb_classifier(model):
    """Tells whether a model turns RGB images into one logit for each class.

    Args:
        model: A Keras model with one image input and one output.

    Returns:
        A boolean.

    Example:

    >>> is_rgb_classifier(keras.Sequential([keras.Input((32, 32, 1)), keras.layers.Flatten()]))
    False
    """
    return image_shape(model)[2] == 3 and len(model.outputs[0].shape) == 2


def signatures(model, inputs=NORMALIZED, preprocessing=None, top=5):
    """Builds the functions that a SavedModel offers, on the TensorFlow backend.

    Args:
        model: A Keras model with one image input and one output.
        inputs: What `serving_default` and `features` take: `"normalized"`, `"pixels"` or `"bytes"`.
        preprocessing: `keras_deit.Preprocessing` with an `image_size`, by which pixels and files become normalised images;
            None for a model of other images, which then takes normalised images only.
        top: Number of classes that `serve_bytes` returns; None means all.

    Returns:
        Dictionary from the name of a signature to the pair of its function and its `keras.InputSpec`.
    """
    prepare = _Preparation(image_shape(model), preprocessing)
    spec = prepare.spec(inputs)

    def logits_of(inputs):
        return lambda images: {OUTPUT: keras.tree.flatten(model(prepare(images, inputs), training=False))[0]}

    offered = {SERVING_DEFAULT: (logits_of(inputs), spec)}
    if preprocessing is not None:
        classify = _classifier(model, prepare, top)
        offered[SERVE_BYTES] = (classify, prepare.spec(BYTES))
    if inputs != NORMALIZED:
        offered[SERVE_IMAGES] = (logits_of(NORMALIZED), prepare.spec(NORMALIZED))
    if inputs == BYTES:
        offered[SERVING_DEFAULT] = offered[SERVE_BYTES]
    if isinstance(model, DeiTClassifier):
        backbone = _backbone(model)
        offered[FEATURES] = (lambda images: _features(backbone(prepare(images, inputs), training=False)), spec)
    return offered


class _Preparation:
    """Turns what a signature takes into normalised images `(batch, height, width, channels)`.

    Args:
        shape: `(height, width, channels)` of the images of the model.
        preprocessing: As for `signatures`.
    """

    def __init__(self, shape, preprocessing):
        self.shape = shape
        self.bit_depth = preprocessing and preprocessing.bit_depth
        self.processor = preprocessing and preprocessing.processor(preprocessing.image_size)

    def spec(self, inputs):
        """Returns the `keras.InputSpec` of the input."""
        shape, dtype = {
            NORMALIZED: ((None, *self.shape), "float32"),
            PIXELS: ((None, None, None, 3), "uint8"),
            BYTES: ((None,), "string"),
        }[inputs]
        return keras.InputSpec(shape=shape, dtype=dtype, name=INPUTS[inputs])

    def __call__(self, images, inputs):
        import tensorflow as tf

        # A signature called with another shape would run: a traced function does not compare shapes by itself.
        shape = self.spec(inputs).shape
        sides = "x".join(str(side or letter) for letter, side in zip("HWC", shape[1:], strict=False))
        images = tf.ensure_shape(images, shape, name=f"{INPUTS[inputs]}_must_be_{sides or 'a_batch'}")
        if inputs == BYTES:
            prepared = tf.TensorSpec((*self.processor.image_size, 3))
            return tf.map_fn(self._from_bytes, images, fn_output_signature=prepared)
        return self.processor.call_traced(images) if inputs == PIXELS else images

    def _from_bytes(self, content):
        return self.processor.call_traced(decode_image(content, self.bit_depth))


def _classifier(model, prepare, top):
    """Returns the function from image files to the most probable classes."""
    import tensorflow as tf

    num_classes = model.outputs[0].shape[-1]
    names = getattr(model, "class_names", None) or [f"class {index}" for index in range(num_classes)]
    name = export_metadata(model)["activation"]
    activation = tf.identity if name is None else getattr(tf.nn, name)

    def classify(image_bytes):
        logits = keras.tree.flatten(model(prepare(image_bytes, BYTES), training=False))[0]
        probabilities = tf.debugging.check_numerics(activation(logits), "The model's logits are not finite.")
        probabilities, indices = tf.math.top_k(probabilities, min(top or num_classes, num_classes))
        return {"probabilities": probabilities, "indices": indices, "classes": tf.gather(tf.constant(names), indices)}

    return classify


def _backbone(classifier):
    """The model from images to the tokens that the heads of a classifier get."""
    if not classifier.token_merging:
        return classifier.backbone
    images = keras.Input(image_shape(classifier))
    return keras.Model(images, classifier.backbone.build_with_token_merging(images, classifier.token_merging))


def _features(tokens):
    """The embeddings of the class and the distillation token, if there is one, and the mean of the two."""
    embeddings = {name: tokens[name] for name in ("class_token", "distillation_token") if name in tokens}
    return {**embeddings, "mean": sum(embeddings.values()) / len(embeddings)}
