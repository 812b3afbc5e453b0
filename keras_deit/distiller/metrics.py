"""How the metrics given to `compile` get their labels and count examples."""

import inspect

import keras
from keras import ops

# Classes of Keras that take labels of any form.
_ANY_LABELS = (
    "Metric",
    "Mean",
    "Sum",
    "MeanMetricWrapper",
    "IoU",
    "BinaryIoU",
    "MeanIoU",
    "OneHotIoU",
    "OneHotMeanIoU",
)
# Arguments of Keras's metrics that compare predictions with thresholds of probabilities.
_THRESHOLDS = ("threshold", "thresholds", "num_thresholds")


@keras.saving.register_keras_serializable(package="keras_deit")
class LabelledOnly(keras.metrics.Metric):
    """Wraps a metric, which then counts no unlabelled example and gets labels and predictions in the form that it takes.

    Keras's unweighted metrics count every example, including unlabelled ones and those of weight 0 that only pad a batch.
    Its metrics take either integers or rows over the classes. An own metric gets the labels in the form of the data.
    `KLDivergence` and Keras's metrics with a threshold get probabilities, except for `AUC(from_logits=True)`. Other
    metrics get logits.

    Args:
        metric: A `keras.metrics.Metric`, a function of labels and logits, or the name of either.
        weighted: Whether the metric counts examples by their sample weight. If not, each example of positive weight counts
            once and no other.
        label_form: `"integers"`, `"rows"`, or `"any"`; None means what the metric takes.
        takes_probabilities: Whether the metric gets probabilities instead of logits; None means what the metric takes.
        activation: `"softmax"` or `"sigmoid"`, which makes probabilities of the logits.
        name: Ignored for a metric object or a name, which have their own; else the name of the function's metric.
        dtype: Dtype of the metric's computations; None means Keras's default.
    """

    def __init__(
        self,
        metric,
        weighted=False,
        label_form=None,
        takes_probabilities=None,
        activation="softmax",
        name=None,
        dtype=None,
    ):
        given, metric = metric, keras.metrics.get(metric)
        self.takes_probabilities = _takes_probabilities(metric) if takes_probabilities is None else takes_probabilities
        self.label_form = label_form or _label_form(metric)
        if not isinstance(metric, keras.metrics.Metric):
            metric = keras.metrics.MeanMetricWrapper(metric, name=name or metric.__name__)
        super().__init__(name=given if isinstance(given, str) else metric.name, dtype=dtype)
        self.metric = metric
        self.weighted = weighted
        self.activation = activation

    def update_state(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None and not self.weighted:
            sample_weight = ops.cast(sample_weight > 0, "float32")
        has_rows = len(y_true.shape) == 2
        if self.label_form == "rows" and not has_rows:
            y_true = ops.one_hot(y_true, y_pred.shape[-1])
        elif self.label_form == "integers" and has_rows:
            y_true = ops.argmax(y_true, axis=-1)
        if self.takes_probabilities:
            y_pred = keras.activations.get(self.activation)(y_pred)
        return self.metric.update_state(y_true, y_pred, sample_weight=sample_weight)

    def result(self):
        return self.metric.result()

    def reset_state(self):
        self.metric.reset_state()

    def get_config(self):
        metric = keras.saving.serialize_keras_object(self.metric)
        own = {name: getattr(self, name) for name in ("weighted", "label_form", "takes_probabilities", "activation")}
        return {**super().get_config(), "metric": metric, **own}

    @classmethod
    def from_config(cls, config):
        """Rebuilds the metric from its configuration."""
        return cls(**{**config, "metric": keras.saving.deserialize_keras_object(config["metric"])})


def wrap_metrics(metrics, weighted_metrics, heads, activation="softmax"):
    """Wraps the metrics given to `compile`, without `"accuracy"`, which a Distiller always reports.

    Args:
        metrics, weighted_metrics: None, a list of metrics of the fused logits, or a dictionary of lists of metrics by the
            student's heads.
        heads: List of the names of the student's heads.
        activation: See `LabelledOnly`.

    Returns:
        A list; or for a dictionary and two heads a dictionary of lists.

    Raises:
        ValueError: If a key is no head, or only one of the two arguments is a dictionary.
    """
    given = [each for each in (metrics, weighted_metrics) if each]
    if not any(isinstance(each, dict) for each in given):
        return _wrap(metrics, weighted_metrics, activation)
    if not all(isinstance(each, dict) for each in given):
        raise ValueError(
            "Give both `metrics` and `weighted_metrics` as lists of metrics of the fused logits, or both as dictionaries by "
            f"the student's heads ({', '.join(heads)}). Received: a {type(metrics).__name__} and a "
            f"{type(weighted_metrics).__name__}"
        )
    unknown = sorted(set().union(*given) - set(heads))
    if unknown:
        raise ValueError(
            f"A dictionary of metrics has the student's heads as its keys: {', '.join(heads)}. Received: "
            f"{', '.join(map(repr, unknown))}. A list has metrics of the fused logits."
        )
    metrics, weighted_metrics = metrics or {}, weighted_metrics or {}
    by_head = {head: _wrap(metrics.get(head), weighted_metrics.get(head), activation) for head in heads}
    return by_head if len(heads) > 1 else by_head[heads[0]]


def by_log_name(wrapped):
    """List of pairs of the name of a log and its `LabelledOnly`, of what `wrap_metrics` returns."""
    if isinstance(wrapped, dict):
        return [(f"{head}_{metric.name}", metric) for head, metrics in wrapped.items() for metric in metrics]
    return [(metric.name, metric) for metric in wrapped]


def set_modes(callbacks, modes):
    """Sets the mode of callbacks such as `EarlyStopping` that monitor a log in the mode `"auto"`.

    Keras finds the direction of a log in the metrics given to `compile` only, and not in wrapped ones.

    Args:
        callbacks: None, a callback, a list of them or a `keras.callbacks.CallbackList`.
        modes: Dictionary from the names of logs, without `val_`, to `"min"` or `"max"`.
    """
    for callback in keras.tree.flatten(getattr(callbacks, "callbacks", callbacks)):
        mode = modes.get(str(getattr(callback, "monitor", None)).removeprefix("val_"))
        if mode is not None and getattr(callback, "mode", None) == "auto":
            callback.mode = mode


def _wrap(metrics, weighted_metrics, activation):
    counted = [metric for metric in keras.tree.flatten(metrics or []) if metric not in ("accuracy", "acc")]
    weighted = keras.tree.flatten(weighted_metrics or [])
    pairs = [(metric, False) for metric in counted] + [(metric, True) for metric in weighted]
    return [
        metric if isinstance(metric, LabelledOnly) else LabelledOnly(metric, flag, activation=activation)
        for metric, flag in pairs
    ]


def _definition(metric):
    """The class of Keras that a metric is or extends; a function is its own."""
    if isinstance(metric, keras.metrics.Metric):
        return next(base for base in type(metric).__mro__ if base.__module__.startswith("keras."))
    return metric


def _label_form(metric):
    definition = _definition(metric)
    name, is_of_keras = definition.__name__, definition.__module__.startswith("keras.")
    if not is_of_keras or name in _ANY_LABELS:
        return "any"
    return "integers" if name.lower().startswith("sparse") else "rows"


def _takes_probabilities(metric):
    definition = _definition(metric)
    if not definition.__module__.startswith("keras."):
        return False
    if definition.__name__ in ("KLDivergence", "kl_divergence"):
        return True
    arguments = inspect.signature(definition).parameters
    decides_by_argmax = getattr(metric, "threshold", 0.5) is None  # such as F1Score()
    return any(name in arguments for name in _THRESHOLDS) and "from_logits" not in arguments and not decides_by_argmax
