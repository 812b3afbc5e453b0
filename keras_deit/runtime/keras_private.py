"""Every use of Keras's private API, each with a check.

Keras may rename a private name, or use it differently, in any release. Some of these changes would raise an obscure error;
others would raise none and train something else. The rest of the package therefore uses public API only. What has no public
counterpart is here, and a check raises `UnsupportedKerasError` at the first use when Keras has changed:

- `Model._get_metrics_result_or_logs`, overridden by `EpochLogsHook` for the logs of an epoch: it exists, takes `logs`, and
  is called by `fit` and `evaluate`.
- `Model._compile_loss`, for `compiled_loss`: it is a `keras.losses.Loss`.
- The modules `keras.src.backend...` of a saved optimiser, which `PortableCompileConfig` replaces by the public one.
- `Metric._direction`, for `monitor_mode`: it is `"up"` for an accuracy.
- `Optimizer._clip_gradients` and, on TensorFlow, `Optimizer._all_reduce_sum_gradients`, overridden by `OptimizerInternals`
  to clip after the sum over the replicas: they exist, take `grads` and `grads_and_vars`, and are called by `apply`.
- On PyTorch, `Optimizer._backend_update_step` and `Optimizer._update_model_variables_moving_average`, overridden by
  `OptimizerInternals` to update lists of variables: they exist, take `grads`, `trainable_variables` and `learning_rate`, and
  the first one is called by `apply`. `Adam._momentums` and `Adam._velocities`, for `moment_lists`: they are lists.
- `Optimizer._get_variable_index`, for the state of a variable: it exists, takes `variable`, and counts the variables of
  `build`.
- `Optimizer._use_weight_decay`, for `exclude_from_weight_decay`: it exists, takes `variable`, and returns a bool.
- `Layer._flatten_layers`, for `sublayers`: it exists and takes `include_self` and `recursive`.
- `Layer._trainable_variables`, for `own_trainable_variables`: it is a list of the layer's variables.
- `Layer._remat_mode`, for `is_computed_again`: it is that of the `keras.RematScope` in which the layer was made, or None.
- The dictionaries of hooks of `torch.nn.Module`, for `has_hooks`: they exist.

`tests/test_architecture.py` asserts that no other module uses a private name.
"""

import inspect

import keras

KNOWN_KERAS_VERSIONS = "3.15"


class UnsupportedKerasError(RuntimeError):
    """A private name of Keras that the package needs is missing or has another meaning."""

    def __init__(self, problem):
        super().__init__(
            f"keras_deit needs private API of Keras, and the installed Keras {keras.__version__} differs: {problem}. Known "
            f"to work: Keras {KNOWN_KERAS_VERSIONS}.x (pip install 'keras=={KNOWN_KERAS_VERSIONS}.*'). A newer release of "
            "keras_deit may support the installed Keras."
        )


def require_method(owner, name, parameters):
    """Checks that a class has a method.

    Args:
        owner: The class.
        name: Name of the method.
        parameters: List of the names of its parameters, without `self`.

    Raises:
        UnsupportedKerasError: If there is no such method, or if it takes other parameters.

    Example:

    >>> require_method(keras.Model, "_name_of_tomorrow", ["logs"])
    Traceback (most recent call last):
    ...
    keras_deit.runtime.keras_private.UnsupportedKerasError: ...`Model._name_of_tomorrow` does not exist...
    """
    method = getattr(owner, name, None)
    if not callable(method):
        raise UnsupportedKerasError(f"`{owner.__name__}.{name}` does not exist")
    received = list(inspect.signature(method).parameters)
    if received != ["self", *parameters]:
        raise UnsupportedKerasError(f"`{owner.__name__}.{name}` takes {received} instead of {['self', *parameters]}")


