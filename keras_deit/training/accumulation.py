"""Gradient accumulation: a step on a batch, computed in parts one after the other.

Keras's own `gradient_accumulation_steps` counts every part as a step: the schedule of the learning rate, the moving average
of the weights, callbacks and mixing would see the parts instead of the batch.
"""

import contextlib

import keras


def accumulating(model_class, num_parts):
    """Makes a model class whose training step computes the batch in parts. The update is that of the whole batch.

    The gradients of the parts are averaged before the optimizer gets them, so clipping, schedule, moving average and
    callbacks see one step on the whole batch; losses and metrics count every example of the batch. Only the activations of
    one part are in memory at a time.

    Args:
        model_class: Class of a `keras.Model` with Keras's training step or that of a `Distiller`.
        num_parts: Number of parts, a divisor of the number of examples that each device gets.

    Returns:
        A subclass of it; the class itself for one part.
    """
    if num_parts == 1:
        return model_class
    steps = {"tensorflow": _TensorFlowSteps, "jax": _JAXSteps, "torch": _TorchSteps}[keras.backend.backend()]
    return type(f"Accumulating{model_class.__name__}", (steps, model_class), {"num_parts": num_parts})


class _GradientCollector:
    """Stands in for the optimizer of a model while a part is computed: keeps the gradients instead of applying them."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.variables = optimizer.variables
        self.gradients = None

    def scale_loss(self, loss):
        return self.optimizer.scale_loss(loss)

    def apply(self, gradients, trainable_variables=None):
        self.gradients = list(gradients)

    def apply_gradients(self, gradients_and_variables):
        self.gradients = [gradient for gradient, _ in gradients_and_variables]

    def stateless_apply(self, optimizer_variables, gradients, trainable_variables):
        self.gradients = list(gradients)
        return trainable_variables, optimizer_variables


class _AccumulatedSteps:
    @contextlib.contextmanager
    def _collecting(self):
        optimizer = self.optimizer
        self.optimizer = _GradientCollector(optimizer)
        try:
            yield self.optimizer
        finally:
            self.optimizer = optimizer

    def _divided(self, data):
        """Every tensor `(batch, ...)` of a batch as `(parts, batch / parts, ...)`.

        A part has every `num_parts`-th example: on devices that share the batch, some examples of each device.
        """

        def divide(tensor):
            size = tensor.shape[0]
            if size is not None and size % self.num_parts:
                raise ValueError(
                    f"The {self.num_parts} parts must divide the batch. Received: a batch of {size} images"
                )
            rows = -1 if size is None else size // self.num_parts
            tensor = keras.ops.reshape(tensor, (rows, self.num_parts, *tensor.shape[1:]))
            return keras.ops.swapaxes(tensor, 0, 1)

        return keras.tree.map_structure(lambda tensor: None if tensor is None else divide(tensor), data)


class _TensorFlowSteps(_AccumulatedSteps):
    def train_step(self, data):
        """One training step; a loop within the graph keeps TensorFlow from computing several parts at a time."""
        import tensorflow as tf

        step, divided = super().train_step, self._divided(data)

        def part(number):
            return tf.nest.map_structure(lambda tensor: None if tensor is None else tf.gather(tensor, number), divided)

        with self._collecting() as collector:
            names = list(step(part(0)))
        first = collector.gradients
        trained = [index for index, gradient in enumerate(first) if gradient is not None]

        def add_part(number, *sums):
            with self._collecting() as collector:
                step(part(number))
            gradients = [tf.convert_to_tensor(collector.gradients[index]) for index in trained]
            return number + 1, *(total + gradient for total, gradient in zip(sums, gradients, strict=True))

        initial = [tf.convert_to_tensor(first[index]) for index in trained]
        _, *sums = tf.while_loop(
            lambda number, *_: number < self.num_parts, add_part, [1, *initial], parallel_iterations=1
        )
        means = [None] * len(first)
        for index, total in zip(trained, sums, strict=True):
            means[index] = total / self.num_parts
        self.optimizer.apply_gradients(zip(means, self.trainable_weights, strict=True))
        return {name: value for name, value in self.get_metrics_result().items() if name in names}


class _JAXSteps(_AccumulatedSteps):
    def train_step(self, state, data):
        """One training step; the parts are those of a scan, whose iterations follow one another."""
        import jax

        step = super().train_step
        trainable, non_trainable, optimizer_variables, metrics = map(list, state)

        def add_part(carry, part):
            sums, non_trainable, metrics = carry
            with self._collecting() as collector:
                logs, (_, non_trainable, _, metrics) = step(
                    (trainable, non_trainable, optimizer_variables, metrics), part
                )
            sums = [total + gradient for total, gradient in zip(sums, collector.gradients, strict=True)]
            return (sums, list(non_trainable), list(metrics)), logs

        zeros = [jax.numpy.zeros_like(variable) for variable in trainable]
        carry = (zeros, non_trainable, metrics)
        (sums, non_trainable, metrics), logs = jax.lax.scan(add_part, carry, self._divided(data))
        means = [total / self.num_parts for total in sums]
        trainable, optimizer_variables = self.optimizer.stateless_apply(optimizer_variables, means, trainable)
        last = jax.tree.map(lambda values: values[-1], logs)
        return last, (trainable, non_trainable, optimizer_variables, metrics)


class _TorchSteps(_AccumulatedSteps):
    def train_step(self, data):
        """One training step, part by part."""
        import torch

        divided, sums = self._divided(data), None
        for number in range(self.num_parts):
            with self._collecting() as collector:
                part = keras.tree.map_structure(lambda tensor, n=number: None if tensor is None else tensor[n], divided)
                logs = super().train_step(part)
            gradients = collector.gradients
            sums = gradients if sums is None else [_sum(*pair) for pair in zip(sums, gradients, strict=True)]
        with torch.no_grad():
            means = [None if total is None else total / self.num_parts for total in sums]
            self.optimizer.apply(means, self.trainable_weights)
        return logs


def _sum(total, gradient):
    return total if gradient is None else gradient if total is None else total + gradient
