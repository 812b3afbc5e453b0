"""What the Distiller computes, reports, saves and refuses, against NumPy on models whose numbers are known."""

import functools
import json
import zipfile

import keras
import numpy as np
import pytest
from keras import ops

import keras_deit as kd
from tests.toys import SCRIPTED_SHAPE, conv_teacher, run, script, scripted_student, scripted_teacher, softmax

BACKEND = keras.backend.backend()
CLASSES, EXAMPLES, LEARNING_RATE = 4, 6, 0.1
INTEGERS = np.array([0, 1, 2, 3, 3, 1])
ONE_HOT = np.eye(CLASSES)[INTEGERS].astype("float32")
MIXED = np.random.default_rng(5).dirichlet(np.ones(CLASSES), size=EXAMPLES).astype("float32")
SOME_UNLABELLED = np.array([1, 1, 0, 1, 0, 1])
WEIGHTS = np.array([1.0, 0.0, 2.5, 0.5, 1.5, 0.0], "float32")
HEADS = ("class", "distillation")


def crossentropy(**arguments):
    return keras.losses.CategoricalCrossentropy(from_logits=True, **arguments)


def random_logits(seed=0, examples=EXAMPLES):
    """Logits of the class head, the distillation head and the teacher."""
    return np.random.default_rng(seed).normal(scale=2, size=(3, examples, CLASSES))


def compiled(student=None, teacher=scripted_teacher, *, options=None, **arguments):
    """A compiled Distiller; scripted student and teacher and plain SGD where nothing else is said."""
    distiller = kd.Distiller(student or scripted_student(), teacher, **arguments)
    distiller.compile(**{"optimizer": keras.optimizers.SGD(LEARNING_RATE), "loss": crossentropy(), **(options or {})})
    return distiller


def fit(distiller, *data, **arguments):
    history = distiller.fit(*data, **{"shuffle": False, "verbose": 0, **arguments}).history
    return {name: values[0] if len(values) == 1 else values for name, values in history.items()}


def evaluate(distiller, *data, **arguments):
    return distiller.evaluate(*data, return_dict=True, verbose=0, **arguments)


def weights_of(model):
    return [ops.convert_to_numpy(variable) for variable in model.variables]


def assert_same_weights(received, expected, tolerance=1e-6):
    for value, reference in zip(received, expected, strict=True):
        np.testing.assert_allclose(value, reference, rtol=0, atol=tolerance * max(1e-3, np.abs(reference).max()))


def small_deit(**arguments):
    arguments = {"image_size": 16, "patch_size": 8, "hidden_dim": 16, "num_layers": 1, "num_heads": 2, **arguments}
    return kd.DeiT(num_classes=CLASSES, **arguments)


def small_images(examples=8, size=16):
    return np.random.default_rng(1).normal(size=(examples, size, size, 3)).astype("float32")


# The arithmetic, in float64.


def expected_step(
    heads,
    teacher,
    targets=None,
    weights=None,
    distillation="hard",
    alpha=None,
    temperature=3.0,
    soft_reduction="batch_mean",
    smoothing=0.0,
):
    """The terms of the loss and the gradients of the loss with respect to the logits of each head."""
    alpha = {"hard": 0.5, "soft": 0.1}[distillation] if alpha is None else alpha
    weights = np.ones(len(teacher)) if weights is None else weights.astype("float64")
    terms, gradients = {}, {name: np.zeros(teacher.shape) for name in heads}
    if targets is not None:
        labelled = weights * (targets.sum(axis=-1) > 0)
        smooth = targets * (1 - smoothing) + smoothing / CLASSES
        probabilities = softmax(heads["class"])
        terms["class_loss"] = np.mean(labelled * -np.sum(smooth * np.log(probabilities), axis=-1))
        gradient = labelled[:, None] * (probabilities - smooth) / len(teacher)
        gradients["class"] = gradients["class"] + (1 - alpha) * gradient
    student_head = "distillation" if "distillation" in heads else "class"
    if distillation == "hard":
        decision, probabilities = np.eye(CLASSES)[teacher.argmax(axis=-1)], softmax(heads[student_head])
        values = -np.sum(decision * np.log(probabilities), axis=-1)
        gradient = probabilities - decision
    else:
        wanted, given = softmax(teacher / temperature), softmax(heads[student_head] / temperature)
        values = np.sum(wanted * np.log(wanted / given), axis=-1) * temperature**2
        gradient = (given - wanted) * temperature
        if soft_reduction == "official":
            values, gradient = values / CLASSES, gradient / CLASSES
    terms["distillation_loss"] = np.mean(weights * values)
    gradients[student_head] = gradients[student_head] + alpha * weights[:, None] * gradient / len(teacher)
    terms["loss"] = alpha * terms["distillation_loss"] + (1 - alpha) * terms.get("class_loss", 0)
    return terms, gradients


def assert_step_is(distiller, images, labels, sample_weight, terms, gradients, evaluated=False):
    """Evaluates if asked to, fits for one step, and compares logs and weights with the formula."""
    student = distiller.student
    pixels = images.reshape(len(images), -1).astype("float64")
    dense = [layer for layer in student.layers if isinstance(layer, keras.layers.Dense)]
    before = [[value.astype("float64") for value in layer.get_weights()] for layer in dense]
    for method in (evaluate, fit) if evaluated else (fit,):
        logs = method(distiller, images, labels, sample_weight=sample_weight)
        for name in ("loss", "class_loss", "distillation_loss"):
            assert (name in logs) == (name in terms)
            if name in terms:
                np.testing.assert_allclose(logs[name], terms[name], rtol=1e-5, atol=1e-6)
    for layer, (kernel, bias), gradient in zip(dense, before, gradients.values(), strict=True):
        expected = [kernel - LEARNING_RATE * pixels.T @ gradient, bias - LEARNING_RATE * gradient.sum(axis=0)]
        for value, reference in zip(layer.get_weights(), expected, strict=True):
            np.testing.assert_allclose(value, reference, rtol=1e-5, atol=1e-6)


