"""The cost of an export: the time of a call, the operators and the stored weights."""

import dataclasses

import keras
import numpy as np

from keras_deit.export.runtimes import call_seconds

BATCH_SIZES = (1, 8)  # that are timed
RUNS = 30  # timed calls of each batch size


@dataclasses.dataclass(frozen=True)
class Latency:
    """The time of calls with one batch size, in milliseconds.

    Attributes:
        batch_size: Number of images in a call.
        median: Median of the calls.
        low, high: The 10th and the 90th percentile.
        runs: Number of timed calls.
    """

    batch_size: int
    median: float
    low: float
    high: float
    runs: int

    def __str__(self):
        return f"{self.median:.2f} ms ({self.low:.2f} to {self.high:.2f})"


@dataclasses.dataclass(frozen=True)
class Profile:
    """The cost of an export.

    Attributes:
        latencies: Tuple of `Latency`, one for each batch size that the export takes.
        operators: List of dictionaries, see `keras_deit.export.runtimes.Runtime.operators`.
        weight_bytes: Dictionary from the types of the stored weights to bytes.
    """

    latencies: tuple
    operators: list
    weight_bytes: dict

    def arithmetic(self):
        """Counts the operators by their arithmetic.

        Returns:
            Dictionary, for example `{"float": 180, "quantized with dynamic ranges": 50}`.

        Example:

        >>> operators = [{"operator": "ADD", "arithmetic": "float", "count": 3}]
        >>> Profile((), operators, {}).arithmetic()
        {'float': 3}
        """
        counts = {}
        for operator in self.operators:
            counts[operator["arithmetic"]] = counts.get(operator["arithmetic"], 0) + operator["count"]
        return counts


def profile(exported, image, runs=RUNS):
    """Measures the cost of an export.

    Args:
        exported: `keras_deit.export.exported_model.ExportedModel`.
        image: A normalised image, float32 array `(height, width, 3)`.
        runs: Number of timed calls of each batch size.

    Returns:
        A `Profile`. An export with a fixed batch size is timed with this batch size.
    """
    fixed = exported.input_shape[0]
    sizes = BATCH_SIZES if fixed is None else (fixed,)
    timed = [latency(exported.seconds(_batch(image, size), runs), size) for size in sizes]
    return Profile(tuple(timed), exported.runtime.operators(), exported.runtime.weight_bytes())


def model_latencies(served, image, runs=RUNS):
    """Measures the time of calls of a Keras model, on the active backend.

    Args:
        served: What `keras_deit.export.serving.serving_model` returns.
        image, runs: See `profile`.

    Returns:
        Tuple of `Latency`.
    """
    return tuple(_model_latency(served, _batch(image, size), runs) for size in BATCH_SIZES)


def latency(seconds, batch_size):
    """Summarises the times of calls.

    Args:
        seconds: List of the seconds of each call.
        batch_size: Number of images in a call.

    Returns:
        A `Latency`.

    Example:

    >>> latency([0.001, 0.002, 0.003], batch_size=1).median
    2.0
    """
    low, median, high = (float(value) for value in np.percentile(seconds, (10, 50, 90)) * 1000)
    return Latency(batch_size, median, low, high, len(seconds))


def _model_latency(served, batch, runs):
    return latency(call_seconds(lambda: keras.ops.convert_to_numpy(served.predict_on_batch(batch)), runs), len(batch))


def _batch(image, size):
    return np.repeat(image[None], size, axis=0)
