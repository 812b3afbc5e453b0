"""Any classifier as a teacher."""

import copy
import pathlib

import keras
import numpy as np
from keras import ops

from keras_deit.choices import APPLICATIONS, OUTPUTS
from keras_deit.fusion import fuse
from keras_deit.imaging.applications import find_preprocessing
from keras_deit.imaging.channels import LUMA, advise_wrapping, count_channels
from keras_deit.imaging.class_names import match_classes
from keras_deit.imaging.normalisation import check_normalisation
from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.imaging.sizes import height_and_width
from keras_deit.runtime.caller_warning import warn_caller
from keras_deit.runtime.files import user_path
from keras_deit.runtime.keras_file import load_keras_file
from keras_deit.runtime.optional import require
from keras_deit.runtime.shorten import shorten
from keras_deit.runtime.similar_names import did_you_mean, similar_paths

DATA_FORMATS = ("channels_last", "channels_first")
_TINY = 1e-30  # lower bound of probabilities before their logarithm
_LARGEST_SIGMOID = 1 - 2.0**-24  # the largest float32 number below 1
_KIND_NAMES = {"logits": "logits", "probabilities": "probabilities", "sigmoid": "the outputs of a sigmoid"}
_KIND_ADVICE = {
    "logits": "Pass `outputs='logits'` if they are logits.",
    "probabilities": "Pass `keras_deit.Teacher(model, outputs='probabilities')`, remove the softmax from the model, or "
    "store the logarithms.",
    "sigmoid": "If the model ends in a sigmoid, pass `keras_deit.Teacher(model, outputs='sigmoid')`, or store "
    "log(p / (1 - p)). If it ends in another activation, such as a ReLU, remove the activation. If they are logits "
    "nevertheless, subtract the same number from all of them, which does not change their softmax.",
}
STUDENT_SIZE_ADVICE = "give the student images of this size"  # in the error about the teacher's image size
_CHECK_SEED = 20
_CHECK_SIZE = 64  # height and width of the images of `check` where the student accepts any


class OutputShapeError(ValueError):
    """The outputs of a teacher do not cover the classes of the student.

    Args:
        shape: Shape of the outputs for a batch.
        num_classes: Number of classes of the student.

    Attributes:
        shape: As given.
    """

    def __init__(self, shape, num_classes):
        super().__init__(
            f"The teacher's outputs must cover the student's {num_classes} classes: (batch, {num_classes}). Received: "
            f"shape={shape}. Give the teacher a head for these classes, or build the student with num_classes={shape[-1]}."
        )
        self.shape = shape


