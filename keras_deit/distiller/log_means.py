"""The means of all logs of a Distiller, in one metric."""

import keras
from keras import ops


class LogMeans(keras.metrics.Metric):
    """Means of several values over an epoch.

    The metric keeps all totals in one vector, and all counts in another. One `keras.metrics.Mean` for each value would take
    about ten times as many operations, each of which the processor must start.

    Args:
        names: Names of the means.
        name, dtype: As for every `keras.metrics.Metric`.

    Example:

    >>> means = LogMeans(["loss", "accuracy"])
    >>> means.update_state({"accuracy": keras.ops.array(3.0)}, {"accuracy": keras.ops.array(4.0)})
    >>> {name: float(mean) for name, mean in means.result().items()}
    {'loss': 0.0, 'accuracy': 0.75}
    """

    def __init__(self, names, name="log_means", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.names = tuple(names)
        self.totals, self.counts = (
            self.add_variable(shape=(len(self.names),), initializer="zeros", dtype=self.dtype, name=name)
            for name in ("totals", "counts")
        )

    def update_state(self, totals, counts):
        """Adds a batch.

        Args:
            totals: Dictionary from names to scalar tensors: sums over the batch. Other means stay as they are.
            counts: Dictionary with the same keys: the number of examples in each sum.
        """
        for variable, values in (self.totals, totals), (self.counts, counts):
            zero = ops.zeros((), self.dtype)
            variable.assign_add(ops.stack([ops.cast(values.get(name, zero), self.dtype) for name in self.names]))

    def result(self):
        """Returns a dictionary from names to scalar tensors: the means, 0 where there was no example yet."""
        totals, counts = ops.convert_to_tensor(self.totals), ops.convert_to_tensor(self.counts)
        means = totals / (counts + ops.cast(counts == 0, self.dtype))
        return dict(zip(self.names, ops.unstack(means, len(self.names)), strict=True))

    def total(self, name):
        """Returns the total of a mean as a float."""
        return self._entry(self.totals, name)

    def count(self, name):
        """Returns the number of examples of a mean as a float."""
        return self._entry(self.counts, name)

    def _entry(self, variable, name):
        return float(ops.convert_to_numpy(ops.convert_to_tensor(variable))[self.names.index(name)])
