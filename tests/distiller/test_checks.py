"""Arguments and data that a Distiller refuses, and unusual ones that it accepts."""

import warnings

import keras
import numpy as np
import pytest
from keras import ops

import keras_deit as kd
from keras_deit.runtime.keras_private import UnsupportedKerasError
from tests.distiller.scripted import (
    BACKEND,
    CLASSES,
    EXAMPLES,
    FIT_LOGS,
    INTEGERS,
    ONE_HOT,
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
from tests.toys import conv_teacher, script, scripted_student, scripted_teacher, softmax

pytestmark = pytest.mark.eager


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"distillation": "medium"},
            r"`distillation` must be one of \('hard', 'soft'\), or a function.*Received: 'medium'",
        ),
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


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("function", "received"),
    [
        (lambda teacher, student: ops.mean(teacher - student), r"shape=\(\)"),
        (lambda teacher, student: teacher - student, r"shape=\(6, 4\)|shape=\(None, 4\)"),
        (lambda teacher, student: None, "NoneType"),
        (keras.losses.MeanSquaredError(), r"shape=\(\)"),
    ],
    ids=["a mean", "a value for each class", "nothing", "a loss that averages"],
)
def test_a_function_as_distillation_that_does_not_return_one_value_an_example_raises(function, received):
    distiller = compiled(distillation=function)
    message = rf"must return one value for each example, a tensor \(batch,\).*reduction='none'. Received: ({received})"
    with pytest.raises(ValueError, match=message):
        fit(distiller, script(*random_logits()), INTEGERS)


@pytest.mark.parametrize(
    "loss",
    [
        keras.losses.KLDivergence(reduction="none"),
        keras.losses.kl_divergence,
        keras.losses.CategoricalCrossentropy(reduction="none"),
        keras.losses.CategoricalCrossentropy(from_logits=True, reduction="none"),
        keras.losses.BinaryFocalCrossentropy(from_logits=True, reduction="none"),
    ],
    ids=lambda loss: getattr(loss, "name", None) or loss.__name__,
)
def test_a_loss_of_keras_that_compares_probabilities_is_no_distillation(loss):
    with pytest.raises(ValueError, match="gets logits of teacher and student.*Pass `distillation='soft'`"):
        kd.Distiller(scripted_student(), scripted_teacher, distillation=loss)


def test_a_loss_of_keras_between_logits_is_a_distillation():
    loss = keras.losses.MeanSquaredError(reduction="none")
    teacher, student = random_logits(1), random_logits(2)
    distiller = compiled(scripted_student(), scripted_teacher, distillation=loss)
    x = script(student, student, teacher)
    expected = np.mean((teacher.astype("float64") - student) ** 2)
    np.testing.assert_allclose(evaluate(distiller, x)["distillation_loss"], expected, rtol=1e-5)


def test_a_function_without_a_module_is_a_distillation():
    namespace = {"__name__": None}
    exec("def distance(teacher, student):\n    return abs(teacher - student).mean(-1)", namespace)
    assert namespace["distance"].__module__ is None
    kd.Distiller(scripted_student(), scripted_teacher, distillation=namespace["distance"])


def test_a_function_as_distillation_needs_stored_logits_rather_than_decisions():
    distiller = compiled(teacher=None, distillation=keras.losses.mean_squared_error)
    with pytest.raises(
        ValueError, match=r"a function of logits, or multi-label classes need the teacher's logits.*decisions of shape"
    ):
        fit(distiller, {"image": script(*random_logits()), "teacher": INTEGERS}, INTEGERS)


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


def test_a_bare_teacher_with_two_heads_predicts_their_mean():
    student, teacher, images = small_deit(), small_deit(), small_images()
    fused = teacher.predict(images, verbose=0)
    fused = (fused["class"] + fused["distillation"]) / 2
    live = evaluate(compiled(student, teacher), images, np.zeros(8))
    stored = evaluate(compiled(student, None), {"image": images, "teacher": fused}, np.zeros(8))
    np.testing.assert_allclose(live["distillation_loss"], stored["distillation_loss"], rtol=1e-5)


def test_a_teacher_of_another_size_raises_unless_declared():
    student, teacher = small_deit(), conv_teacher(CLASSES, (32, 32, 3))
    with pytest.raises(
        ValueError, match=r"takes images of shape \(32, 32, 3\).*receive \(16, 16, 3\).*image_size=\(32, 32\)"
    ):
        kd.Distiller(student, teacher)
    kd.Distiller(student, kd.Teacher(teacher, image_size=32))


