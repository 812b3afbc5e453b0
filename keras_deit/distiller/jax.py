"""Distillation steps on JAX: the teacher's variables are an argument of the compiled step."""

import contextlib

import keras

from keras_deit.runtime.restored_variables import RestoredVariables


class DistillationSteps(RestoredVariables):
    """Mixin for a `keras.Model` on JAX that calls `self.add_teacher_outputs` before Keras's own step.

    `fit` empties the variables and passes their values to the step as arguments. The teacher's values are passed with the
    non-trainable ones. As constants of the compiled step they would be stored a second time and could not be sharded.
    """

    @property
    def non_trainable_variables(self):
        """List of the student's non-trainable variables and all of the teacher's."""
        teacher = getattr(self, "_teacher", None)
        return super().non_trainable_variables + (teacher.variables if teacher is not None else [])

    def train_step(self, state, data):
        """One training step; the teacher predicts outside of the differentiated function."""
        return super().train_step(state, self._with_teacher_outputs(state, data, training=True))

    def test_step(self, state, data):
        """One evaluation step."""
        return super().test_step(state, self._with_teacher_outputs(state, data, training=False))

    @staticmethod
    def run_inference(function, images, variables):
        """Returns `function(images)`, compiled as a whole: op by op a large model would take several times as long."""
        import jax

        if not variables:  # a plain callable, which JAX may not be able to compile
            return function(images)

        def stateless(values, images):
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return function(images)

        return jax.jit(stateless)([variable.value for variable in variables], images)

    def num_replicas(self):
        """Always 1: `keras.distribution` shards one global batch, so every mean is over all of it."""
        return 1

    def batch_divisor(self):
        """Number that every batch size must be a multiple of: the devices of this process that share a batch."""
        distribution = keras.distribution.distribution()
        if distribution is None:
            return 1
        mesh = distribution.device_mesh
        shards = mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)]
        return max(1, shards // distribution.num_processes)

    @staticmethod
    def dataset_batch_size(dataset):
        """Batch size of a `tf.data.Dataset`; None where it is not fixed."""
        return keras.tree.flatten(dataset.element_spec)[0].shape[0]

    def pad_batches(self, data):
        """Returns the data unchanged."""
        return data

    def get_state_tree(self, value_format="backend_tensor"):
        """Keras's state tree without the teacher, which a checkpoint must not hold."""
        with self._without_teacher():
            return super().get_state_tree(value_format)

    def set_state_tree(self, state_tree):
        """Sets the state of a tree without the teacher."""
        with self._without_teacher():
            super().set_state_tree(state_tree)

    def check_compile_options(self, **_):
        """Does nothing: JAX supports every option of `compile`."""

    @contextlib.contextmanager
    def _without_teacher(self):
        teacher, self._teacher = self._teacher, None
        try:
            yield
        finally:
            self._teacher = teacher

    def _with_teacher_outputs(self, state, data, training):
        with keras.StatelessScope(state_mapping=zip(self.non_trainable_variables, state[1], strict=True)):
            return self.add_teacher_outputs(data, training=training)