class Teacher:
    """A frozen classifier that predicts on the student's images, whatever input it was trained on.

    The teacher undoes the normalisation of the student's images, and then applies its own image size, value range, mean and
    standard deviation, in this order. If the model is a Keras model of images with one channel, and there is no
    `preprocessing`, RGB images first become grey by the luma of ITU-R 601, as Pillow's `convert("L")` computes it. The
    teacher runs in inference mode (no dropout, moving statistics of batch norm) and in its own precision. No gradients are
    computed for the teacher, and it is not saved in the student's files.

    Args:
        model: A Keras model or layer; the path of a `.keras` file; the directory of a SavedModel (TensorFlow backend only);
            or any callable of images on the active backend, such as a PyTorch module. The model must return a tensor
            `(batch, classes)`, a dictionary or list with one such tensor, the dictionary of a `DeiT` (the mean of its two
            heads is used) or an object with an attribute `logits`.
        image_size: Side, or `(height, width)`, of the teacher's input in pixels. None means, for a model of this package
            with a `preprocessing`, its own image size: that of the model, or `preprocessing.image_size`, which a `RegNetY`
            from a run has. Otherwise None means the size of the student's images, also for a `RegNetY` from a preset.
        mean, std: The teacher's normalisation: a number, or one number for each channel, in units of `value_range`. None
            for both means the normalisation of `model.preprocessing` if `value_range` is None too and a model of this
            package has a `preprocessing`; otherwise no normalisation.
        value_range: `(low, high)`, the range of the pixels before `mean` and `std` are applied; None means `(0, 1)`.
        preprocessing: Instead of `value_range`, `mean` and `std`: the name of a module or a model of `keras.applications`,
            such as `"resnet50"` or `"ResNet101"`, whose `preprocess_input` is applied; or a function from float32 pixels in
            0..255, `(batch, height, width, 3)`, to the model's input. None means no function.
        outputs: `"logits"`; `"probabilities"`, which sum to 1 over the classes, as a softmax returns them; or `"sigmoid"`, a
            probability of each class on its own.
        data_format: `"channels_last"`, or `"channels_first"` as most PyTorch modules need.
        same_classes: Whether the model's classes are the student's in the student's order, whatever their names. False
            means that they are matched by name, if teacher and student know the names.

    Raises:
        ValueError: If an argument is out of range. A `Distiller` also runs the teacher on a few images and raises if
            the outputs are not as declared.

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
        value_range=None,
        outputs="logits",
        data_format="channels_last",
        preprocessing=None,
        same_classes=False,
    ):
        if outputs not in OUTPUTS:
            raise ValueError(f"`outputs` must be one of {OUTPUTS}. Received: outputs={outputs!r}")
        if data_format not in DATA_FORMATS:
            raise ValueError(f"`data_format` must be one of {DATA_FORMATS}. Received: data_format={data_format!r}")
        is_described = not (mean is std is value_range is None)
        value_range = (0, 1) if value_range is None else tuple(value_range)
        if not value_range[0] < value_range[1]:
            raise ValueError(f"`value_range` must be (low, high). Received: value_range={value_range}")
        check_normalisation(mean, std, value_range, names=("mean", "std", "value_range"))
        if preprocessing is not None and is_described:
            raise ValueError(
                "`preprocessing` replaces `value_range`, `mean` and `std`. Give either the one or the others. Received: "
                f"preprocessing={preprocessing!r}, value_range={value_range}, mean={mean}, std={std}"
            )
        self.preprocessing = preprocessing
        self._preprocessing_function = _preprocessing_function(preprocessing)
        self.image_size = None if image_size is None else height_and_width(image_size)
        self.model = _load(model)
        self._is_torch_module = keras.backend.backend() == "torch" and not isinstance(self.model, keras.layers.Layer)
        self._is_torch_module &= hasattr(self.model, "eval")
        record = getattr(self.model, "preprocessing", None)
        if isinstance(record, Preprocessing):
            self.image_size = self.image_size or getattr(self.model, "image_size", None) or record.image_size
            if not is_described and preprocessing is None:
                mean, std = record.mean, record.std
        self.mean = mean
        self.std = std
        self.value_range = value_range
        self.outputs = outputs
        self.data_format = data_format
        self.same_classes = same_classes
        self.uses_student_images = False
        self.class_positions = None
        self._constants = {}  # of the preparation of images, on PyTorch

    @classmethod
    def from_bare_model(cls, model):
        """Makes a teacher that takes the student's images unchanged and returns logits.

        If `model.preprocessing` has another normalisation or image size, the images are prepared accordingly.

        Args:
            model: See the class.

        Returns:
            A `Teacher`.
        """
        teacher = cls(model)
        teacher.uses_student_images = True
        return teacher

    @property
    def variables(self):
        """List of the Keras variables of the model; empty for a callable that is no Keras layer."""
        return list(self.model.variables) if isinstance(self.model, keras.layers.Layer) else []

    @property
    def num_prefix_tokens(self):
        """Number of tokens before the patch tokens of a transformer teacher."""
        return self.model.num_prefix_tokens

    @property
    def num_channels(self):
        """Number of channels of the images that a Keras model takes; None if that is not known, or any number."""
        shape = self._input_shape()
        return None if shape is None else shape[2]

    def _input_shape(self):
        """`(height, width, channels)` of the images that a Keras model takes channels-last, each None if it may vary."""
        shape = getattr(self.model, "input_shape", None)
        is_known = isinstance(shape, tuple) and len(shape) == 4 and self.data_format == "channels_last"
        return shape[1:] if is_known else None

    def match_classes(self, class_names):
        """Finds the student's classes in those of the teacher by their names, if both know the names.

        Args:
            class_names: Names of the student's classes, or None.

        Returns:
            A `Teacher` with the outputs in the student's order: this one, or for another order a copy with the same model
            and a warning. This one does not change, because students with other orders may share it.

        Raises:
            ValueError: If the teacher's classes have other names.
        """
        theirs = None if self.same_classes else getattr(self.model, "class_names", None)
        if theirs is None or class_names is None or len(theirs) != len(class_names):  # `check` compares the numbers
            return self._in_order(None)
        positions = match_classes(theirs, class_names)
        names = f"teacher: {shorten(theirs)}; student: {shorten(class_names)}"
        if positions is None:
            raise ValueError(
                f"The teacher's classes must be those of the student. Received: other names ({names}). Pass a teacher of "
                "the student's classes. If both have the same classes in the same order under other names, pass "
                "`keras_deit.Teacher(model, same_classes=True)`."
            )
        if np.array_equal(positions, np.arange(len(positions))):
            return self._in_order(None)
        warn_caller(f"The teacher has the student's classes in another order ({names}): its outputs are reordered.")
        return self._in_order(positions)

    def _in_order(self, class_positions):
        if class_positions is self.class_positions is None:
            return self
        teacher = copy.copy(self)
        teacher.class_positions = class_positions
        return teacher

    def __call__(self, images, image_mean, image_std, return_attention=False):
        """Predicts on the student's images.

        Args:
            images: Tensor `(batch, height, width, 3)`, normalised as the student needs it.
            image_mean, image_std: That normalisation, of pixels in 0..1.
            return_attention: Whether to return the attention maps too.

        Returns:
            Float32 logits `(batch, classes)`; log-probabilities for a teacher of probabilities, and log(p / (1 - p)) for one
            that ends in a sigmoid. With
            `return_attention=True`, these and a list of attention maps `(batch, heads, tokens, tokens)`, one a block.
        """
        if return_attention:
            images = self._preprocess(images, image_mean, image_std)
            outputs, maps = self.model.call_with_attention(images, training=False)
            return self._to_logits(_single_output(outputs)), maps
        return self._to_logits(self._predict(images, image_mean, image_std))

    def check(self, image_shape, num_classes, image_mean, image_std, attention=False, run=None):
        """Runs the teacher on four artificial images and checks its outputs.

        Args:
            image_shape: `(height, width, channels)` of the student's images.
            num_classes: Number of classes of the student.
            image_mean, image_std: The normalisation of the student's images.
            attention: Whether the attention maps will be needed.
            run: Function that calls `function(images)` as `run(function, images, variables)`, `variables` being those that
                `function` uses; None means a plain call.

        Returns:
            Number of patches in the teacher's attention maps, or None without `attention`.

        Raises:
            ValueError: If the outputs have another shape, another number of classes or another kind than declared.
        """
        if attention and not hasattr(self.model, "call_with_attention"):
            raise ValueError(
                "`attention_weight` needs a transformer teacher with a method `call_with_attention`, such as a keras_deit "
                f"model. Received: {type(self.model).__name__}"
            )
        image_shape = tuple(_CHECK_SIZE if side is None else side for side in image_shape)
        self._check_channels(image_shape[2], image_mean, image_std)
        self._check_size(image_shape[:2])
        images = ops.convert_to_tensor(_check_images(image_shape))
        run = run or (lambda function, images, variables: function(images))
        outputs = run(lambda images: self._predict(images, image_mean, image_std), images, self.variables)
        outputs = ops.convert_to_numpy(outputs).astype("float32")
        if outputs.ndim != 2 or outputs.shape[-1] != num_classes:
            raise OutputShapeError(outputs.shape, num_classes)
        check_output_kind(outputs, self.outputs, _ends_linearly(self.model))
        if not attention:
            return None

        def last_attention(images):
            return self(images, image_mean, image_std, return_attention=True)[1][-1]

        return run(last_attention, images, self.variables).shape[-1] - self.num_prefix_tokens

    def _check_channels(self, channels, image_mean, image_std):
        """Checks that the model takes the channels of its images, and that no normalisation changes them by broadcasting."""
        if isinstance(self.preprocessing, str) and channels != 3:
            raise ValueError(
                "The models of keras.applications take images of 3 channels. Pass a function as `preprocessing`, for grey "
                "images for example `lambda pixels: keras.applications.resnet50.preprocess_input(keras.ops.repeat(pixels, "
                f"3, axis=-1))`. Received: images of {count_channels(channels)} and preprocessing={self.preprocessing!r}"
            )
        prepared = 1 if self._turns_grey(channels) else channels
        if not callable(self.preprocessing) and self.num_channels not in (None, prepared):
            raise ValueError(
                f"The teacher takes images of {count_channels(self.num_channels)}, and the student's have {channels}. "
                f"{self._channel_advice(channels)}"
            )
        if not self.uses_student_images:
            _check_one_for_each_channel("student", channels, image_mean=image_mean, image_std=image_std)
            _check_one_for_each_channel("teacher", prepared, mean=self.mean, std=self.std)

    def _channel_advice(self, channels):
        if self.uses_student_images and (self.num_channels, channels) == (1, 3):
            return (
                "Pass `keras_deit.Teacher(model)` with the value range, mean and standard deviation of the model: this "
                "teacher gets grey images."
            )
        return advise_wrapping(self._input_shape(), channels)

    def _check_size(self, image_size):
        expected = self._input_shape()
        if expected is None:
            return
        received = self.image_size or image_size
        if any(side not in (None, given) for side, given in zip(expected[:2], received, strict=True)):
            raise ValueError(
                f"The teacher takes images of shape {expected} and would receive {(*received, expected[2])}. Declare its "
                f"size: `keras_deit.Teacher(model, image_size={expected[:2]}, ...)`, or {STUDENT_SIZE_ADVICE}."
            )

    def _predict(self, images, image_mean, image_std):
        images = self._preprocess(images, image_mean, image_std)
        if isinstance(self.model, keras.layers.Layer):  # which drops `training` if its `call` does not take it
            return _single_output(self.model(images, training=False))
        if self._is_torch_module:
            self.model.eval()  # no dropout, moving statistics; before every call, because others may call `train`
            images = ops.cast(images, _dtype_of(self.model))
        return _single_output(self.model(images))

    def _to_logits(self, outputs):
        outputs = ops.cast(outputs, "float32")
        if self.class_positions is not None:
            outputs = ops.take(outputs, self.class_positions, axis=-1)
        if self.outputs == "probabilities":
            return ops.log(ops.maximum(outputs, _TINY))
        if self.outputs == "sigmoid":
            outputs = ops.clip(outputs, _TINY, _LARGEST_SIGMOID)
            return ops.log(outputs) - ops.log1p(-outputs)
        return outputs

    def _preprocess(self, images, image_mean, image_std):
        images = ops.cast(images, "float32")
        if not self._takes(images, image_mean, image_std):
            std, mean = (self._constant(images, _channels, *np.ravel(value)) for value in (image_std, image_mean))
            images = images * std + mean  # pixels in 0..1
            if self._turns_grey(images.shape[-1]):
                images = ops.sum(images * self._constant(images, _channels, *LUMA), axis=-1, keepdims=True)
            if self.image_size not in (None, tuple(images.shape[1:3])):
                images = self._resize(images)
            images = self._normalise(images)
        return ops.transpose(images, (0, 3, 1, 2)) if self.data_format == "channels_first" else images

    def _turns_grey(self, channels):
        """Whether images of so many channels become grey for the model; a `preprocessing` gets them as they are."""
        return channels == 3 and self.num_channels == 1 and self.preprocessing is None and not self.uses_student_images

    def _normalise(self, images):
        if self._preprocessing_function is not None:
            return self._preprocessing_function(images * 255)
        low, high = self.value_range
        images = images * (high - low) + low
        if self.mean is not None:
            images = images - self._constant(images, _channels, *np.ravel(self.mean))
        return images if self.std is None else images / self._constant(images, _channels, *np.ravel(self.std))

    def _resize(self, images):
        """Bilinear with antialiasing, as matrix products: XLA compiles those, but not TensorFlow's op for it."""
        height, width = images.shape[1:3]
        if height is None or width is None:
            raise ValueError(
                "A teacher with another image size than the student's needs images of a known size. Received: "
                f"shape={tuple(images.shape)}. Fix it in the dataset, for example with `tf.ensure_shape`."
            )
        rows = self._constant(images, _resize_matrix, height, self.image_size[0])
        columns = self._constant(images, _resize_matrix, width, self.image_size[1])
        return ops.einsum("xw,bywc->byxc", columns, ops.einsum("yh,bhwc->bywc", rows, images))

    def _constant(self, images, function, *arguments):
        """The float32 tensor of `function(*arguments)`, a NumPy array.

        On PyTorch the teacher keeps the tensor for later batches: the processor waits for each copy to a GPU.
        """
        if keras.backend.backend() != "torch":
            return ops.convert_to_tensor(function(*arguments).astype("float32"))
        key = str(getattr(images, "device", None)), function, arguments  # symbolic images have no device
        if key not in self._constants:
            self._constants[key] = ops.convert_to_tensor(function(*arguments).astype("float32"))
        return self._constants[key]

    def _takes(self, images, image_mean, image_std):
        """Whether a bare model takes the student's images unchanged."""
        if not self.uses_student_images or self.mean is None:
            return self.uses_student_images
        is_same = np.array_equal((self.mean, self.std), (image_mean, image_std))
        return is_same and self.image_size in (None, tuple(images.shape[1:3]))