@pytest.mark.compiled
def test_a_student_of_any_image_size_learns():
    images = keras.Input((None, None, 3))
    pooled = keras.layers.GlobalAveragePooling2D(data_format="channels_last")(images)
    student = keras.Model(images, keras.layers.Dense(CLASSES)(pooled))
    logs = fit(
        compiled(student, lambda images: images[:, 0, 0, :1] * ops.arange(4.0)), small_images(size=11), np.zeros(8)
    )
    assert np.isfinite(logs["loss"])


@pytest.mark.parametrize(
    "end",
    [
        [keras.layers.Dense(CLASSES, activation="softmax")],
        [keras.layers.Dense(CLASSES), keras.layers.Activation("sigmoid")],
        [keras.layers.Dense(CLASSES), keras.layers.Softmax()],
        [keras.Sequential([keras.layers.Dense(CLASSES, activation="softmax")])],
    ],
    ids=["activation", "Activation", "Softmax", "nested"],
)
def test_a_student_that_ends_in_probabilities_raises(end):
    """The softmax of a softmax is nearly flat, and the student would learn next to nothing."""
    images = keras.Input((8, 8, 3))
    outputs = keras.layers.Flatten()(images)
    for layer in end:
        outputs = layer(outputs)
    with pytest.raises(ValueError, match="must return logits, and it ends in a (softmax|sigmoid)"):
        kd.Distiller(keras.Model(images, outputs))


@pytest.mark.parametrize("probabilities", ["class", "distillation"])
@pytest.mark.parametrize("end", ["activation", "function", "nested"])
def test_a_student_one_of_whose_heads_ends_in_probabilities_raises(end, probabilities):
    images = keras.Input((8, 8, 3))
    features = keras.layers.Flatten()(images)
    logits = {name: keras.layers.Dense(CLASSES, name=name) for name in ("class", "distillation")}
    logits[probabilities].activation = keras.activations.softmax if end == "activation" else keras.activations.linear
    heads = {name: layer(features) for name, layer in logits.items()}
    if end == "function":
        heads[probabilities] = ops.softmax(heads[probabilities])
    if end == "nested":
        inner = keras.Model(images, ops.sigmoid(heads[probabilities]))
        heads[probabilities] = inner(images)
    with pytest.raises(
        ValueError, match=rf"must return logits, and its output '{probabilities}' ends in a (softmax|sig)"
    ):
        kd.Distiller(keras.Model(images, heads))


def test_a_student_around_a_model_with_two_heads_of_logits_is_accepted():
    images, again = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    features = keras.layers.Flatten()(images)
    heads = {name: keras.layers.Dense(CLASSES)(features) for name in ("class", "distillation")}
    inner = keras.Model(images, {**heads, "other": keras.layers.Softmax()(features)})
    outputs = inner(again)
    kd.Distiller(keras.Model(again, {name: outputs[name] for name in heads}))
    kd.Distiller(keras.Model(again, outputs["class"]))


def test_a_model_of_keras_applications_as_a_student_needs_its_logits():
    options = dict(weights=None, classes=CLASSES, input_shape=(32, 32, 3), alpha=0.25)
    with pytest.raises(ValueError, match="classifier_activation=None"):
        kd.Distiller(keras.applications.MobileNet(**options))
    kd.Distiller(keras.applications.MobileNet(**options, classifier_activation=None))


def test_a_student_of_other_inputs_than_images_raises():
    images, metadata = keras.Input((4, 4, 3), name="image"), keras.Input((5,), name="metadata")
    flat = keras.layers.Flatten()(images)
    logits = keras.layers.Dense(CLASSES)
    students = [
        keras.Model({"image": images, "metadata": metadata}, logits(keras.layers.Concatenate()([flat, metadata]))),
        keras.Sequential([keras.Input((12,)), keras.layers.Dense(CLASSES)]),
    ]
    for student in students:
        with pytest.raises(ValueError, match=r"must take one tensor of images \(batch, height, width, channels\)"):
            kd.Distiller(student, scripted_teacher)


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
    with pytest.raises(ValueError, match=r"student's 4 classes.*shape=\(4, 5\).*num_classes=5"):
        kd.Distiller(scripted_student(), conv_teacher(num_classes=5))