STEPS = {
    "hard, integers": {"labels": INTEGERS},
    "hard, a column of integers": {"labels": INTEGERS[:, None]},
    "hard, one-hot, weights": {"labels": ONE_HOT, "weights": WEIGHTS},
    "hard, mixed, smoothing, weights": {"labels": MIXED, "weights": WEIGHTS, "smoothing": 0.1, "alpha": 0.3},
    "hard, some unlabelled": {"labels": np.where(SOME_UNLABELLED, INTEGERS, -1), "weights": WEIGHTS},
    "hard, some rows empty, smoothing": {
        "labels": MIXED * SOME_UNLABELLED[:, None].astype("float32"),
        "smoothing": 0.2,
    },
    "hard, unlabelled": {},
    "hard, every example unlabelled, weights": {"labels": np.full(EXAMPLES, -1), "weights": WEIGHTS},
    "hard, sparse criterion": {"labels": np.where(SOME_UNLABELLED, INTEGERS, -1), "sparse": True},
    "hard, teacher alone": {"labels": INTEGERS, "alpha": 1.0},
    "hard, labels alone": {"labels": INTEGERS, "alpha": 0.0},
    "soft, integers": {"labels": INTEGERS, "distillation": "soft"},
    "soft, mixed, temperature 1, weights": {
        "labels": MIXED,
        "weights": WEIGHTS,
        "distillation": "soft",
        "alpha": 0.7,
        "temperature": 1.0,
    },
    "soft, official reduction, weights": {
        "labels": ONE_HOT,
        "weights": WEIGHTS,
        "distillation": "soft",
        "soft_reduction": "official",
        "alpha": 0.5,
    },
    "soft, unlabelled": {"distillation": "soft", "temperature": 2.0},
}


@pytest.mark.parametrize("case", STEPS.values(), ids=STEPS.keys())
def test_a_step_is_that_of_the_formula(case):
    arguments = dict(case)
    labels, weights = arguments.pop("labels", None), arguments.get("weights")
    if arguments.pop("sparse", False):
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    else:
        loss = crossentropy(label_smoothing=arguments.get("smoothing", 0.0))
    targets = labels
    if labels is not None and labels.shape != (EXAMPLES, CLASSES):
        targets = np.eye(CLASSES)[labels.ravel()] * (labels.ravel() >= 0)[:, None]
    settings = {name: value for name, value in arguments.items() if name not in ("weights", "smoothing")}
    images = script(*random_logits())
    distiller = compiled(options={"loss": loss}, **settings)
    heads = {name: logits.astype("float64") for name, logits in distiller.student.predict(images, verbose=0).items()}
    teacher = ops.convert_to_numpy(scripted_teacher(images)).astype("float64")
    terms, gradients = expected_step(heads, teacher, targets, **arguments)
    assert_step_is(distiller, images, labels, weights, terms, gradients, evaluated=weights is not None)


def one_output_functional():
    return scripted_student(distilled=False)


def one_output_sequential():
    layers = keras.Input(SCRIPTED_SHAPE), keras.layers.Flatten(), keras.layers.Dense(CLASSES)
    return keras.Sequential(layers)


def one_output_in_a_dictionary():
    student = scripted_student(distilled=False)
    return keras.Model(student.input, {"class": student.output})


@pytest.mark.parametrize(
    ("build", "distillation"),
    [
        (one_output_functional, "hard"),
        (one_output_functional, "soft"),
        (one_output_sequential, "soft"),
        (one_output_in_a_dictionary, "hard"),
    ],
)
def test_usual_distillation_acts_on_the_class_logits_of_a_student_with_one_output(build, distillation):
    student, images = build(), script(*random_logits())
    logits = student.predict(images, verbose=0)
    heads = {"class": (logits["class"] if isinstance(logits, dict) else logits).astype("float64")}
    teacher = ops.convert_to_numpy(scripted_teacher(images)).astype("float64")
    terms, gradients = expected_step(heads, teacher, ONE_HOT, distillation=distillation)
    distiller = compiled(student, distillation=distillation)
    assert_step_is(distiller, images, INTEGERS, None, terms, gradients)
    assert "distillation_accuracy" not in distiller.metrics_names


@pytest.mark.parametrize("distilled", [True, False])
def test_the_loss_of_a_deit_is_that_of_its_own_and_the_teachers_predictions(distilled):
    student, teacher = small_deit(distilled=distilled), conv_teacher(CLASSES, (16, 16, 3))
    images, labels = small_images(), np.arange(8) % CLASSES
    distiller = compiled(student, teacher, distillation="soft", options={"optimizer": keras.optimizers.SGD(0.0)})
    heads = {name: logits.astype("float64") for name, logits in student.predict(images, verbose=0).items()}
    assert list(heads) == list(HEADS[: 1 + distilled])
    # Dropout and the batch's own statistics would show: these predictions are made at inference.
    taught = teacher.predict(images, verbose=0).astype("float64")
    terms, _ = expected_step(heads, taught, np.eye(CLASSES)[labels], distillation="soft")
    for logs in (fit(distiller, images, labels), evaluate(distiller, images, labels)):
        for name, value in terms.items():
            np.testing.assert_allclose(logs[name], value, rtol=1e-5, atol=1e-6)


def test_regularisation_is_added_once_whatever_alpha():
    strength, images = 0.05, script(*random_logits())
    student = scripted_student(kernel_regularizer=keras.regularizers.L2(strength))
    dense = [layer for layer in student.layers if isinstance(layer, keras.layers.Dense)]
    kernels = [layer.get_weights()[0].astype("float64") for layer in dense]
    distiller = compiled(student, alpha=0.25)
    teacher = ops.convert_to_numpy(scripted_teacher(images)).astype("float64")
    heads = {name: logits.astype("float64") for name, logits in student.predict(images, verbose=0).items()}
    terms, gradients = expected_step(heads, teacher, ONE_HOT, alpha=0.25)
    penalty = strength * sum(np.sum(kernel**2) for kernel in kernels)
    logs = fit(distiller, images, INTEGERS)
    np.testing.assert_allclose(logs["loss"], terms["loss"] + penalty, rtol=1e-5)
    pixels = images.reshape(EXAMPLES, -1)
    for layer, kernel, gradient in zip(dense, kernels, gradients.values(), strict=True):
        expected = kernel - LEARNING_RATE * (pixels.T @ gradient + 2 * strength * kernel)
        np.testing.assert_allclose(layer.get_weights()[0], expected, rtol=1e-5, atol=1e-6)


def test_class_weights_are_the_sample_weights_of_their_classes():
    images, class_weight = script(*random_logits()), {0: 2.0, 1: 0.5, 3: 0.0}
    by_class, by_example = compiled(), compiled()
    logs = fit(by_class, images, INTEGERS, class_weight=class_weight)
    sample_weight = np.array([class_weight.get(label, 1.0) for label in INTEGERS])
    expected = fit(by_example, images, INTEGERS, sample_weight=sample_weight)
    np.testing.assert_allclose(logs["loss"], expected["loss"], rtol=1e-6)
    assert_same_weights(weights_of(by_class.student), weights_of(by_example.student))


# The logs.