def check_output_kind(outputs, declared, are_surely_logits=False):
    """Checks that a teacher's outputs are of the declared kind.

    Args:
        outputs: NumPy array `(images, classes)`.
        declared: `"logits"`, `"probabilities"` or `"sigmoid"`.
        are_surely_logits: Whether logits in 0..1 are taken for a coincidence.

    Raises:
        ValueError: If the outputs are of another kind, or not finite.
    """
    if not np.all(np.isfinite(outputs)):
        raise ValueError(
            "The teacher's outputs must be finite. Received: NaN or infinity among them. Check that its weights were loaded."
        )
    seen = "sigmoid" if declared == "sigmoid" and _may_be_sigmoids(outputs) else _kind_of(outputs, are_surely_logits)
    if seen != declared:
        sums = outputs.sum(axis=-1)[:2].round(4).tolist()
        raise ValueError(
            f"The teacher was declared to return {_KIND_NAMES[declared]}, but its outputs look like {_KIND_NAMES[seen]}: "
            f"they lie between {outputs.min():.4g} and {outputs.max():.4g} and sum to {sums}. {_KIND_ADVICE[seen]}"
        )
    if outputs.min() == 0 < outputs.max() and declared == "logits" and not are_surely_logits:
        warn_caller(
            "None of the teacher's logits is negative and some are exactly 0, as behind a ReLU, which makes the unlikely "
            "classes equal. If the model ends in an activation, remove the activation."
        )