def test_a_teacher_of_probabilities_raises_unless_declared():
    teacher = conv_teacher(activation="softmax")
    with pytest.raises(ValueError, match="look like probabilities"):
        kd.Distiller(scripted_student(), teacher)
    kd.Distiller(scripted_student(), kd.Teacher(teacher, outputs="probabilities"))


def _warned(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [warning for warning in caught if "random predictions would be" in str(warning.message)]


@pytest.mark.compiled
@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_a_teacher_at_chance_is_warned_of_once(method):
    teacher_logits = np.eye(CLASSES)[np.arange(40) % CLASSES]
    images, labels = script(teacher_logits, teacher_logits, teacher_logits), np.arange(40) % CLASSES
    wrong, distiller = (labels + 1) % CLASSES, compiled()
    calls = {
        "fit": lambda: fit(distiller, images, wrong, validation_data=(images, wrong), epochs=2, batch_size=8),
        "evaluate": lambda: evaluate(distiller, images, wrong, batch_size=8),
    }
    (warning,) = _warned(calls[method])
    expected = (
        "The teacher is right on 0.0% of 40 test images, less often than random predictions would be (25.0% with 4"
    )
    assert str(warning.message).startswith(expected)
    assert warning.filename.endswith("scripted.py")  # which calls `fit` and `evaluate`
    assert not _warned(calls[method])
    distiller.teacher = scripted_teacher  # another one is questioned anew
    assert len(_warned(calls[method])) == 1
    distiller.teacher = scripted_teacher
    assert not _warned(lambda: evaluate(distiller, images, labels))  # it is right
    assert not _warned(lambda: evaluate(distiller, images))  # nothing tells
    assert not _warned(lambda: fit(distiller, images, wrong))  # no validation


def test_a_teacher_that_is_the_student_raises():
    student = scripted_student(distilled=False)
    with pytest.raises(ValueError, match="Teacher and student share variables. Give the teacher its own"):
        kd.Distiller(student, student)


def test_attention_of_models_without_any_raises():
    with pytest.raises(ValueError, match="needs a transformer teacher"):
        kd.Distiller(small_deit(), conv_teacher(CLASSES, (16, 16, 3)), attention_weight=0.1)
    teacher = kd.DeiTClassifier(small_deit(image_size=2, patch_size=1))
    with pytest.raises(ValueError, match="needs a student with a method `call_with_attention`"):
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


BINARY = keras.losses.BinaryCrossentropy(from_logits=True)


@pytest.mark.parametrize(
    ("loss", "arguments", "message"),
    [
        (keras.losses.SparseCategoricalCrossentropy(from_logits=True), {"multi_label": True}, "an image has one class"),
        (BINARY, {"fusion": "mean_probabilities"}, "no softmax over the classes.*Choose `fusion='mean_logits'`"),
    ],
)
def test_what_takes_classes_as_exclusive_raises_with_several_labels(loss, arguments, message):
    with pytest.raises(ValueError, match=message):
        compiled(options={"loss": loss}, **arguments)


@pytest.mark.compiled
def test_a_single_logit_needs_a_binary_loss():
    student = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Flatten(), keras.layers.Dense(1)])
    images, labels = script(*random_logits()), np.array([0, 1, 1, 0, -1, 1])
    for loss in (crossentropy(), keras.losses.SparseCategoricalCrossentropy(from_logits=True), "mse"):
        with pytest.raises(
            ValueError, match="student has one logit.*num_classes=2.*BinaryCrossentropy.from_logits=True."
        ):
            compiled(student, lambda images: images[:, 0, 0, :1], options={"loss": loss})
    logits = student.predict(images, verbose=0).astype("float64").ravel()
    for shape in ((-1,), (-1, 1)):
        distiller = compiled(student, lambda images: images[:, 0, 0, :1], options={"loss": BINARY})
        logs = evaluate(distiller, images, labels.reshape(shape))
        known = labels >= 0
        losses = np.logaddexp(0, -logits) * labels + np.logaddexp(0, logits) * (1 - labels)
        np.testing.assert_allclose(logs["class_loss"], np.sum(losses[known]) / EXAMPLES, rtol=1e-5)
        np.testing.assert_allclose(logs["accuracy"], np.mean(((logits > 0) == labels)[known]), rtol=1e-6)
        taught = images[:, 0, 0, 0] > 0
        losses = np.where(taught, np.logaddexp(0, -logits), np.logaddexp(0, logits))
        np.testing.assert_allclose(logs["distillation_loss"], np.mean(losses), rtol=1e-5)
        np.testing.assert_allclose(logs["teacher_agreement"], np.mean((logits > 0) == taught), rtol=1e-6)