# Decisions of six examples: the class head, the distillation head, their mean, the teacher; and the labels.
SCRIPTED_LOGITS = [
    # class head    distillation    teacher         class, distillation, mean, teacher
    ([5, 0, 0, 0], [3, 0, 0, 0], [9, 0, 0, 0]),  #  0, 0, 0, 0
    ([5, 0, 0, 0], [0, 3, 0, 0], [0, 9, 0, 0]),  #  0, 1, 0, 1
    ([0, 3, 0, 0], [0, 0, 5, 0], [0, 0, 9, 0]),  #  1, 2, 2, 2
    ([0, 0, 0, 5], [0, 0, 0, 3], [0, 0, 9, 0]),  #  3, 3, 3, 2
    ([0, 0, 3, 0], [5, 0, 0, 0], [0, 0, 9, 0]),  #  2, 0, 0, 2
    ([0, 1, 1, 0], [0, 0, 0, 0], [0, 9, 9, 0]),  #  1, 0, 1, 1: the first of equals
]
SCRIPTED_LABELS = np.array([0, 1, 2, 3, 0, 1])
FIT_LOGS = {
    *("loss", "class_loss", "distillation_loss", "accuracy", "class_accuracy"),
    *("distillation_accuracy", "teacher_accuracy", "teacher_agreement"),
}


def scripted_images():
    return script(*np.array(SCRIPTED_LOGITS, "float32").transpose(1, 0, 2))


def accuracies(logs):
    return {name: round(float(value), 5) for name, value in logs.items() if not name.endswith("loss")}


def test_accuracies_are_counted_by_hand():
    expected = {
        "accuracy": 5 / 6,  # 0 is no 1 in the second
        "class_accuracy": 3 / 6,
        "distillation_accuracy": 5 / 6,
        "teacher_accuracy": 4 / 6,
        "teacher_agreement": 3 / 6,
    }
    for labels in (SCRIPTED_LABELS, np.eye(CLASSES)[SCRIPTED_LABELS]):
        distiller = compiled(options={"optimizer": keras.optimizers.SGD(0.0)})
        logs = fit(distiller, scripted_images(), labels, batch_size=4)  # in batches of 4 and 2
        assert set(logs) == FIT_LOGS
        assert accuracies(logs) == {name: round(value, 5) for name, value in expected.items()}
    assert accuracies(evaluate(distiller, scripted_images(), SCRIPTED_LABELS)) == accuracies(logs)


def test_examples_of_weight_zero_are_not_counted_and_other_weights_count_once():
    weights = np.array([0.5, 1, 0, 3, 0, 2], "float32")  # leaves examples 0, 1, 3, 5
    logs = evaluate(compiled(), scripted_images(), SCRIPTED_LABELS, sample_weight=weights, batch_size=4)
    assert accuracies(logs) == {
        "accuracy": 3 / 4,
        "class_accuracy": 3 / 4,
        "distillation_accuracy": 3 / 4,
        "teacher_accuracy": 3 / 4,
        "teacher_agreement": 2 / 4,
    }


def test_unlabelled_examples_count_for_the_agreement_alone():
    labels = np.array([0, 1, -1, -1, 0, -1])
    logs = evaluate(compiled(), scripted_images(), labels)
    assert accuracies(logs) == {
        "accuracy": round(2 / 3, 5),
        "class_accuracy": round(1 / 3, 5),
        "distillation_accuracy": 1.0,
        "teacher_accuracy": round(2 / 3, 5),
        "teacher_agreement": 3 / 6,
    }


@pytest.mark.parametrize(
    ("fusion", "expected"), [("class", 3 / 6), ("distillation", 5 / 6), ("mean_probabilities", 5 / 6)]
)
def test_accuracy_is_that_of_the_chosen_fusion(fusion, expected):
    distiller = compiled(fusion=fusion, options={"run_eagerly": True})
    np.testing.assert_allclose(evaluate(distiller, scripted_images(), SCRIPTED_LABELS)["accuracy"], expected, rtol=1e-5)


def test_losses_are_averaged_over_examples_not_batches():
    images = script(*random_logits())
    distiller = compiled(options={"optimizer": keras.optimizers.SGD(0.0)})
    at_once = evaluate(distiller, images, MIXED)
    for logs in (evaluate(distiller, images, MIXED, batch_size=4), fit(distiller, images, MIXED, batch_size=4)):
        for name in ("loss", "class_loss", "distillation_loss"):
            np.testing.assert_allclose(logs[name], at_once[name], rtol=1e-5)


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


def test_validation_data_are_reported_in_every_epoch():
    images, others = script(*random_logits(0)), scripted_images()
    distiller = compiled(options={"optimizer": keras.optimizers.SGD(0.0)})
    logs = fit(distiller, images, INTEGERS, validation_data=(others, SCRIPTED_LABELS), epochs=2)
    assert set(logs) == FIT_LOGS | {f"val_{name}" for name in FIT_LOGS}
    np.testing.assert_allclose(logs["val_accuracy"], [5 / 6] * 2, rtol=1e-5)
    np.testing.assert_allclose(logs["val_loss"], [evaluate(distiller, others, SCRIPTED_LABELS)["loss"]] * 2, rtol=1e-5)


def test_training_without_labels_is_validated_with_them_in_every_epoch():
    options = {
        "optimizer": keras.optimizers.SGD(0.0),
        "metrics": [keras.metrics.SparseTopKCategoricalAccuracy(4, name="top")],
    }
    distiller = compiled(options=options)
    others = scripted_images()
    logs = fit(distiller, script(*random_logits()), epochs=3, validation_data=(others, SCRIPTED_LABELS))
    unlabelled = {"loss", "distillation_loss", "teacher_agreement"}
    assert set(logs) == unlabelled | {f"val_{name}" for name in {*FIT_LOGS, "top"}}
    np.testing.assert_allclose(logs["val_accuracy"], [5 / 6] * 3, rtol=1e-5)
    np.testing.assert_allclose(logs["val_top"], [1.0] * 3)
    np.testing.assert_allclose(logs["distillation_loss"], logs["distillation_loss"][:1] * 3, rtol=1e-6)
    alone = evaluate(distiller, others, SCRIPTED_LABELS)
    for name, value in alone.items():
        np.testing.assert_allclose(logs[f"val_{name}"], [value] * 3, rtol=1e-5)


def test_validation_without_labels_of_training_with_them():
    distiller = compiled(options={"optimizer": keras.optimizers.SGD(0.0)})
    logs = fit(distiller, scripted_images(), SCRIPTED_LABELS, validation_split=0.5, epochs=2)
    assert set(logs) == FIT_LOGS | {f"val_{name}" for name in FIT_LOGS}
    np.testing.assert_allclose(logs["class_accuracy"], [1 / 3] * 2, rtol=1e-5)
    np.testing.assert_allclose(logs["val_class_accuracy"], [2 / 3] * 2, rtol=1e-5)
    unlabelled = evaluate(distiller, scripted_images())
    assert set(unlabelled) == {"loss", "distillation_loss", "teacher_agreement"}
    np.testing.assert_allclose(unlabelled["loss"], 0.5 * unlabelled["distillation_loss"], rtol=1e-6)


