"""What a distillation step does, by counting: no step of the teacher backwards, no copy to the host.

On TensorFlow and JAX the graph of the step is counted. On PyTorch the device `meta` stands for a GPU: it has shapes and no
values, so that every copy from this device to the processor raises an error.
"""

import collections
import contextlib

import keras
import numpy as np
import pytest
from keras import ops

import keras_deit as kd
from keras_deit.layers import DropPath
from keras_deit.layers.composite import layers_inside
from keras_deit.training.schedule import CosineBySteps
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
on_pytorch = pytest.mark.skipif(BACKEND != "torch", reason="the other backends compile a step")


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


@on_pytorch
@pytest.mark.parametrize(("distils", "num_copies"), [(True, 4), (False, 5)], ids=["distiller", "classifier"])
def test_a_step_copies_few_numbers_to_a_gpu_and_none_back(distils, num_copies, monkeypatch):
    """Keras's losses, its metrics and its counter of steps copy a number each; nothing of this package does."""
    import torch

    monkeypatch.setattr(kd.Teacher, "check", lambda *_, **__: None)  # looks at values
    with keras.device(_DeviceName("meta")):
        model = _compiled_as_in_a_run(distils)
        batch = [torch.empty(shape, device="meta") for shape in ((BATCH, SIZE, SIZE, 3), (BATCH, CLASSES))]
        model.train_step(batch)  # builds the optimizer
        with _listing_copies(monkeypatch) as copies:
            model.train_step(batch)
    assert len(copies) == num_copies, copies
    seeds = [layer.seed_generator.state.value for layer in layers_inside(model) if isinstance(layer, DropPath)]
    assert {seed.device.type for seed in seeds} == {"cpu"}  # `meta` has no values from which a seed is read


@on_pytorch
def test_pytorch_records_no_gradient_of_the_teacher(teacher):
    outputs = []
    hook = teacher.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    _fitted(teacher)
    hook.remove()
    assert {output.requires_grad for output in outputs} == {False}
    assert all(variable.value.grad is None for variable in teacher.variables)


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


def _compiled_as_in_a_run(distils):
    """A Distiller with a live teacher, or a classifier; with stochastic depth, a schedule, clipping and label smoothing."""
    deit = small_deit(drop_path_rate=0.2, drop_path_schedule="constant")
    schedule = CosineBySteps(1e-3, 1e-5, steps=100, warmup_steps=10, warmup_from=1e-6)
    optimizer = kd.optimizers.AdamW(schedule, weight_decay=0.05, global_clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1)
    if not distils:
        classifier = kd.DeiTClassifier(deit)
        classifier.compile(optimizer, loss, weighted_metrics=["accuracy"])
        return classifier
    teacher = conv_teacher(CLASSES, (8, 8, 3))
    distiller = kd.Distiller(deit, kd.Teacher(teacher, image_size=8, mean=(0.5,) * 3, std=(0.5,) * 3))
    distiller.compile(optimizer, loss)
    return distiller


class _DeviceName(str):
    """A device's name that equals PyTorch's device of that name. If the two differ, Keras makes new tensors for `meta`."""

    __hash__ = str.__hash__

    def lower(self):
        return self

    def __eq__(self, other):
        return str.__eq__(self, str(other))

    def __ne__(self, other):
        return not self == other


@contextlib.contextmanager
def _listing_copies(monkeypatch):
    """Yields a list, to which every copy from the processor to the device `meta` is appended."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    copies, as_tensor = [], torch.as_tensor

    class Dispatch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            outputs = function(*args, **(kwargs or {}))
            devices = {tensor.device.type for tensor in keras.tree.flatten((args, outputs)) if torch.is_tensor(tensor)}
            if function in (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default) and len(devices) > 1:
                copies.append(str(function))
            return outputs

    def spy(data, dtype=None, device=None):
        if not torch.is_tensor(data) and str(device) == "meta":
            copies.append(f"as_tensor({data!r})")
        return as_tensor(data, dtype=dtype, device=device)

    monkeypatch.setattr(torch, "as_tensor", spy)
    with Dispatch():
        yield copies