def test_a_teacher_of_softmax_probabilities_raises_with_several_labels():
    teacher = kd.Teacher(conv_teacher(activation="softmax"), outputs="probabilities")
    with pytest.raises(ValueError, match="needs a teacher that decides about each class.*a softmax over the classes"):
        compiled(teacher=teacher, options={"loss": BINARY})
    distiller = compiled(options={"loss": BINARY})
    with pytest.raises(ValueError, match="needs a teacher that decides about each class"):
        distiller.teacher = teacher


def test_labels_that_do_not_fit_a_multi_label_loss_raise():
    distiller, images = compiled(options={"loss": BINARY}), script(*random_logits())
    with pytest.raises(ValueError, match=r"rows of shape \(batch, 4\).*Received: shape=\(6,\).*`multi_label=False`"):
        distiller.fit(images, INTEGERS)
    with pytest.raises(ValueError, match="Pass `sample_weight` instead of `class_weight`"):
        distiller.fit(images, ONE_HOT, class_weight={0: 2.0})
    with pytest.raises(ValueError, match="a value in 0..1 for each class"):
        distiller.fit(images, ONE_HOT - 0.5)
    with pytest.raises(ValueError, match="rows that give each image one class.*BinaryCrossentropy"):
        compiled().fit(images, ONE_HOT + ONE_HOT[::-1])
    with pytest.raises(ValueError, match="multi-label classes need the teacher's logits.*decisions of shape"):
        fit(compiled(teacher=None, options={"loss": BINARY}), {"image": images, "teacher": INTEGERS}, ONE_HOT)


@pytest.mark.parametrize("class_weight", [{"cat": 2.0}, {4: 2.0}, {-1: 0.0}, [1.0, 2.0, 1.0, 1.0]])
def test_class_weights_of_no_class_raise(class_weight):
    distiller, images = compiled(), script(*random_logits())
    for method in (distiller.fit, distiller.train_on_batch):
        with pytest.raises(ValueError, match="`class_weight` must be a dictionary from classes, integers from 0 to 3"):
            method(images, INTEGERS, class_weight=class_weight)


@pytest.mark.compiled
def test_several_labels_in_a_dataset_that_are_out_of_range_raise_at_the_end_of_the_epoch():
    images = script(*random_logits())
    with pytest.raises(ValueError, match="6 labels .* out of range.*Expected rows with a value in 0..1 for each class"):
        compiled(options={"loss": BINARY}).fit(GivenBatches((images, ONE_HOT - 0.5)), verbose=0)


def test_a_metric_with_the_name_of_a_log_raises():
    with pytest.raises(ValueError, match=r"must not have the name of a log.*Received: 'accuracy'"):
        compiled(options={"weighted_metrics": ["accuracy"]})
    with pytest.raises(ValueError, match="must not have the name of a log"):
        compiled(options={"metrics": [keras.metrics.TopKCategoricalAccuracy(4, name="accuracy")]})


def test_a_keras_that_has_renamed_the_end_of_an_epoch_raises_before_training(monkeypatch):
    trainer = next(base for base in keras.Model.__mro__ if "_get_metrics_result_or_logs" in vars(base))
    monkeypatch.delattr(trainer, "_get_metrics_result_or_logs")
    with pytest.raises(UnsupportedKerasError, match="`Model._get_metrics_result_or_logs` does not exist"):
        compiled()


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


