"""How metrics given to `compile` count."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.distiller.scripted import (
    EXAMPLES,
    FIT_LOGS,
    INTEGERS,
    ONE_HOT,
    SOME_UNLABELLED,
    WEIGHTS,
    compiled,
    evaluate,
    fit,
    random_logits,
)
from tests.toys import script, softmax


def test_compiled_metrics_see_the_fused_logits():
    logits = random_logits()
    fused = (logits[0] + logits[1]) / 2
    top_two = np.argsort(fused, axis=-1)[:, -2:]
    hits = np.array([label in row for label, row in zip(INTEGERS, top_two, strict=True)])
    nats = -np.log(softmax(fused))[np.arange(EXAMPLES), INTEGERS]
    options = {
        "metrics": ["accuracy", keras.metrics.SparseTopKCategoricalAccuracy(2, name="top_two")],
        "weighted_metrics": [keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="nats")],
        "optimizer": keras.optimizers.SGD(0.0),
    }
    distiller = compiled(options=options)
    for logs in (
        fit(distiller, script(*logits), INTEGERS, sample_weight=WEIGHTS),
        evaluate(distiller, script(*logits), INTEGERS, sample_weight=WEIGHTS),
    ):
        assert set(logs) == {*FIT_LOGS, "top_two", "nats"}
        np.testing.assert_allclose(logs["top_two"], hits[WEIGHTS > 0].mean(), rtol=1e-6)
        np.testing.assert_allclose(logs["nats"], np.average(nats, weights=WEIGHTS), rtol=1e-5)


@pytest.mark.parametrize("labels", ["integers", "rows"])
def test_compiled_metrics_leave_unlabelled_examples_out(labels):
    logits = random_logits()
    fused = (logits[0] + logits[1]) / 2
    known = SOME_UNLABELLED == 1
    nats = -np.log(softmax(fused))[np.arange(EXAMPLES), INTEGERS]
    hits = np.argsort(fused, axis=-1)[:, -2:] == INTEGERS[:, None]
    sparse, y = ("Sparse", np.where(known, INTEGERS, -1)) if labels == "integers" else ("", ONE_HOT * known[:, None])
    top_two = getattr(keras.metrics, f"{sparse}TopKCategoricalAccuracy")(2, name="top_two")
    weighted = getattr(keras.metrics, f"{sparse}CategoricalCrossentropy")(from_logits=True, name="nats")
    distiller = compiled(options={"metrics": [top_two], "weighted_metrics": [weighted]})
    weights = np.array([1.0, 2.0, 3.0, 0.0, 1.0, 0.5], "float32")
    logs = evaluate(distiller, script(*logits), y, sample_weight=weights)
    np.testing.assert_allclose(logs["top_two"], hits.any(-1)[known & (weights > 0)].mean(), rtol=1e-6)
    np.testing.assert_allclose(logs["nats"], np.average(nats[known], weights=weights[known]), rtol=1e-5)


def test_metrics_may_be_names_and_functions():
    def twice(y_true, y_pred):
        return 2 * ops.sum(y_true * y_pred, axis=-1)

    logits = random_logits()
    distiller = compiled(options={"metrics": ["categorical_accuracy", twice]})
    logs = evaluate(distiller, script(*logits), ONE_HOT)
    fused = (logits[0] + logits[1]) / 2
    np.testing.assert_allclose(logs["categorical_accuracy"], logs["accuracy"], rtol=1e-6)
    np.testing.assert_allclose(logs["twice"], 2 * np.mean(np.sum(ONE_HOT * fused, axis=-1)), rtol=1e-4)


def test_a_saved_distiller_counts_on(tmp_path):
    options = {"metrics": [keras.metrics.SparseTopKCategoricalAccuracy(2, name="top_two")]}
    distiller, images = compiled(options=options), script(*random_logits())
    before = evaluate(distiller, images, INTEGERS)
    distiller.save(tmp_path / "distiller.keras")
    after = evaluate(keras.saving.load_model(tmp_path / "distiller.keras"), images, INTEGERS)
    assert 0 < before["top_two"] == after["top_two"]