def test_batch_methods_report_the_same():
    images, distiller = script(*random_logits()), compiled(options={"optimizer": keras.optimizers.SGD(0.0)})
    expected = fit(distiller, images, INTEGERS)
    distiller.reset_metrics()
    for method in (distiller.train_on_batch, distiller.test_on_batch):
        logs = method(images, INTEGERS, return_dict=True)
        distiller.reset_metrics()
        assert set(logs) == set(expected)
        np.testing.assert_allclose(logs["loss"], expected["loss"], rtol=1e-6)


# The teacher.


def test_stored_outputs_train_the_very_weights_of_the_live_teacher():
    logits = random_logits()
    images, stored = script(*logits), logits[2].astype("float32")
    live = compiled()
    fit(live, images, INTEGERS, batch_size=4, epochs=3)
    other = lambda images: -scripted_teacher(images)  # noqa: E731  who is not asked where there are stored outputs
    for teacher, outputs in ((other, stored), (None, stored.argmax(axis=-1))):
        taught = compiled(teacher=teacher)
        fit(taught, {"image": images, "teacher": outputs}, INTEGERS, batch_size=4, epochs=3)
        assert_same_weights(weights_of(taught.student), weights_of(live.student))
    soft = compiled(distillation="soft")
    fit(soft, images, epochs=2)
    taught = compiled(teacher=None, distillation="soft")
    fit(taught, {"image": images, "teacher": stored}, epochs=2)
    assert_same_weights(weights_of(taught.student), weights_of(soft.student))


def test_the_teacher_stays_as_it_is_while_the_student_moves():
    student, teacher = conv_teacher(), conv_teacher()  # both with moving statistics and dropout
    images = script(*random_logits())
    options = {"optimizer": keras.optimizers.Adam(0.01)}
    distiller = compiled(student, teacher, distillation="soft", options=options)
    before, answers = weights_of(teacher), teacher.predict(images, verbose=0)
    students = weights_of(student)
    first = fit(distiller, images, INTEGERS, batch_size=2, epochs=2, validation_data=(images, INTEGERS))
    assert len(before) == 9  # two kernels and biases, batch norm's four, and the seed of dropout
    for value, reference in zip(weights_of(teacher), before, strict=True):
        np.testing.assert_array_equal(value, reference)
    np.testing.assert_array_equal(teacher.predict(images, verbose=0), answers)
    for value, former in zip(weights_of(student), students, strict=True):
        seed = value.dtype.kind in "iu"  # PyTorch's own dropout leaves Keras's seed as it is
        assert seed or np.any(value != former)
    assert all(layer.trainable for layer in teacher.layers)
    assert {variable.path for variable in distiller.trainable_variables} == {
        variable.path for variable in distiller.student.trainable_variables
    }
    # The student that is trained reports what the answers at inference make of it.
    stored = compiled(distiller.student, None, distillation="soft")
    logs = evaluate(stored, {"image": images, "teacher": answers}, INTEGERS)
    np.testing.assert_allclose(first["val_distillation_loss"][-1], logs["distillation_loss"], rtol=1e-5)


def test_another_teacher_takes_effect_at_once():
    # The second differs in nothing that a compiled function could be told apart by.
    class_logits, distillation_logits, teacher_logits = random_logits()
    images = script(class_logits, distillation_logits, teacher_logits)
    distiller = compiled(options={"optimizer": keras.optimizers.SGD(0.0)})
    for sign in (1, -1):
        distiller.teacher = lambda images, sign=sign: sign * scripted_teacher(images)
        heads = {"class": class_logits, "distillation": distillation_logits}
        expected = expected_step(heads, sign * teacher_logits)[0]["distillation_loss"]
        for logs in (fit(distiller, images, INTEGERS), evaluate(distiller, images, INTEGERS)):
            np.testing.assert_allclose(logs["distillation_loss"], expected, rtol=1e-5)


def test_a_teacher_of_another_normalisation_size_and_kind_is_asked_its_own_way():
    scales = np.array([0.001, 0.002, 0.003, 0.004], "float32")

    def model(images):  # wants 4 × 4 pixels in 0..255
        assert tuple(images.shape[1:]) == (4, 4, 3)
        return ops.softmax(ops.sum(ops.mean(images, axis=(1, 2)), axis=-1, keepdims=True) * scales)

    images = script(*random_logits())
    teacher = kd.Teacher(model, image_size=4, value_range=(0, 255), outputs="probabilities")
    distiller = compiled(teacher=teacher, distillation="soft", image_mean=(0.1, 0.2, 0.3), image_std=0.5)
    pixels = images * 0.5 + np.array([0.1, 0.2, 0.3])
    # The 2 × 2 image doubled: each pixel's share is that of its corner, so the mean is that of the image.
    logits = pixels.mean(axis=(1, 2)).sum(axis=-1, keepdims=True) * 255 * scales
    heads = {name: value.astype("float64") for name, value in distiller.student.predict(images, verbose=0).items()}
    terms, _ = expected_step(heads, np.log(softmax(logits)), ONE_HOT, distillation="soft")
    np.testing.assert_allclose(evaluate(distiller, images, INTEGERS)["loss"], terms["loss"], rtol=1e-4)


