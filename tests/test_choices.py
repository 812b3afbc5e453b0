"""The names that settings choose from agree with the modules that implement them."""

import types

import keras
import pytest

import keras_deit as kd
from keras_deit import choices
from keras_deit.benchmark import peers
from keras_deit.export.formats import FORMATS
from keras_deit.export.signatures import INPUTS
from keras_deit.imaging.kernels import FILTERS, NEAREST


def test_the_variants_are_those_of_the_table():
    for family, names in (("deit", choices.DEIT_VARIANTS), ("regnety", choices.REGNETY_VARIANTS)):
        assert tuple(row["name"] for row in kd.list_variants() if row["family"] == family) == names


def test_the_architectures_are_the_models_of_keras():
    models = {name for name, value in vars(keras.applications).items() if callable(value)}
    assert set(choices.ARCHITECTURES) == models


@pytest.mark.backend_independent
def test_the_image_size_of_an_architecture_is_that_of_keras():
    for name in ("MobileNet", "EfficientNetB1"):
        model = getattr(keras.applications, name)(weights=None)
        assert model.input_shape[1:3] == (choices.ARCHITECTURES[name],) * 2


def test_every_export_format_has_a_writer():
    assert tuple(FORMATS) == choices.EXPORT_FORMATS


def test_the_inputs_of_exports_are_those_of_a_saved_model():
    assert tuple(INPUTS) == choices.EXPORT_INPUTS


def test_every_peer_has_a_step():
    assert tuple(peers.PEERS) == choices.PEERS


def test_every_filter_has_a_kernel():
    assert (NEAREST, *FILTERS) == choices.INTERPOLATIONS


def test_fatal_issues_are_issues():
    assert set(choices.FATAL_ISSUES) < set(choices.IMAGE_ISSUES)


def test_the_applications_are_those_of_keras_with_a_preprocessing():
    modules = {name: value for name, value in vars(keras.applications).items() if isinstance(value, types.ModuleType)}
    with_preprocessing = {name for name, module in modules.items() if hasattr(module, "preprocess_input")}
    assert set(choices.APPLICATIONS) == with_preprocessing - {"imagenet_utils"}
