"""Training on two replicas ends with the weights of training on one device on the same batches.

Weights are compared tensor by tensor, relative to the largest entry of the tensor: single entries may be arbitrarily
small, and the key's part of the QKV bias has no gradient but rounding noise, which nothing can be relative to.
"""

import contextlib
import functools

import keras
import numpy as np
import pytest
from keras import ops

import keras_deit as kd

BACKEND = keras.backend.backend()
pytestmark = pytest.mark.skipif(BACKEND == "torch", reason="Keras trains on one device with PyTorch")

CLASSES, EXAMPLES, BATCH_SIZE, EPOCHS = 5, 40, 8, 4  # 20 steps
TOLERANCE = 1e-5


@functools.cache
def mirrored():
    import tensorflow as tf

    # Not the default collectives: another strategy of the same process would take the same keys for other shapes.
    reduction = tf.distribute.ReductionToOneDevice()
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=reduction)


@contextlib.contextmanager
def replicas(count):
    """Everything built inside is on so many devices."""
    if count == 1:
        yield
    elif BACKEND == "tensorflow":
        with mirrored().scope():
            yield
    else:
        with keras.distribution.DataParallel(devices=["cpu:0", "cpu:1"]).scope():
            yield
        assert keras.distribution.distribution() is None


def student_model(**arguments):
    arguments = {"image_size": 16, "patch_size": 8, "hidden_dim": 16, "num_layers": 1, "num_heads": 2, **arguments}
    return kd.DeiT(num_classes=CLASSES, drop_path_rate=0.0, **arguments)


def convnet():
    layers = (
        keras.layers.Conv2D(4, 4, strides=4, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(CLASSES),
    )
    return keras.Sequential([keras.Input((16, 16, 3)), *layers])


def transformer():
    return kd.DeiTClassifier(enlarged(student_model(num_layers=2, num_heads=4, distilled=False)))


def enlarged(model):
    """With larger kernels than fresh ones, among which attention is uniform and gradients are small."""
    for variable in model.trainable_variables:
        if variable.path.endswith("kernel") and "patch_embedding" not in variable.path:
            variable.assign(variable.value * 8)
    return model


def data(labels):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(EXAMPLES, 16, 16, 3)).astype("float32")
    integers = rng.integers(CLASSES, size=EXAMPLES)
    mixed = 0.7 * np.eye(CLASSES)[integers] + 0.3 * np.eye(CLASSES)[integers[::-1]]
    some = np.where(rng.uniform(size=EXAMPLES) < 0.3, -1, integers)
    weights = rng.uniform(0, 2, size=EXAMPLES).astype("float32") * (rng.uniform(size=EXAMPLES) < 0.8)
    return images, {"integers": integers, "mixed": mixed.astype("float32"), "some": some, None: None}[labels], weights


def build_distiller(build_teacher, smoothing=0.0, regularized=False, compile_options=None, **arguments):
    """A compiled Distiller whose initial weights do not depend on the number of replicas."""
    keras.utils.set_random_seed(3)
    student, teacher = enlarged(student_model()), build_teacher()
    if regularized:
        student.get_layer("class_head").kernel.regularizer = keras.regularizers.L2(0.1)
    distiller = kd.Distiller(student, teacher, **arguments)
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=smoothing)
    distiller.compile(optimizer, loss, **(compile_options or {}))
    return distiller


def weights_of(model):
    return {variable.path: ops.convert_to_numpy(variable) for variable in model.trainable_variables}


def train(count, labels, weighted, **arguments):
    images, y, weights = data(labels)
    with replicas(count):
        distiller = build_distiller(**arguments)
        initial = weights_of(distiller.student)
        fitting = {"batch_size": BATCH_SIZE, "shuffle": False, "verbose": 0}
        weighting = {"sample_weight": weights} if weighted else {}
        history = distiller.fit(images, y, epochs=EPOCHS, **fitting, **weighting).history
        evaluated = distiller.evaluate(images, y, batch_size=BATCH_SIZE, verbose=0, return_dict=True, **weighting)
        return initial, weights_of(distiller.student), history, evaluated


RUNS = {
    "hard, some unlabelled, weights, smoothing": {
        "build_teacher": convnet,
        "labels": "some",
        "weighted": True,
        "smoothing": 0.1,
        "regularized": True,
    },
    "soft and attention, mixed labels, weights, smoothing": {
        "build_teacher": transformer,
        "labels": "mixed",
        "weighted": True,
        "smoothing": 0.1,
        "distillation": "soft",
        "soft_reduction": "official",
        "attention_weight": 0.5,
    },
    "soft, unlabelled": {
        "build_teacher": convnet,
        "labels": None,
        "weighted": False,
        "distillation": "soft",
        "alpha": 1.0,
    },
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS.keys())
def test_two_replicas_end_with_the_weights_and_logs_of_one(run):
    initial, expected, history, evaluated = train(1, **run)
    initial_of_two, received, history_of_two, evaluated_of_two = train(2, **run)
    differences, moves = {}, {}
    for path, value in expected.items():
        np.testing.assert_array_equal(initial_of_two[path], initial[path])
        scale = np.abs(value).max()
        differences[path] = np.abs(received[path] - value).max() / max(scale, 1e-12)
        moves[path] = np.abs(value - initial[path]).max() / max(scale, 1e-12)
    if "regularized" in run:
        terms = 0.5 * (evaluated["class_loss"] + evaluated["distillation_loss"])
        kernel = expected["class_head/kernel"]
        np.testing.assert_allclose(evaluated["loss"], terms + 0.1 * np.sum(kernel**2), rtol=1e-5)
    trained = [path for path in expected if run["labels"] or "class_head" not in path]
    assert min(moves[path] for path in trained) > 0.01
    assert max(differences[path] for path in trained) < TOLERANCE, differences
    assert set(history_of_two) == set(history)
    for name, values in history.items():
        np.testing.assert_allclose(history_of_two[name], values, rtol=TOLERANCE, atol=1e-6, err_msg=name)
    assert set(evaluated_of_two) == set(evaluated)
    for name, value in evaluated.items():
        np.testing.assert_allclose(evaluated_of_two[name], value, rtol=TOLERANCE, atol=1e-6, err_msg=name)


