"""Distillation steps on TensorFlow: the teacher predicts outside of the tape, and batches are shared by replicas."""

import keras


class DistillationSteps:
    """Mixin for a `keras.Model` on TensorFlow that calls `self.add_teacher_outputs` before Keras's own step."""

    def __init__(self, *args, **kwargs):
        import tensorflow as tf

        super().__init__(*args, **kwargs)
        self._strategy = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None

    def make_train_function(self, force=False):
        """Makes Keras's training function, after the optimiser builds: a step that makes variables is traced twice."""
        if not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        super().make_train_function(force)

    def train_step(self, data):
        """One training step; the teacher predicts before the tape is opened."""
        return super().train_step(self.add_teacher_outputs(data, training=True))

    def test_step(self, data):
        """One evaluation step."""
        return super().test_step(self.add_teacher_outputs(data, training=False))

    @staticmethod
    def run_inference(function, images, variables):
        """Returns `function(images)`; `variables` are not needed on this backend."""
        return function(images)

    def num_replicas(self):
        """Number of replicas that train in step."""
        return self.distribute_strategy.num_replicas_in_sync

    def batch_divisor(self):
        """Number that every batch size must be a multiple of."""
        return self.num_replicas()

    @staticmethod
    def dataset_batch_size(dataset):
        """Batch size of a `tf.data.Dataset`, its last batch aside; None where it is unknown."""
        import tensorflow as tf

        sizes = {spec.shape[0] for spec in keras.tree.flatten(dataset.element_spec)}
        if None in sizes:  # the last batch may be short: ask for the argument of `batch`
            variant = tf.data.experimental.to_variant(dataset)
            sizes = {int(tf.raw_ops.ComputeBatchSize(input_dataset=variant))}
        size = sizes.pop() if len(sizes) == 1 else -1
        return size if size > 0 else None

    def pad_batches(self, data):
        """Pads the short batches of a `tf.data.Dataset` with examples of weight 0, so that the replicas can share them.

        The mean loss of a batch remains that of its own examples. Unlabelled images get the label -1, or a row of -1.

        Args:
            data: Data as `fit` takes them.

        Returns:
            The padded dataset. Other data, data for one device and datasets of one batch size are returned unchanged.
        """
        replicas = self.num_replicas()
        if replicas == 1 or not hasattr(data, "element_spec"):
            return data
        if keras.tree.flatten(data.element_spec)[0].shape[0] is not None:
            return data
        return data.map(lambda *batch: _pad_batch(batch, replicas, self.label_shape()))

    def check_compile_options(self, jit_compile=None, **_):
        """Raises a ValueError where TensorFlow or Keras would fail later, or silently train something else."""
        import tensorflow as tf

        def is_replicated(variable):
            return isinstance(variable.value, tf.distribute.DistributedValues)

        own = self._strategy  # None if built outside of every scope
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
                    f"The variable {variable.path!r} was created outside of the strategy's scope, so it would be on one "
                    "replica only. Build teacher and student inside `with strategy.scope():`."
                )


def _pad_batch(batch, replicas, label_shape):
    import tensorflow as tf

    x, y, sample_weight = batch[0], *(*batch[1:], None, None)[:2]
    size = tf.shape(tf.nest.flatten(x)[0])[0]
    missing = -size % replicas

    def pad(tensor):
        return tf.concat([tensor, tf.repeat(tensor[-1:], missing, axis=0)], axis=0)

    weights = tf.ones([size]) if sample_weight is None else tf.cast(tf.reshape(sample_weight, [-1]), tf.float32)
    weights = tf.pad(weights * tf.cast((size + missing) / size, tf.float32), [[0, missing]])
    labels = (
        tf.fill([size + missing, *label_shape], -1) if y is None else pad(y)
    )  # a batch for replicas cannot contain None
    return tf.nest.map_structure(pad, x), labels, weights
