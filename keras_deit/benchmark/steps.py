"""The step that is timed: a function that runs a model on one batch, several times, and waits for the results."""

import itertools

import keras


def keras_step(model, setting, compiled=False):
    """Makes the step of a Keras model.

    Args:
        model: A Keras model from images to logits.
        setting: A `Setting`.
        compiled: Whether to run under `torch.compile`; for the PyTorch backend.

    Returns:
        A function that takes the number of steps, 1 by default, and returns what the last step computed: the logits at
        inference, otherwise the loss.
    """
    images, labels = setting.random_batch()
    if setting.mode == "inference":
        forward = _FORWARDS[keras.backend.backend()](model, images, compiled)
        return repeated(lambda: keras.ops.convert_to_numpy(forward()))
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-4, weight_decay=0.05),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=compiled or "auto",
    )
    batches = _repeated_batch(keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(labels))

    def train(times=1):  # `train_on_batch` would prepare the model anew for each step, which no training does
        # A subclass may prepare images in its own `fit`.
        return keras.Model.fit(model, batches(), steps_per_epoch=times, verbose=0).history["loss"][0]

    return train


def _repeated_batch(images, labels):
    """A function that returns the same batch without an end, as the active backend takes it from its own memory."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.data.Dataset.from_tensors((images, labels)).repeat
    return lambda: ((images, labels) for _ in itertools.count())


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


def _tensorflow_forward(model, images, _):
    import tensorflow as tf

    images, function = tf.constant(images), tf.function(lambda images: model(images, training=False))
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