def _check_one_for_each_channel(whose, channels, **given):
    """Checks that each of the given values is None, one number, or one number for each channel."""
    wrong = {name: value for name, value in given.items() if value is not None and np.size(value) not in (1, channels)}
    if wrong:
        raise ValueError(
            f"{' and '.join(f'`{name}`' for name in wrong)} must be one number, or one for each channel. The images of the "
            f"{whose} have {count_channels(channels)}. Received: "
            f"{', '.join(f'{name}={value}' for name, value in wrong.items())}"
        )


def _dtype_of(module):
    """Dtype that a PyTorch module computes in: that of its first parameter of floats, float32 without any."""
    dtypes = (keras.backend.standardize_dtype(one.dtype) for one in getattr(module, "parameters", tuple)())
    return next(filter(keras.backend.is_float_dtype, dtypes), "float32")


def _may_be_sigmoids(outputs):
    """Whether outputs that are declared as those of a sigmoid may be so: a softmax would sum to 1.

    Two sigmoids that are unsure sum to nearly 1 too, so that for two classes only an exact 1 counts.
    """
    is_unsure = np.allclose(outputs, 0.5, atol=1e-3)
    sums_to_one = np.allclose(outputs.sum(axis=-1), 1, rtol=0, atol=1e-2 if outputs.shape[-1] > 2 else 1e-5)
    return outputs.min() >= 0 and outputs.max() <= 1 and (is_unsure or not sums_to_one or outputs.shape[-1] == 1)