def sublayers(layer):
    """Lists the layers directly inside a layer or model. Only models list theirs publicly, as `layers`.

    Args:
        layer: A `keras.layers.Layer`.

    Returns:
        List of layers.

    Raises:
        UnsupportedKerasError: If Keras lists them in another way.

    Example:

    >>> [layer.name for layer in sublayers(keras.Sequential([keras.layers.Dense(2, name="head")]))]
    ['head']
    """
    require_method(keras.layers.Layer, "_flatten_layers", ["include_self", "recursive"])
    return layer._flatten_layers(include_self=False, recursive=False)


def own_trainable_variables(layer):
    """Lists the variables of a layer, without those of its sublayers, that are trained unless somebody freezes them.

    Args:
        layer: A built `keras.layers.Layer`.

    Returns:
        List of variables. It also holds the frozen ones. It does not hold variables that are never trained, such as moving
        statistics.

    Raises:
        UnsupportedKerasError: If Keras keeps them elsewhere.
    """
    variables = getattr(layer, "_trainable_variables", None)
    if not isinstance(variables, list):
        raise UnsupportedKerasError(f"`Layer._trainable_variables` is {type(variables).__name__}, not a list")
    return list(variables)


def is_computed_again(layer):
    """Returns whether a layer was made in a `keras.RematScope` that computes whole layers again for the gradient.

    Args:
        layer: A `keras.layers.Layer`.

    Returns:
        A boolean. The mode `"activations"` of the scope does not count: only activation functions are computed again.

    Raises:
        UnsupportedKerasError: If Keras keeps the mode elsewhere.

    Example:

    >>> is_computed_again(keras.layers.Dense(2))
    False
    """
    if not hasattr(layer, "_remat_mode"):
        raise UnsupportedKerasError("`Layer._remat_mode` does not exist")
    mode = getattr(layer._remat_mode, "mode", None)
    return mode is not None and mode != "activations"


def has_hooks(layer):
    """Returns whether hooks are registered on a layer with PyTorch, where a layer is a `torch.nn.Module`.

    Args:
        layer: A `keras.layers.Layer` on the PyTorch backend.

    Raises:
        UnsupportedKerasError: If PyTorch keeps the hooks elsewhere.
    """
    try:
        return bool(
            layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks
        )
    except AttributeError as error:
        raise UnsupportedKerasError(f"the hooks of `torch.nn.Module` are kept elsewhere ({error})") from error


def compiled_loss(model, y_true, y_pred, sample_weight):
    """Computes the `loss` given to `compile`, without the losses of regularisers and `add_loss`.

    The public `model.compute_loss` returns the sum of both.

    Args:
        model: A compiled `keras.Model`.
        y_true: Labels, as the loss takes them.
        y_pred: Tensor `(batch, ...)` of predictions.
        sample_weight: Tensor `(batch,)`.

    Returns:
        Scalar tensor.

    Raises:
        UnsupportedKerasError: If Keras keeps the compiled loss elsewhere.
    """
    loss = getattr(model, "_compile_loss", None)
    if not isinstance(loss, keras.losses.Loss):
        raise UnsupportedKerasError(f"`Model._compile_loss` is {type(loss).__name__}, not a `keras.losses.Loss`")
    return loss(y_true, y_pred, sample_weight)


def monitor_mode(metric):
    """Whether the best value of a metric is its lowest or its highest.

    Args:
        metric: A `keras.metrics.Metric`.

    Returns:
        `"min"` or `"max"`, or None where the metric does not say it.

    Raises:
        UnsupportedKerasError: If Keras keeps the direction elsewhere.

    Example:

    >>> monitor_mode(keras.metrics.AUC())
    'max'
    """
    if getattr(keras.metrics.CategoricalAccuracy(), "_direction", None) != "up":
        raise UnsupportedKerasError("`CategoricalAccuracy._direction` is not 'up'")
    return {"up": "max", "down": "min"}.get(getattr(metric, "_direction", None))


class PortableCompileConfig:
    """Mixin for a `keras.Model` whose files can be loaded, with the optimiser, where the backend that saved them is missing.

    Keras saves the module of the backend's own optimiser, such as `keras.src.backend.torch.optimizers.torch_adam`, and
    imports it on loading. The public class of the same name has the same configuration and makes the optimiser of the
    backend that loads the file.
    """

    def get_compile_config(self):
        """Returns the arguments of `compile`, see `keras.Model.get_compile_config`, without modules of a backend."""
        return _without_backend_modules(super().get_compile_config())


