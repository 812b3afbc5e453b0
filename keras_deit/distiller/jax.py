"""What distilling needs of JAX: the teacher's variables as an argument of the compiled step."""

import keras


class DistillationSteps:
    """Mixin for a `keras.Model` on JAX that calls `self.with_teacher` before the step of Keras.

    `fit` empties the variables and passes their values as arguments. The teacher's travel with the non-trainable ones:
    as constants of the compiled step they would be stored once more, and could not be sharded.
    """

    @property
    def non_trainable_variables(self):
        """Those of the student and all of the teacher's."""
        teacher = getattr(self, "_teacher", None)
        return super().non_trainable_variables + (teacher.variables if teacher is not None else [])

    def train_step(self, state, data):
        """One step of training; the teacher answers outside of the differentiated function."""
        return super().train_step(state, self._with_stateless_teacher(state, data, training=True))

    def test_step(self, state, data):
        """One step of evaluation."""
        return super().test_step(state, self._with_stateless_teacher(state, data, training=False))

    def num_replicas(self):
        """Always 1: `keras.distribution` shards one global batch, so that every mean is over all of it."""
        return 1

    def check_compile(self, **_):
        """Nothing that JAX cannot do."""

    def _with_stateless_teacher(self, state, data, training):
        with keras.StatelessScope(state_mapping=zip(self.non_trainable_variables, state[1], strict=True)):
            return self.with_teacher(data, training=training)
