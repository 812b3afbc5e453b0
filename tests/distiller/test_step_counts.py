"""What a distillation step does, counted in the graph of the step: no step of the teacher backwards, no copy to the host."""

import collections

import keras
import numpy as np
import pytest
from keras import ops

import keras_deit as kd
from tests.distiller.scripted import BACKEND, CLASSES, crossentropy, fit, small_deit, small_images
from tests.toys import conv_teacher

BATCH, SIZE = 4, 16
LABELS = np.arange(2 * BATCH) % CLASSES
PRODUCTS = {
    "tensorflow": {"MatMul", "BatchMatMulV2", "Conv2D", "Conv2DBackpropFilter", "Conv2DBackpropInput"},
    "jax": {"dot_general", "conv_general_dilated"},
}
USES_OF_THE_HOST = {
    "tensorflow": {"PyFunc", "PyFuncStateless", "EagerPyFunc", "Assert", "PrintV2", "StringFormat"},
    "jax": {"pure_callback", "io_callback", "debug_callback", "debug_print", "device_put"},
}

of_graphs = pytest.mark.skipif(BACKEND == "torch", reason="a step on PyTorch is not a graph")


@pytest.fixture(scope="module")
def teacher():
    return conv_teacher(CLASSES, (SIZE, SIZE, 3))


@pytest.fixture(scope="module")
def live(teacher):
    """The operations of a step whose teacher predicts."""
    return _count_operations_of_step(_fitted(teacher)[0], small_images(BATCH))


@of_graphs
def test_a_step_is_traced_once_in_all_epochs(teacher, monkeypatch):
    traces, add_teacher_outputs = [], kd.Distiller.add_teacher_outputs

    def spy(self, data, training):
        traces.append(training)
        return add_teacher_outputs(self, data, training)

    monkeypatch.setattr(kd.Distiller, "add_teacher_outputs", spy)
    _fitted(teacher, epochs=3)
    assert traces == [True]


@of_graphs
def test_the_teacher_adds_its_forward_pass_and_no_other_product(teacher, live):
    stored = {"image": small_images(BATCH), "teacher": np.zeros((BATCH, CLASSES), "float32")}
    without_teacher = _count_operations_of_step(_fitted(None, stored=True)[0], stored)
    forward = _count_operations(lambda images: teacher(images, training=False), small_images(BATCH))
    forward = {name: forward[name] for name in PRODUCTS[BACKEND] if forward[name]}
    assert sum(forward.values()) == 2  # a convolution and a dense layer
    added = {name: live[name] - without_teacher[name] for name in PRODUCTS[BACKEND]}
    assert {name: number for name, number in added.items() if number} == forward


@of_graphs
def test_a_step_does_not_use_the_host(live):
    assert {name for name in USES_OF_THE_HOST[BACKEND] if live[name]} == set()


def test_training_changes_nothing_of_the_teacher(teacher):
    before = [ops.convert_to_numpy(variable) for variable in teacher.variables]
    distiller, _ = _fitted(teacher)
    own = {id(variable) for variable in teacher.variables}
    assert not own & {id(variable) for variable in distiller.trainable_variables}
    for variable, value in zip(teacher.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


def _fitted(teacher, epochs=1, stored=False):
    distiller = kd.Distiller(small_deit(), teacher, distillation="soft")
    distiller.compile(keras.optimizers.Adam(), loss=crossentropy(), metrics=[keras.metrics.TopKCategoricalAccuracy(2)])
    images = small_images(len(LABELS))
    inputs = {"image": images, "teacher": np.zeros((len(LABELS), CLASSES), "float32")} if stored else images
    return distiller, fit(distiller, inputs, LABELS, batch_size=BATCH, epochs=epochs)


def _count_operations_of_step(distiller, inputs):
    batch = keras.tree.map_structure(ops.convert_to_tensor, (inputs, LABELS[:BATCH]))
    if BACKEND == "tensorflow":
        return _count_operations(distiller.train_step, batch)
    groups = (
        distiller.trainable_variables,
        distiller.non_trainable_variables,
        distiller.optimizer.variables,
        distiller.metrics_variables,
    )
    return _count_operations(distiller.train_step, [[variable.value for variable in group] for group in groups], batch)


def _count_operations(function, *arguments):
    """Counts the operations in the graph of a function, by the names that the backend gives them."""
    arguments = keras.tree.map_structure(ops.convert_to_tensor, arguments)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        graph = tf.function(function).get_concrete_function(*arguments).graph.as_graph_def()
        bodies = [graph.node, *(one.node_def for one in graph.library.function)]
        return collections.Counter(node.op for body in bodies for node in body)
    import jax

    return collections.Counter(_primitives(jax.make_jaxpr(function)(*arguments)))


def _primitives(value):
    """Yields the primitives of everything in the parameters of an equation that is a program."""
    if isinstance(value, (tuple, list)):
        for entry in value:
            yield from _primitives(entry)
    elif hasattr(value, "jaxpr"):  # closed over constants
        yield from _primitives(value.jaxpr)
    elif hasattr(value, "eqns"):
        for equation in value.eqns:
            yield equation.primitive.name
            yield from _primitives(list(equation.params.values()))
