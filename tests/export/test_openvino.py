"""Export to OpenVINO, compared with the model in OpenVINO's runtime."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_deit.export import compare, to_openvino
from keras_deit.runtime.child_process import child_environment
from tests.export.students import CLASS_NAMES, images, needs_openvino, student


@needs_openvino
def test_a_program_with_openvino_alone_reads_logits_and_metadata(exported):
    import openvino

    path = exported[1] / "student.xml"
    core = openvino.Core()
    model = core.read_model(path)
    assert json.loads(model.get_rt_info(["keras_deit"]).value)["class_names"] == list(CLASS_NAMES)
    compiled = core.compile_model(model, "CPU")
    logits = compiled({"images": images(3)})["logits"]
    assert (logits.shape, logits.dtype) == ((3, 10), np.float32)


@needs_openvino
@pytest.mark.parametrize("shape", [(1, 64, 64, 3), (1, 3, 32, 32), (32, 32, 3), (3, 32, 32, 1)])
def test_images_of_another_shape_raise(shape, exported):
    import openvino

    compiled = openvino.Core().compile_model(exported[1] / "student.xml", "CPU")
    with pytest.raises(RuntimeError, match="input tensor"):
        compiled({"images": np.zeros(shape, "float32")})


@needs_openvino
@pytest.mark.backend_independent
def test_both_files_are_replaced_or_none(tmp_path):
    first, second = student(num_layers=1), student(num_layers=1, distilled=False)
    path = to_openvino(first, tmp_path / "model.xml")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model.bin", "model.xml"]
    with pytest.raises(FileExistsError, match="overwrite=True"):
        to_openvino(second, path)
    assert compare(first, path, images(2)).agrees
    assert compare(second, to_openvino(second, path, overwrite=True), images(2)).agrees
    path.unlink()
    with pytest.raises(FileExistsError, match=r"model\.bin already exists"):
        to_openvino(second, path)
    assert [file.name for file in tmp_path.iterdir()] == ["model.bin"]


@needs_openvino
@pytest.mark.backend_independent
def test_openvino_is_imported_without_its_telemetry():
    code = (
        "import sys\n"
        "from keras_deit.export.openvino import openvino_package\n"
        "openvino_package().Core()\n"
        "print([name for name in sys.modules if name.startswith('openvino_telemetry')])\n"
    )
    environment = child_environment(keras.backend.backend())
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert result.stdout.strip() == "[]", result.stderr


def test_another_extension_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must end in \.xml\. Received: .*model\.onnx"):
        to_openvino(student(num_layers=1), tmp_path / "model.onnx")


def test_without_openvino_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ImportError, match=r"keras-deit\[openvino\]"):
        to_openvino(student(num_layers=1), tmp_path / "model.xml")
    assert not list(tmp_path.iterdir())
