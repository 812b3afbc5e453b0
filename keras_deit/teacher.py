"""Any model as a teacher."""

import pathlib

import keras
import numpy as np
from keras import ops

from keras_deit.fusion import fuse
from keras_deit.imaging.sizes import height_and_width
from keras_deit.runtime.optional import require

OUTPUTS = ("logits", "probabilities")
DATA_FORMATS = ("channels_last", "channels_first")
_TINY = 1e-30  # the smallest probability whose logarithm is taken
_PROBE_SEED = 20
_PROBE_SIZE = 64  # of images whose size the student leaves open


class Teacher:
    """A frozen classifier that says what it thinks of a student's images, whatever it wants to be shown.

    It undoes the normalisation of the student's images and applies its own, in this order: size, value range, mean and
    standard deviation. It runs at inference (no dropout, moving statistics of batch norm), in its own precision, outside
    of the student's gradient, and is not written into the student's files.

    Args:
        model: A Keras model or layer; a path of a `.keras` file; a directory that holds a SavedModel (TensorFlow backend
            only); or any callable from images to outputs on the active backend, a PyTorch module among them. Outputs are
            a tensor `(batch, classes)`, a dictionary of one such tensor, the dictionary of a `DeiT` (its heads' mean is
            taken) or an object with an attribute `logits`.
        image_size: Side in pixels or `(height, width)` of the images that it wants; None means the student's.
        mean, std: Numbers or one number a channel, in units of `value_range`; None means not to normalise.
        value_range: `(low, high)` of the pixels before `mean` and `std`.
        outputs: `"logits"` or `"probabilities"`.
        data_format: `"channels_last"`, or `"channels_first"` for a PyTorch module.

    Raises:
        ValueError: If an argument is out of range or the model's answers are not what was declared; they are tried on a
            batch when a `Distiller` receives the teacher.

    Example:

    >>> import keras, keras_deit as kd
    >>> convnet = keras.applications.MobileNetV3Small(weights=None, classes=10, input_shape=(224, 224, 3))
    >>> teacher = kd.Teacher(convnet, image_size=224, value_range=(0, 255), outputs="probabilities")
    >>> tuple(teacher(keras.ops.zeros((1, 32, 32, 3)), image_mean=kd.IMAGENET_MEAN, image_std=kd.IMAGENET_STD).shape)
    (1, 10)
    """

    def __init__(
        self,
        model,
        image_size=None,
        mean=None,
        std=None,
        value_range=(0, 1),
        outputs="logits",
        data_format="channels_last",
    ):
        if outputs not in OUTPUTS:
            raise ValueError(f"`outputs` must be one of {OUTPUTS}. Received: outputs={outputs!r}")
        if data_format not in DATA_FORMATS:
            raise ValueError(f"`data_format` must be one of {DATA_FORMATS}. Received: data_format={data_format!r}")
        if not value_range[0] < value_range[1]:
            raise ValueError(f"`value_range` must be (low, high). Received: value_range={value_range}")
        if std is not None and not np.all(np.asarray(std) > 0):
            raise ValueError(f"`std` must be positive. Received: std={std}")
        self.image_size = None if image_size is None else height_and_width(image_size)
        self.model = _load(model)
        self.mean = mean
        self.std = std
        self.value_range = tuple(value_range)
        self.outputs = outputs
        self.data_format = data_format
        self.takes_student_images = False

    @classmethod
    def of_bare_model(cls, model):
        """A teacher that takes the student's images as they are and answers with logits."""
        teacher = cls(model)
        teacher.takes_student_images = True
        return teacher

    @property
    def variables(self):
        """Keras variables of the model; none for a plain callable."""
        return list(self.model.variables) if isinstance(self.model, keras.layers.Layer) else []

    @property
    def num_prefix_tokens(self):
        """Number of tokens before the patch tokens, of a transformer teacher."""
        return self.model.num_prefix_tokens

    def __call__(self, images, image_mean, image_std, return_attention=False):
        """Asks the teacher.

        Args:
            images: The student's images, `(batch, height, width, 3)`.
            image_mean, image_std: Their normalisation, of pixels in 0..1.
            return_attention: Whether to return the attention maps as well.

        Returns:
            Float32 logits `(batch, classes)` (log-probabilities where the model gives probabilities); with
            `return_attention=True` a pair of them and a list of maps, one a block.
        """
        if return_attention:
            images = self._preprocess(images, image_mean, image_std)
            outputs, maps = self.model.call_with_attention(images, training=False)
            return self._to_logits(_single(outputs)), maps
        return self._to_logits(self._ask(images, image_mean, image_std))

    def check(self, image_shape, num_classes, image_mean, image_std, attention=False, run=None):
        """Tries the teacher on two random images of the student and checks its answers.

        Args:
            image_shape: `(height, width, channels)` of the student's images.
            num_classes: The student's number of classes.
            image_mean, image_std: The normalisation of the student's images.
            attention: Whether attention maps will be asked for.
            run: How to run a function of images that uses the teacher's variables: `run(function, images, variables)`;
                None means to call it.

        Returns:
            The number of tokens of the teacher's attention maps without prefix tokens, or None without `attention`.

        Raises:
            ValueError: If the answers have another shape, another number of classes or are not what was declared.
        """
        if attention and not hasattr(self.model, "call_with_attention"):
            raise ValueError(
                "`attention_weight` needs a transformer teacher that gives its attention maps (a method "
                f"`call_with_attention`), such as a keras_deit model. Received: {type(self.model).__name__}"
            )
        image_shape = tuple(_PROBE_SIZE if side is None else side for side in image_shape)
        self._check_size(image_shape)
        images = np.random.default_rng(_PROBE_SEED).normal(size=(2, *image_shape)).astype("float32")
        images = ops.convert_to_tensor(images)
        run = run or (lambda function, images, variables: function(images))
        answers = run(lambda images: self._ask(images, image_mean, image_std), images, self.variables)
        answers = ops.convert_to_numpy(answers).astype("float32")
        if answers.ndim != 2 or answers.shape[-1] != num_classes:
            raise ValueError(
                f"The teacher must answer for the student's {num_classes} classes: (batch, {num_classes}). Received: "
                f"shape={answers.shape}. Give the teacher a head for these classes, or build the student with "
                f"num_classes={answers.shape[-1]}."
            )
        check_kind(answers, self.outputs)
        if not attention:
            return None

        def last_attention(images):
            return self(images, image_mean, image_std, return_attention=True)[1][-1]

        return run(last_attention, images, self.variables).shape[-1] - self.num_prefix_tokens

    def _check_size(self, image_shape):
        wanted = getattr(self.model, "input_shape", None)
        if not isinstance(wanted, tuple) or len(wanted) != 4 or self.data_format != "channels_last":
            return
        shown = (*(self.image_size or image_shape[:2]), image_shape[2])
        if any(side not in (None, given) for side, given in zip(wanted[1:], shown, strict=True)):
            raise ValueError(
                f"The teacher takes images of shape {wanted[1:]} and would be shown {shown}. Say which size it wants: "
                f"`keras_deit.Teacher(model, image_size={wanted[1:3]}, ...)`."
            )

    def _ask(self, images, image_mean, image_std):
        images = self._preprocess(images, image_mean, image_std)
        has_training = isinstance(self.model, keras.layers.Layer) and self.model._call_has_training_arg
        return _single(self.model(images, training=False) if has_training else self.model(images))

    def _to_logits(self, outputs):
        outputs = ops.cast(outputs, "float32")
        return ops.log(ops.maximum(outputs, _TINY)) if self.outputs == "probabilities" else outputs

    def _preprocess(self, images, image_mean, image_std):
        images = ops.cast(images, "float32")
        if not self.takes_student_images:
            images = images * _constant(image_std) + _constant(image_mean)  # pixels in 0..1
            if self.image_size not in (None, tuple(images.shape[1:3])):
                images = _resize(images, self.image_size)
            low, high = self.value_range
            images = images * (high - low) + low
            if self.mean is not None:
                images = images - _constant(self.mean)
            if self.std is not None:
                images = images / _constant(self.std)
        return ops.transpose(images, (0, 3, 1, 2)) if self.data_format == "channels_first" else images


