"""What a user of a GPU runs, without one: tensors that lie elsewhere than NumPy's arrays must never be mixed with them.

On PyTorch the device `meta` stands for the GPU: it has shapes and no values, and refuses NumPy arrays as a GPU does. On JAX
the images are shared by two devices, and the results are those of a single one.
"""

import contextlib

import keras
import numpy as np
import pytest

import keras_deit as kd

BACKEND = keras.backend.backend()
SMALL = dict(num_classes=4, image_size=32, patch_size=8, hidden_dim=32, num_layers=2, num_heads=2)
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (4, 40, 60, 3)).astype("uint8")
IMAGES = RNG.normal(size=(4, 32, 32, 3)).astype("float32")
LABELS = np.eye(4, dtype="float32")

pytestmark = pytest.mark.skipif(
    BACKEND == "tensorflow", reason="TensorFlow converts arrays to tensors of the right device"
)


@contextlib.contextmanager
def elsewhere():
    """The device on which models and tensors are made, and a function that puts an array there."""
    if BACKEND == "torch":
        import torch

        with keras.device("meta"):
            yield lambda array: torch.empty(array.shape, dtype=getattr(torch, str(array.dtype)), device="meta")
    else:
        import jax

        mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("batch",))
        sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
        yield lambda array: jax.device_put(array, sharding)


def check(function, *arrays):
    """Runs a function of tensors elsewhere; on JAX its results are compared with those of one device."""
    with elsewhere() as put:
        results = keras.tree.flatten(function(*map(put, arrays)))
        assert results
    if BACKEND == "jax":
        for received, expected in zip(results, keras.tree.flatten(function(*arrays)), strict=True):
            np.testing.assert_allclose(received, expected, atol=1e-4)


def made_elsewhere(make):
    """A model whose variables lie on PyTorch's other device."""
    if BACKEND != "torch":
        return make()
    with elsewhere():
        return make()


@pytest.mark.parametrize("dtype", ["uint8", "float32", "uint16"])
def test_image_processor(dtype):
    processor = made_elsewhere(lambda: kd.ImageProcessor(32))
    pixels = PIXELS.astype(dtype) * (257 if dtype == "uint16" else 1)
    check(processor, pixels)
    check(processor, pixels[..., :1])
    check(processor, pixels[..., [0, 1, 2, 0]])
    check(lambda images: processor([images[0], images[1]]), pixels)


@pytest.mark.parametrize("options", [{}, {"distilled": False}, {"layer_scale_init": 0.1, "prefix_positions": False}])
def test_models(options):
    model = made_elsewhere(lambda: kd.DeiT(**SMALL, **options))
    check(model, IMAGES)
    check(model.call_with_attention, IMAGES)
    check(model.backbone.attention_maps, IMAGES)
    check(lambda images: model.backbone.features(images, blocks=(1, 2)), IMAGES)


@pytest.mark.parametrize("fusion", ["mean_logits", "mean_probabilities", "concat"])
def test_classifier(fusion):
    check(made_elsewhere(lambda: kd.DeiTClassifier(kd.DeiT(**SMALL), fusion=fusion)), IMAGES)


@pytest.mark.parametrize(
    "options", [{}, {"image_size": 48, "mean": (0.5,) * 3, "std": (0.5,) * 3}, {"value_range": (0, 255)}]
)
def test_teacher(options):
    size = options.get("image_size", 32)
    teacher = made_elsewhere(lambda: kd.Teacher(kd.DeiTClassifier(kd.DeiT(**{**SMALL, "image_size": size})), **options))
    check(lambda images: teacher(images, kd.IMAGENET_MEAN, kd.IMAGENET_STD), IMAGES)


def test_losses():
    logits, others = (RNG.normal(size=(4, 6)).astype("float32") for _ in range(2))
    check(kd.losses.hard_distillation, logits, others)
    check(lambda teacher, student: kd.losses.soft_distillation(teacher, student, temperature=3.0), logits, others)


@pytest.mark.parametrize("options", [{}, {"distillation": "soft"}, {"attention_weight": 1.0}])
def test_loss_of_a_distiller(options, monkeypatch):
    if BACKEND == "torch":  # the check of the teacher looks at values
        monkeypatch.setattr(kd.Teacher, "check", lambda *_, **__: 16)
    distiller = made_elsewhere(
        lambda: kd.Distiller(kd.DeiT(**SMALL), kd.Teacher(kd.DeiTClassifier(kd.DeiT(**SMALL))), **options)
    )
    distiller.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=0.1))

    def loss(images, labels):
        x, y, weights = distiller.add_teacher_outputs((images, labels), training=True)
        outputs = distiller(x, training=True)
        return distiller.compute_loss(x, y, outputs, weights), distiller.compute_metrics(x, y, outputs, weights)

    check(lambda images, labels: loss(images, labels)[0], IMAGES, LABELS)


@pytest.mark.parametrize("name", ["LAMB", "AdamW", "SGD"])
def test_step_of_an_optimizer(name):
    model = made_elsewhere(lambda: kd.DeiT(**SMALL))

    def step(gradient):
        optimizer = getattr(kd.optimizers, name)(1e-3, weight_decay=0.05, global_clipnorm=1.0)
        optimizer.build(model.trainable_variables)
        optimizer.apply([keras.ops.ones(variable.shape) * gradient[0, 0] for variable in model.trainable_variables])
        return optimizer.iterations.value

    with elsewhere() as put:
        iterations = step(put(LABELS))
    if BACKEND == "torch":
        assert iterations.is_meta
    else:
        assert int(iterations) == 1