def _kind_of(outputs, are_surely_logits):
    sums_to_one = outputs.shape[-1] > 1 and np.allclose(outputs.sum(axis=-1), 1, atol=1e-2)
    if outputs.min() >= 0 and sums_to_one:
        return "probabilities"
    if outputs.min() >= 0 and 0 < outputs.max() <= 1 and not are_surely_logits:
        return "sigmoid"
    return "logits"


def _ends_linearly(model):
    """Whether the last operation of a functional or sequential Keras model is known to have no activation."""
    return getattr(_last_operation(model), "activation", None) is keras.activations.linear


def _last_operation(model):
    """The last layer or operation of a functional or sequential Keras model and of the models in it; None if not known."""
    while isinstance(model, keras.Model):
        steps = model.layers if isinstance(model, keras.Sequential) else getattr(model, "operations", None)
        model = steps[-1] if steps else None
    return model


def _preprocessing_function(preprocessing):
    """The function of pixels in 0..255 that an argument `preprocessing` means, or None."""
    if preprocessing is None or callable(preprocessing):
        return preprocessing
    function = find_preprocessing(preprocessing)
    if function is None:
        raise ValueError(
            "`preprocessing` must be a function of pixels in 0..255, or a name of keras.applications: "
            f"{', '.join(APPLICATIONS)}, or one of their models. Received: preprocessing={preprocessing!r}"
        )
    return function


