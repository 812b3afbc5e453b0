"""The options that name a model and replace how its images are prepared."""

import keras
import pytest

import keras_deit as kd
from keras_deit.cli.model_options import given_preparation, load_model, load_model_or_export
from keras_deit.cli.parsers import evaluate_parser
from tests.weights.checkpoints import SHAPE


def parsed(*options):
    return evaluate_parser().parse_args(["--weights", *map(str, options)])


def test_only_given_options_replace_the_record():
    options = parsed("x", "--no-squash", "--mean", "0.1,0.2,0.3")
    assert given_preparation(options) == {"squash": False, "mean": (0.1, 0.2, 0.3)}
    assert given_preparation(parsed("x")) == {}


def test_a_model_that_is_no_classifier_is_refused(tmp_path):
    kd.DeiT(**SHAPE).backbone.save(tmp_path / "backbone.keras")
    with pytest.raises(ValueError, match="Expected a classifier in .*backbone.keras'. Received: DeiTBackbone"):
        load_model(parsed(tmp_path / "backbone.keras"))


def test_the_precision_is_that_of_the_model_unless_an_option_replaces_it(tmp_path):
    path = tmp_path / "student.keras"
    kd.DeiT(**SHAPE, dtype="mixed_bfloat16").save(path)
    for options, dtypes in ([], ("float32", "bfloat16")), (["--precision", "bfloat16"], ("bfloat16", "bfloat16")):
        kernel = load_model_or_export(parsed(path, *options)).backbone.blocks[0].mlp.expansion
        assert (kernel.variable_dtype, kernel.compute_dtype) == dtypes


def test_a_precision_for_a_model_of_another_package_is_refused(tmp_path):
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()]).save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="--precision is for models of this package. Received: the Sequential"):
        load_model_or_export(parsed(tmp_path / "other.keras", "--precision", "bfloat16"), any_keras_model=True)


@pytest.mark.backend_independent
def test_a_precision_for_an_export_is_refused(tmp_path):
    (tmp_path / "student.onnx").touch()
    with pytest.raises(ValueError, match="--precision is for models of Keras. Received: the exported model"):
        load_model_or_export(parsed(tmp_path / "student.onnx", "--precision", "bfloat16"))
