"""What distilling needs of JAX: the teacher's variables as an argument of the compiled step."""

import contextlib

import keras

_STATE = ("trainable_variables", "non_trainable_variables", "optimizer_variables", "metrics_variables")


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

    def make_train_function(self, force=False):
        """As Keras makes it, but a step that fails leaves the model whole."""
        if self.train_function is None or force:
            super().make_train_function(force)
            self.train_function = self._giving_back(self.train_function, *_STATE)

    def make_test_function(self, force=False):
        """As Keras makes it, but a step that fails leaves the model whole."""
        if self.test_function is None or force:
            super().make_test_function(force)
            self.test_function = self._giving_back(self.test_function, *_STATE[:2], _STATE[3])

    def train_step(self, state, data):
        """One step of training; the teacher answers outside of the differentiated function."""
        return super().train_step(state, self._with_stateless_teacher(state, data, training=True))

    def test_step(self, state, data):
        """One step of evaluation."""
        return super().test_step(state, self._with_stateless_teacher(state, data, training=False))

    @staticmethod
    def run_once(function, images, variables):
        """Runs a function of images once, compiled as a whole: op by op a large model would take several times as long."""
        import jax

        if not variables:  # a plain callable, which need not be one that JAX can compile
            return function(images)

        def stateless(values, images):
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return function(images)

        return jax.jit(stateless)([variable.value for variable in variables], images)

    def num_replicas(self):
        """Always 1: `keras.distribution` shards one global batch, so that every mean is over all of it."""
        return 1

    def batch_divisor(self):
        """What the size of a batch must divide by: the number of this process's devices that share it."""
        distribution = keras.distribution.distribution()
        if distribution is None:
            return 1
        mesh = distribution.device_mesh
        shards = mesh.shape[mesh.axis_names.index(distribution.batch_dim_name)]
        return max(1, shards // distribution.num_processes)

    @staticmethod
    def batch_size_of(dataset):
        """The batch size of a `tf.data.Dataset` where it is fixed, in a tuple; else empty."""
        size = keras.tree.flatten(dataset.element_spec)[0].shape[0]
        return () if size is None else (size,)

    def filled_up(self, data):
        """The data as they are."""
        return data

    def get_state_tree(self, value_format="backend_tensor"):
        """As Keras gives it, of the student alone: a checkpoint of it is not to hold the teacher."""
        with self._without_teacher():
            return super().get_state_tree(value_format)

    def set_state_tree(self, state_tree):
        """As Keras sets it, of the student alone."""
        with self._without_teacher():
            super().set_state_tree(state_tree)

    def check_compile(self, **_):
        """Nothing that JAX cannot do."""

    def _giving_back(self, function, *names):
        def step(state, iterator):
            try:
                return function(state, iterator)
            except StopIteration:
                raise
            except BaseException:  # the first step of all fails, and Keras has emptied the variables and kept no values
                self._jax_state = getattr(self, "_jax_state", None) or dict(zip(names, state, strict=True))
                self.jax_state_sync()
                self._jax_state = None
                raise

        return step

    @contextlib.contextmanager
    def _without_teacher(self):
        teacher, self._teacher = self._teacher, None
        try:
            yield
        finally:
            self._teacher = teacher

    def _with_stateless_teacher(self, state, data, training):
        with keras.StatelessScope(state_mapping=zip(self.non_trainable_variables, state[1], strict=True)):
            return self.with_teacher(data, training=training)