def _check_images(image_shape):
    """Two images of noise, a dark one and a bright one: logits that lie in 0..1 for all of them are rare."""
    noise = np.random.default_rng(_CHECK_SEED).normal(size=(2, *image_shape))
    return np.concatenate([noise, noise * 0.1 + np.reshape([-2.0, 2.0], (2, 1, 1, 1))]).astype("float32")


def _load(model):
    if isinstance(model, (str, pathlib.Path)):
        return _load_path(user_path(model))
    if not callable(model):
        raise ValueError(
            f"`model` must be a Keras model, a callable or the path of a saved one. Received: {type(model).__name__}"
        )
    return model


def _load_path(path):
    if not path.exists():
        raise ValueError(
            f"There is no teacher at {str(path)!r}: no such file or directory.{did_you_mean(similar_paths(path))}"
        )
    if not path.is_dir():
        return load_keras_file(path)
    if not (path / "saved_model.pb").exists():
        raise ValueError(f"The directory {str(path)!r} holds no SavedModel (no file `saved_model.pb`).")
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"A SavedModel runs on the TensorFlow backend only, and this is {keras.backend.backend()!r}. Set "
            "KERAS_BACKEND=tensorflow, or give the teacher as a `.keras` file."
        )
    require("tensorflow", extra="tensorflow", purpose="A SavedModel as a teacher")
    return keras.layers.TFSMLayer(str(path), call_endpoint="serving_default")


def _single_output(outputs):
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
        f"The teacher must have one output. Received: several outputs, {sorted(outputs)}. Wrap it in a callable that "
        "returns the logits."
    )


def _channels(*values):
    return np.array(values)


def _resize_matrix(source, target):
    """Weights `(target, source)` of a triangle filter, as wide as a pixel of the coarser grid."""
    scale = source / target
    centres = (np.arange(target) + 0.5) * scale - 0.5
    distances = np.abs(np.arange(source) - centres[:, None]) / max(scale, 1)
    weights = np.maximum(1 - distances, 0)
    return weights / weights.sum(axis=1, keepdims=True)