def _without_backend_modules(config):
    if isinstance(config, (list, tuple)):
        return type(config)(_without_backend_modules(value) for value in config)
    if not isinstance(config, dict):
        return config
    config = {key: _without_backend_modules(value) for key, value in config.items()}
    is_of_backend = str(config.get("module")).startswith("keras.src.backend.")
    if is_of_backend and hasattr(keras.optimizers, config["class_name"]):
        config |= {"module": "keras.optimizers", "registered_name": None}
    return config


class EpochLogsHook:
    """Mixin for a `keras.Model` whose method `epoch_logs` decides what each epoch and each evaluation reports.

    Keras calls the private method at the end of each epoch, before validation. No public method is called there with the
    names of the metrics that the steps have returned, and callbacks run after validation, which resets the metrics.
    """

    _num_epoch_ends = 0

    def epoch_logs(self, logs):
        """Returns the logs of an epoch of `fit`, or of an evaluation.

        Args:
            logs: Dictionary of what the last step has returned.

        Returns:
            Dictionary from names to values.
        """
        return super()._get_metrics_result_or_logs(logs)

    def compile(self, *args, **kwargs):
        """Compiles the model, see `keras.Model.compile`, after checking that the private method exists."""
        require_method(keras.Model, "_get_metrics_result_or_logs", ["logs"])
        super().compile(*args, **kwargs)

    def fit(self, *args, **kwargs):
        """Trains the model, see `keras.Model.fit`, and checks that the private method was called."""
        before = self._num_epoch_ends
        history = super().fit(*args, **kwargs)
        if history.epoch:
            self._check_called_since(before, "fit")
        return history

    def evaluate(self, *args, **kwargs):
        """Evaluates the model, see `keras.Model.evaluate`, and checks that the private method was called."""
        before = self._num_epoch_ends
        results = super().evaluate(*args, **kwargs)
        self._check_called_since(before, "evaluate")
        return results

    def _get_metrics_result_or_logs(self, logs):
        self._num_epoch_ends += 1
        return self.epoch_logs(logs)

    def _check_called_since(self, before, method):
        if self._num_epoch_ends == before:
            raise UnsupportedKerasError(f"`Model.{method}` does not call `_get_metrics_result_or_logs`")


