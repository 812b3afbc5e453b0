"""RegNetY, the convolutional teacher of the DeiT paper."""

import keras
from keras import layers

from keras_deit.imaging.preprocessing import Preprocessing
from keras_deit.models.image_model import ImageModel, check_class_names, head_dtype
from keras_deit.runtime.numpy_numbers import python_number

STEM_WIDTH = 32
SQUEEZE_RATIO = 4  # input width of a block to width of its squeeze layer
NORM_EPSILON, NORM_MOMENTUM = 1e-5, 0.9


@keras.saving.register_keras_serializable(package="keras_deit")
class RegNetY(ImageModel):
    """A RegNetY classifier: bottleneck blocks of grouped convolutions with squeeze-and-excitation.

    Args:
        widths: Number of channels of each stage.
        depths: Number of blocks of each stage. The first block of a stage halves the resolution.
        group_width: Number of channels per group of the 3×3 convolutions; must divide every width.
        num_classes: Number of classes.
        dtype: Dtype policy; None means the global one. The logits are float32 under every policy.
        name, trainable: As for every `keras.Model`.
        class_names, preprocessing: As for `keras_deit.DeiT`.

    Input shape:
        `(batch, height, width, 3)`: channels-last RGB images of any size, normalised by mean and standard deviation of
        pixels in 0..1.

    Output shape:
        `(batch, num_classes)`, float32 logits.

    Raises:
        ValueError: If `widths` and `depths` differ in length, or `group_width` does not divide every width.

    Example:

    >>> import keras, keras_deit as kd
    >>> teacher = kd.RegNetY.from_variant("regnety_002", num_classes=10)
    >>> tuple(teacher(keras.ops.ones((1, 64, 64, 3))).shape)
    (1, 10)

    Reference:
        Radosavovic et al., 2020, Designing Network Design Spaces (arXiv 2003.13678), section 4 and table 4; initial values:
        its official code.
    """

    family = "regnety"
    quantization_modes = ()  # Keras quantizes no convolutions
    recorded_arguments = ("class_names", "preprocessing", "multi_label")

    def __init__(
        self,
        widths,
        depths,
        group_width,
        num_classes=1000,
        dtype=None,
        name="regnety",
        trainable=True,
        class_names=None,
        preprocessing=None,
        multi_label=False,
    ):
        widths, depths = tuple(map(python_number, widths)), tuple(map(python_number, depths))
        group_width, num_classes = python_number(group_width), python_number(num_classes)
        if len(widths) != len(depths) or any(width % group_width for width in widths):
            raise ValueError(
                "`widths` and `depths` must have the same length, and `group_width` must divide every width. "
                f"Received: widths={widths}, depths={depths}, group_width={group_width}"
            )
        class_names = check_class_names(class_names, num_classes)
        preprocessing = Preprocessing.of(preprocessing)
        policy = keras.dtype_policies.get(dtype)
        images = keras.Input((None, None, 3), name="images", dtype=policy.variable_dtype)
        make = _Layers(policy)
        features = make.convolution(images, STEM_WIDTH, 3, "stem", strides=2)
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True), start=1):
            for block in range(1, depth + 1):
                prefix = f"stage_{stage}_block_{block}"
                features = make.block(features, width, group_width, 2 if block == 1 else 1, prefix)
        pooled = layers.GlobalAveragePooling2D(data_format="channels_last", dtype=policy, name="mean")(features)
        head = layers.Dense(
            num_classes,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            dtype=head_dtype(policy),
            name="head",
        )
        super().__init__(images, head(pooled), dtype=policy, name=name, trainable=trainable)
        self.widths = widths
        self.depths = depths
        self.group_width = group_width
        self.num_classes = num_classes
        self.class_names = class_names
        self.preprocessing = preprocessing
        self.multi_label = bool(multi_label)

    def kept_settings(self):
        """Returns what a weights file keeps beside the variables, see `keras_deit.runtime.kept_settings`."""
        return {"depths": self.depths, "group_width": self.group_width}

    def get_config(self):
        return {
            "widths": self.widths,
            "depths": self.depths,
            "group_width": self.group_width,
            "num_classes": self.num_classes,
            **self.record_config(),
            **super().get_config(),
        }


class _Layers:
    """Builds the blocks of a RegNetY with one dtype policy."""

    def __init__(self, policy):
        self.policy = policy

    def block(self, inputs, width, group_width, strides, prefix):
        """Applies a bottleneck of ratio 1: 1×1, grouped 3×3, squeeze-and-excitation, 1×1, and the shortcut."""
        features = self.convolution(inputs, width, 1, f"{prefix}_first")
        features = self.convolution(features, width, 3, f"{prefix}_second", strides=strides, group_width=group_width)
        features = self._squeeze_and_excite(features, inputs.shape[-1] // SQUEEZE_RATIO, prefix)
        features = self.convolution(features, width, 1, f"{prefix}_third", activation=False, gamma="zeros")
        if strides > 1 or inputs.shape[-1] != width:
            inputs = self.convolution(inputs, width, 1, f"{prefix}_shortcut", strides=strides, activation=False)
        return self._relu(layers.Add(dtype=self.policy, name=f"{prefix}_sum")([features, inputs]), prefix)

    def convolution(
        self, inputs, width, kernel_size, prefix, strides=1, group_width=None, activation=True, gamma="ones"
    ):
        """Applies a convolution without bias, batch norm and, with `activation`, ReLU."""
        if kernel_size > 1:  # padding="same" would pad images of even size on one side only
            options = dict(data_format="channels_last", dtype=self.policy, name=f"{prefix}_padding")
            inputs = layers.ZeroPadding2D(kernel_size // 2, **options)(inputs)
        features = layers.Conv2D(
            width,
            kernel_size,
            strides=strides,
            groups=width // group_width if group_width else 1,
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
            data_format="channels_last",
            dtype=self.policy,
            name=f"{prefix}_convolution",
        )(inputs)
        norm = layers.BatchNormalization(
            momentum=NORM_MOMENTUM,
            epsilon=NORM_EPSILON,
            gamma_initializer=gamma,
            dtype=self.policy,
            name=f"{prefix}_norm",
        )
        return self._relu(norm(features), prefix) if activation else norm(features)

    def _squeeze_and_excite(self, features, squeezed, prefix):
        mean = layers.GlobalAveragePooling2D(
            data_format="channels_last", keepdims=True, dtype=self.policy, name=f"{prefix}_mean"
        )(features)
        gate = self._pointwise(squeezed, "relu", f"{prefix}_squeeze")(mean)
        gate = self._pointwise(features.shape[-1], "sigmoid", f"{prefix}_excite")(gate)
        return layers.Multiply(dtype=self.policy, name=f"{prefix}_gate")([features, gate])

    def _pointwise(self, width, activation, name):
        return layers.Conv2D(width, 1, activation=activation, data_format="channels_last", dtype=self.policy, name=name)

    def _relu(self, features, prefix):
        return layers.ReLU(dtype=self.policy, name=f"{prefix}_relu")(features)
