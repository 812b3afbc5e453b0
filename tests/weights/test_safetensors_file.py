"""Reading safetensors files, compared with the safetensors package."""

import json

import ml_dtypes
import numpy as np
import pytest

from keras_deit.weights.checkpoint import open_checkpoint
from keras_deit.weights.safetensors_file import read_safetensors, read_safetensors_metadata
from tests.weights.checkpoints import path

safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="the package is the reference")
pytestmark = pytest.mark.backend_independent


def write(path, header, data=b""):
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def test_tensors_and_metadata_are_those_of_the_package(tmp_path):
    expected = safetensors_numpy.load_file(path("timm_deit3"))
    received = read_safetensors(path("timm_deit3"))
    assert set(received) == set(expected)
    for name, value in expected.items():
        assert received[name].dtype == value.dtype
        np.testing.assert_array_equal(received[name], value)
    file = tmp_path / "model.safetensors"
    values = {"a": np.arange(3), "b": np.float16([[1, 2]]), "c": np.array(True), "d": np.zeros((0, 2), "uint8")}
    safetensors_numpy.save_file(values, file, metadata={"format": "pt"})
    assert read_safetensors_metadata(file) == {"format": "pt"}
    for name, value in read_safetensors(file).items():
        assert (value.dtype, value.shape) == (values[name].dtype, values[name].shape)
        np.testing.assert_array_equal(value, values[name])


@pytest.mark.parametrize(
    ("dtype", "name"),
    [(ml_dtypes.bfloat16, "BF16"), (ml_dtypes.float8_e4m3fn, "F8_E4M3"), (ml_dtypes.float8_e5m2, "F8_E5M2")],
)
def test_short_floats_become_float32(dtype, name, tmp_path):
    values = np.array([1.5, -0.25, 3.0], dtype)
    header = {"a": {"dtype": name, "shape": [3], "data_offsets": [0, values.nbytes]}}
    received = read_safetensors(write(tmp_path / "short.safetensors", header, values.tobytes()))["a"]
    assert received.dtype == np.float32
    np.testing.assert_array_equal(received, [1.5, -0.25, 3.0])


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, -4]},
        {"dtype": "F32", "shape": "one", "data_offsets": [0, 4]},
        {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]},
        {"shape": [1]},
        3,
    ],
)
def test_a_wrong_header_is_refused(entry, tmp_path):
    file = write(tmp_path / "wrong.safetensors", {"a": entry}, b"1234")
    with pytest.raises(ValueError, match="wrong.safetensors' is not a complete safetensors file"):
        read_safetensors(file)


@pytest.mark.parametrize("header", [[1], "text", None])
def test_a_header_that_is_no_dictionary_is_refused(header, tmp_path):
    with pytest.raises(ValueError, match="the header is no dictionary"):
        read_safetensors(write(tmp_path / "wrong.safetensors", header))


def test_many_tensors_are_refused(tmp_path):
    header = {f"tensor_{index}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for index in range(200_000)}
    file = write(tmp_path / "many.safetensors", header)
    with pytest.raises(ValueError, match="Expected at most 10,000 tensors.*many.safetensors'. Received: 200,000"):
        open_checkpoint(file)
