"""Export to ONNX, compared with the model in ONNX Runtime."""

import json
import sys

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.export import compare, onnx, serving, to_litert, to_onnx
from tests.export.students import images, needs_onnx, photographs, student

LARGE_PATCHES = dict(image_size=(28, 42), patch_size=14, num_heads=2)


def logits_of(model, batch):
    return keras.ops.convert_to_numpy(kd.DeiTClassifier(model)(batch))


def session(path):
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def run(path, batch):
    (logits,) = session(path).run(["logits"], {"images": batch})
    return logits


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A student with class names and a preparation of images, and its file."""
    preparation = kd.Preprocessing(mean=(0.5, 0.4, 0.3), std=0.25, crop_ratio=0.9, squash=True)
    names = ["Katze", "犬", *map(str, range(8))]
    model = student(class_names=names, preprocessing=preparation, multi_label=True)
    return model, to_onnx(model, tmp_path_factory.mktemp("onnx") / "student.onnx")


@needs_onnx
@pytest.mark.parametrize(
    "overrides",
    [
        dict(),
        dict(distilled=False),
        dict(layer_scale_init=0.1),
        dict(prefix_positions=False),
        dict(distilled=False, prefix_positions=False, layer_scale_init=0.1),
        LARGE_PATCHES,
        dict(image_size=(64, 32), hidden_dim=40, num_heads=5, intermediate_dim=24),
        dict(layer_norm_epsilon=0.1, drop_path_rate=0.5),
    ],
    ids=["two_tokens", "one_token", "layer_scale", "no_prefix_positions", "deit3", "patch_14", "tall", "epsilon"],
)
def test_every_kind_of_student(overrides, tmp_path):
    model = student(**overrides)
    batch = photographs(*model.image_size)
    expected = logits_of(model, batch)
    assert np.std(expected) > 0.1  # the logits are not all zero
    np.testing.assert_allclose(run(to_onnx(model, tmp_path / "student.onnx"), batch), expected, rtol=0, atol=1e-4)


@needs_onnx
@pytest.mark.parametrize("fusion", ["mean_logits", "mean_probabilities", "class", "distillation", "concat", "sum"])
def test_every_fusion(fusion, tmp_path):
    model = kd.DeiTClassifier(student(num_layers=1), fusion=fusion)
    batch = photographs(32, 32)
    expected = keras.ops.convert_to_numpy(model(batch))
    np.testing.assert_allclose(run(to_onnx(model, tmp_path / "model.onnx"), batch), expected, rtol=0, atol=1e-4)


@needs_onnx
@pytest.mark.parametrize("fusion", ["mean_logits", "mean_probabilities", "class"])
def test_every_fusion_of_one_token(fusion, tmp_path):
    model = kd.DeiTClassifier(student(num_layers=1, distilled=False), fusion=fusion)
    batch = photographs(32, 32)
    expected = keras.ops.convert_to_numpy(model(batch))
    np.testing.assert_allclose(run(to_onnx(model, tmp_path / "model.onnx"), batch), expected, rtol=0, atol=1e-4)


@needs_onnx
def test_the_log_of_the_mean_of_probabilities_that_float32_cannot_hold_is_finite(tmp_path):
    deit = student(num_layers=1)
    for head in ("class_head", "distillation_head"):
        kernel, bias = deit.get_layer(head).weights
        kernel.assign(np.zeros(kernel.shape))
        bias.assign(np.arange(10) * -50.0)  # of logits 450 apart, the smaller probability is e^-450
    path = to_onnx(kd.DeiTClassifier(deit, fusion="mean_probabilities"), tmp_path / "model.onnx")
    np.testing.assert_allclose(run(path, photographs(32, 32)), [np.arange(10) * -50.0] * 2, rtol=0, atol=1e-4)


@needs_onnx
@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_batch_size_is_free(written, batch_size):
    model, path = written
    batch = images(batch_size)
    np.testing.assert_allclose(run(path, batch), logits_of(model, batch), rtol=0, atol=1e-4)


@needs_onnx
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_other_precisions_become_float32(policy, tmp_path):
    in_float32, batch = student(num_layers=1), photographs(32, 32)
    path = to_onnx(student(num_layers=1, dtype=policy), tmp_path / "student.onnx")
    np.testing.assert_allclose(run(path, batch), logits_of(in_float32, batch), rtol=0, atol=1e-4)


@needs_onnx
def test_lora_is_merged(tmp_path):
    model, batch = student(num_layers=1), photographs(32, 32)
    before = logits_of(model, batch)
    for layer in (model.backbone.blocks[0].attention.qkv, model.get_layer("class_head")):
        layer.enable_lora(rank=2, lora_alpha=3)
        layer.lora_kernel_b.assign(np.ones(layer.lora_kernel_b.shape))
    expected = logits_of(model, batch)
    assert np.max(np.abs(expected - before)) > 0.01
    np.testing.assert_allclose(run(to_onnx(model, tmp_path / "student.onnx"), batch), expected, rtol=0, atol=1e-4)


@needs_onnx
def test_the_names_types_and_shapes_are_those_of_the_other_formats(written):
    (inputs,), (outputs,) = session(written[1]).get_inputs(), session(written[1]).get_outputs()
    assert (inputs.name, inputs.type, inputs.shape) == ("images", "tensor(float)", ["batch", 32, 32, 3])
    assert (outputs.name, outputs.type, outputs.shape) == ("logits", "tensor(float)", ["batch", 10])


@needs_onnx
def test_class_names_and_the_preparation_of_images_are_in_the_metadata(written):
    model, path = written
    metadata = session(path).get_modelmeta().custom_metadata_map
    read = {key: json.loads(value) for key, value in metadata.items()}
    assert tuple(read["class_names"]) == model.class_names
    assert kd.Preprocessing(**read["preprocessing"]) == model.preprocessing
    assert read["multi_label"] is True


@needs_onnx
def test_what_the_model_does_not_know_is_null_in_the_metadata(tmp_path):
    metadata = session(to_onnx(student(num_layers=1), tmp_path / "a.onnx")).get_modelmeta().custom_metadata_map
    assert (metadata["class_names"], metadata["quantization"], metadata["multi_label"]) == ("null", "null", "false")


@needs_onnx
@pytest.mark.parametrize(
    "shape", [(1, 64, 64, 3), (1, 3, 32, 32), (32, 32, 3), (3072,), (1, 16, 64, 3), (3, 32, 32, 1)]
)
def test_images_of_another_shape_raise(written, shape):
    from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

    with pytest.raises(InvalidArgument, match=r"(dimensions|rank) for input: images"):
        run(written[1], np.zeros(shape, "float32"))


@needs_onnx
def test_images_of_another_type_raise(written):
    from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

    with pytest.raises(InvalidArgument, match="Unexpected input data type"):
        run(written[1], np.zeros((1, 32, 32, 3), "uint8"))


@needs_onnx
def test_compare_reads_onnx_files(written):
    model, path = written
    report = compare(model, path, images(5))
    assert (report.format, report.images, report.size) == ("onnx", 5, path.stat().st_size)
    assert 0 < report.largest_difference < 1e-4
    other = type(model).from_config(model.get_config())  # fresh weights
    assert not compare(other, path, images(2)).agrees


@needs_onnx
def test_every_weight_is_stored_once(written):
    model, path = written
    assert path.stat().st_size < 1.05 * 4 * model.count_params()


def own_class():
    class Student(kd.DeiT):
        pass

    return Student(num_layers=1, image_size=32, patch_size=8, hidden_dim=24, num_heads=3)


def own_layer():
    class Shifted(type(student(num_layers=1).backbone.blocks[0].mlp)):
        pass

    model = student(num_layers=1)
    model.backbone.blocks[0].mlp.__class__ = Shifted
    return model


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: kd.DeiTBackbone(num_layers=1, image_size=32, hidden_dim=24, num_heads=3), "DeiTBackbone"),
        (lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()]), "Sequential"),
        (own_class, "Student"),
        (lambda: kd.DeiTClassifier(own_class()), "DeiTClassifier with a layer of the class Student"),
        (own_layer, "DeiT with a layer of the class Shifted"),
        (lambda: None, "NoneType"),
    ],
    ids=["backbone", "sequential", "subclass", "subclass_inside", "layer", "none"],
)
def test_other_models_are_refused(make, name, tmp_path):
    with pytest.raises(ValueError, match=rf"Received: {name}\. From a Distiller, .* `to_saved_model` exports other"):
        to_onnx(make(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_quantized_model_is_refused(tmp_path):
    model = student(num_layers=1)
    model.quantize("int8")
    with pytest.raises(ValueError, match="`to_onnx` writes kernels in float32. Received: a quantized model"):
        to_onnx(model, tmp_path / "student.onnx")
    assert not list(tmp_path.iterdir())


def test_token_merging_is_refused(tmp_path):
    model = kd.DeiTClassifier(student(num_layers=1), token_merging=2)
    with pytest.raises(ValueError, match="`to_onnx` writes models that merge no tokens. Received: token_merging=2"):
        to_onnx(model, tmp_path / "student.onnx")
    assert not list(tmp_path.iterdir())


def test_a_model_that_the_format_cannot_hold_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "MAX_WEIGHTS", 1024**2)
    model = student(num_layers=1)
    received = f"{4 * model.count_params() / 2**20:.1f} MiB"
    for write, name, file in ((to_onnx, "a.onnx", "An ONNX"), (to_litert, "a.tflite", "A LiteRT")):
        with pytest.raises(
            ValueError, match=rf"{file} .* at most 1\.0 MiB. Received: a model with {received} of weights"
        ):
            write(model, tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.backend_independent
def test_the_format_holds_every_variant_but_the_largest():
    too_large = [row["name"] for row in kd.list_variants() if 4 * row["parameters"] > serving.MAX_WEIGHTS]
    assert [name for name in too_large if name.startswith("deit")] == ["deit3_h"]


@needs_onnx
def test_overwrite_replaces_a_file_and_nothing_else(tmp_path):
    path, folder = tmp_path / "student.onnx", tmp_path / "folder.onnx"
    path.write_text("old")
    folder.mkdir()
    model = student(num_layers=1)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        to_onnx(model, path)
    assert path.read_text() == "old"
    assert compare(model, to_onnx(model, path, overwrite=True), images(2)).agrees
    with pytest.raises(FileExistsError, match="replaces only a file"):
        to_onnx(model, folder, overwrite=True)


@needs_onnx
def test_a_file_that_the_checker_refuses_is_not_kept(tmp_path, monkeypatch):
    from onnx.checker import ValidationError

    monkeypatch.setattr(onnx, "OPSET", 16)  # without LayerNormalization and Gelu
    with pytest.raises(ValidationError):
        to_onnx(student(num_layers=1), tmp_path / "student.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", ["v1.0", "student", "student.json"])
def test_another_extension_is_refused(name, tmp_path):
    with pytest.raises(ValueError, match=rf"must end in \.onnx\. Received: .*{name}"):
        to_onnx(student(num_layers=1), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("package", "call"), [("onnx", "to_onnx"), ("onnxruntime", "compare")])
def test_without_a_package_the_error_names_the_extra(package, call, tmp_path, monkeypatch):
    for module in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / "old.onnx").write_text("old")
    calls = {
        "to_onnx": lambda: to_onnx(student(num_layers=1), tmp_path / "new.onnx"),
        "compare": lambda: compare(student(num_layers=1), tmp_path / "old.onnx", images(1)),
    }
    with pytest.raises(ImportError, match=r"keras-deit\[onnx\]"):
        calls[call]()
    assert [path.name for path in tmp_path.iterdir()] == ["old.onnx"]
