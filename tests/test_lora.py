"""LoRA by one call: values, training, files and merging."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_deit as kd
from tests import numpy_reference
from tests.battery import weights_of
from tests.goldens.make_lora import FILE, SHAPE, model_with_lora
from tests.goldens.weights import draw, fill, noise

IMAGES = noise("images", (4, 16, 16, 3))
LABELS = np.eye(3, dtype="float32")[[0, 1, 2, 0]]
DENSE = {
    "attention": ["block_1/attention/qkv", "block_1/attention/projection"],
    "mlp": ["block_1/mlp/expansion", "block_1/mlp/reduction"],
}
HEADS = ["class_head/kernel", "class_head/bias", "distillation_head/kernel", "distillation_head/bias"]


def expected_logits(weights, dense, scale):
    """The logits of a transformer in NumPy whose kernels are the sums; `weights` by path, `dense` the layers with LoRA."""
    plain = {path: value for path, value in weights.items() if "lora" not in path}
    for path in dense:
        update = np.einsum("ir,ro->io", weights[f"{path}/lora_kernel_a"], weights[f"{path}/lora_kernel_b"])
        plain[f"{path}/kernel"] = plain[f"{path}/kernel"] + scale * update
    tokens, _ = numpy_reference.backbone(IMAGES.astype("float64"), plain, num_layers=1, num_heads=2)
    return {
        name: numpy_reference.dense(tokens[:, index], numpy_reference.subweights(plain, f"{name}_head"))
        for index, name in enumerate(["class", "distillation"])
    }


def assert_logits(model, expected, tolerance=1e-5):
    for name, logits in model.predict(IMAGES, verbose=0).items():
        np.testing.assert_allclose(logits, expected[name], atol=tolerance)


def paths(variables):
    return [variable.path for variable in variables]


@pytest.mark.parametrize(
    ("layers", "rank", "alpha", "scale"),
    [(("attention", "mlp"), 2, 12, 6), (["attention"], 3, 12.0, 4), (("mlp",), 1, None, 1)],
)
def test_each_kernel_is_the_sum_of_the_kernel_and_the_scaled_product(layers, rank, alpha, scale):
    model = model_with_lora(rank, alpha, layers=layers)
    dense = [path for name in layers for path in DENSE[name]]
    weights = weights_of(model)
    assert len(weights) == len(kd.DeiT(**SHAPE).weights) + 2 * len(dense)
    assert weights[f"{dense[0]}/lora_kernel_a"].shape == (16, rank)
    expected = expected_logits(weights, dense, scale)
    assert np.abs(expected["class"] - expected_logits(weights, dense, 0)["class"]).max() > 1e-2
    assert_logits(model, expected)


def test_the_model_computes_the_same_before_and_after():
    model = fill(kd.DeiTClassifier(kd.DeiT(**SHAPE)))
    before = model.predict(IMAGES, verbose=0)
    kd.lora.enable(model)
    np.testing.assert_allclose(model.predict(IMAGES, verbose=0), before, atol=1e-6)
    model.backbone.blocks[0].attention.qkv.lora_kernel_b.assign(np.ones((8, 48)))
    assert np.abs(model.predict(IMAGES, verbose=0) - before).max() > 1e-3  # a traced graph would have no LoRA


def test_a_distiller_trains_the_matrices_and_the_heads_alone():
    student = model_with_lora()
    before = dict(zip(paths(student.weights), student.get_weights(), strict=True))
    trained = [f"{path}/lora_kernel_{matrix}" for name in DENSE for path in DENSE[name] for matrix in "ab"]
    assert paths(student.trainable_variables) == [*trained, *HEADS]
    distiller = kd.Distiller(student, fill(kd.DeiT(**SHAPE, distilled=False)), distillation="soft")
    distiller.compile(keras.optimizers.SGD(0.1), loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    distiller.fit(IMAGES, LABELS, verbose=0)
    after = dict(zip(paths(student.weights), student.get_weights(), strict=True))
    assert {path for path in after if np.any(after[path] != before[path])} == {*trained, *HEADS}


def test_a_file_of_another_backend_keeps_the_matrices():
    model = keras.saving.load_model(FILE)  # saved on PyTorch
    drawn = {variable.path: draw(variable.path, tuple(variable.shape)) for variable in model.weights}
    for variable in model.weights:
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), drawn[variable.path])
    assert paths(model.trainable_variables) == paths(model_with_lora().trainable_variables)
    assert_logits(
        model,
        expected_logits({path: value.astype("float64") for path, value in drawn.items()}, sum(DENSE.values(), []), 6),
    )


def test_training_goes_on_after_saving_and_loading(tmp_path):
    model = kd.DeiTClassifier(model_with_lora())
    model.compile(keras.optimizers.Adam(0.01), loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    model.fit(IMAGES, LABELS, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for trained in (model, again):
        trained.fit(IMAGES, LABELS, verbose=0)
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_merging_gives_a_plain_model(tmp_path):
    model = kd.DeiTClassifier(model_with_lora())
    plain = kd.lora.merge(model)
    assert type(plain) is kd.DeiTClassifier
    assert paths(plain.weights) == paths(kd.DeiT(**SHAPE).weights)
    assert len(plain.trainable_variables) == len(plain.weights)
    np.testing.assert_allclose(plain.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0), atol=1e-5)
    kd.weights.to_timm(model, tmp_path / "merged.safetensors")
    again = kd.DeiT.from_preset(tmp_path / "merged.safetensors", num_heads=2)
    for ours, theirs in zip(again.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    plain.quantize("int8")
    with pytest.raises(ValueError, match="Merge LoRA before `model.quantize`"):
        kd.lora.merge(plain)


def test_a_model_for_other_classes_is_built_from_the_merged_kernels(tmp_path):
    model = model_with_lora()
    model.save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="LoRA is merged into the kernels"):
        again = kd.pretrained(tmp_path / "model.keras", num_classes=5)
    expected = kd.lora.merge(model).backbone.get_weights()
    for ours, theirs in zip(again.backbone.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert len(again.trainable_variables) == len(again.weights)


def test_frozen_blocks_get_no_lora():
    model = kd.DeiT(**{**SHAPE, "num_layers": 2})
    model.freeze(1)
    kd.lora.enable(model, layers=["attention"])
    assert {path.split("/")[0] for path in paths(model.trainable_variables)} == {
        "block_2",
        "class_head",
        "distillation_head",
    }
    with pytest.raises(ValueError, match="`freeze` would train its kernels: freeze before `keras_deit.lora.enable`"):
        model.freeze(1)


def test_layers_of_the_user_around_the_blocks_are_trained():
    backbone = kd.DeiT(**SHAPE).backbone
    images = keras.Input((16, 16, 3))
    (features,) = backbone.features(images, blocks=[1])
    model = keras.Model(images, keras.layers.Conv2D(4, 1, name="masks")(features))
    kd.lora.enable(model, layers=["mlp"])
    trained = [f"{path}/lora_kernel_{matrix}" for path in DENSE["mlp"] for matrix in "ab"]
    assert paths(model.trainable_variables) == [*trained, "masks/kernel", "masks/bias"]


@pytest.mark.parametrize(
    ("saved", "loaded", "message"),
    [
        (None, (2, 3), "Expected weights with LoRA of rank 2 and alpha 3 in .*. Received: weights with no LoRA"),
        ((2, 3), None, "Expected weights with no LoRA .* Received: weights with LoRA of rank 2 and alpha 3"),
        ((2, 3), (2, 4), "of rank 2 and alpha 4 .* of rank 2 and alpha 3.*with the same arguments"),
    ],
)
def test_weights_of_another_lora_are_refused(saved, loaded, message, tmp_path):
    models = [kd.DeiT(**SHAPE), kd.DeiT(**SHAPE)]
    for model, arguments in zip(models, (saved, loaded), strict=True):
        if arguments:
            kd.lora.enable(model, *arguments)
    models[0].save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(ValueError, match=message):
        models[1].load_weights(tmp_path / "a.weights.h5")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "`rank` must be an integer of at least 1. Received: rank=0"),
        ({"rank": 2.5}, "`rank` must be an integer of at least 1. Received: rank=2.5"),
        ({"alpha": 0}, "`alpha` must be a positive number, or None for `rank`. Received: alpha=0"),
        ({"layers": "mlp"}, r"`layers` must be a list with some of \['attention', 'mlp'\]. Received: layers='mlp'"),
        ({"layers": ["qkv"]}, "`layers` must be a list with some of"),
        ({"layers": []}, "`layers` must be a list with some of"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    model = kd.DeiT(**SHAPE)
    with pytest.raises(ValueError, match=message):
        kd.lora.enable(model, **arguments)
    assert len(model.trainable_variables) == len(model.weights)


def test_models_that_cannot_have_lora_are_refused():
    model = kd.DeiT(**SHAPE)
    distiller = kd.Distiller(model, kd.DeiT(**SHAPE))
    with pytest.raises(ValueError, match="Received: a Distiller. Enable LoRA in its `student`"):
        kd.lora.enable(distiller)
    model.backbone.trainable = False
    with pytest.raises(ValueError, match="all of them are frozen. Received: DeiT"):
        kd.lora.enable(model)
    model.backbone.trainable = True
    kd.lora.enable(model)
    with pytest.raises(ValueError, match="The model has LoRA already"):
        kd.lora.enable(model)
    with pytest.raises(ValueError, match="the model has none. Received: RegNetY"):
        kd.lora.enable(kd.RegNetY(widths=(8,), depths=(1,), group_width=8))
    with pytest.raises(ValueError, match="`model` must be a Keras model. Received: str"):
        kd.lora.enable("deit_ti")
    plain = kd.lora.merge(model)
    plain.quantize("int8")
    with pytest.raises(ValueError, match="Enable LoRA before `model.quantize`"):
        kd.lora.enable(plain)


def test_models_inside_of_the_model_forget_their_graphs_too():
    late = kd.DeiTClassifier(fill(kd.DeiT(**SHAPE)), fusion="sum")
    inside = (late.deit, late.backbone)
    before = [model.predict(IMAGES, verbose=0) for model in inside]
    kd.lora.enable(late)
    late.backbone.blocks[0].attention.qkv.lora_kernel_b.assign(np.ones((8, 48)))
    for model, old in zip(inside, before, strict=True):
        new = model.predict(IMAGES, verbose=0)
        called = model(IMAGES)  # without a graph
        for name in old:
            np.testing.assert_allclose(new[name], ops.convert_to_numpy(called[name]), atol=1e-5)
        assert max(np.abs(new[name] - old[name]).max() for name in old) > 1e-3


def test_a_model_around_is_right_after_compile():
    deit = fill(kd.DeiT(**SHAPE))
    around = kd.DeiTClassifier(deit)
    before = around.predict(IMAGES, verbose=0)
    kd.lora.enable(deit)
    deit.backbone.blocks[0].attention.qkv.lora_kernel_b.assign(np.ones((8, 48)))
    around.compile()
    after = around.predict(IMAGES, verbose=0)
    np.testing.assert_allclose(after, ops.convert_to_numpy(around(IMAGES)), atol=1e-5)
    assert np.abs(after - before).max() > 1e-3


def test_every_layer_of_a_merged_model_is_trained():
    backbone = kd.DeiT(**SHAPE).backbone
    images = keras.Input((16, 16, 3))
    (features,) = backbone.features(images, blocks=[1])
    norm = keras.layers.BatchNormalization(name="batch_norm")
    norm.trainable = False
    model = keras.Model(images, norm(features))
    kd.lora.enable(model)
    plain = kd.lora.merge(model)
    moving = ["batch_norm/moving_mean", "batch_norm/moving_variance"]
    assert paths(plain.non_trainable_variables) == moving
    assert len(plain.trainable_variables) == len(plain.weights) - len(moving)
