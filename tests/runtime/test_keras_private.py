"""The guard of Keras's private API: it accepts the installed Keras, and raises an error when Keras changes."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_deit.runtime.keras_private import (
    EpochLogsHook,
    OptimizerInternals,
    UnsupportedKerasError,
    compiled_loss,
    require_method,
)

BACKEND = keras.backend.backend()
IMAGES, LABELS = np.ones((4, 2), "float32"), np.zeros((4, 1), "float32")


class HookedModel(EpochLogsHook, keras.Model):
    """Reports one more log."""

    def __init__(self):
        super().__init__()
        self.dense = keras.layers.Dense(1, kernel_initializer="zeros")

    def call(self, inputs):
        return self.dense(inputs)

    def epoch_logs(self, logs):
        return {**super().epoch_logs(logs), "names": float(len(logs))}


class HookedSGD(OptimizerInternals, keras.optimizers.SGD):
    """Notes the calls of its hooks."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.calls = []

    def clip_gradients(self, gradients):
        self.calls.append("clip")
        return super().clip_gradients(gradients)

    def reduce_gradients(self, gradients_and_variables):
        self.calls.append("reduce")
        return super().reduce_gradients(gradients_and_variables)


def compiled_model(**options):
    model = HookedModel()
    model.compile("sgd", loss="mse", **options)
    return model


def definer(cls, name):
    """The base class that defines a method."""
    return next(base for base in cls.__mro__ if name in vars(base))


def rename(monkeypatch, cls, name):
    """Renames a private method, as a later release of Keras might."""
    base = definer(cls, name)
    monkeypatch.setattr(base, f"{name}_of_tomorrow", vars(base)[name], raising=False)
    monkeypatch.delattr(base, name)


def test_the_error_says_what_is_missing_and_which_versions_work():
    message = rf"Keras {keras.__version__} differs: `Model._missing` does not exist. Known to work: Keras 3.15.x"
    with pytest.raises(UnsupportedKerasError, match=message):
        require_method(keras.Model, "_missing", [])


def test_other_parameters_raise():
    require_method(keras.Model, "get_metrics_result", [])
    with pytest.raises(
        UnsupportedKerasError, match=r"`Model.get_metrics_result` takes \['self'\] instead of \['self', 'x'\]"
    ):
        require_method(keras.Model, "get_metrics_result", ["x"])


def test_epoch_logs_decides_the_logs_of_each_epoch_and_evaluation():
    model = compiled_model()
    history = model.fit(IMAGES, LABELS, validation_data=(IMAGES, LABELS), epochs=2, verbose=0).history
    assert history["names"] == history["val_names"] == [1.0, 1.0]
    assert model.evaluate(IMAGES, LABELS, return_dict=True, verbose=0)["names"] == 1.0
    assert not model.fit(IMAGES, LABELS, epochs=0, verbose=0).epoch


def test_a_renamed_end_of_epoch_raises_before_training(monkeypatch):
    rename(monkeypatch, keras.Model, "_get_metrics_result_or_logs")
    with pytest.raises(UnsupportedKerasError, match="`Model._get_metrics_result_or_logs` does not exist"):
        compiled_model()


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_an_end_of_epoch_that_keras_does_not_call_raises(monkeypatch, method):
    model = compiled_model()
    history = keras.callbacks.History()
    history.epoch = [0]
    monkeypatch.setattr(keras.Model, method, lambda *_, **__: history)
    with pytest.raises(UnsupportedKerasError, match=f"`Model.{method}` does not call `_get_metrics_result_or_logs`"):
        getattr(model, method)(IMAGES, LABELS)


def test_the_compiled_loss_leaves_the_regularisers_out():
    model = HookedModel()
    model.dense.kernel_regularizer = keras.regularizers.L2(1.0)
    model.compile("sgd", loss="mse")
    model(IMAGES)
    model.dense.kernel.assign(ops.ones((2, 1)))
    y_pred = ops.convert_to_tensor([[1.0], [3.0]])
    value = compiled_loss(model, ops.zeros((2, 1)), y_pred, ops.convert_to_tensor([1.0, 0.0]))
    np.testing.assert_allclose(ops.convert_to_numpy(value), 0.5)
    whole = model.compute_loss(None, ops.zeros((2, 1)), y_pred, ops.convert_to_tensor([1.0, 0.0]))
    np.testing.assert_allclose(ops.convert_to_numpy(whole), 2.5)


