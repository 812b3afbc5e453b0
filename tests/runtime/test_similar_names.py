"""What a misspelt path may mean."""

import pathlib

import pytest

import keras_deit as kd
from keras_deit.cli.image_files import find_image_files
from keras_deit.export.exported_model import ExportedModel
from keras_deit.runtime.similar_names import did_you_mean, similar_paths

pytestmark = pytest.mark.backend_independent


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for name in ("clothes", "shoes", "data/clothes"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_similar_names_are_looked_for_in_the_same_folder(folder):
    assert similar_paths("cloths") == ["clothes"]
    assert similar_paths("data/cloths") == [str(pathlib.Path("data/clothes"))]
    assert similar_paths(folder / "shoe") == [str(folder / "shoes")]


@pytest.mark.parametrize("path", ["clothes", "bags", "dta/cloths", "data/shoe"])
def test_other_paths_have_no_similar_ones(path):
    assert similar_paths(path) == []


def test_the_question_names_all_of_them():
    assert did_you_mean(["clothes"]) == " Did you mean 'clothes'?"
    assert did_you_mean(["clothes", "cloth"]) == " Did you mean 'clothes' or 'cloth'?"
    assert did_you_mean([]) == ""


@pytest.mark.parametrize(
    ("call", "ending"),
    [
        (kd.Teacher, ".keras"),
        (kd.pretrained, ".keras"),
        (kd.pretrained, ".safetensors"),
        (kd.DeiT.from_preset, ".safetensors"),
        (ExportedModel, ".onnx"),
        (lambda path: list(find_image_files([path])), ".png"),
        (lambda path: kd.ImageProcessor(32)(path), ".png"),
    ],
)
def test_errors_about_missing_files_name_similar_ones(call, ending, tmp_path):
    (tmp_path / f"student{ending}").touch()
    with pytest.raises((ValueError, FileNotFoundError), match=rf"There is no .*Did you mean '.*student{ending}'\?"):
        call(str(tmp_path / f"studnet{ending}"))