class GivenBatches(keras.utils.PyDataset):
    """A dataset of these batches."""

    def __init__(self, *batches):
        super().__init__()
        self.batches = batches

    @property
    def num_batches(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


@pytest.mark.parametrize(
    "invalid",
    [pytest.param(4, marks=pytest.mark.compiled), -2, 0.5, -0.5, pytest.param(np.nan, marks=pytest.mark.compiled)],
)
def test_labels_out_of_range_in_a_dataset_are_left_out_and_raise_at_the_end_of_the_epoch(invalid):
    images, labels = script(*random_logits()), np.array([0, 1, 2, invalid, 3, invalid])
    expected = compiled()
    fit(expected, images, np.array([0, 1, 2, -1, 3, -1]))
    distiller = compiled()
    for method in (distiller.fit, distiller.evaluate):
        with pytest.raises(ValueError, match="2 labels of this epoch were out of range.*integers from 0 to 3"):
            method(GivenBatches((images, labels)), verbose=0)
        assert_same_weights(weights_of(distiller.student), weights_of(expected.student))
    assert set(fit(distiller, images, INTEGERS)) == FIT_LOGS  # the next epoch is not affected


@pytest.mark.parametrize("invalid", [pytest.param(9, marks=pytest.mark.compiled), np.nan])
def test_stored_decisions_out_of_range_in_a_dataset_are_left_out_and_raise_at_the_end_of_the_epoch(invalid):
    images, decisions = script(*random_logits()), np.array([0, invalid, 2, 3, -1, 1], "float32")
    x, fine = ({"image": images, "teacher": stored} for stored in (decisions, np.array([0, -1, 2, 3, -1, 1])))
    distiller, expected = compiled(teacher=None), compiled(teacher=None)
    fit(expected, GivenBatches((fine, INTEGERS), (fine, INTEGERS)))
    with pytest.raises(ValueError, match="1 outputs of the teacher in this epoch were not finite or out of range"):
        distiller.fit(GivenBatches((fine, INTEGERS), (x, INTEGERS)), verbose=0)
    assert_same_weights(weights_of(distiller.student), weights_of(expected.student))
    for data in ([GivenBatches((x, INTEGERS))], [x, INTEGERS]):
        with pytest.raises(ValueError, match="stored decisions as integers from 0 to 3"):
            distiller.fit(*data, verbose=0)


@pytest.mark.compiled
def test_stored_decisions_of_minus_one_add_nothing():
    images, decisions = script(*random_logits()), np.array([0, -1, 2, 3, -1, 1])
    logits = random_logits()
    nats = -np.log(softmax(logits[1]))
    logs = evaluate(compiled(teacher=None), {"image": images, "teacher": decisions}, INTEGERS)
    expected = nats[np.arange(EXAMPLES), decisions][decisions >= 0].sum() / EXAMPLES
    np.testing.assert_allclose(logs["distillation_loss"], expected, rtol=1e-5)


NOT_FINITE = {"hard": np.nan, "soft": np.inf}


@pytest.mark.parametrize("distillation", NOT_FINITE)
def test_stored_logits_that_are_not_finite_raise_before_training(distillation):
    stored = random_logits()[2].astype("float32")
    stored[1, 2] = NOT_FINITE[distillation]
    x = {"image": script(*random_logits()), "teacher": stored}
    distiller = compiled(teacher=None, distillation=distillation)
    for method in (distiller.fit, distiller.evaluate):
        for data in ([x, INTEGERS], [GivenBatches((x, INTEGERS))], [(batch for batch in [(x, INTEGERS)])]):
            with pytest.raises(ValueError, match="outputs .*must be finite. Received: NaN"):
                method(*data, verbose=0)


@pytest.mark.parametrize("distillation", [pytest.param("hard", marks=pytest.mark.compiled), "soft"])
def test_outputs_of_a_teacher_that_are_not_finite_are_left_out_and_raise_at_the_end_of_the_epoch(distillation):
    images = script(*random_logits())
    weight = np.array([1, 1, 0, 1, 0, 1], "float32")  # of the examples whose teacher is a number

    def teacher(images):
        logits = scripted_teacher(images)
        return ops.where(ops.max(logits, axis=-1, keepdims=True) > 50, NOT_FINITE[distillation], logits)

    spoilt = images.copy()
    spoilt.reshape(EXAMPLES, 12)[weight == 0, 8] = 60.0
    distiller = compiled(teacher=teacher, distillation=distillation, image_mean=0.0, image_std=0.01)
    expected = compiled(distillation=distillation, image_mean=0.0, image_std=0.01)
    fit(expected, images, np.full(EXAMPLES, -1), sample_weight=weight)
    with pytest.raises(ValueError, match="2 outputs of the teacher in this epoch were not finite"):
        distiller.fit(spoilt, np.full(EXAMPLES, -1), shuffle=False, verbose=0)
    assert_same_weights(weights_of(distiller.student), weights_of(expected.student))


@pytest.mark.parametrize("method", ["train_on_batch", "test_on_batch"])
def test_a_batch_is_checked_like_arrays(method):
    images, distiller = script(*random_logits()), compiled(teacher=None)
    stored = {"image": images, "teacher": np.full((EXAMPLES, CLASSES), np.nan, "float32")}
    call = getattr(distiller, method)
    with pytest.raises(ValueError, match="Expected class labels as integers from 0 to 3.*labels from 1 to 4"):
        call({**stored, "teacher": INTEGERS}, INTEGERS + 1)
    with pytest.raises(ValueError, match="stored outputs of the teacher must be finite. Received: NaN for 6 of 6"):
        call(stored, INTEGERS)
    with pytest.raises(ValueError, match="must be normalised"):
        call({"image": np.abs(images) * 255, "teacher": INTEGERS}, INTEGERS)


def test_the_loss_of_an_own_training_loop_needs_the_outputs_of_the_teacher():
    images, distiller = ops.convert_to_tensor(script(*random_logits())), compiled()
    with pytest.raises(
        ValueError, match="needs the outputs of the teacher.*`x, y, sample_weight = .*Received: x="
    ) as e:
        distiller.compute_loss(images, INTEGERS, distiller(images))
    assert "add_teacher_outputs((x, y), training=True)" in str(e.value)


def test_labels_of_another_shape_raise():
    with pytest.raises(ValueError, match=r"rows of shape \(batch, 4\). Received: shape=\(6, 3\)"):
        compiled().fit(script(*random_logits()), np.zeros((EXAMPLES, 3)))


def test_rows_to_a_sparse_criterion_raise():
    distiller = compiled(options={"loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True)})
    with pytest.raises(ValueError, match="rows over the classes, and the loss is a sparse one"):
        fit(distiller, script(*random_logits()), ONE_HOT)


@pytest.mark.compiled
def test_training_without_a_teacher_raises_and_leaves_the_student_whole():
    distiller, images = compiled(teacher=None), script(*random_logits())
    before = weights_of(distiller.student)
    with pytest.raises(ValueError, match="There is no teacher .it is not saved"):
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
    with pytest.raises(ValueError, match="Keras ignores `sample_weight`"):
        compiled().evaluate(script(*random_logits()), sample_weight=WEIGHTS)


def test_data_that_cannot_be_trained_on_raise():
    distiller, images = compiled(), script(*random_logits())
    with pytest.raises(ValueError, match="There are no images"):
        distiller.fit(images[:0], INTEGERS[:0])
    with pytest.raises(ValueError, match="labels of dtype <U"):
        distiller.fit(images, np.array(["cat"] * EXAMPLES))
    with pytest.raises(ValueError, match=r"dictionary with `image` and.* Received keys: \['images'\]"):
        distiller.fit({"images": images}, INTEGERS)
    with pytest.raises(ValueError, match="neither labels nor a teacher"):
        evaluate(compiled(teacher=None), images)


@pytest.mark.compiled
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_images_that_are_not_normalised_raise(dtype):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype(dtype)
    distiller = compiled(small_deit(), conv_teacher(CLASSES, (16, 16, 3)))
    for images in (pixels, {"image": pixels}):
        with pytest.raises(
            ValueError, match=r"must be normalised by mean and standard deviation. Received: .*in 0..255"
        ):
            distiller.fit(images, np.zeros(8))
    with pytest.raises(ValueError, match="must be normalised"):  # after a refused `fit`, as Keras evaluates within one
        distiller.evaluate(pixels, np.zeros(8), callbacks=keras.callbacks.CallbackList([]), verbose=0)
    of_pixels = dict(image_mean=0.0, image_std=1 / 255)  # a student for pixels in 0..255, declared as such
    for eagerly in (False, True):
        raw = compiled(small_deit(), conv_teacher(CLASSES, (16, 16, 3)), options={"run_eagerly": eagerly}, **of_pixels)
        raw.fit(pixels.astype("float32"), np.zeros(8), verbose=0)


# Raw pixels in the first batch of every kind of data.

RAW = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype("float32")
NORMALISED = ((RAW / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD).astype("float32")
RAW_LABELS = np.arange(8) % CLASSES


class Batches(keras.utils.PyDataset):
    """Two batches."""

    def __init__(self, images, **options):
        super().__init__(**options)
        self.images = images

    @property
    def num_batches(self):
        return 2

    def __getitem__(self, index):
        chosen = slice(4 * index, 4 * index + 4)
        return self.images[chosen], RAW_LABELS[chosen]


def generator(images):
    for _ in range(10):
        yield images, RAW_LABELS


def tf_dataset(images):
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    return tf.data.Dataset.from_tensor_slices((images, RAW_LABELS)).batch(4)


def stored_tf_dataset(images):
    tf = pytest.importorskip("tensorflow", reason="tf.data needs TensorFlow")
    x = {"image": images, "teacher": np.eye(CLASSES, dtype="float32")[RAW_LABELS]}
    return tf.data.Dataset.from_tensor_slices((x, RAW_LABELS)).batch(4)


def data_loader(images):
    torch = pytest.importorskip("torch", reason="a DataLoader needs PyTorch")
    dataset = torch.utils.data.TensorDataset(torch.tensor(images), torch.tensor(RAW_LABELS))
    return torch.utils.data.DataLoader(dataset, batch_size=4)


def grain_dataset(images):
    grain = pytest.importorskip("grain", reason="Grain is optional")
    source = [(images[i], RAW_LABELS[i]) for i in range(8)]
    return grain.MapDataset.source(source).batch(4)


KINDS = {
    "tf.data": tf_dataset,
    "tf.data with stored outputs": stored_tf_dataset,
    "generator": generator,
    "PyDataset": Batches,
    "PyDataset with workers": lambda images: Batches(images, workers=2),
    "DataLoader": data_loader,
    "Grain": grain_dataset,
}


@pytest.fixture(scope="module")
def distiller():
    return compiled(small_deit(), conv_teacher(CLASSES, (16, 16, 3)))


COMPILED_KINDS = ("tf.data with stored outputs", "generator") if BACKEND == "tensorflow" else ()


@pytest.mark.eager("tensorflow")
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, id=kind, marks=pytest.mark.compiled if kind in COMPILED_KINDS else ())
        for kind, make in KINDS.items()
    ],
)
def test_raw_pixels_raise(request, distiller, make):
    if request.node.get_closest_marker("compiled"):  # the shared one keeps the functions of the first test
        distiller = compiled(small_deit(), conv_teacher(CLASSES, (16, 16, 3)))
    message = r"must be normalised by mean and standard deviation. Received: .* values in 0..255"
    steps = {"steps_per_epoch": 2} if make is generator else {}
    with pytest.raises(ValueError, match=message):
        distiller.fit(make(RAW), verbose=0, **steps)
    with pytest.raises(ValueError, match=message):
        distiller.evaluate(make(RAW), verbose=0, steps=2 if steps else None)
    validation = {"validation_data": make(RAW), "validation_steps": 2 if steps else None}
    with pytest.raises(ValueError, match=message):
        distiller.fit(NORMALISED, RAW_LABELS, verbose=0, **validation)
    fit(distiller, make(NORMALISED), **steps)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS.keys())