def check_kind(answers, outputs):
    """Checks that a teacher's answers are what they were declared to be.

    Args:
        answers: NumPy array `(images, classes)`.
        outputs: `"logits"` or `"probabilities"`.

    Raises:
        ValueError: If they are the other, or not finite.
    """
    if not np.all(np.isfinite(answers)):
        raise ValueError("The teacher's answers are not finite. Were its weights loaded whole?")
    sums = answers.sum(axis=-1)
    are_probabilities = answers.min() >= 0 and np.allclose(sums, 1, atol=1e-2)
    if outputs == "logits" and are_probabilities:
        raise ValueError(
            "The teacher was declared to answer with logits, but its answers look like probabilities: none is negative and "
            f"they sum to {sums[:2].round(4).tolist()}. Pass `keras_deit.Teacher(model, outputs='probabilities')`, take the "
            "softmax off the model, or store the logarithms."
        )
    if outputs == "probabilities" and not are_probabilities:
        raise ValueError(
            "The teacher was declared to answer with probabilities, but its answers lie between "
            f"{answers.min():.4g} and {answers.max():.4g} and sum to {sums[:2].round(4).tolist()}. "
            "Pass `outputs='logits'` if that is what they are."
        )


def _load(model):
    if isinstance(model, (str, pathlib.Path)):
        return _load_path(pathlib.Path(model))
    if not callable(model):
        raise ValueError(
            f"`model` must be a Keras model, a callable or the path of a saved one. Received: {type(model).__name__}"
        )
    if keras.backend.backend() == "torch" and not isinstance(model, keras.layers.Layer) and hasattr(model, "eval"):
        model.eval()  # a PyTorch module: no dropout, moving statistics
    return model


