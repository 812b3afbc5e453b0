"""The files of a Distiller, and its student without it."""

import json
import zipfile

import keras
import numpy as np
import pytest
from keras import ops

import keras_deit as kd
from tests.distiller.scripted import (
    CLASSES,
    HEADS,
    INTEGERS,
    LEARNING_RATE,
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
from tests.toys import SCRIPTED_SHAPE, conv_teacher, script, scripted_student, scripted_teacher


def test_training_on_after_saving_and_loading_ends_with_the_weights_of_one_run(tmp_path):
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
        "multi_label": False,
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
    with pytest.raises(ValueError, match=r"There is no teacher .*Set `distiller.teacher = ...`"):
        fit(second, images, INTEGERS)

    second.teacher = scripted_teacher
    fit(second, images, INTEGERS, epochs=2, batch_size=4)
    assert_same_weights(weights_of(second.student), weights_of(through.student))


@keras.saving.register_keras_serializable(package="tests")
def absolute_error(teacher_logits, student_logits):
    return ops.mean(ops.absolute(teacher_logits - student_logits), axis=-1)


@pytest.mark.eager
@pytest.mark.parametrize(
    "function",
    [absolute_error, keras.losses.mean_squared_error, keras.losses.MeanSquaredError(reduction="none")],
    ids=["registered", "of Keras", "a loss object"],
)
def test_a_function_as_distillation_is_saved_and_loaded(tmp_path, function):
    images = script(*random_logits())
    first = compiled(distillation=function, alpha=0.25)
    expected = evaluate(first, images, INTEGERS)
    first.save(tmp_path / "distiller.keras")
    second = keras.saving.load_model(tmp_path / "distiller.keras")
    second.teacher = scripted_teacher
    assert evaluate(second, images, INTEGERS) == pytest.approx(expected)


def test_saving_with_an_unregistered_function_as_distillation_raises(tmp_path):
    def unregistered(teacher_logits, student_logits):
        return absolute_error(teacher_logits, student_logits)

    distiller = compiled(distillation=unregistered)
    message = r"decorate it with @keras.saving.register_keras_serializable.*Received: <function"
    with pytest.raises(ValueError, match=message):
        distiller.save(tmp_path / "distiller.keras")
    with keras.saving.custom_object_scope({"unregistered": unregistered}):
        distiller.save(tmp_path / "distiller.keras")
        loaded = keras.saving.load_model(tmp_path / "distiller.keras")
    assert loaded.distillation is unregistered
    with pytest.raises(ValueError, match=message):
        compiled(distillation=lambda *logits: absolute_error(*logits)).save(tmp_path / "distiller.keras")


@pytest.mark.eager
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


def test_the_teacher_is_in_no_state_tree():
    distiller = compiled(conv_teacher(dropout=0), conv_teacher(dropout=0), options={"optimizer": "sgd"})
    tree = distiller.get_state_tree()
    assert distiller.teacher is not None
    assert len(keras.tree.flatten(tree["non_trainable_variables"])) == 2  # the moving statistics of the student
    distiller.set_state_tree(tree)


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


def test_saving_with_a_function_that_was_registered_again_raises(tmp_path):
    def run_cell():
        @keras.saving.register_keras_serializable(package="notebook")
        def squared(teacher_logits, student_logits):
            return keras.ops.mean(keras.ops.square(teacher_logits - student_logits), axis=-1)

        return squared

    distiller = compiled(distillation=run_cell())
    newer = run_cell()
    with pytest.raises(
        ValueError, match="registered again under this name.*a notebook cell twice. Build the Distiller"
    ):
        distiller.save(tmp_path / "distiller.keras")
    compiled(distillation=newer).save(tmp_path / "distiller.keras")
    assert keras.saving.load_model(tmp_path / "distiller.keras").distillation is newer


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lion", "loss_scale_optimizer"])
def test_the_file_of_a_compiled_model_names_no_module_of_a_backend(tmp_path, name):
    optimizer = keras.optimizers.get(name) if name != "loss_scale_optimizer" else None
    optimizer = optimizer or keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(1e-3))
    distiller = compiled(options={"optimizer": optimizer})
    fit(distiller, script(*random_logits()), INTEGERS)
    classifier = kd.DeiTClassifier(small_deit())
    classifier.compile(name if name != "loss_scale_optimizer" else "adam", "mse")
    for model in (distiller, classifier):
        model.save(tmp_path / "model.keras")
        with zipfile.ZipFile(tmp_path / "model.keras") as archive:
            config = archive.read("config.json").decode()
        assert "keras.src.backend" not in config
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert type(loaded.optimizer) is type(model.optimizer)
        expected = model.optimizer.variables
        for variable, reference in zip(loaded.optimizer.variables, expected, strict=False):
            np.testing.assert_array_equal(ops.convert_to_numpy(variable), ops.convert_to_numpy(reference))
