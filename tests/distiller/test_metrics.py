"""How metrics given to `compile` count."""

import keras
import numpy as np
import pytest
from keras import ops

from tests.distiller.scripted import (
    CLASSES,
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
    small_deit,
    small_images,
)
from tests.toys import script, softmax

pytestmark = pytest.mark.eager


@pytest.mark.compiled
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


@pytest.mark.compiled
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


@pytest.mark.compiled
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


def score(logits):
    return 1 / (1 + np.exp(-logits))


@pytest.mark.compiled
@pytest.mark.parametrize(
    "labels", [np.where(SOME_UNLABELLED, INTEGERS, -1), ONE_HOT * SOME_UNLABELLED[:, None]], ids=["integers", "rows"]
)
def test_metrics_of_keras_take_labels_of_any_form(labels):
    from sklearn.metrics import f1_score, roc_auc_score

    logits, known = random_logits(seed=2), SOME_UNLABELLED == 1
    fused = (logits[0] + logits[1]) / 2
    areas = keras.metrics.AUC(multi_label=True, num_labels=CLASSES, from_logits=True, num_thresholds=5000, name="areas")
    options = {
        "metrics": [
            areas,
            keras.metrics.F1Score(average="macro", name="f1"),
            keras.metrics.SparseTopKCategoricalAccuracy(2, name="sparse_top_two"),
            "categorical_accuracy",
        ],
        "weighted_metrics": [keras.metrics.SparseCategoricalAccuracy(name="weighted_hits")],
    }
    distiller = compiled(options=options)
    weights = np.array([1.0, 2.0, 3.0, 0.5, 1.0, 0.5], "float32")
    logs = evaluate(distiller, script(*logits), labels, sample_weight=weights)
    present = sorted(set(INTEGERS[known]))
    expected = [
        roc_auc_score(INTEGERS[known] == k, score(fused[known, k])) if k in present else 0 for k in range(CLASSES)
    ]
    np.testing.assert_allclose(logs["areas"], np.mean(expected), atol=2e-3)
    decisions = fused[known].argmax(-1)
    expected = f1_score(INTEGERS[known], decisions, labels=range(CLASSES), average="macro", zero_division=0)
    np.testing.assert_allclose(logs["f1"], expected, rtol=1e-5)
    top_two = np.any(np.argsort(fused, axis=-1)[:, -2:] == INTEGERS[:, None], axis=-1)
    np.testing.assert_allclose(logs["sparse_top_two"], top_two[known].mean(), rtol=1e-6)
    np.testing.assert_allclose(logs["categorical_accuracy"], np.mean(decisions == INTEGERS[known]), rtol=1e-6)
    expected = np.average(decisions == INTEGERS[known], weights=weights[known])
    np.testing.assert_allclose(logs["weighted_hits"], expected, rtol=1e-6)


def of_thresholds(threshold):
    return [
        keras.metrics.BinaryAccuracy(threshold=threshold, name="binary"),
        keras.metrics.Precision(threshold, name="precision"),
        keras.metrics.Recall(threshold, name="recall"),
        keras.metrics.F1Score(average="macro", threshold=threshold, name="f1"),
        keras.metrics.PrecisionAtRecall(0.5, num_thresholds=2000, name="at_recall"),
        keras.metrics.KLDivergence(name="divergence"),
    ]


@pytest.mark.parametrize("threshold", [0.5, 0.35])
@pytest.mark.parametrize("multi_label", [pytest.param(True, marks=pytest.mark.compiled), False])
def test_thresholds_are_of_probabilities(multi_label, threshold, tmp_path):
    from sklearn.metrics import f1_score, precision_recall_curve, precision_score, recall_score

    logits = random_logits(seed=4)
    fused = (logits[0] + logits[1]) / 2
    rows = (random_logits(seed=6)[0] > 0).astype("float32") if multi_label else ONE_HOT
    probabilities = score(fused) if multi_label else softmax(fused)
    loss = (
        keras.losses.BinaryCrossentropy(from_logits=True) if multi_label else keras.losses.CategoricalCrossentropy(True)
    )
    distiller = compiled(options={"loss": loss, "metrics": [*of_thresholds(threshold), keras.metrics.binary_accuracy]})
    hits, truth = probabilities > threshold, rows > 0.5
    precision, recall, _ = precision_recall_curve(truth.ravel(), probabilities.ravel())
    clipped = np.clip(rows, 1e-7, 1)
    expected = {
        "binary": np.mean(hits == truth),
        "binary_accuracy": np.mean((probabilities > 0.5) == truth),
        "precision": precision_score(truth.ravel(), hits.ravel()),
        "recall": recall_score(truth.ravel(), hits.ravel()),
        "f1": f1_score(truth, hits, average="macro", zero_division=0),
        "at_recall": precision[recall >= 0.5].max(),
        "divergence": np.mean(np.sum(clipped * np.log(clipped / np.clip(probabilities, 1e-7, 1)), axis=-1)),
    }
    logs = evaluate(distiller, script(*logits), rows)
    for name, value in expected.items():
        np.testing.assert_allclose(logs[name], value, rtol=1e-4, err_msg=name)
    distiller.save(tmp_path / "distiller.keras")
    loaded = keras.saving.load_model(tmp_path / "distiller.keras")
    after = evaluate(loaded, script(*logits), rows)
    for name in expected:
        np.testing.assert_allclose(after[name], logs[name], rtol=1e-6, err_msg=name)