def _load_path(path):
    if not path.exists():
        raise ValueError(f"There is no teacher at {str(path)!r}: no such file or directory.")
    if not path.is_dir():
        return keras.saving.load_model(path, compile=False)
    if not (path / "saved_model.pb").exists():
        raise ValueError(f"The directory {str(path)!r} holds no SavedModel (no file `saved_model.pb`).")
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"A SavedModel runs on the TensorFlow backend only, and this is {keras.backend.backend()!r}. Set "
            "KERAS_BACKEND=tensorflow, or give the teacher as a `.keras` file."
        )
    require("tensorflow", extra="tensorflow", purpose="A SavedModel as a teacher")
    return keras.layers.TFSMLayer(str(path), call_endpoint="serving_default")


def _single(outputs):
    if hasattr(outputs, "logits"):
        return outputs.logits
    if isinstance(outputs, (list, tuple)):
        outputs = dict(enumerate(outputs))
    if not isinstance(outputs, dict):
        return outputs
    if "class" in outputs:
        return fuse(outputs["class"], outputs.get("distillation"))
    if len(outputs) == 1:
        return next(iter(outputs.values()))
    raise ValueError(
        f"The teacher answers with several outputs, {sorted(outputs)}, and one is needed. Wrap it in a callable that "
        "returns the logits."
    )


def _resize(images, image_size):
    """Bilinear with antialiasing, as matrix products: XLA compiles those, and not TensorFlow's op for it."""
    height, width = images.shape[1:3]
    if height is None or width is None:
        raise ValueError(
            "A teacher with another image size than the student's needs images of a known size. Received: "
            f"shape={tuple(images.shape)}. Fix it in the dataset, for example with `tf.ensure_shape`."
        )
    images = ops.einsum("yh,bhwc->bywc", _constant(_resize_matrix(height, image_size[0])), images)
    return ops.einsum("xw,bywc->byxc", _constant(_resize_matrix(width, image_size[1])), images)


def _resize_matrix(source, target):
    """Weights `(target, source)` of a triangle filter, as wide as a pixel of the coarser grid."""
    scale = source / target
    centres = (np.arange(target) + 0.5) * scale - 0.5
    distances = np.abs(np.arange(source) - centres[:, None]) / max(scale, 1)
    weights = np.maximum(1 - distances, 0)
    return weights / weights.sum(axis=1, keepdims=True)


def _constant(values):
    return ops.convert_to_tensor(np.asarray(values, dtype="float32"))
