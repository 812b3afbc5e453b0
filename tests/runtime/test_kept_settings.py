import h5py
import keras
import numpy as np
import pytest

import keras_deit as kd

TINY = {"image_size": 16, "patch_size": 8, "hidden_dim": 8, "num_layers": 2, "num_heads": 2, "layer_scale_init": 0.1}
REGNET = {"widths": (8, 16), "depths": (1, 2), "group_width": 4, "num_classes": 3}


def backbone(**changes):
    return kd.DeiTBackbone(**{**TINY, **changes})


def deit(**changes):
    return kd.DeiT(num_classes=3, **{**TINY, **changes})


def classifier(**changes):
    return kd.DeiTClassifier(deit(**changes))


def within_a_model(**changes):
    images = keras.Input((16, 16, 3))
    return keras.Model(images, keras.layers.Dense(3)(backbone(**changes)(images)["class_token"]))


def masked_image_model(**changes):
    return kd.DeiTMaskedImageModel(**{**TINY, **changes})


def regnet(**changes):
    return kd.RegNetY(**{**REGNET, **changes})


def same_weights(model, other):
    return all(np.array_equal(*pair) for pair in zip(model.get_weights(), other.get_weights(), strict=True))


@pytest.mark.parametrize("make", [backbone, deit, classifier, within_a_model, masked_image_model])
@pytest.mark.parametrize(
    ("changes", "expected", "received"),
    [
        ({"num_layers": 1}, "num_layers=1", "num_layers=2"),
        ({"num_heads": 4}, "num_heads=4", "num_heads=2"),
        ({"layer_scale_init": None}, "layer_scale=False", "layer_scale=True"),
    ],
)
def test_weights_of_other_settings_are_refused(make, changes, expected, received, tmp_path):
    source, path = make(), tmp_path / "model.weights.h5"
    source.save_weights(path)
    with pytest.raises(ValueError, match=f"with {expected}. Received: those of one with {received}"):
        make(**changes).load_weights(path)
    same = make()
    same.load_weights(path)
    assert same_weights(same, source)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"depths": (1, 1)}, r"depths=\[1, 1\]. Received: those of one with depths=\[1, 2\]"),
        ({"group_width": 8}, "group_width=8. Received: those of one with group_width=4"),
    ],
)
def test_weights_of_another_regnet_are_refused(changes, named, tmp_path):
    source = regnet()
    source.save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(ValueError, match=named):
        regnet(**changes).load_weights(tmp_path / "model.weights.h5")
    same = regnet()
    same.load_weights(tmp_path / "model.weights.h5")
    assert same_weights(same, source)


def test_a_refused_file_does_not_bar_the_next_one(tmp_path):
    model, path = backbone(num_layers=1), tmp_path / "model.weights.h5"
    backbone().save_weights(tmp_path / "other.weights.h5")
    model.save_weights(path)
    with pytest.raises(ValueError, match="num_layers"):
        model.load_weights(tmp_path / "other.weights.h5")
    model.load_weights(path)
    with h5py.File(path, "a") as file:  # a file without settings
        for name in ("num_layers", "num_heads", "layer_scale"):
            del file["vars"][name]
    model.load_weights(path)
    keras.saving.save_model(model, tmp_path / "model.keras")
    assert same_weights(keras.saving.load_model(tmp_path / "model.keras"), model)
