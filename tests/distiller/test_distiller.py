"""Losses, gradients and logs of the Distiller, and its teacher, against NumPy on models with known outputs."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_deit as kd
from tests.distiller.scripted import (
    BACKEND,
    CLASSES,
    EXAMPLES,
    FIT_LOGS,
    HEADS,
    INTEGERS,
    LEARNING_RATE,
    MIXED,
    ONE_HOT,
    SOME_UNLABELLED,
    WEIGHTS,
    assert_same_weights,
    compiled,
    crossentropy,
    evaluate,
    fit,
    random_logits,
    small_deit,
    small_images,
    weights_of,
)
from tests.toys import SCRIPTED_SHAPE, conv_teacher, run, script, scripted_student, scripted_teacher, softmax

pytestmark = pytest.mark.eager

# The loss and its gradients, in float64.


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


COMPILED_STEPS = (
    "hard, one-hot, weights",
    "hard, some rows empty, smoothing",
    "hard, unlabelled",
    "hard, sparse criterion",
    "soft, mixed, temperature 1, weights",
)


def compiled_in(names, cases):
    """Parameters of a test: the cases by name, of which some are compiled."""
    assert set(names) <= set(cases)
    return [
        pytest.param(case, id=name, marks=pytest.mark.compiled if name in names else ()) for name, case in cases.items()
    ]


@pytest.mark.parametrize("case", compiled_in(COMPILED_STEPS, STEPS))
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


@keras.saving.register_keras_serializable(package="tests")
def squared_error(teacher_logits, student_logits):
    return ops.mean(ops.square(teacher_logits - student_logits), axis=-1)


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(squared_error, marks=pytest.mark.compiled, id="own"),
        pytest.param(keras.losses.mean_squared_error, id="of Keras"),
    ],
)
@pytest.mark.parametrize("distilled", [True, False])
def test_a_step_with_a_function_as_distillation_is_that_of_the_formula(function, distilled):
    student, images = scripted_student(distilled), script(*random_logits())
    distiller = compiled(student, distillation=function, alpha=0.3)
    logits = student.predict(images, verbose=0)
    heads = {name: one.astype("float64") for name, one in (logits if distilled else {"class": logits}).items()}
    teacher = ops.convert_to_numpy(scripted_teacher(images)).astype("float64")
    terms, gradients = expected_step(
        heads, teacher, ONE_HOT, WEIGHTS, alpha=0.0
    )  # of the labels, which 1 - alpha weighs
    head = HEADS[distilled]
    weights = WEIGHTS.astype("float64")
    terms["distillation_loss"] = np.mean(weights * np.mean((teacher - heads[head]) ** 2, axis=-1))
    terms["loss"] = 0.3 * terms["distillation_loss"] + 0.7 * terms["class_loss"]
    gradients = {name: 0.7 * gradient for name, gradient in gradients.items()}
    gradients[head] += 0.3 * weights[:, None] * 2 * (heads[head] - teacher) / CLASSES / EXAMPLES
    assert_step_is(distiller, images, INTEGERS, WEIGHTS, terms, gradients, evaluated=True)


def test_a_function_as_distillation_has_half_of_the_weight_by_default_and_float32_logits():
    def dtypes(teacher_logits, student_logits):
        seen.update(keras.backend.standardize_dtype(logits.dtype) for logits in (teacher_logits, student_logits))
        return squared_error(teacher_logits, student_logits)

    seen = set()
    distiller = compiled(scripted_student(dtype="mixed_bfloat16"), distillation=dtypes)
    logs = evaluate(distiller, script(*random_logits()), INTEGERS)
    assert seen == {"float32"}
    np.testing.assert_allclose(logs["loss"], 0.5 * (logs["class_loss"] + logs["distillation_loss"]), rtol=1e-5)


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


@pytest.mark.parametrize("distilled", [pytest.param(True, marks=pytest.mark.compiled), False])
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


@pytest.mark.compiled
def test_regularisation_is_added_once_independently_of_alpha():
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


def test_the_mean_of_a_replica_without_examples_is_zero_and_others_add_their_share(monkeypatch):
    distiller = kd.Distiller(small_deit(), teacher=None)
    monkeypatch.setattr(kd.Distiller, "num_replicas", lambda self: 2)
    assert float(distiller._reduce(ops.zeros((0,)), None)) == 0
    assert float(distiller._reduce(ops.convert_to_tensor([1.0, 2.0, 6.0]), None)) == pytest.approx(1.5)


def test_class_weights_are_the_sample_weights_of_their_classes():
    images, class_weight = script(*random_logits()), {0: 2.0, 1: 0.5, 3: 0.0}
    by_class, by_example = compiled(), compiled()
    logs = fit(by_class, images, INTEGERS, class_weight=class_weight)
    sample_weight = np.array([class_weight.get(label, 1.0) for label in INTEGERS])
    expected = fit(by_example, images, INTEGERS, sample_weight=sample_weight)
    np.testing.assert_allclose(logs["loss"], expected["loss"], rtol=1e-6)
    assert_same_weights(weights_of(by_class.student), weights_of(by_example.student))


class OwnLossOfIntegers(keras.losses.Loss):
    def call(self, y_true, y_pred):
        targets = ops.one_hot(ops.cast(y_true, "int32"), CLASSES)
        return -ops.sum(targets * ops.log_softmax(y_pred, axis=-1), axis=-1)


@pytest.mark.compiled
def test_an_own_loss_of_integers_is_right_in_a_batch_of_as_many_images_as_classes():
    images = script(*random_logits())[:CLASSES]
    labels, nats = INTEGERS[:CLASSES], -np.log(softmax(random_logits()[0]))
    logs = evaluate(compiled(options={"loss": OwnLossOfIntegers()}), images, labels)
    np.testing.assert_allclose(logs["class_loss"], nats[np.arange(CLASSES), labels].mean(), rtol=1e-5)


UNLABELLED = {
    "integers": np.where(SOME_UNLABELLED, INTEGERS, -1),
    "rows of zeros": ONE_HOT * SOME_UNLABELLED[:, None].astype("float32"),
    "rows of -1": np.where(SOME_UNLABELLED[:, None], ONE_HOT, -1),
}


def as_generator(*batch):
    yield batch


CLASS_WEIGHT_CASES = {
    f"{method}, {labels}": (method, labels)
    for method in ("fit", "fit a generator", "train_on_batch")
    for labels in UNLABELLED
}
COMPILED_CLASS_WEIGHT_CASES = ("fit, integers", *(f"train_on_batch, {labels}" for labels in UNLABELLED))


@pytest.mark.parametrize("case", compiled_in(COMPILED_CLASS_WEIGHT_CASES, CLASS_WEIGHT_CASES))
def test_an_unlabelled_example_has_the_class_weight_one(case):
    method, labels = case
    images, class_weight = script(*random_logits()), {0: 10.0, 1: 0.5, 3: 2.0}
    y, sample_weight = UNLABELLED[labels], np.array([1, 2, 0.5, 1, 3, 1], "float32")
    weights = sample_weight * np.where(SOME_UNLABELLED, [class_weight.get(label, 1) for label in INTEGERS], 1)
    distiller, expected = compiled(distillation="soft"), compiled(distillation="soft")
    reference = fit(expected, images, UNLABELLED["integers"], sample_weight=weights)
    if method == "train_on_batch":
        logs = distiller.train_on_batch(images, y, sample_weight, class_weight, return_dict=True)
    else:
        arrays = {"x": images, "y": y, "sample_weight": sample_weight}
        data = arrays if method == "fit" else {"x": as_generator(*arrays.values())}
        logs = fit(distiller, **data, class_weight=class_weight)
    for name in ("loss", "class_loss", "distillation_loss"):
        np.testing.assert_allclose(logs[name], reference[name], rtol=1e-5)
    assert_same_weights(weights_of(distiller.student), weights_of(expected.student))


@pytest.mark.compiled
def test_class_weights_hold_for_their_own_fit_and_not_for_validation():
    images, frozen = script(*random_logits()), {"optimizer": keras.optimizers.SGD(0.0)}
    distiller = compiled(options=frozen)
    plain = fit(distiller, images, INTEGERS)
    weighted = fit(
        distiller, images, INTEGERS, class_weight=dict.fromkeys(range(CLASSES), 3.0), validation_data=(images, INTEGERS)
    )
    for name in ("loss", "class_loss", "distillation_loss"):
        np.testing.assert_allclose([weighted[name], weighted[f"val_{name}"]], [3 * plain[name], plain[name]], rtol=1e-5)
    assert fit(distiller, images, INTEGERS) == plain


# The logs.


def test_the_list_of_evaluate_is_in_the_order_of_the_names():
    images, distiller = script(*random_logits()), compiled(teacher=None)
    metrics = {"class": [keras.metrics.TopKCategoricalAccuracy(2, name="top_two")], "distillation": []}
    by_head = compiled(options={"metrics": metrics})
    for model, data in ((distiller, (images, INTEGERS)), (by_head, (images, INTEGERS)), (by_head, (images,))):
        for method in (model.evaluate, model.test_on_batch):
            logs = method(*data, return_dict=True)
            values = method(*data)
            assert model.metrics_names[0] == "loss"
            assert sorted(model.metrics_names) == sorted(logs)
            np.testing.assert_allclose(values, [logs[name] for name in model.metrics_names], rtol=1e-6)


def test_the_loss_needs_compile():
    distiller = kd.Distiller(scripted_student(), scripted_teacher)
    with pytest.raises(ValueError, match="call `compile` first"):
        distiller.compute_loss(y=np.zeros(2, "int32"), y_pred={})


def test_an_own_training_loop_has_the_loss_of_fit():
    images, weights = script(*random_logits()), np.array([1, 2, 0.5, 1, 3, 1], "float32")
    distiller = compiled(distillation="soft", options={"optimizer": keras.optimizers.SGD(0.0)})
    expected = fit(distiller, images, INTEGERS, sample_weight=weights)
    batch = [ops.convert_to_tensor(array) for array in (images, INTEGERS, weights)]
    x, y, sample_weight = distiller.add_teacher_outputs(tuple(batch), training=True)
    loss = distiller.compute_loss(x, y, distiller(x, training=True), sample_weight)
    np.testing.assert_allclose(ops.convert_to_numpy(loss), expected["loss"], rtol=1e-5)


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


def scripted_images():
    return script(*np.array(SCRIPTED_LOGITS, "float32").transpose(1, 0, 2))


def accuracies(logs):
    return {name: round(float(value), 5) for name, value in logs.items() if not name.endswith("loss")}


@pytest.mark.compiled
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


def test_validation_data_are_reported_in_every_epoch():
    images, others = script(*random_logits(0)), scripted_images()
    distiller = compiled(options={"optimizer": keras.optimizers.SGD(0.0)})
    logs = fit(distiller, images, INTEGERS, validation_data=(others, SCRIPTED_LABELS), epochs=2)
    assert set(logs) == FIT_LOGS | {f"val_{name}" for name in FIT_LOGS}
    np.testing.assert_allclose(logs["val_accuracy"], [5 / 6] * 2, rtol=1e-5)
    np.testing.assert_allclose(logs["val_loss"], [evaluate(distiller, others, SCRIPTED_LABELS)["loss"]] * 2, rtol=1e-5)


@pytest.mark.compiled
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


@pytest.mark.compiled
def test_validation_without_labels_of_training_with_them():
    distiller = compiled(options={"optimizer": keras.optimizers.SGD(0.0)})
    logs = fit(distiller, scripted_images(), SCRIPTED_LABELS, validation_split=0.5, epochs=2)
    assert set(logs) == FIT_LOGS | {f"val_{name}" for name in FIT_LOGS}
    np.testing.assert_allclose(logs["class_accuracy"], [1 / 3] * 2, rtol=1e-5)
    np.testing.assert_allclose(logs["val_class_accuracy"], [2 / 3] * 2, rtol=1e-5)
    unlabelled = evaluate(distiller, scripted_images())
    assert set(unlabelled) == {"loss", "distillation_loss", "teacher_agreement"}
    np.testing.assert_allclose(unlabelled["loss"], 0.5 * unlabelled["distillation_loss"], rtol=1e-6)


@pytest.mark.compiled
def test_batch_methods_report_the_same():
    images, distiller = script(*random_logits()), compiled(options={"optimizer": keras.optimizers.SGD(0.0)})
    expected = fit(distiller, images, INTEGERS)
    distiller.reset_metrics()
    for method in (distiller.train_on_batch, distiller.test_on_batch):
        logs = method(images, INTEGERS, return_dict=True)
        distiller.reset_metrics()
        assert set(logs) == set(expected)
        np.testing.assert_allclose(logs["loss"], expected["loss"], rtol=1e-6)


# Multi-label.

MULTI_LABEL = np.array(
    [[1, 0, 1, 0], [0, 0, 0, 0], [-1, -1, -1, -1], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0.7, 0, 0.2]], "float32"
)
LABELLED = MULTI_LABEL[:, 0] >= 0


def log_sigmoid(logits):
    return -np.logaddexp(0, -logits)


def binary_crossentropies(targets, logits):
    """The mean over the classes for each example."""
    return np.mean(-targets * log_sigmoid(logits) - (1 - targets) * log_sigmoid(-logits), axis=-1)


def binary_divergences(teacher, student):
    wanted, given = 1 / (1 + np.exp(-teacher)), 1 / (1 + np.exp(-student))
    return np.mean(wanted * np.log(wanted / given) + (1 - wanted) * np.log((1 - wanted) / (1 - given)), axis=-1)


MULTI_LABEL_CASES = {
    "hard": {},
    "hard, weights": {"weights": WEIGHTS},
    "labels alone": {"alpha": 0.0},
    "soft": {"distillation": "soft", "alpha": 0.4},
    "soft, official reduction": {"distillation": "soft", "soft_reduction": "official"},
    "own criterion, declared": {
        "multi_label": True,
        "loss": lambda y, logits: keras.losses.binary_crossentropy(y, logits, True),
    },
    "focal": {"loss": keras.losses.BinaryFocalCrossentropy(gamma=0.0, from_logits=True)},
}


@pytest.mark.parametrize("case", compiled_in(("hard, weights", "soft"), MULTI_LABEL_CASES))
def test_a_multi_label_step_decides_about_each_class(case):
    arguments = dict(case)
    loss = arguments.pop("loss", keras.losses.BinaryCrossentropy(from_logits=True))
    weights = arguments.pop("weights", None)
    weighting = np.ones(EXAMPLES) if weights is None else weights.astype("float64")
    logits = random_logits()
    student, distillation_head, teacher = logits
    fused, counted = (student + distillation_head) / 2, weighting > 0

    def accuracy(reference, logits, counted):
        return np.mean(((reference > 0.5) == (logits > 0))[counted])

    expected = {
        "class_loss": np.mean(weighting * LABELLED * binary_crossentropies(MULTI_LABEL.clip(0), student)),
        "accuracy": accuracy(MULTI_LABEL, fused, counted & LABELLED),
        "class_accuracy": accuracy(MULTI_LABEL, student, counted & LABELLED),
        "distillation_accuracy": accuracy(MULTI_LABEL, distillation_head, counted & LABELLED),
        "teacher_accuracy": accuracy(MULTI_LABEL, teacher, counted & LABELLED),
        "teacher_agreement": accuracy(teacher > 0, fused, counted),
    }
    alpha = arguments.get("alpha", 0.5)
    if arguments.get("distillation") == "soft":
        alpha = arguments.get("alpha", 0.1)
        values = 9 * binary_divergences(teacher / 3, distillation_head / 3)
    else:
        values = binary_crossentropies((teacher > 0).astype("float64"), distillation_head)
    expected["distillation_loss"] = np.mean(weighting * values)
    expected["loss"] = alpha * expected["distillation_loss"] + (1 - alpha) * expected["class_loss"]
    distiller = compiled(options={"loss": loss}, **arguments)
    for method in (evaluate, fit):
        logs = method(distiller, script(*logits), MULTI_LABEL, sample_weight=weights)
        assert set(logs) == FIT_LOGS
        for name, value in expected.items():
            np.testing.assert_allclose(logs[name], value, rtol=1e-5, err_msg=name)


@pytest.mark.compiled
def test_multi_label_metrics_see_rows_of_zeros_and_leave_unlabelled_ones_out():
    from sklearn.metrics import roc_auc_score

    logits = random_logits()
    fused, rows = (logits[0] + logits[1]) / 2, (MULTI_LABEL > 0.5).astype("float32")
    expected = roc_auc_score(rows[LABELLED], 1 / (1 + np.exp(-fused[LABELLED])), average="macro")
    areas = keras.metrics.AUC(multi_label=True, num_labels=CLASSES, from_logits=True, num_thresholds=2000, name="areas")
    hits = keras.metrics.BinaryAccuracy(threshold=0.5, name="hits")
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    distiller = compiled(options={"loss": loss, "metrics": [areas], "weighted_metrics": [hits]})
    logs = evaluate(distiller, script(*logits), np.where(LABELLED[:, None], rows, -1))
    np.testing.assert_allclose(logs["areas"], expected, atol=2e-3)
    np.testing.assert_allclose(logs["hits"], logs["accuracy"], rtol=1e-6)


def test_a_binary_loss_on_images_of_one_class_is_declared():
    images, loss = script(*random_logits()), keras.losses.BinaryCrossentropy(from_logits=True)
    distiller = compiled(multi_label=False, options={"loss": loss})
    logs = evaluate(distiller, images, np.where(SOME_UNLABELLED, INTEGERS, -1))
    student = random_logits()[0]
    expected = np.mean(SOME_UNLABELLED * binary_crossentropies(ONE_HOT.astype("float64"), student))
    np.testing.assert_allclose(logs["class_loss"], expected, rtol=1e-5)
    hits = student.argmax(-1) == INTEGERS
    np.testing.assert_allclose(logs["class_accuracy"], hits[SOME_UNLABELLED == 1].mean(), rtol=1e-6)


def test_stored_multi_label_logits_are_the_teachers():
    images, loss = script(*random_logits()), keras.losses.BinaryCrossentropy(from_logits=True)
    stored = {"image": images, "teacher": random_logits()[2].astype("float32")}
    live = evaluate(compiled(options={"loss": loss}), images, MULTI_LABEL)
    logs = evaluate(compiled(teacher=None, options={"loss": loss}), stored, MULTI_LABEL)
    assert logs == pytest.approx(live, rel=1e-6)


@pytest.mark.compiled
def test_unlabelled_images_learn_each_class_from_the_teacher():
    logits = random_logits()
    distiller = compiled(options={"loss": keras.losses.BinaryCrossentropy(from_logits=True)})
    logs = evaluate(distiller, script(*logits))
    expected = np.mean(binary_crossentropies((logits[2] > 0).astype("float64"), logits[1]))
    np.testing.assert_allclose(logs["distillation_loss"], expected, rtol=1e-5)


# The teacher.


@pytest.mark.compiled
def test_stored_outputs_train_the_same_weights_as_the_live_teacher():
    logits = random_logits()
    images, stored = script(*logits), logits[2].astype("float32")
    live = compiled()
    fit(live, images, INTEGERS, batch_size=4, epochs=3)
    other = lambda images: -scripted_teacher(images)  # noqa: E731  not used where there are stored outputs
    for teacher, outputs in ((other, stored), (None, stored.argmax(axis=-1))):
        taught = compiled(teacher=teacher)
        fit(taught, {"image": images, "teacher": outputs}, INTEGERS, batch_size=4, epochs=3)
        assert_same_weights(weights_of(taught.student), weights_of(live.student))
    soft = compiled(distillation="soft")
    fit(soft, images, epochs=2)
    taught = compiled(teacher=None, distillation="soft")
    fit(taught, {"image": images, "teacher": stored}, epochs=2)
    assert_same_weights(weights_of(taught.student), weights_of(soft.student))


@pytest.mark.compiled
def test_the_teacher_does_not_change_while_the_student_learns():
    student, teacher = conv_teacher(), conv_teacher()  # both with moving statistics and dropout
    images = script(*random_logits())
    options = {"optimizer": keras.optimizers.Adam(0.01)}
    distiller = compiled(student, teacher, distillation="soft", options=options)
    before, predictions = weights_of(teacher), teacher.predict(images, verbose=0)
    students = weights_of(student)
    first = fit(distiller, images, INTEGERS, batch_size=2, epochs=2, validation_data=(images, INTEGERS))
    assert len(before) == 9  # two kernels and biases, batch norm's four, and the seed of dropout
    for value, reference in zip(weights_of(teacher), before, strict=True):
        np.testing.assert_array_equal(value, reference)
    np.testing.assert_array_equal(teacher.predict(images, verbose=0), predictions)
    for value, former in zip(weights_of(student), students, strict=True):
        seed = value.dtype.kind in "iu"  # PyTorch's own dropout leaves Keras's seed as it is
        assert seed or np.any(value != former)
    assert all(layer.trainable for layer in teacher.layers)
    assert {variable.path for variable in distiller.trainable_variables} == {
        variable.path for variable in distiller.student.trainable_variables
    }
    # The reported loss is that of the teacher's predictions in inference mode.
    stored = compiled(distiller.student, None, distillation="soft")
    logs = evaluate(stored, {"image": images, "teacher": predictions}, INTEGERS)
    np.testing.assert_allclose(first["val_distillation_loss"][-1], logs["distillation_loss"], rtol=1e-5)


@pytest.mark.compiled
def test_another_teacher_takes_effect_at_once():
    # The two teachers have the same signature, so only the Distiller can discard the compiled functions of the first.
    class_logits, distillation_logits, teacher_logits = random_logits()
    images = script(class_logits, distillation_logits, teacher_logits)
    distiller = compiled(options={"optimizer": keras.optimizers.SGD(0.0)})
    for sign in (1, -1):
        distiller.teacher = lambda images, sign=sign: sign * scripted_teacher(images)
        heads = {"class": class_logits, "distillation": distillation_logits}
        expected = expected_step(heads, sign * teacher_logits)[0]["distillation_loss"]
        for logs in (fit(distiller, images, INTEGERS), evaluate(distiller, images, INTEGERS)):
            np.testing.assert_allclose(logs["distillation_loss"], expected, rtol=1e-5)


@pytest.mark.compiled
def test_a_teacher_of_another_normalisation_size_and_kind_receives_its_own_input():
    scales = np.array([0.001, 0.002, 0.003, 0.004], "float32")

    def model(images):  # takes 4 × 4 pixels in 0..255
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


def test_the_normalisation_is_that_of_the_students_record_unless_it_is_given():
    record = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    student = small_deit(preprocessing=record)
    distiller = kd.Distiller(student, kd.Teacher(conv_teacher(CLASSES, (16, 16, 3)), value_range=(0, 1)))
    assert (distiller.image_mean, distiller.image_std) == ([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])
    assert kd.Distiller(small_deit(preprocessing=record), image_mean=0.5).image_mean == [0.5]
    assert kd.Distiller(small_deit()).image_mean == list(kd.IMAGENET_MEAN)


@pytest.mark.compiled
def test_a_layer_that_refuses_gradients_does_refuse_them():
    student = scripted_student(distilled=False)
    outputs = NoGradient()(keras.layers.Dense(CLASSES)(student.output))
    model = keras.Model(student.input, outputs)
    model.compile("sgd", crossentropy())
    with pytest.raises(AssertionError):
        model.fit(script(*random_logits()), ONE_HOT, verbose=0)


@pytest.mark.compiled
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


@pytest.mark.compiled
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