def no_gradient(values):
    """The identity, that raises when it is differentiated."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def refuse(*_):
            raise AssertionError("the teacher was differentiated")

        return tf.custom_gradient(lambda values: (tf.identity(values), refuse))(values)
    if BACKEND == "jax":
        import jax

        def refuse(*_):
            raise AssertionError("the teacher was differentiated")

        identity = jax.custom_vjp(lambda values: values)
        identity.defvjp(refuse, refuse)
        return identity(values)
    assert not values.requires_grad
    return values


@keras.saving.register_keras_serializable(package="tests")
class NoGradient(keras.layers.Layer):
    """A layer of a teacher that raises when it is differentiated."""

    def call(self, values):
        return no_gradient(values)


def test_a_layer_that_refuses_gradients_does_refuse_them():
    student = scripted_student(distilled=False)
    outputs = NoGradient()(keras.layers.Dense(CLASSES)(student.output))
    model = keras.Model(student.input, outputs)
    model.compile("sgd", crossentropy())
    with pytest.raises(AssertionError):
        model.fit(script(*random_logits()), ONE_HOT, verbose=0)


@pytest.mark.parametrize("distillation", ["hard", "soft"])
def test_the_teacher_is_never_in_the_gradients_memory(distillation):
    teacher = conv_teacher(dropout=0)
    teacher = keras.Model(teacher.input, NoGradient()(teacher.output))
    assert teacher.trainable_variables
    logs = fit(compiled(teacher=teacher, distillation=distillation), script(*random_logits()), INTEGERS)
    assert np.isfinite(logs["loss"])


# Attention.


def attention_models(size=16):
    student = small_deit(num_layers=2)
    teacher = kd.DeiTClassifier(
        small_deit(image_size=2 * size, patch_size=16, hidden_dim=24, num_layers=3, num_heads=3, distilled=False)
    )
    for model in (student, teacher):  # fresh ones attend almost uniformly
        for variable in model.trainable_variables:
            if variable.path.endswith("qkv/kernel"):
                variable.assign(ops.cast(variable.value * 40, variable.dtype))
    return student, teacher


def test_attention_distillation_compares_the_patch_attention_of_both():
    student, model = attention_models()
    images, labels = small_images(), np.arange(8) % CLASSES
    teacher = kd.Teacher(model, image_size=32, mean=kd.IMAGENET_MEAN, std=kd.IMAGENET_STD)
    options = {"optimizer": keras.optimizers.SGD(0.0)}
    distiller = compiled(student, teacher, attention_weight=0.7, options=options)
    enlarged = ops.image.resize(images, (32, 32), antialias=True, data_format="channels_last")
    theirs = [attention[:, :, 1:, 1:] for attention in run(model.backbone.attention_maps, enlarged)]
    ours = [attention[:, :, 2:, 2:] for attention in run(student.backbone.attention_maps, images)]
    expected = ops.convert_to_numpy(kd.losses.attention_distillation(theirs, ours))
    assert expected.min() > 1e-3
    weights = np.linspace(0, 2, 8).astype("float32")
    for logs in (
        evaluate(distiller, images, labels, sample_weight=weights),
        fit(distiller, images, labels, sample_weight=weights),
    ):
        assert set(logs) == {*FIT_LOGS, "attention_loss"}
        np.testing.assert_allclose(logs["attention_loss"], np.mean(weights * expected), rtol=1e-4)
        others = 0.5 * (logs["class_loss"] + logs["distillation_loss"])
        np.testing.assert_allclose(logs["loss"], others + 0.7 * logs["attention_loss"], rtol=1e-5)


def test_attention_distillation_changes_the_students_attention_alone():
    student, model = attention_models()
    images = small_images()
    teacher = kd.Teacher(model, image_size=32, mean=kd.IMAGENET_MEAN, std=kd.IMAGENET_STD)
    optimizer = keras.optimizers.Adam(0.003)
    distiller = compiled(student, teacher, attention_weight=1.0, alpha=0.0, options={"optimizer": optimizer})
    before = weights_of(model)
    logs = fit(distiller, images, epochs=6)
    assert logs["attention_loss"][-1] < 0.9 * logs["attention_loss"][0]
    for value, reference in zip(weights_of(model), before, strict=True):
        np.testing.assert_array_equal(value, reference)
    stored = compiled(student, None, attention_weight=1.0)
    logs = evaluate(stored, {"image": images, "teacher": np.zeros((8, CLASSES), "float32")}, np.arange(8) % CLASSES)
    assert "attention_loss" not in logs  # there was no attention to compare


# What `compile` offers.


@functools.cache
def trained_plainly():
    return trained()


def trained(options=None, epochs=3, batch_size=2, **arguments):
    """Weights of the scripted student after nine steps."""
    distiller = compiled(options=options, **arguments)
    logs = fit(distiller, script(*random_logits()), INTEGERS, batch_size=batch_size, epochs=epochs)
    return weights_of(distiller.student), logs


OPTIONS = {
    "run_eagerly": {"run_eagerly": True},
    "jit_compile": {"jit_compile": True},
    "no jit_compile": {"jit_compile": False},
    "steps_per_execution": {"steps_per_execution": 2},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_how_steps_are_run_does_not_matter(options):
    if BACKEND == "torch" and options.get("steps_per_execution", 1) > 1:
        with pytest.raises(
            ValueError, match="Keras runs one step at a time on PyTorch.*Received: steps_per_execution=2"
        ):
            compiled(options=options)
        return
    if BACKEND == "torch" and options.get("jit_compile"):
        pytest.skip("torch.compile needs a C++ compiler and half a minute")
    expected, logs = trained_plainly()
    received, others = trained(options)
    assert_same_weights(received, expected)
    for name, values in logs.items():
        np.testing.assert_allclose(others[name], values, rtol=1e-5)


@pytest.mark.skipif(BACKEND == "torch", reason="torch.compile needs a C++ compiler and half a minute")
def test_a_teacher_of_another_image_size_can_be_compiled_by_xla():
    smaller = kd.Teacher(lambda images: ops.tile(ops.reshape(images, (-1, 3)), (1, 2))[:, :CLASSES], image_size=1)
    expected, _ = trained(teacher=smaller)
    received, _ = trained({"jit_compile": True}, teacher=smaller)
    assert_same_weights(received, expected)


def test_accumulated_gradients_of_two_batches_are_those_of_one():
    accumulating = {"optimizer": keras.optimizers.SGD(LEARNING_RATE, gradient_accumulation_steps=2)}
    received, _ = trained(accumulating, batch_size=3, epochs=3)
    expected, _ = trained(batch_size=6, epochs=3)
    assert_same_weights(received, expected)


def test_global_clipnorm_bounds_the_step():
    distiller = compiled(options={"optimizer": keras.optimizers.SGD(1.0, global_clipnorm=0.01)})
    before = weights_of(distiller.student)
    fit(distiller, script(*random_logits()), INTEGERS)
    steps = [after - value for after, value in zip(weights_of(distiller.student), before, strict=True)]
    np.testing.assert_allclose(np.sqrt(sum(np.sum(step**2) for step in steps)), 0.01, rtol=1e-3)


def test_averaged_weights_are_left_at_the_end():
    momentum, epochs = 0.5, 4
    trajectory = []
    distiller = compiled()
    record = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: trajectory.append(weights_of(distiller.student)))
    images = script(*random_logits())
    fit(distiller, images, INTEGERS, epochs=epochs, callbacks=[record])
    averages = [np.zeros_like(value) for value in trajectory[0]]
    for step, weights in enumerate(trajectory):
        share = momentum if step else 0.0  # the first weights begin the average
        averages = [share * mean + (1 - share) * value for mean, value in zip(averages, weights, strict=True)]
    optimizer = keras.optimizers.SGD(LEARNING_RATE, use_ema=True, ema_momentum=momentum)
    averaging = compiled(options={"optimizer": optimizer})
    fit(averaging, images, INTEGERS, epochs=epochs)
    assert_same_weights(weights_of(averaging.student), averages, tolerance=1e-5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_trains_float32_variables(policy):
    student = small_deit(dtype=policy)
    images, labels = small_images(), np.arange(8) % CLASSES
    teacher = conv_teacher(CLASSES, (16, 16, 3), dtype="float32")
    distiller = compiled(student, teacher, distillation="soft", options={"optimizer": keras.optimizers.Adam(0.01)})
    assert isinstance(distiller.optimizer, keras.optimizers.LossScaleOptimizer) == (policy == "mixed_float16")
    before = weights_of(student)
    logs = fit(distiller, images, labels, epochs=8)
    assert np.all(np.isfinite(logs["loss"]))
    assert logs["loss"][-1] < logs["loss"][0]
    assert {variable.dtype for variable in distiller.trainable_variables} == {"float32"}
    assert any(
        np.abs(value - reference).max() > 1e-3 for value, reference in zip(weights_of(student), before, strict=True)
    )


def test_float16_scales_the_loss():
    student = scripted_student(dtype="mixed_float16")
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(LEARNING_RATE), initial_scale=2.0**40)
    distiller = compiled(student, options={"optimizer": optimizer})
    before = weights_of(student)
    logs = fit(distiller, script(*random_logits()), INTEGERS)
    # A loss times 2^40 overflows in the gradient: the step is left out and the scale halved.
    for value, reference in zip(weights_of(student), before, strict=True):
        np.testing.assert_array_equal(value, reference)
    assert float(ops.convert_to_numpy(optimizer.dynamic_scale)) == 2.0**39
    np.testing.assert_allclose(logs["loss"], 0.5 * (logs["class_loss"] + logs["distillation_loss"]), rtol=1e-5)


def test_a_scaled_loss_takes_the_step_of_an_unscaled_one():
    def steps(policy):
        student = scripted_student(dtype=policy)
        optimizer = keras.optimizers.SGD(LEARNING_RATE)
        if policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**10)
        before = weights_of(student)
        fit(compiled(student, options={"optimizer": optimizer}), script(*random_logits()), INTEGERS)
        return np.concatenate(
            [(after - value).ravel() for after, value in zip(weights_of(student), before, strict=True)]
        )

    half, single = steps("mixed_float16"), steps("float32")
    np.testing.assert_allclose(np.linalg.norm(half - single), 0, atol=0.02 * np.linalg.norm(single))


# Files.


def test_saving_and_going_on_is_as_if_never_interrupted(tmp_path):
    images = script(*random_logits())
    options = {
        "optimizer": keras.optimizers.SGD(LEARNING_RATE, momentum=0.9),
        "loss": crossentropy(label_smoothing=0.1),
    }
    settings = {
        "distillation": "soft",
        "alpha": 0.3,
        "temperature": 2.0,
        "soft_reduction": "official",
        "fusion": "class",
    }
    through = compiled(options=options, **settings)
    fit(through, images, INTEGERS, epochs=4, batch_size=4)

    options["optimizer"] = keras.optimizers.SGD(LEARNING_RATE, momentum=0.9)
    first = compiled(options=options, image_mean=0.5, **settings)
    fit(first, images, INTEGERS, epochs=2, batch_size=4)
    first.save(tmp_path / "distiller.keras")
    second = keras.saving.load_model(tmp_path / "distiller.keras")
    assert second.teacher is None
    assert int(ops.convert_to_numpy(second.optimizer.iterations)) == 4
    for name in (*settings, "image_mean", "image_std", "attention_weight", "name"):
        assert getattr(second, name) == getattr(first, name)

    predicted, expected = second.predict(images, verbose=0), first.predict(images, verbose=0)
    for head in HEADS:
        np.testing.assert_allclose(predicted[head], expected[head], rtol=1e-6)
    labels_alone = evaluate(second, images, INTEGERS)
    assert set(labels_alone) == {"loss", "class_loss", "accuracy", "class_accuracy", "distillation_accuracy"}
    np.testing.assert_allclose(labels_alone["loss"], evaluate(first, images, INTEGERS)["class_loss"], rtol=1e-5)
    with pytest.raises(ValueError, match=r"There is no teacher to ask.*Set `distiller.teacher = ...`"):
        fit(second, images, INTEGERS)

    second.teacher = scripted_teacher
    fit(second, images, INTEGERS, epochs=2, batch_size=4)
    assert_same_weights(weights_of(second.student), weights_of(through.student))


def test_the_teacher_is_in_no_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    images = keras.Input(SCRIPTED_SHAPE)
    hidden = keras.layers.Dense(20_000, name="of_the_teacher")(keras.layers.Flatten()(images))
    teacher = keras.Model(images, keras.layers.Dense(CLASSES)(hidden), name="the_teacher")
    distiller = compiled(teacher=teacher, options={"optimizer": keras.optimizers.SGD(0.1, momentum=0.9)})
    fit(distiller, script(*random_logits()), INTEGERS)
    distiller.save(tmp_path / "distiller.keras")
    distiller.save_weights(tmp_path / "distiller.weights.h5")
    distiller.student.save(tmp_path / "student.keras")
    with zipfile.ZipFile(tmp_path / "distiller.keras") as archive:
        config = json.loads(archive.read("config.json"))
        archive.extract("model.weights.h5", tmp_path)
    assert "student" in config["config"]
    assert "teacher" not in json.dumps(config)
    for file in ("model.weights.h5", "distiller.weights.h5"):
        scalars = []
        with h5py.File(tmp_path / file) as weights:
            weights.visititems(lambda _, item, scalars=scalars: scalars.append(getattr(item, "size", 0)))
        student = distiller.student.count_params()
        assert sum(scalars) >= (2 if file.startswith("model") else 1) * student  # with the momenta
        assert sum(scalars) < 4 * student  # metrics and counters; the teacher has 340,004 parameters
    assert (tmp_path / "distiller.keras").stat().st_size < 200_000

    alone = keras.saving.load_model(tmp_path / "student.keras")
    assert_same_weights(weights_of(alone), weights_of(distiller.student), tolerance=0)
    fresh = compiled(teacher=None, options={"optimizer": keras.optimizers.SGD(0.1, momentum=0.9)})
    fresh.load_weights(tmp_path / "distiller.weights.h5")
    assert_same_weights(weights_of(fresh.student), weights_of(distiller.student), tolerance=0)


def test_a_deit_student_stands_alone(tmp_path):
    student, images = small_deit(), small_images()
    distiller = compiled(student, conv_teacher(CLASSES, (16, 16, 3)), options={"optimizer": "adam"})
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "epoch.weights.h5", save_weights_only=True)
    fit(distiller, images, np.arange(8) % CLASSES, callbacks=[checkpoint])
    assert distiller.student is student
    predicted = distiller.predict(images, verbose=0)
    for path in ("student.keras", "distiller.keras"):
        (student if path.startswith("student") else distiller).save(tmp_path / path)
        loaded = keras.saving.load_model(tmp_path / path)
        assert isinstance(loaded, kd.DeiT if path.startswith("student") else kd.Distiller)
        received = loaded.predict(images, verbose=0)
        for head in HEADS:
            np.testing.assert_allclose(received[head], predicted[head], atol=1e-6)


def test_predict_returns_what_the_student_predicts():
    images = script(*random_logits())
    for student in (scripted_student(), scripted_student(distilled=False)):
        distiller = compiled(student)
        expected = student.predict(images, verbose=0)
        for x in (images, {"image": images}, {"image": images, "teacher": random_logits()[2]}):
            keras.tree.map_structure(np.testing.assert_array_equal, distiller.predict(x, verbose=0), expected)


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"distillation": "medium"}, r"`distillation` must be one of \('hard', 'soft'\). Received: 'medium'"),
        ({"alpha": 1.5}, r"`alpha` must lie in 0..1. Received: alpha=1.5"),
        ({"temperature": 0}, "`temperature` must be positive"),
        ({"attention_weight": -1}, "`attention_weight` must not be negative"),
        ({"soft_reduction": "mean"}, "`soft_reduction` must be one of"),
        ({"fusion": "median"}, "`fusion` must be one of"),
    ],
)
def test_an_argument_out_of_range_raises(arguments, message):
    with pytest.raises(ValueError, match=message):
        kd.Distiller(scripted_student(), scripted_teacher, **arguments)


def test_a_fusion_that_needs_a_second_head_raises():
    with pytest.raises(ValueError, match="fusion='distillation' needs a distillation head"):
        kd.Distiller(scripted_student(distilled=False), scripted_teacher, fusion="distillation")


def test_swapped_arguments_raise_with_a_hint():
    with pytest.raises(ValueError, match="Are student and teacher swapped. Here the student comes first"):
        kd.Distiller(conv_teacher(), scripted_student())
    with pytest.raises(ValueError, match="Are student and teacher swapped"):
        kd.Distiller(kd.Teacher(scripted_teacher), scripted_student())


def test_settings_are_keyword_only():
    with pytest.raises(TypeError, match="positional argument"):
        kd.Distiller(scripted_student(), scripted_teacher, "soft")


def test_a_bare_teacher_with_two_heads_answers_with_their_mean():
    student, teacher, images = small_deit(), small_deit(), small_images()
    fused = teacher.predict(images, verbose=0)
    fused = (fused["class"] + fused["distillation"]) / 2
    logs = [evaluate(compiled(student, model), images, np.zeros(8)) for model in (teacher, None)[:1]]
    logs.append(evaluate(compiled(student, None), {"image": images, "teacher": fused}, np.zeros(8)))
    np.testing.assert_allclose(logs[0]["distillation_loss"], logs[1]["distillation_loss"], rtol=1e-5)


def test_a_teacher_of_another_size_raises_unless_declared():
    student, teacher = small_deit(), conv_teacher(CLASSES, (32, 32, 3))
    with pytest.raises(
        ValueError, match=r"takes images of shape \(32, 32, 3\).*shown \(16, 16, 3\).*image_size=\(32, 32\)"
    ):
        kd.Distiller(student, teacher)
    kd.Distiller(student, kd.Teacher(teacher, image_size=32))


def test_a_student_of_any_image_size_learns():
    images = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D(data_format="channels_last")(images)
    student = keras.Model(images, keras.layers.Dense(CLASSES)(pooled))
    logs = fit(
        compiled(student, lambda images: images[:, 0, 0, :1] * ops.arange(4.0)), small_images(size=11), np.zeros(8)
    )
    assert np.isfinite(logs["loss"])


def test_a_student_of_unknown_or_other_outputs_raises():
    class Subclassed(keras.Model):
        def call(self, images):
            return images

    with pytest.raises(ValueError, match="inputs and outputs must be known: wrap a subclassed model as"):
        kd.Distiller(Subclassed(), scripted_teacher)
    student = scripted_student()
    for outputs in ({"logits": student.output["class"]}, list(student.output.values())):
        with pytest.raises(ValueError, match=r"dictionary that has `class`.*Received outputs"):
            kd.Distiller(keras.Model(student.input, outputs), scripted_teacher)


def test_a_teacher_of_other_classes_raises():
    with pytest.raises(ValueError, match=r"student's 4 classes.*shape=\(2, 5\).*num_classes=5"):
        kd.Distiller(scripted_student(), conv_teacher(num_classes=5))


def test_a_teacher_of_probabilities_raises_unless_declared():
    teacher = conv_teacher(activation="softmax")
    with pytest.raises(ValueError, match="look like probabilities"):
        kd.Distiller(scripted_student(), teacher)
    kd.Distiller(scripted_student(), kd.Teacher(teacher, outputs="probabilities"))


def test_a_teacher_that_is_the_student_raises():
    student = scripted_student(distilled=False)
    with pytest.raises(ValueError, match="Teacher and student share variables. Give the teacher its own"):
        kd.Distiller(student, student)


def test_attention_of_models_without_any_raises():
    with pytest.raises(ValueError, match="needs a transformer teacher"):
        kd.Distiller(small_deit(), conv_teacher(CLASSES, (16, 16, 3)), attention_weight=0.1)
    teacher = kd.DeiTClassifier(small_deit(image_size=2, patch_size=1))
    with pytest.raises(ValueError, match="needs a student that gives its attention maps"):
        kd.Distiller(scripted_student(), teacher, attention_weight=0.1)


def test_attention_over_another_number_of_patches_raises():
    teacher = kd.DeiTClassifier(small_deit(patch_size=4))
    with pytest.raises(ValueError, match="Received: 16 patches of the teacher, 4 of the student"):
        kd.Distiller(small_deit(), teacher, attention_weight=0.1)


@pytest.mark.parametrize(
    "loss", [None, {"class": crossentropy()}, [crossentropy()]], ids=["none", "dictionary", "list"]
)
def test_anything_but_one_criterion_raises(loss):
    with pytest.raises(ValueError, match="`loss` must be one criterion, that of the class head, for example"):
        compiled(options={"loss": loss})


@pytest.mark.parametrize(
    "loss", ["categorical_crossentropy", keras.losses.CategoricalCrossentropy()], ids=["name", "object"]
)
def test_a_criterion_of_probabilities_raises(loss):
    with pytest.raises(ValueError, match=r"would take them for probabilities.*`from_logits=True`"):
        compiled(options={"loss": loss})


def test_a_metric_with_the_name_of_a_log_raises():
    with pytest.raises(ValueError, match=r"needs a name of its own.*Received: 'accuracy'"):
        compiled(options={"weighted_metrics": ["accuracy"]})
    with pytest.raises(ValueError, match=r"needs a name of its own"):
        compiled(options={"metrics": [keras.metrics.TopKCategoricalAccuracy(4, name="accuracy")]})


@pytest.mark.parametrize("reduction", ["sum", "none", "mean_with_sample_weight"])
def test_a_criterion_of_another_reduction_raises(reduction):
    with pytest.raises(ValueError, match="must be the mean over the batch.*Received: reduction="):
        compiled(options={"loss": crossentropy(reduction=reduction)})


def test_labels_out_of_range_raise_before_training():
    images, labels = script(*random_logits()), np.array([0, 1, 2, 3, 4, 1])
    distiller = compiled()
    message = r"Expected class labels as integers from 0 to 3.*labels from 0 to 4"
    with pytest.raises(ValueError, match=message):
        distiller.fit(images, labels)
    with pytest.raises(ValueError, match=message):
        distiller.fit(images, ops.convert_to_tensor(labels))
    with pytest.raises(ValueError, match=message):
        distiller.evaluate(images, labels)
    with pytest.raises(ValueError, match=message):
        distiller.fit(images, INTEGERS, validation_data=(images, labels))


class OneBatch(keras.utils.PyDataset):
    """One batch of images and whatever else."""

    num_batches = 1

    def __init__(self, *batch):
        super().__init__()
        self.batch = batch

    def __getitem__(self, index):
        return self.batch


@pytest.mark.parametrize("impossible", [4, -2])
def test_labels_out_of_range_in_a_dataset_are_left_out_and_told_at_the_end_of_the_epoch(impossible):
    images, labels = script(*random_logits()), np.array([0, 1, 2, impossible, 3, impossible])
    expected = compiled()
    fit(expected, images, np.where(labels == impossible, -1, labels))
    distiller = compiled()
    for method in (distiller.fit, distiller.evaluate):
        with pytest.raises(ValueError, match="2 labels or stored decisions of this epoch were no class.*from 0 to 3"):
            method(OneBatch(images, labels), verbose=0)
        assert_same_weights(weights_of(distiller.student), weights_of(expected.student))
    assert set(fit(distiller, images, INTEGERS)) == FIT_LOGS  # and it goes on


def test_stored_decisions_out_of_range_in_a_dataset_are_left_out_and_told():
    images, decisions = script(*random_logits()), np.array([0, 9, 2, 3, -1, 1])
    distiller = compiled(teacher=None)
    with pytest.raises(ValueError, match="1 labels or stored decisions of this epoch were no class"):
        distiller.fit(OneBatch({"image": images, "teacher": decisions}, INTEGERS), verbose=0)
    logits = random_logits()
    nats = -np.log(softmax(logits[1]))
    fine = np.where(decisions == 9, -1, decisions)
    logs = evaluate(compiled(teacher=None), {"image": images, "teacher": fine}, INTEGERS)
    known = fine >= 0
    np.testing.assert_allclose(
        logs["distillation_loss"], nats[np.arange(EXAMPLES), fine][known].sum() / EXAMPLES, rtol=1e-5
    )


def test_labels_of_another_shape_raise():
    with pytest.raises(ValueError, match=r"rows of shape \(batch, 4\). Received: shape=\(6, 3\)"):
        compiled().fit(script(*random_logits()), np.zeros((EXAMPLES, 3)))


def test_rows_to_a_sparse_criterion_raise():
    distiller = compiled(options={"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True)})
    with pytest.raises(ValueError, match="rows over the classes, and the loss is a sparse one"):
        fit(distiller, script(*random_logits()), ONE_HOT)


def test_training_without_a_teacher_raises_and_leaves_the_student_whole():
    distiller, images = compiled(teacher=None), script(*random_logits())
    before = weights_of(distiller.student)
    with pytest.raises(ValueError, match="There is no teacher to ask"):
        fit(distiller, images, INTEGERS)
    assert_same_weights(weights_of(distiller.student), before, tolerance=0)
    with pytest.raises(ValueError, match="same classes"):
        evaluate(distiller, {"image": images, "teacher": np.zeros((EXAMPLES, 7), "float32")}, INTEGERS)
    assert_same_weights(weights_of(distiller.student), before, tolerance=0)
    distiller.teacher = scripted_teacher
    assert set(fit(distiller, images, INTEGERS)) == FIT_LOGS


def test_weights_that_keras_would_drop_raise():
    with pytest.raises(ValueError, match=r"To weight unlabelled images, pass y=np.full\(len\(images\), -1\)"):
        compiled().fit(script(*random_logits()), sample_weight=WEIGHTS)
    with pytest.raises(ValueError, match="Keras does not pass `sample_weight` on"):
        compiled().evaluate(script(*random_logits()), sample_weight=WEIGHTS)


def test_data_that_cannot_be_trained_on_raise():
    distiller, images = compiled(), script(*random_logits())
    with pytest.raises(ValueError, match="There are no images"):
        distiller.fit(images[:0], INTEGERS[:0])
    with pytest.raises(ValueError, match="labels of dtype <U"):
        distiller.fit(images, np.array(["cat"] * EXAMPLES))
    with pytest.raises(ValueError, match=r"dictionary with `image` and `teacher`. Received keys: \['images'\]"):
        distiller.fit({"images": images}, INTEGERS)
    with pytest.raises(ValueError, match="neither labels nor a teacher"):
        evaluate(compiled(teacher=None), images)


def test_stored_outputs_that_do_not_fit_raise():
    images = script(*random_logits())
    with pytest.raises(ValueError, match=r"Soft distillation needs the teacher's logits.*decisions of shape"):
        fit(compiled(teacher=None, distillation="soft"), {"image": images, "teacher": INTEGERS}, INTEGERS)
    with pytest.raises(ValueError, match="same classes"):
        fit(compiled(teacher=None), {"image": images, "teacher": np.zeros((EXAMPLES, 7), "float32")}, INTEGERS)
    with pytest.raises(
        ValueError, match="stored decisions as integers from 0 to 3 .-1 for none.. Received: from 0 to 9"
    ):
        fit(compiled(teacher=None), {"image": images, "teacher": np.array([0, 9, 1, 1, 1, 1])}, INTEGERS)
    probabilities = softmax(random_logits()[2]).astype("float32")
    with pytest.raises(ValueError, match="its answers look like probabilities"):
        fit(compiled(teacher=None, distillation="soft"), {"image": images, "teacher": probabilities}, INTEGERS)
