"""`keras-deit convert`: weights from one framework's format to another's."""

import importlib.util
import json

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.cli import main
from tests.report.test_page import SUMMARY
from tests.weights.checkpoints import SHAPE, assert_same_tensors, expected_logits, goldens, logits_of, path, read

pytest.importorskip("safetensors", reason="the checkpoints are safetensors")

needs_pytorch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason=".pth files need PyTorch")


def convert(source, destination, *options):
    return main(["convert", "--weights", str(source), "--output", str(destination), *map(str, options)])


@pytest.mark.parametrize(
    "name", ["timm_two_tokens", "timm_one_token", "transformers_two_tokens", "transformers_one_token"]
)
def test_every_format_survives_a_round_trip(name, tmp_path, capsys):
    source, heads = path(name), ["--num-heads", 2]
    assert convert(source, tmp_path / "keras.keras", *heads) == 0
    assert convert(tmp_path / "keras.keras", tmp_path / "timm.safetensors") == 0
    assert convert(tmp_path / "timm.safetensors", tmp_path / "transformers", *heads) == 0
    assert "DeiT, " in capsys.readouterr().out
    original = "transformers" if name.startswith("transformers") else "timm.safetensors"
    assert_same_tensors(read(tmp_path / original), read(source))
    logits = logits_of(keras.saving.load_model(tmp_path / "keras.keras"))
    for head, expected in expected_logits(name).items():
        np.testing.assert_allclose(logits[head], expected, atol=1e-4)


@pytest.mark.backend_independent
@needs_pytorch
@pytest.mark.parametrize("name", ["timm_two_tokens", "official_deit3", "timm_regnety"])
def test_official_files_survive_a_round_trip(name, tmp_path):
    heads = [] if name == "timm_regnety" else ["--num-heads", 2]
    assert convert(path(name), tmp_path / "official.pth", *heads) == 0
    assert_same_tensors(read(tmp_path / "official.pth"), read(path(name)))
    assert convert(tmp_path / "official.pth", tmp_path / "timm.safetensors", *heads) == 0
    timm = "timm_deit3" if name == "official_deit3" else name
    assert_same_tensors(read(tmp_path / "timm.safetensors"), read(path(timm)))


@pytest.mark.backend_independent
def test_a_convnet_and_a_masked_image_model_are_converted(tmp_path, capsys):
    assert convert(path("transformers_regnety"), tmp_path / "convnet.safetensors") == 0
    assert "RegNetY" in capsys.readouterr().out
    model = kd.RegNetY.from_preset(tmp_path / "convnet.safetensors")
    expected = expected_logits("transformers_regnety")["class"]
    np.testing.assert_allclose(model.predict(goldens()["images"], verbose=0), expected, atol=1e-4)
    assert convert(path("transformers_masked"), tmp_path / "masked", "--num-heads", 2) == 0
    assert_same_tensors(read(tmp_path / "masked"), read(path("transformers_masked")))


@pytest.mark.backend_independent
def test_a_runs_student_is_converted(tmp_path):
    (tmp_path / "run").mkdir()
    student = kd.DeiT(**SHAPE)
    student.save(tmp_path / "run" / "student.keras")
    assert convert(tmp_path / "run", tmp_path / "timm.safetensors") == 0
    np.testing.assert_array_equal(
        read(tmp_path / "timm.safetensors")["cls_token"], student.backbone.get_layer("prefix_tokens").get_weights()[0]
    )


@pytest.mark.backend_independent
def test_an_existing_file_is_replaced_only_with_overwrite(tmp_path, capsys):
    target = tmp_path / "model.safetensors"
    target.write_bytes(b"mine")
    assert convert(path("timm_regnety"), target) == 2
    assert "exists already" in capsys.readouterr().err
    assert target.read_bytes() == b"mine"
    assert convert(path("timm_regnety"), target, "--overwrite") == 0
    assert_same_tensors(read(target), read(path("timm_regnety")))


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("timm_regnety", "model.onnx", "--output must end in one of .safetensors, .pth, .keras"),
        ("timm_regnety", "model", "Use an --output that ends in .safetensors"),
        ("timm_deit3", "model.safetensors", "cannot be inferred from the tensors: pass `--num-heads ...`"),
    ],
)
def test_impossible_conversions_are_errors(source, target, message, tmp_path, capsys):
    assert convert(path(source), tmp_path / target) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / target).exists()


@pytest.mark.backend_independent
@needs_pytorch
def test_the_weights_of_a_file_with_several_models_are_chosen(tmp_path, capsys):
    import torch

    weights = {name: torch.from_numpy(value) for name, value in read(path("timm_two_tokens")).items()}
    zeros = {name: torch.zeros_like(value) for name, value in weights.items()}
    torch.save({"student": zeros, "teacher": weights, "epoch": 3}, tmp_path / "run.pth")
    target = tmp_path / "model.safetensors"
    assert convert(tmp_path / "run.pth", target, "--num-heads", 2) == 2
    error = capsys.readouterr().err
    assert f"run.pth': 'student' (weights, {len(weights)} names), 'teacher' (weights, {len(weights)} names)." in error
    assert "--weights-entry student" in error
    assert convert(tmp_path / "run.pth", target, "--num-heads", 2, "--weights-entry", "teacher") == 0
    assert_same_tensors(read(target), read(path("timm_two_tokens")))


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", ["model.safetensors", "model.keras", pytest.param("model.pth", marks=needs_pytorch)])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x10" + bytes(40), b"[1, 2]" * 20])
def test_a_file_of_anything_else_is_an_error_and_no_traceback(name, content, tmp_path, capsys):
    (tmp_path / name).write_bytes(content)
    assert convert(tmp_path / name, tmp_path / "target.safetensors") == 2
    error = capsys.readouterr().err
    assert name in error
    assert "Traceback" not in error
    assert "weights_only" not in error


@pytest.mark.backend_independent
@needs_pytorch
def test_a_pth_file_keeps_the_class_names(tmp_path, capsys):
    names = tuple(f"class {index}" for index in range(SHAPE["num_classes"]))
    kd.DeiT(**{**SHAPE, "class_names": names}).save(tmp_path / "model.keras")
    assert convert(tmp_path / "model.keras", tmp_path / "model.pth") == 0
    assert capsys.readouterr().err == ""
    assert convert(tmp_path / "model.pth", tmp_path / "again.keras") == 0
    assert kd.pretrained(tmp_path / "again.keras").class_names == names


@pytest.mark.backend_independent
def test_a_model_card_has_the_figures_of_the_run(tmp_path, capsys):
    hub = pytest.importorskip("huggingface_hub", reason="it writes the card")
    run = tmp_path / "run"
    run.mkdir()
    kd.DeiT(**SHAPE).save(run / "student.keras")
    (run / "summary.json").write_text(json.dumps(SUMMARY))
    assert convert(run, tmp_path / "hub", "--model-card") == 0
    assert f"Model card: {tmp_path / 'hub' / 'README.md'}" in capsys.readouterr().out
    card = hub.ModelCard.load(tmp_path / "hub" / "README.md")
    assert card.data.eval_results[0].metric_value == SUMMARY["student"]["accuracy"]
    assert convert(run, tmp_path / "hub" / "student.keras", "--model-card") == 2  # beside the card
    assert "README.md' exists already: choose another directory, or replace it" in capsys.readouterr().err
    assert not (tmp_path / "hub" / "student.keras").exists()
