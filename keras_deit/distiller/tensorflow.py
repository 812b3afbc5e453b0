"""What distilling needs of TensorFlow: the teacher outside of the tape, and replicas."""

import keras


class DistillationSteps:
    """Mixin for a `keras.Model` on TensorFlow that calls `self.with_teacher` before the step of Keras."""

    def train_step(self, data):
        """One step of training; the teacher answers before the tape is opened."""
        return super().train_step(self.with_teacher(data, training=True))

    def test_step(self, data):
        """One step of evaluation."""
        return super().test_step(self.with_teacher(data, training=False))

    @staticmethod
    def run_once(function, images, variables):
        """Runs a function of images once."""
        return function(images)

    def num_replicas(self):
        """Number of replicas in step with each other."""
        return self.distribute_strategy.num_replicas_in_sync

    def batch_divisor(self):
        """What the size of a batch must divide by."""
        return self.num_replicas()

    @staticmethod
    def batch_size_of(dataset):
        """The batch size of a `tf.data.Dataset` in a tuple, which is empty where it is not known."""
        from tensorflow.python.data.experimental.ops.distribute import compute_batch_size  # as Keras itself asks

        size = int(compute_batch_size(dataset))
        return (size,) if size > 0 else ()

    def filled_up(self, data):
        """A `tf.data.Dataset` whose short batches are filled up with examples of weight 0, for the replicas to share.

        The mean loss of a batch stays that over its real examples. Unlabelled images get the label -1. Other data, a
        dataset for one device, and one whose batches are all of one size are given back as they are.
        """
        replicas = self.num_replicas()
        if replicas == 1 or not hasattr(data, "element_spec"):
            return data
        if keras.tree.flatten(data.element_spec)[0].shape[0] is not None:
            return data
        return data.map(lambda *batch: _fill_up(batch, replicas))

    def check_compile(self, jit_compile=None, **_):
        """Raises where TensorFlow or Keras would fail later, or silently train something else."""
        import tensorflow as tf

        def is_replicated(variable):
            return isinstance(variable.value, tf.distribute.DistributedValues)

        own = self._distribute_strategy  # None where there was no scope
        current = tf.distribute.get_strategy() if tf.distribute.has_strategy() else own
        if own is not current or (own is None and any(map(is_replicated, self.student.variables))):
            raise ValueError(
                "The Distiller was built outside of the strategy's scope that its student was built or that it is compiled "
                "in. Build teacher, student and Distiller, and call `compile`, inside one `with strategy.scope():`."
            )
        if self.num_replicas() == 1:
            return
        if jit_compile is True:
            raise ValueError("`jit_compile=True` does not work with several replicas on TensorFlow. Leave it out.")
        teacher_variables = self.teacher.variables if self.teacher is not None else []
        for variable in (*self.student.variables, *teacher_variables):
            if not is_replicated(variable):
                raise ValueError(
                    f"The variable {variable.path!r} was created outside of the strategy's scope, so it would live on one "
                    "replica only. Build teacher and student inside `with strategy.scope():`."
                )


def _fill_up(batch, replicas):
    import tensorflow as tf

    x, y, sample_weight = batch[0], *(*batch[1:], None, None)[:2]
    size = tf.shape(tf.nest.flatten(x)[0])[0]
    missing = -size % replicas

    def fill(part):
        return tf.concat([part, tf.repeat(part[-1:], missing, axis=0)], axis=0)

    weights = tf.ones([size]) if sample_weight is None else tf.cast(tf.reshape(sample_weight, [-1]), tf.float32)
    weights = tf.pad(weights * tf.cast((size + missing) / size, tf.float32), [[0, missing]])
    labels = tf.fill([size + missing], -1) if y is None else fill(y)  # a batch for replicas can hold no None
    return tf.nest.map_structure(fill, x), labels, weights
