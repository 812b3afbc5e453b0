"""A dense layer over tokens."""

import types

import keras

from keras_deit.layers import operations
from keras_deit.runtime.kept_settings import KeptSettings


class DenseWithLora(keras.layers.Dense):
    """`keras.layers.Dense` that saves the matrices of LoRA beside the kernel, so that training continues after loading.

    `keras.layers.Dense` saves the sum of the kernel and its LoRA. When it loads the sum, it sets both matrices to zero, and
    their gradients stay zero from then on. Quantized layers are saved as Keras does.
    """

    @property
    def keeps_lora(self):
        """Whether the layer has LoRA that is saved beside the kernel."""
        return self.lora_enabled and self.quantization_mode is None

    def save_own_variables(self, store):
        """Saves the variables, see `keras.layers.Layer.save_own_variables`."""
        saved_as = keras.layers.Layer if self.keeps_lora else keras.layers.Dense
        saved_as.save_own_variables(self, store)

    def load_own_variables(self, store):
        """Loads the variables, see `keras.layers.Layer.load_own_variables`."""
        saved_as = keras.layers.Layer if self.keeps_lora else keras.layers.Dense
        saved_as.load_own_variables(self, store)


@keras.saving.register_keras_serializable(package="keras_deit")
class TokenDense(KeptSettings, DenseWithLora):
    """`keras.layers.Dense` over the last axis of tokens, with DeiT's initial values.

    Args:
        units: Length of an output token, a positive integer.
        **kwargs: Keyword arguments of `keras.layers.Dense`.

    Input shape:
        `(batch, tokens, features)`.

    Output shape:
        `(batch, tokens, units)`.

    Example:

    >>> tuple(TokenDense(8)(keras.ops.ones((2, 3, 4))).shape)
    (2, 3, 8)

    Reference:
        Initial values: the official DeiT code. Kernels are normal with σ = 0.02 (its truncation lies a hundred σ away),
        biases are zero.
    """

    direct_call = True  # see run_layer
    absent_settings = types.MappingProxyType({"lora": (0, 0)})

    def __init__(self, units, **kwargs):
        kwargs.setdefault("kernel_initializer", keras.initializers.RandomNormal(stddev=0.02))
        super().__init__(units, **kwargs)

    def call(self, tokens):
        """Maps tokens `(batch, tokens, features)` to `(batch, tokens, units)`."""
        outputs = operations.dense(tokens, self.kernel, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def kept_settings(self):
        """Returns rank and alpha of LoRA, `(0, 0)` without LoRA."""
        return {"lora": (self.lora_rank, self.lora_alpha) if self.keeps_lora else (0, 0)}

    def other_setting(self, name, expected, received):
        """Describes how weights of another LoRA differ, and what to do."""
        expected, received = (
            f"LoRA of rank {rank} and alpha {alpha:g}" if rank else "no LoRA" for rank, alpha in (expected, received)
        )
        return (
            f"Expected weights with {expected} in {self.path}. Received: weights with {received}. Load weights without LoRA "
            "before `keras_deit.lora.enable`, and weights with LoRA after it, with the same arguments."
        )

    def quantize(self, mode=None, type_check=True, config=None):
        """Quantizes the layer as `keras.layers.Dense` does, which by itself refuses subclasses.

        Args:
            mode, config: As for `keras.Model.quantize`.
            type_check: Has no effect.
        """
        super().quantize(mode=mode, type_check=False, config=config)
