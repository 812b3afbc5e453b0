"""RegNetY against the published parameter counts. tests/weights compares it with timm and transformers."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from tests.battery import check_model

# Trainable parameters with 1,000 classes, and moving statistics.
PARAMETERS = {
    "regnety_002": (3_162_996, 20_848),
    "regnety_016": (11_202_430, 52_672),
    "regnety_040": (20_646_656, 62_272),
    "regnety_080": (39_180_068, 85_744),
    "regnety_160": (83_590_140, 122_816),
    "regnety_320": (145_046_770, 158_288),
}
SMALL = dict(widths=(16, 24, 32, 40), depths=(1, 2, 1, 1), group_width=8, num_classes=5)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "regnety_002" else pytest.mark.backend_independent) for name in PARAMETERS],
)
def test_parameter_counts_are_the_published_ones(name):
    with keras.StatelessScope(initialize_variables=False):
        model = kd.RegNetY.from_variant(name)
    keras.utils.clear_session()
    trainable = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    assert (trainable, model.count_params() - trainable) == PARAMETERS[name]
    (row,) = (row for row in kd.list_variants() if row["name"] == name)
    assert (row["parameters"], row["family"]) == (trainable, "regnety")


def block_parameters(given, width, squeezed):
    """Parameters of a first block with groups of eight: three convolutions, the gate, the shortcut and four norms."""
    convolutions = given * width + 9 * 8 * width + width**2 + given * width
    return convolutions + 2 * width * squeezed + squeezed + width + 4 * 4 * width


def test_battery():
    stages = block_parameters(32, 16, 8) + block_parameters(16, 24, 4)
    check_model(
        lambda **overrides: kd.RegNetY(**{**SMALL, "widths": (16, 24), "depths": (1, 1), **overrides}),
        image_shape=(32, 32, 3),
        output_shapes=(5,),
        num_parameters=27 * 32 + 4 * 32 + stages + 24 * 5 + 5,
        other_sizes=[],
        policies=("mixed_bfloat16",),
    )


@pytest.mark.parametrize("size", [(64, 64), (33, 47)])
def test_images_may_have_any_size(size):
    assert kd.RegNetY(**SMALL)(np.zeros((2, *size, 3), "float32")).shape == (2, 5)


def test_stages_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="`group_width` must divide every width"):
        kd.RegNetY(**{**SMALL, "widths": (16, 24, 32, 41)})
    with pytest.raises(ValueError, match="have the same length"):
        kd.RegNetY(**{**SMALL, "depths": (1, 2, 1)})


def test_each_family_has_its_own_variants():
    with pytest.raises(ValueError, match=r"no variant 'deit_ti'.*All variants: regnety_002"):
        kd.RegNetY.from_variant("deit_ti")
    with pytest.raises(ValueError, match=r"no variant 'regnety_160'.*All variants: deit_ti"):
        kd.DeiT.from_variant("regnety_160")


def test_teaching_leaves_the_moving_statistics_unchanged():
    keras.utils.set_random_seed(1)
    teacher, student = (
        kd.RegNetY(**SMALL),
        kd.DeiT(5, image_size=32, patch_size=16, hidden_dim=8, num_layers=1, num_heads=2),
    )
    before = [value.copy() for value in teacher.get_weights()]
    distiller = kd.Distiller(student, teacher)
    distiller.compile("sgd", loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 3)).astype("float32")
    distiller.fit(images, np.arange(4), batch_size=2, verbose=0)
    for value, expected in zip(teacher.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, expected)
