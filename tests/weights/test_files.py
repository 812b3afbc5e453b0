"""Checkpoint files: intact, damaged and malicious."""

import argparse
import importlib.util
import json
import os
import pickle
import tarfile

import keras
import numpy as np
import pytest

from keras_deit.weights.files import is_checkpoint, read_metadata, write
from tests.weights.checkpoints import path, read

pytest.importorskip("safetensors", reason="the checkpoints are safetensors")
has_torch = importlib.util.find_spec("torch") is not None
needs_torch = pytest.mark.skipif(not has_torch, reason=".pth files need PyTorch")


def test_written_tensors_are_read(tmp_path):
    values = {"a": np.arange(6, dtype="float32").reshape(2, 3), "b": np.array(3, "int64")}
    write(values, tmp_path / "model.safetensors")
    for source in (tmp_path / "model.safetensors", tmp_path):  # directories on the hub hold such a file
        stored = read(source)
        assert set(stored) == set(values)
        for name, value in values.items():
            np.testing.assert_array_equal(stored[name], value)


@pytest.mark.parametrize("keep", [0, 7, 500, -1])
def test_a_truncated_file_is_refused(keep, tmp_path):
    whole = path("timm_one_token").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[:keep])
    with pytest.raises(ValueError, match=r"cut.safetensors' is not a complete safetensors file"):
        read(tmp_path / "cut.safetensors")


def test_a_path_without_a_checkpoint_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no checkpoint at"):
        read(tmp_path / "none.safetensors")
    with pytest.raises(ValueError, match="holds no checkpoint"):
        read(tmp_path)


@needs_torch
@pytest.mark.parametrize("wrapped", [False, True])
def test_pytorch_files_are_read(wrapped, tmp_path):
    import torch

    state = {"weight": torch.arange(3.0), "half": torch.ones(2, dtype=torch.bfloat16), "count": torch.tensor(3)}
    stored = {"model": state, "epoch": 3, "args": argparse.Namespace(lr=0.1)} if wrapped else state
    torch.save(stored, tmp_path / "checkpoint.pth")
    values = read(tmp_path / "checkpoint.pth")
    np.testing.assert_array_equal(values["weight"], [0, 1, 2])
    assert values["half"].dtype == np.float32
    assert values["count"] == 3


@needs_torch
@pytest.mark.parametrize("is_archive", [True, False], ids=["archive", "before PyTorch 1.6"])
@pytest.mark.parametrize("name", ["epoch=3.ckpt", "model_best.pth.tar", "checkpoint-300", "weights.pkl"])
def test_pytorch_files_of_other_names_are_recognised(name, is_archive, tmp_path):
    import torch

    file = tmp_path / name
    torch.save({"state_dict": {"a": torch.arange(3.0)}}, file, _use_new_zipfile_serialization=is_archive)
    np.testing.assert_array_equal(read(file)["a"], [0, 1, 2])
    assert is_checkpoint(file)
    assert read_metadata(file) == {}


@pytest.mark.parametrize("name", ["model.ckpt", "pytorch_model.bin", "model.pth", "model"])
def test_safetensors_files_of_other_names_are_recognised(name, tmp_path):
    write({"a": np.arange(3.0)}, tmp_path / name, {"num_heads": 3})
    np.testing.assert_array_equal(read(tmp_path / name)["a"], [0, 1, 2])
    assert is_checkpoint(tmp_path / name)
    assert read_metadata(tmp_path / name) == {"num_heads": 3}