def test_predict_refuses_raw_pixels_too(distiller, make):
    steps = 2 if make is generator else None
    with pytest.raises(ValueError, match=r"must be normalised by mean and standard deviation"):
        distiller.predict(make(RAW), verbose=0, steps=steps)
    with pytest.raises(ValueError, match=r"must be normalised by mean and standard deviation"):
        distiller.predict_on_batch(RAW)
    with pytest.raises(ValueError, match=r"must be normalised by mean and standard deviation"):
        distiller(RAW)
    assert len(distiller.predict(make(NORMALISED), verbose=0, steps=steps)["class"]) == len(RAW) * (steps or 1)


def test_raw_pixels_of_a_student_that_scales_them_are_declared():
    """The teacher of -1..1 and the student then see the same pixels."""
    raw = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3)).astype("uint8")
    scaled = (raw / 127.5 - 1).astype("float32")
    head, teacher = conv_teacher(CLASSES, (16, 16, 3)), conv_teacher(CLASSES, (16, 16, 3))
    student = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Rescaling(1 / 127.5, -1), head])
    described = kd.Teacher(teacher, value_range=(-1, 1))
    with pytest.raises(ValueError, match="build the Distiller with image_mean=0 and image_std=1/255"):
        compiled(student, described).evaluate(raw, np.zeros(4, int), verbose=0)
    logs = evaluate(compiled(student, described, image_mean=0, image_std=1 / 255), raw, np.zeros(4, int))
    decisions, logits = (model.predict(scaled, verbose=0).astype("float64") for model in (teacher, head))
    expected = -np.log(softmax(logits))[np.arange(4), decisions.argmax(-1)].mean()
    np.testing.assert_allclose(logs["distillation_loss"], expected, rtol=1e-4)


