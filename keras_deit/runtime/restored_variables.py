"""Models on JAX that keep their variables when a step fails."""

import keras

# The variables in the `state` of Keras's steps, in order.
_TRAIN_STATE = ("trainable_variables", "non_trainable_variables", "optimizer_variables", "metrics_variables")
_TEST_STATE = ("trainable_variables", "non_trainable_variables", "metrics_variables")
_PREDICT_STATE = ("trainable_variables", "non_trainable_variables")


class _JAXVariables:
    """Restores the variables when a step of `fit`, `evaluate` or `predict` fails, for example because a batch is refused.

    Keras has moved the variables' values into the `state` of the step, and does not move them back when the first step
    fails.
    """

    def make_train_function(self, force=False):
        """Makes Keras's training function, which here restores the variables when a step fails."""
        if self.train_function is None or force:
            super().make_train_function(force)
            self.train_function = self._restoring_variables(self.train_function, _TRAIN_STATE)

    def make_test_function(self, force=False):
        """Makes Keras's evaluation function, which here restores the variables when a step fails."""
        if self.test_function is None or force:
            super().make_test_function(force)
            self.test_function = self._restoring_variables(self.test_function, _TEST_STATE)

    def make_predict_function(self, force=False):
        """Makes Keras's function of `predict`, which here restores the variables when a step fails."""
        if self.predict_function is None or force:
            super().make_predict_function(force)
            self.predict_function = self._restoring_variables(self.predict_function, _PREDICT_STATE)

    def _restoring_variables(self, function, names):
        """Wraps a function of `(state, iterator)` that trains, evaluates or predicts."""

        def step(state, iterator):
            try:
                return function(state, iterator)
            except StopIteration:
                raise
            except BaseException:
                self.jax_state_sync()  # or Keras would do it later and undo what has been assigned in between
                for name, values in zip(names, state, strict=True):
                    for variable, value in zip(self._variables_of_state(name), values, strict=False):
                        variable.assign(value)
                raise

        return step

    def _variables_of_state(self, name):
        return self.optimizer.variables if name == "optimizer_variables" else getattr(self, name)


class _OwnVariables:
    """On TensorFlow and PyTorch a step changes the variables in place, so that a failed step leaves them as they were."""


RestoredVariables = _JAXVariables if keras.backend.backend() == "jax" else _OwnVariables
"""Mixin for a `keras.Model`: its variables are there after a failed step, on every backend."""