def test_decisions_by_argmax_are_those_of_the_logits():
    logits = np.zeros((3, EXAMPLES, CLASSES))
    logits[:2] = 30 + np.eye(CLASSES)[INTEGERS]  # so large that each sigmoid is exactly 1 in float32
    options = {"loss": keras.losses.BinaryCrossentropy(from_logits=True), "metrics": [keras.metrics.F1Score(name="f1")]}
    np.testing.assert_allclose(evaluate(compiled(options=options), script(*logits), ONE_HOT)["f1"], 1, rtol=1e-6)


class OwnThreshold(keras.metrics.Metric):
    """Keeps the largest prediction that an own metric gets."""

    def __init__(self, threshold=0.5, name="own"):
        super().__init__(name=name)
        self.largest = self.add_variable((), "zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.largest.assign(ops.max(y_pred))

    def result(self):
        return self.largest + 0  # on JAX, a result must be a tensor


@pytest.mark.compiled
def test_an_own_metric_gets_logits():
    logits = random_logits()
    logs = evaluate(compiled(options={"metrics": [OwnThreshold()]}), script(*logits), INTEGERS)
    np.testing.assert_allclose(logs["own"], (logits[0] + logits[1]).max() / 2, rtol=1e-5)


def top_two():
    return keras.metrics.SparseTopKCategoricalAccuracy(2, name="top_two")


@pytest.mark.compiled
def test_metrics_by_head_see_the_logits_of_that_head(tmp_path):
    logits, images = random_logits(), script(*random_logits())
    options = {"metrics": {"class": ["accuracy", top_two()], "distillation": top_two()}}
    options["weighted_metrics"] = {
        "class": [keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="nats")]
    }
    distiller = compiled(options=options)
    logs = fit(distiller, images, INTEGERS, sample_weight=WEIGHTS)
    assert set(logs) == {*FIT_LOGS, "class_top_two", "distillation_top_two", "class_nats"}
    for head, head_logits in zip(("class", "distillation"), logits[:2], strict=True):
        hits = np.any(np.argsort(head_logits, axis=-1)[:, -2:] == INTEGERS[:, None], axis=-1)
        np.testing.assert_allclose(logs[f"{head}_top_two"], hits[WEIGHTS > 0].mean(), rtol=1e-6)
    nats = -np.log(softmax(logits[0]))[np.arange(EXAMPLES), INTEGERS]
    np.testing.assert_allclose(logs["class_nats"], np.average(nats, weights=WEIGHTS), rtol=1e-5)
    before = evaluate(distiller, images, INTEGERS)
    distiller.save(tmp_path / "distiller.keras")
    after = evaluate(keras.saving.load_model(tmp_path / "distiller.keras"), images, INTEGERS)
    assert before["class_top_two"] == after["class_top_two"]


def test_a_student_with_one_head_has_metrics_of_the_class_head():
    distiller = compiled(
        small_deit(distilled=False),
        lambda images: images[:, 0, 0, :1] * ops.arange(4.0),
        options={"metrics": {"class": [top_two()]}},
    )
    assert "top_two" in evaluate(distiller, small_images(), np.zeros(8))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": {"logits": [top_two()]}}, "student's heads as its keys: class, distillation. Received: 'logits'"),
        (
            {"metrics": [top_two()], "weighted_metrics": {"class": [top_two()]}},
            "both as dictionaries.*a list and a dict",
        ),
        ({"metrics": ["AUC"]}, r"would take them for probabilities.*AUC\(from_logits=True\). Received: 'AUC'"),
        (
            {"metrics": [keras.metrics.BinaryAccuracy(threshold=0.0)]},
            "0.5 where the threshold of logits is 0.*'binary_acc",
        ),
        ({"weighted_metrics": [keras.metrics.Recall([0.0])]}, "must be above 0.*Received: 'recall.*threshold 0"),
        ({"metrics": {"class": [keras.metrics.Mean(name="loss")]}}, "name of a log that a Distiller always reports"),
    ],
)
def test_metrics_that_cannot_be_computed_raise(options, message):
    with pytest.raises(ValueError, match=message):
        compiled(options=options)


def squared_logits(y_true, y_pred):
    return ops.mean(ops.square(y_pred), axis=-1)


# In which direction each log is better, by the meaning of its name.
BETTER = {name: "less" if name.endswith("loss") else "greater" for name in FIT_LOGS}
BETTER |= {"top_two": "greater", "nats": "less"}


@pytest.mark.parametrize("build", [keras.callbacks.EarlyStopping, keras.callbacks.ReduceLROnPlateau])
def test_callbacks_know_the_direction_of_every_log(build):
    nats = keras.metrics.SparseCategoricalCrossentropy(from_logits=True, name="nats")
    distiller = compiled(options={"metrics": [top_two(), nats, squared_logits]})
    data = script(*random_logits()), INTEGERS
    callbacks = {prefix + name: build(prefix + name) for name in BETTER for prefix in ("", "val_")}
    fit(distiller, *data, validation_data=data, callbacks=list(callbacks.values()))
    for monitor, callback in callbacks.items():
        assert callback.monitor_op is getattr(ops, BETTER[monitor.removeprefix("val_")]), monitor
    with pytest.raises(ValueError, match="isn't able to automatically determine"):  # as with any Keras model
        fit(distiller, *data, callbacks=[build("squared_logits")])
    chosen = build("accuracy", mode="min")
    fit(distiller, *data, callbacks=chosen)
    assert chosen.monitor_op is ops.less


def test_the_best_checkpoint_is_kept_by_accuracy(tmp_path):
    images = script(*random_logits())
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_accuracy", save_best_only=True)
    history = fit(compiled(), images, INTEGERS, validation_data=(images, INTEGERS), epochs=2, callbacks=[checkpoint])
    assert checkpoint.best == max(history["val_accuracy"])
    assert (tmp_path / "best.keras").exists()
