"""The options that name a model and replace how its images are prepared."""

import pytest

import keras_deit as kd
from keras_deit.cli.model_options import given_preparation, load_model
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