class OptimizerInternals:
    """Mixin for a Keras optimiser: public names for two private steps of `apply` and for what it knows of variables."""

    _num_clippings = 0
    _num_reductions = 0
    _num_updates = 0

    def clip_gradients(self, gradients):
        """Clips gradients as Keras does. `apply` calls it, before `reduce_gradients`.

        Args:
            gradients: List of tensors, on each replica those of its own share of the batch.

        Returns:
            List of tensors.
        """
        return super()._clip_gradients(gradients)

    def reduce_gradients(self, gradients_and_variables):
        """Sums gradients over the replicas of `tf.distribute`. `apply` calls it on TensorFlow.

        Args:
            gradients_and_variables: List of pairs.

        Returns:
            List of pairs.
        """
        return super()._all_reduce_sum_gradients(gradients_and_variables)

    def update_variables(self, gradients, variables, learning_rate):
        """Updates variables one after the other. `apply` calls it on PyTorch, after clipping and weight decay.

        Args:
            gradients: List of tensors.
            variables: List of Keras variables.
            learning_rate: Scalar tensor or variable.
        """
        super()._backend_update_step(gradients, variables, learning_rate)

    def average_variables(self, variables, averages):
        """Updates the moving averages of variables. `apply` calls it on PyTorch, if the optimiser has `use_ema`.

        Args:
            variables: List of Keras variables.
            averages: List of Keras variables, their averages.
        """
        super()._update_model_variables_moving_average(variables)

    def moments(self, variables):
        """Lists of the two moments of variables, `(means, squares)`, of an optimiser of Adam's kind."""
        indices = [self.variable_index(variable) for variable in variables]
        return tuple([moments[index] for index in indices] for moments in self.moment_lists())

    def moment_lists(self):
        """Lists of the moments of all variables of `build`, `(means, squares)`, of Keras's own optimisers of Adam's kind.

        Raises:
            UnsupportedKerasError: If Keras keeps them in another way.
        """
        lists = getattr(self, "_momentums", None), getattr(self, "_velocities", None)
        if not all(isinstance(moments, list) for moments in lists):
            raise UnsupportedKerasError("`Adam._momentums` and `Adam._velocities` are no lists")
        return lists

    def variable_index(self, variable):
        """Index of a variable in the list given to `build`; on TensorFlow also of the `tf.Variable` inside of it."""
        return self._get_variable_index(variable)

    def uses_weight_decay(self, variable):
        """Whether a Keras variable is decayed, that is, not named to `exclude_from_weight_decay`."""
        return self._use_weight_decay(variable)

    def build(self, variables):
        """Builds the optimiser, see `keras.optimizers.Optimizer.build`, and checks the private methods."""
        for name, parameter in (
            ("_clip_gradients", "grads"),
            ("_get_variable_index", "variable"),
            ("_use_weight_decay", "variable"),
        ):
            require_method(keras.optimizers.Optimizer, name, [parameter])
        if keras.backend.backend() == "tensorflow":
            require_method(keras.optimizers.Optimizer, "_all_reduce_sum_gradients", ["grads_and_vars"])
        if keras.backend.backend() == "torch":
            parameters = ["grads", "trainable_variables", "learning_rate"]
            require_method(keras.optimizers.Optimizer, "_backend_update_step", parameters)
            require_method(
                keras.optimizers.Optimizer, "_update_model_variables_moving_average", ["trainable_variables"]
            )
        super().build(variables)
        if [self.variable_index(variable) for variable in variables] != list(range(len(variables))):
            raise UnsupportedKerasError("`Optimizer._get_variable_index` does not count the variables of `build`")
        if not all(isinstance(self.uses_weight_decay(variable), bool) for variable in variables):
            raise UnsupportedKerasError("`Optimizer._use_weight_decay` does not return a bool")

    def apply(self, grads, trainable_variables=None):
        """Applies gradients, see `keras.optimizers.Optimizer.apply`, and checks that the private methods were called."""
        clippings, reductions, updates = self._num_clippings, self._num_reductions, self._num_updates
        super().apply(grads, trainable_variables)
        if len(grads) == 0 or self.gradient_accumulation_steps:  # these steps may leave the variables as they are
            return
        if self._num_clippings == clippings:
            raise UnsupportedKerasError("`Optimizer.apply` does not call `_clip_gradients`")
        if keras.backend.backend() == "tensorflow" and self._num_reductions == reductions:
            raise UnsupportedKerasError("`Optimizer.apply` does not call `_all_reduce_sum_gradients`")
        if keras.backend.backend() == "torch" and self._num_updates == updates:
            raise UnsupportedKerasError("`Optimizer.apply` does not call `_backend_update_step`")

    def _clip_gradients(self, grads):
        self._num_clippings += 1
        return self.clip_gradients(grads)

    def _all_reduce_sum_gradients(self, grads_and_vars):
        self._num_reductions += 1
        return self.reduce_gradients(grads_and_vars)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        self._num_updates += 1
        if keras.backend.backend() == "torch":
            self.update_variables(grads, trainable_variables, learning_rate)
        else:
            super()._backend_update_step(grads, trainable_variables, learning_rate)

    def _update_model_variables_moving_average(self, trainable_variables):
        if keras.backend.backend() != "torch":
            super()._update_model_variables_moving_average(trainable_variables)
        elif self.use_ema:
            pairs = zip(trainable_variables, self._model_variables_moving_average, strict=True)
            pairs = [(variable, average) for variable, average in pairs if average is not None]
            self.average_variables([variable for variable, _ in pairs], [average for _, average in pairs])