@pytest.mark.parametrize("content", [b"", b"a text", pickle.dumps({"a": 1}), b"PK\x03\x04"], ids=repr)
def test_files_of_other_names_that_hold_something_else_are_refused(content, tmp_path):
    (tmp_path / "model.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match="must end in one of .safetensors.*or the file must be one of PyTorch"):
        read(tmp_path / "model.ckpt")
    assert not is_checkpoint(tmp_path / "model.ckpt")


def test_an_archive_of_tar_is_refused_with_advice(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"weights")
    with tarfile.open(tmp_path / "model.pth.tar", "w") as archive:
        archive.add(tmp_path / "model.pth", "model.pth")
    with pytest.raises(ValueError, match="an archive of tar: unpack it"):
        read(tmp_path / "model.pth.tar")


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("pickled-code-ran",)


@needs_torch
def test_pickled_code_is_refused_and_does_not_run(tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    torch.save({"model": RunsCode()}, "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(RunsCode()))
    for name in ("evil.pth", "plain.pth"):
        with pytest.raises(ValueError, match=f"{name}' cannot be read as PyTorch weights: .*`torch.save") as failure:
            read(tmp_path / name)
        assert ("it holds posix.mkdir" in str(failure.value)) == (name == "evil.pth" and os.name == "posix")
    assert not (tmp_path / "pickled-code-ran").exists()


@needs_torch
def test_a_pytorch_file_without_weights_is_refused(tmp_path):
    import torch

    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(ValueError, match="Expected a dictionary from names to tensors"):
        read(tmp_path / "list.pth")
    with pytest.raises(ValueError, match="cut.pth' cannot be read"):
        read(tmp_path / "cut.pth")


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch is the backend")
def test_without_pytorch_the_error_names_the_extra(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "torch", None)
    (tmp_path / "model.pth").touch()
    with pytest.raises(ImportError, match=r"keras-deit\[torch\]"):
        read(tmp_path / "model.pth")


def test_other_extensions_are_refused(tmp_path):
    (tmp_path / "model.keras").touch()
    with pytest.raises(ValueError, match="must end in one of .safetensors.*by `keras_deit.pretrained`"):
        read(tmp_path / "model.keras")


@pytest.mark.parametrize("text", ["no JSON", "[1]", '{"num_attention_heads": 3, "image_size": 32}'])
def test_transformers_configuration_is_read_as_metadata(text, tmp_path):
    write({"a": np.zeros(1)}, tmp_path / "model.safetensors")
    assert read_metadata(tmp_path) == {}
    (tmp_path / "config.json").write_text(text)
    assert read_metadata(tmp_path) == ({"num_heads": 3, "image_size": (32, 32)} if "num" in text else {})


def test_only_known_arguments_are_read_from_the_metadata(tmp_path):
    write({"a": np.zeros(1)}, tmp_path / "model.safetensors", {"num_heads": 4, "name": "other", "image_size": (8, 16)})
    assert read_metadata(tmp_path / "model.safetensors") == {"num_heads": 4, "image_size": (8, 16)}


def in_parts(folder, write_part, extension):
    """Writes a checkpoint in two files with an index, as transformers does."""
    tensors = {name: np.full(2, index, "float32") for index, name in enumerate("abc")}
    parts = {"a": f"part-1{extension}", "b": f"part-2{extension}", "c": f"part-2{extension}"}
    for part in set(parts.values()):
        write_part({name: tensors[name] for name in parts if parts[name] == part}, folder / part)
    stem = "model.safetensors" if extension == ".safetensors" else "pytorch_model.bin"
    (folder / f"{stem}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": parts}))
    return folder / f"{stem}.index.json", tensors


@pytest.mark.parametrize("extension", [".safetensors", pytest.param(".bin", marks=needs_torch)])
def test_checkpoints_in_several_files_are_read(extension, tmp_path):
    def write_part(tensors, file):
        if extension == ".safetensors":
            write(tensors, file)
        else:
            import torch

            torch.save({name: torch.from_numpy(value) for name, value in tensors.items()}, file)

    index, tensors = in_parts(tmp_path, write_part, extension)
    for source in (tmp_path, index):
        assert is_checkpoint(source)
        received = read(source)
        assert set(received) == set(tensors)
        for name, value in tensors.items():
            np.testing.assert_array_equal(received[name], value)
    (tmp_path / f"part-2{extension}").unlink()
    with pytest.raises(ValueError, match=f"^The file .*index.json' lists 'part-2{extension}', which does not exist"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", 3, ""])
def test_an_index_lists_only_files_beside_it(name, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(ValueError, match="must list the files of a checkpoint, which lie beside it"):
        read(tmp_path)


def test_checkpoints_are_recognised_by_their_extension_or_files(tmp_path):
    assert is_checkpoint("weights.pth")
    assert not is_checkpoint("model.keras")
    assert not is_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").touch()
    assert is_checkpoint(tmp_path)
