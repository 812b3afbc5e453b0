"""How the metrics given to `compile` count examples."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="keras_deit")
class LabelledOnly(keras.metrics.Metric):
    """Wraps a metric, which then counts each example of positive sample weight once and no other.

    Keras's unweighted metrics count every example, including unlabelled ones and those of weight 0 that only pad a batch.

    Args:
        metric: A `keras.metrics.Metric`, a function of labels and logits, or the name of either.
        name: Ignored for a metric object or a name, which have their own; else the name of the function's metric.
        dtype: Dtype of the metric's computations; None means Keras's default.
    """

    def __init__(self, metric, name=None, dtype=None):
        given, metric = metric, keras.metrics.get(metric)
        if not isinstance(metric, keras.metrics.Metric):
            metric = keras.metrics.MeanMetricWrapper(metric, name=name or metric.__name__)
        super().__init__(name=given if isinstance(given, str) else metric.name, dtype=dtype)
        self.metric = metric

    def update_state(self, y_true, y_pred, sample_weight=None):
        counted = None if sample_weight is None else ops.cast(sample_weight > 0, "float32")
        return self.metric.update_state(y_true, y_pred, sample_weight=counted)

    def result(self):
        return self.metric.result()

    def reset_state(self):
        self.metric.reset_state()

    def get_config(self):
        return {**super().get_config(), "metric": keras.saving.serialize_keras_object(self.metric)}

    @classmethod
    def from_config(cls, config):
        """Rebuilds the metric from its configuration."""
        return cls(**{**config, "metric": keras.saving.deserialize_keras_object(config["metric"])})
