"""`keras-deit export`, and the other commands on what it writes."""

import argparse
import json

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.cli import export as cli_export
from keras_deit.cli import main
from keras_deit.export import formats
from keras_deit.export.report import Limits, Report
from tests.export.students import needs_onnx, tensorflow_only
from tests.runs import need_run_packages

need_run_packages()
pillow = pytest.importorskip("PIL.Image", reason="Pillow writes the images")
SHAPE = dict(image_size=16, patch_size=8, hidden_dim=16, num_layers=1, num_heads=2, num_classes=10)
NAMES = tuple(map(str, range(10)))
RECORD = {"crop_ratio": 1.0, "squash": True, "mean": (0.5, 0.4, 0.3)}


def command(name, *arguments):
    return main([name, *map(str, arguments)])


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A model of digits whose predictions depend on the image, with class names and a preparation of images."""
    model = kd.DeiT(**SHAPE, class_names=NAMES, preprocessing=RECORD)
    rng = np.random.default_rng(0)
    for head in ("class_head", "distillation_head"):
        model.get_layer(head).set_weights([rng.normal(size=(16, 10)), np.zeros(10)])
    path = tmp_path_factory.mktemp("weights") / "model.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def exported(weights, tmp_path_factory):
    """The directory of an export to ONNX with a report."""
    pytest.importorskip("onnxruntime", reason="the extra `onnx`")
    pytest.importorskip("onnx", reason="the extra `onnx`")
    directory = tmp_path_factory.mktemp("exports")
    assert command("export", weights, "--format", "onnx", "--data", "digits", "--report", "--output", directory) == 0
    return directory


@pytest.mark.backend_independent
def test_the_report_compares_the_export_on_the_test_split(exported):
    found = json.loads((exported / "export_report.json").read_text(encoding="utf-8"))
    assert (found["dataset"], found["images"]) == ("digits", 364)
    (onnx,) = found["exports"]
    assert onnx["largest_difference"] <= 1e-4
    assert (onnx["agreement"], onnx["agrees"]) == (1.0, True)
    assert onnx["accuracy"] == onnx["model_accuracy"]
    assert onnx["metadata"]["class_names"] == list(NAMES)
    assert "Exported models" in (exported / "export_report.html").read_text(encoding="utf-8")


@pytest.mark.backend_independent
def test_evaluate_finds_the_same_figures_for_the_export(exported, weights, capsys):
    options = ["--dataset", "digits", "--mistakes", 3]
    assert command("evaluate", "--weights", weights, *options) == 0
    of_model = capsys.readouterr().out
    assert command("evaluate", "--weights", exported / "student.onnx", *options) == 0
    of_export = capsys.readouterr().out
    fused = next(line.split()[-2:] for line in of_model.splitlines() if line.startswith("  fused"))
    found = next(line.split()[-2:] for line in of_export.splitlines() if line.startswith("  model"))
    assert found == fused
    assert of_export.splitlines()[0] == of_model.splitlines()[0]
    assert of_export.partition("recall")[2] == of_model.partition("recall")[2]  # every class, and the mistakes


@pytest.mark.backend_independent
def test_predict_prints_the_same_for_the_export(exported, weights, tmp_path, capsys):
    for index, pixels in enumerate(np.random.default_rng(1).integers(0, 256, (2, 40, 30, 3))):
        pillow.fromarray(pixels.astype("uint8")).save(tmp_path / f"{index}.png")
    printed = []
    for source in (weights, exported / "student.onnx"):
        assert command("predict", tmp_path, "--weights", source, "--top", 4, "--crop-ratio", 0.9) == 0
        printed.append(capsys.readouterr().out)
    assert len(printed[0].splitlines()) == 2 * 5
    assert printed[0] == printed[1]


@pytest.mark.backend_independent
@needs_onnx
def test_without_images_the_export_is_only_written(weights, tmp_path, capsys):
    options = ["--format", "onnx", "--output", tmp_path]
    assert command("export", "--weights", weights, *options) == 0
    assert "The exports were not compared with the model" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["student.onnx"]
    assert command("export", weights, *options) == 2
    assert f"Already there: {tmp_path / 'student.onnx'}. Choose" in capsys.readouterr().err
    assert command("export", weights, *options, "--overwrite") == 0


@pytest.mark.backend_independent
@needs_onnx
def test_an_export_that_differs_too_much_fails(weights, tmp_path, capsys, monkeypatch):
    options = ["--data", "digits", "--format", "onnx", "--overwrite", "--output", tmp_path]
    assert command("export", weights, *options, "--tolerance", 0) == 1
    assert "TOO LARGE A DIFFERENCE" in capsys.readouterr().out
    monkeypatch.setitem(formats.FORMATS, "onnx", formats.Format(kd.export.to_onnx, "a.onnx", Limits(None, 1.1)))
    assert command("export", weights, *options) == 1
    assert command("export", weights, *options, "--tolerance", 1e-3, "--max-images", 7) == 0
    assert "logits of 7 images" in capsys.readouterr().out


@tensorflow_only
def test_a_saved_model_is_compared_and_has_the_logits_of_the_model(weights, tmp_path, capsys):
    import tensorflow as tf

    options = ["--format", "saved_model", "--inputs", "pixels", "--data", "digits", "--output", tmp_path]
    assert command("export", weights, *options) == 0
    assert "MB): logits of 364 images differ by at most" in capsys.readouterr().out
    loaded = tf.saved_model.load(str(tmp_path / "saved_model"))
    pixels = np.random.default_rng(1).integers(0, 256, (2, 16, 16, 3)).astype("uint8")
    logits = loaded.signatures["serving_default"](pixels=pixels)["logits"]
    normalised = (pixels / 255 - np.array(RECORD["mean"])) / kd.IMAGENET_STD
    heads = kd.pretrained(weights).predict(normalised.astype("float32"), verbose=0)
    np.testing.assert_allclose(logits, (heads["class"] + heads["distillation"]) / 2, atol=1e-4)


@pytest.mark.backend_independent
@needs_onnx
def test_a_run_is_exported_into_its_directory(weights, tmp_path, capsys):
    (tmp_path / "student.keras").write_bytes(weights.read_bytes())
    assert command("export", tmp_path, "--format", "onnx") == 0
    assert (tmp_path / "student.onnx").exists()


@pytest.mark.backend_independent
@needs_onnx
def test_a_format_that_is_named_twice_is_exported_once(weights, tmp_path, capsys):
    assert command("export", weights, "--format", "onnx,onnx", "--output", tmp_path) == 0
    assert capsys.readouterr().out.count("Written") == 1


@pytest.mark.backend_independent
@needs_onnx
def test_every_file_in_the_way_is_found_before_anything_is_loaded(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli_export, "check_formats", lambda formats: None)
    for name in ("student.bin", "student.json", "export_report.html"):
        (tmp_path / name).write_text("mine")
    options = ["none.keras", "--data", "none", "--output", tmp_path]
    for names, taken in (
        ("onnx", "export_report.html"),
        ("onnx,litert", "student.json"),
        ("onnx,openvino", "student.bin"),
    ):
        assert command("export", *options, "--format", names, "--report") == 2
        error = capsys.readouterr().err
        assert str(tmp_path / taken) in error.partition("Already there:")[2]
        assert "pass --overwrite to replace them" in error
    assert command("export", *options[:3], "--format", "onnx", "--output", tmp_path / "export_report.html") == 2
    assert "--output must be a directory" in capsys.readouterr().err


@pytest.mark.backend_independent
def test_calibration_images_are_those_of_the_training_split(weights, tmp_path, capsys, monkeypatch):
    received = []

    def write(model, name, directory, calibration, **arguments):
        received.append(calibration)
        raise RuntimeError("no conversion here")

    monkeypatch.setattr(cli_export, "check_formats", lambda formats: None)
    monkeypatch.setattr(cli_export, "write", write)
    options = ["--format", "litert:int8", "--data", "digits", "--output", tmp_path]
    assert command("export", weights, *options) == 2
    printed = capsys.readouterr()
    assert "The export to litert:int8 failed. no conversion here" in printed.err
    assert "Calibration of the int8 file: 128 training images of 'digits'" in printed.out
    data = kd.data.load("digits", "train")
    chosen = np.round(np.arange(128) * (len(data) - 1) / 127).astype(int)
    expected = kd.ImageProcessor(16, **RECORD)(np.stack([data.images[index] for index in chosen]))
    np.testing.assert_allclose(received[0], keras.ops.convert_to_numpy(expected), atol=1e-5)


@pytest.mark.backend_independent
@needs_onnx
def test_a_runtime_that_fails_ends_in_one_error(weights, tmp_path, capsys, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("The child process has ended.")

    monkeypatch.setattr(cli_export, "profile", fail)
    options = ["--format", "onnx", "--data", "digits", "--output", tmp_path, "--overwrite"]
    assert command("export", weights, *options, "--report") == 2
    assert "The measurement for the report failed. The child process has ended." in capsys.readouterr().err
    monkeypatch.setattr(cli_export, "compare_exports", fail)
    assert command("export", weights, *options) == 2
    assert "The comparison of the exports with the model failed. The child" in capsys.readouterr().err


@pytest.fixture
def foreign(tmp_path):
    """A model of digits that is not of this package."""
    path = tmp_path / "foreign.keras"
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(10)]).save(path)
    return path


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["saved_model", "--inputs", "bytes"], "--inputs bytes needs a model that stores how its images are prepared"),
        (["litert", "--inputs", "pixels"], "Export it with --inputs normalized"),
        (["litert:int8"], "litert:int8 is calibrated on prepared images"),
    ],
)
def test_what_needs_the_preparation_of_images_is_refused_without_one(options, message, foreign, capsys, monkeypatch):
    monkeypatch.setattr(cli_export, "check_formats", lambda formats: None)
    options = ["--data", "digits", "--output", foreign.parent / "exports", "--format", *options]
    assert command("export", foreign, *options) == 2
    assert message in capsys.readouterr().err


@pytest.mark.backend_independent
def test_what_is_assumed_of_images_and_classes_is_printed(foreign, capsys, monkeypatch):
    def write(*arguments, **more):
        raise RuntimeError("no conversion here")

    monkeypatch.setattr(cli_export, "check_formats", lambda formats: None)
    monkeypatch.setattr(cli_export, "write", write)
    assert command("export", foreign, "--data", "digits", "--format", "saved_model", "--output", foreign.parent) == 2
    printed = capsys.readouterr().out
    assert "The weights have no class names: the classes are assumed to be those of the dataset" in printed
    assert "The model does not store how its images are prepared: they were normalised by ImageNet's mean" in printed


class PixelsInKeras:
    """An export of pixels that prepares them as a record says."""

    format, path = "saved_model", "saved_model"

    def __init__(self, model, record):
        self.model, self.processor = model, kd.Preprocessing(**record).processor(16)
        self.runtime = self

    def run_pixels(self, pixels):
        assert pixels.dtype == "uint8"
        return keras.ops.convert_to_numpy(self.model(self.processor(pixels)))


@pytest.mark.backend_independent
def test_the_preparation_in_a_saved_model_of_pixels_is_compared(weights, capsys):
    model = kd.pretrained(weights, fused=True)
    pixels = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3)).astype("uint8")
    images = (pixels / 255 - RECORD["mean"]) / kd.IMAGENET_STD
    found = Report("saved_model", "", 0, 40, 1e-6, 1e-7, {}, 1.0, None, None, Limits(), True)
    options = argparse.Namespace(inputs="pixels")
    kept = cli_export._with_preparation(options, model, PixelsInKeras(model, RECORD), images, found)
    assert (kept.agrees, kept.largest_difference) == (True, 1e-6)
    broken = PixelsInKeras(model, {**RECORD, "mean": 0.4})
    lost = cli_export._with_preparation(options, model, broken, images, found)
    assert not lost.agrees
    assert lost.largest_difference > 0.01
    capsys.readouterr()
    options.inputs = "bytes"
    assert cli_export._with_preparation(options, model, broken, images, found) == found
    assert "The preparation of image files in `serving_default` is not compared" in capsys.readouterr().out


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--format", "onnx"], "Pass the run or the weights to export once"),
        (["a.keras", "--weights", "b.keras", "--format", "onnx"], "Pass the run or the weights to export once"),
        (["a.keras", "--format", "coreml"], "There is no export format 'coreml'. Known formats: saved_model"),
        (["a.keras", "--format", ","], "--format must name at least one format"),
        (["a.keras", "--format", "onnx", "--inputs", "pixels"], "--inputs must be what every format can take (onnx:"),
        (["a.keras", "--format", "onnx", "--report"], "--report needs --data"),
        (["a.keras", "--format", "onnx", "--tolerance", "1e-3"], "--tolerance needs --data"),
        (["a.keras", "--format", "onnx", "--tolerance", "0"], "--tolerance needs --data"),
        (["a.keras", "--format", "onnx", "--tolerance", "-1", "--data", "x"], "--tolerance must be at least 0"),
        (["a.keras", "--format", "onnx", "--max-images", "3"], "--max-images needs --data"),
        (["a.keras", "--format", "onnx", "--max-images", "0", "--data", "x"], "--max-images must be at least 1"),
    ],
)
@needs_onnx
def test_wrong_options_are_refused_before_anything_is_loaded(options, message, capsys):
    assert command("export", *options) == 2
    assert message in capsys.readouterr().err


@pytest.mark.backend_independent
@needs_onnx
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--variant", "deit_ti", "--num-heads", 3], "Only weights without a model take --variant and --num-heads"),
        (["--image-size", 32], "takes images of 16×16 pixels only"),
    ],
)
def test_options_that_need_a_keras_model_are_refused_for_an_export(options, message, exported, capsys):
    assert command("evaluate", "--weights", exported / "student.onnx", "--dataset", "digits", *options) == 2
    assert message in capsys.readouterr().err


@pytest.mark.backend_independent
@needs_onnx
def test_an_export_without_metadata_is_refused(exported, tmp_path, capsys):
    import onnx

    model = onnx.load(exported / "student.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    pillow.new("RGB", (20, 20)).save(tmp_path / "a.png")
    assert command("predict", tmp_path / "a.png", "--weights", tmp_path / "foreign.onnx") == 2
    assert "does not say what its classes are" in capsys.readouterr().err
    assert command("predict", tmp_path / "a.png", "--weights", tmp_path / "none.tflite") == 2
    assert "There is no export at" in capsys.readouterr().err