def test_a_batch_that_the_replicas_do_not_divide_raises():
    images, labels, _ = data("integers")
    with replicas(2):
        distiller = build_distiller(convnet)
        message = r"The 2 replicas must divide every batch. Received: a batch of {} images. Choose another batch size"
        with pytest.raises(ValueError, match=message.format(7)):
            distiller.fit(images, labels, batch_size=7)
        with pytest.raises(ValueError, match=message.format(7)):
            distiller.evaluate(images, labels, batch_size=7)
        with pytest.raises(ValueError, match=message.format(3)):
            distiller.fit(images[:11], labels[:11], batch_size=8)
        with pytest.raises(ValueError, match=message.format(7)):
            distiller.fit(images[:14], labels[:14], batch_size=8, validation_split=0.5)
        with pytest.raises(ValueError, match=message.format(5)):
            distiller.fit(images[:5])
        if BACKEND == "tensorflow":
            import tensorflow as tf

            for drop_remainder in (True, False):
                dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(7, drop_remainder=drop_remainder)
                with pytest.raises(ValueError, match=message.format(7)):
                    distiller.fit(dataset)


class OfEleven(keras.utils.PyDataset):
    """Two batches, the second of three examples."""

    num_batches = 2

    def __getitem__(self, index):
        images, labels, _ = data("integers")
        chosen = slice(8 * index, min(8 * index + 8, 11))
        return images[chosen], labels[chosen]


def test_other_data_that_the_replicas_do_not_divide_raise_before_training():
    images, labels, _ = data("integers")
    with replicas(2):
        distiller = build_distiller(convnet)
        with pytest.raises(ValueError, match="The 2 replicas must divide every batch. Received: a batch of 3 images"):
            distiller.fit(OfEleven())
        with pytest.raises(ValueError, match="The 2 replicas must divide every batch. Received: a batch of 3 images"):
            distiller.fit(images, labels, validation_data=(images[:11], labels[:11]), batch_size=8)
        with pytest.raises(ValueError, match="The 2 replicas must divide every batch. Received: a batch of 3 images"):
            distiller.fit(images, labels, validation_data=OfEleven(), batch_size=8)


if BACKEND == "tensorflow":

    @pytest.mark.parametrize(("labels", "multi_label"), [("integers", None), (None, None), (None, True)])
    def test_a_short_last_batch_of_a_dataset_is_filled_up_with_weight_zero(labels, multi_label):
        import tensorflow as tf

        images, y, weights = data("integers")
        trained = {}
        for count in (1, 2):
            arrays = (images[:11],) if labels is None else (images[:11], y[:11], weights[:11] + 0.1)
            with replicas(count):
                distiller = build_distiller(convnet, multi_label=multi_label)
                dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(8)
                logs = distiller.fit(dataset, epochs=3, verbose=0, validation_data=dataset).history
                trained[count] = weights_of(distiller.student), logs
        for path, value in trained[1][0].items():
            np.testing.assert_allclose(
                trained[2][0][path], value, rtol=0, atol=TOLERANCE * max(np.abs(value).max(), 0.1), err_msg=path
            )
        assert set(trained[1][1]) <= set(trained[2][1])
        for name, values in trained[1][1].items():
            if "loss" not in name:  # Keras weighs a batch's loss by its size, filled up as it is
                np.testing.assert_allclose(trained[2][1][name], values, rtol=TOLERANCE, err_msg=name)

    def test_compiling_by_xla_on_two_replicas_raises():
        with replicas(2), pytest.raises(ValueError, match="`jit_compile=True` does not work with several replicas"):
            build_distiller(convnet, compile_options={"jit_compile": True})

    def criterion():
        return keras.losses.CategoricalCrossentropy(from_logits=True)

    @pytest.mark.parametrize("outside", ["student", "teacher"])
    def test_a_model_built_outside_of_the_scope_raises(outside):
        early = {"student": student_model, "teacher": convnet}[outside]()
        with replicas(2):
            models = {"student": student_model, "teacher": convnet}
            models = {name: early if name == outside else build() for name, build in models.items()}
            distiller = kd.Distiller(**models)
            with pytest.raises(
                ValueError, match="created outside of the strategy's scope.*Build teacher and student inside"
            ):
                distiller.compile("sgd", criterion())

    @pytest.mark.parametrize("models_inside", [True, False])
    def test_a_distiller_built_outside_of_the_scope_raises(models_inside):
        with replicas(1 + models_inside):
            models = student_model(), convnet()
        distiller = kd.Distiller(*models)
        message = "The Distiller was built outside of the strategy's scope.*inside one `with strategy.scope"
        with replicas(2), pytest.raises(ValueError, match=message):
            distiller.compile("sgd", criterion())
        if models_inside:
            with pytest.raises(ValueError, match=message):
                distiller.compile("sgd", criterion())

    def test_a_distiller_compiled_outside_of_the_scope_trains_on_both_replicas():
        images, labels, _ = data("integers")
        with replicas(2):
            student, teacher = student_model(), convnet()
            distiller = kd.Distiller(student, teacher)
        distiller.compile("sgd", criterion())
        assert distiller.num_replicas() == 2
        distiller.fit(images, labels, batch_size=BATCH_SIZE, verbose=0)