def records(keys):
    batch = dict(zip(keys, (NORMALISED, RAW_LABELS), strict=True))
    yield "arrays", batch
    yield "generator", ({name: values[index : index + 4] for name, values in batch.items()} for index in (0, 4))
    tf = pytest.importorskip("tensorflow", reason="tf.data is TensorFlow's")
    yield "tf.data", tf.data.Dataset.from_tensor_slices(batch).batch(4)


@pytest.mark.parametrize("keys", [("image", "label"), ("pixel_values", "labels")])
def test_labels_within_the_images_dictionary_are_refused(distiller, keys):
    """The labels would be ignored, or the images not be found."""
    for kind, data in records(keys):
        with pytest.raises(ValueError, match=f"Labels come beside the images.*'{keys[1]}'"):
            distiller.fit(data, verbose=0)
        assert kind


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch"])
def test_labels_by_head_are_refused(method):
    distiller = compiled(small_deit(), conv_teacher(CLASSES, (16, 16, 3)))
    for labels in ({"class": RAW_LABELS, "distillation": RAW_LABELS}, (RAW_LABELS, RAW_LABELS)):
        with pytest.raises(ValueError, match="`y` must be one array of labels, which all heads"):
            getattr(distiller, method)(NORMALISED, labels)


def test_images_and_labels_in_lists_of_one_are_understood(distiller):
    expected = distiller.evaluate(NORMALISED, RAW_LABELS, verbose=0, return_dict=True)
    assert distiller.evaluate([NORMALISED], [RAW_LABELS], verbose=0, return_dict=True) == expected