def test_a_compiled_loss_that_is_kept_elsewhere_raises():
    with pytest.raises(UnsupportedKerasError, match="`Model._compile_loss` is NoneType, not a `keras.losses.Loss`"):
        compiled_loss(HookedModel(), LABELS, LABELS, None)


def built(optimizer):
    variables = [keras.Variable(np.ones(2, "float32"), name=name) for name in ("kernel", "bias")]
    optimizer.build(variables)
    return optimizer, variables


def gradients():
    return [ops.convert_to_tensor(np.full(2, 3.0, "float32")) for _ in range(2)]


def test_gradients_are_clipped_and_then_summed_over_the_replicas():
    optimizer, variables = built(HookedSGD(1.0, clipvalue=0.5))
    optimizer.apply(gradients())
    assert optimizer.calls == (["clip", "reduce"] if BACKEND == "tensorflow" else ["clip"])
    np.testing.assert_allclose(ops.convert_to_numpy(variables[0]), 0.5)


def test_variables_have_an_index_and_a_decay():
    optimizer = HookedSGD(1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer, variables = built(optimizer)
    assert [optimizer.variable_index(variable) for variable in variables] == [0, 1]
    assert [optimizer.uses_weight_decay(variable) for variable in variables] == [True, False]


PRIVATE_METHODS = ["_clip_gradients", "_get_variable_index", "_use_weight_decay"]
PRIVATE_METHODS += ["_all_reduce_sum_gradients"] * (BACKEND == "tensorflow")
PRIVATE_METHODS += ["_backend_update_step", "_update_model_variables_moving_average"] * (BACKEND == "torch")


@pytest.mark.parametrize("name", PRIVATE_METHODS)
def test_a_renamed_method_of_optimizers_raises_before_training(monkeypatch, name):
    rename(monkeypatch, keras.optimizers.Optimizer, name)
    with pytest.raises(UnsupportedKerasError, match=f"`Optimizer.{name}` does not exist"):
        built(HookedSGD(1.0))


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("_get_variable_index", lambda self, variable: 7, "does not count the variables"),
        ("_use_weight_decay", lambda self, variable: None, "does not return a bool"),
    ],
)
def test_a_method_of_another_meaning_raises(monkeypatch, name, changed, message):
    monkeypatch.setattr(keras.optimizers.Optimizer, name, changed)
    with pytest.raises(UnsupportedKerasError, match=message):
        built(HookedSGD(1.0))


def test_a_clipping_that_keras_does_not_call_raises(monkeypatch):
    optimizer, _ = built(HookedSGD(1.0))
    monkeypatch.setattr(keras.optimizers.Optimizer, "_backend_apply_gradients", lambda *_: None)
    with pytest.raises(UnsupportedKerasError, match="`Optimizer.apply` does not call `_clip_gradients`"):
        optimizer.apply(gradients())


@pytest.mark.skipif(BACKEND != "tensorflow", reason="only TensorFlow sums gradients over replicas")
def test_a_sum_over_replicas_that_keras_does_not_call_raises(monkeypatch):
    optimizer, _ = built(HookedSGD(1.0))
    monkeypatch.setattr(keras.optimizers.Optimizer, "_backend_update_step", lambda *_: None)
    with pytest.raises(UnsupportedKerasError, match="`Optimizer.apply` does not call `_all_reduce_sum_gradients`"):
        optimizer.apply(gradients())


def test_accumulating_steps_need_not_clip():
    optimizer, variables = built(HookedSGD(1.0, gradient_accumulation_steps=2))
    optimizer.apply(gradients())
    np.testing.assert_allclose(ops.convert_to_numpy(variables[0]), 1.0)
    optimizer.apply(gradients())
    np.testing.assert_allclose(ops.convert_to_numpy(variables[0]), -2.0)
