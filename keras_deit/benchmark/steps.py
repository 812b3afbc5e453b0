"""The step that is timed: a function that runs a model on one batch, several times, and waits for the results."""

import itertools

import keras
import numpy as np

from keras_deit.layers import operations


def keras_step(model, setting, compiled=False):
    """Makes the step of a Keras model.

    Args:
        model: A Keras model from images to logits.
        setting: A `Setting` of inference or training.
        compiled: Whether to compile the step with XLA on TensorFlow and with `torch.compile` on PyTorch.

    Returns:
        A function that takes the number of steps, 1 by default, and returns what the last step computed: the logits at
        inference, otherwise the loss.
    """
    images, labels = setting.random_batch()
    if setting.mode == "inference":
        return forward_step(model, images, compiled)
    return fit_step(model, images, labels, cross_entropy(), compiled)


def forward_step(model, images, compiled=False):
    """Makes the step of a forward pass.

    Args:
        model: A Keras model with one output.
        images: Float32 array `(batch, height, width, 3)`.
        compiled: As for `keras_step`.

    Returns:
        A function that takes the number of steps, 1 by default, and returns the outputs of the last step as an array.
    """
    forward = _FORWARDS[keras.backend.backend()](model, images, compiled)
    return repeated(lambda: keras.ops.convert_to_numpy(forward()))


def fit_step(model, images, labels, loss, compiled=False):
    """Makes the step of `fit`, with the optimizer AdamW.

    Args:
        model: A Keras model.
        images: Float32 array `(batch, height, width, 3)`.
        labels: Integer array `(batch,)`, or a dictionary of such arrays by output.
        loss: The loss for `compile`, or a dictionary of losses by output.
        compiled: As for `keras_step`.

    Returns:
        A function that takes the number of steps, 1 by default, and returns the loss of the last step.
    """
    optimizer = keras.optimizers.AdamW(1e-4, weight_decay=0.05)
    model.compile(optimizer=optimizer, loss=loss, jit_compile=compiled or "auto")
    batches = _repeated_batch(*keras.tree.map_structure(keras.ops.convert_to_tensor, (images, labels)))

    def train(times=1):  # `train_on_batch` would prepare the model anew for each step, which no training does
        # A subclass may prepare images in its own `fit`.
        return keras.Model.fit(model, batches(), steps_per_epoch=times, verbose=0, shuffle=False).history["loss"][0]

    return train


def cross_entropy():
    """Makes the loss of integer labels and logits."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _repeated_batch(images, labels):
    """A function that returns the same batch without an end, as the active backend takes it from its own memory."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        options = tf.data.Options()
        options.autotune.enabled = False  # its thread delays the end of `fit`, up to twice the time of the steps
        return tf.data.Dataset.from_tensors((images, labels)).with_options(options).repeat
    return lambda: ((images, labels) for _ in itertools.count())


def forget_compiled_functions():
    """Empties the cache of `torch.compile`.

    The cache holds a function for eight shapes of its inputs. For further shapes, the function runs without compilation.
    """
    if keras.backend.backend() == "torch":
        import torch

        torch.compiler.reset()


def matrix_product_step(precision, size):
    """Makes the step of a large matrix product, as the dense layers compute it; its speed counts as the peak of the device.

    Args:
        precision: `"float32"` or `"bfloat16"`.
        size: Number of rows and columns of both matrices.

    Returns:
        A function that takes the number of products, 1 by default, and returns one element of the last product.
    """
    numbers = np.random.default_rng(0).standard_normal((2, size, size), dtype="float32")
    left, right = (keras.ops.cast(matrix, precision) for matrix in numbers)

    def multiply(times=1):
        for _ in range(times):
            product = operations.product(left, right)
        return float(keras.ops.cast(product[0, 0], "float32"))  # waits for the product

    return multiply


def array_sum_step(num_bytes):
    """Makes the step that sums a large array, whose time is that of reading the array.

    Args:
        num_bytes: Size of the float32 array in bytes.

    Returns:
        A function that takes the number of sums, 1 by default, and returns the last one.
    """
    numbers = keras.ops.ones((num_bytes // 4,), dtype="float32")

    def total(times=1):
        for _ in range(times):
            result = keras.ops.sum(numbers)
        return float(result)

    return total


def repeated(step):
    """Makes the step of a function.

    Args:
        step: Function without arguments that returns when its work is done.

    Returns:
        A function that takes the number of calls, 1 by default, and returns the result of the last call.

    Example:

    >>> repeated(lambda: "logits")(3)
    'logits'
    """

    def run(times=1):
        for _ in range(times):
            result = step()
        return result

    return run


def torch_step(module, setting, compiled=False):
    """Makes the step of a PyTorch module.

    Args:
        module: A `torch.nn.Module` from channels-first images to logits, or to an object with an attribute `logits`.
        setting: A `Setting`.
        compiled: Whether to run under `torch.compile`.

    Returns:
        A function as `keras_step` returns.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    images, labels = (torch.from_numpy(array).to(device) for array in setting.random_batch())
    images = images.permute(0, 3, 1, 2).contiguous()
    module = module.to(device).train(setting.mode == "training")
    if setting.mode == "inference":
        dtype = getattr(torch, setting.precision)
        module, images = module.to(dtype), images.to(dtype)
    function = torch.compile(module) if compiled else module
    if setting.mode == "inference":
        return repeated(_torch_inference_step(function, images))
    return repeated(_torch_training_step(module, function, images, labels, setting.precision))


def _torch_inference_step(function, images):
    import torch

    def infer():
        with torch.no_grad():
            return _logits(function(images)).float().cpu()

    return infer


def _torch_training_step(module, function, images, labels, precision):
    import torch

    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4, weight_decay=0.05)

    def train():
        with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(_logits(function(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return train


def _logits(outputs):
    return getattr(outputs, "logits", outputs)


def _tensorflow_forward(model, images, compiled):
    import tensorflow as tf

    images = tf.constant(images)
    function = tf.function(lambda images: model(images, training=False), jit_compile=compiled or None)
    return lambda: function(images)


def _jax_forward(model, images, _):
    import jax

    groups = (model.trainable_variables, model.non_trainable_variables)
    state = [[variable.value for variable in group] for group in groups]
    function = jax.jit(lambda state, images: model.stateless_call(*state, images, training=False)[0])
    images = jax.device_put(images)
    return lambda: function(state, images)


def _torch_forward(model, images, compiled):
    import torch

    images = keras.ops.convert_to_tensor(images)
    function = torch.compile(lambda images: model(images, training=False)) if compiled else model

    def forward():
        with torch.no_grad():
            return function(images) if compiled else model(images, training=False)

    return forward


_FORWARDS = {"tensorflow": _tensorflow_forward, "jax": _jax_forward, "torch": _torch_forward}