def test_a_directory_of_images_raises(distiller, tmp_path):
    pytest.importorskip("tensorflow", reason="image_dataset_from_directory returns a tf.data.Dataset")
    for name in "abcd":
        (tmp_path / name).mkdir()
        for index in range(2):
            keras.utils.save_img(tmp_path / name / f"{index}.png", RAW[index], scale=False)
    data = keras.utils.image_dataset_from_directory(tmp_path, image_size=(16, 16), batch_size=4, verbose=False)
    with pytest.raises(ValueError, match="must be normalised by mean and standard deviation"):
        distiller.fit(data, verbose=0)
    fit(distiller, data.map(lambda images, labels: ((images / 255 - kd.IMAGENET_MEAN) / kd.IMAGENET_STD, labels)))


def test_pixels_in_0_to_1_are_questioned(distiller):
    with pytest.warns(UserWarning, match=r"seem to be pixels in 0..1 that are not normalised.*mean=.0.485"):
        distiller.evaluate(RAW / 255, RAW_LABELS, verbose=0)
    with pytest.warns(UserWarning, match="seem to be pixels in 0..1"):
        distiller.evaluate(Batches(RAW / 255), verbose=0)


def test_stored_outputs_that_do_not_fit_raise():
    images = script(*random_logits())
    with pytest.raises(
        ValueError, match=r"a function of logits, or multi-label classes need the teacher's logits.*decisions of shape"
    ):
        fit(compiled(teacher=None, distillation="soft"), {"image": images, "teacher": INTEGERS}, INTEGERS)
    with pytest.raises(ValueError, match="same classes"):
        fit(compiled(teacher=None), {"image": images, "teacher": np.zeros((EXAMPLES, 7), "float32")}, INTEGERS)
    with pytest.raises(
        ValueError, match="stored decisions as integers from 0 to 3 .-1 for none.. Received: from 0 to 9"
    ):
        fit(compiled(teacher=None), {"image": images, "teacher": np.array([0, 9, 1, 1, 1, 1])}, INTEGERS)
    probabilities = softmax(random_logits()[2]).astype("float32")
    with pytest.raises(ValueError, match="its outputs look like probabilities"):
        fit(compiled(teacher=None, distillation="soft"), {"image": images, "teacher": probabilities}, INTEGERS)
