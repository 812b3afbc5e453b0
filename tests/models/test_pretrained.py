"""Loading a trained model from any kind of source."""

import numpy as np
import pytest

import keras_deit as kd
from keras_deit.models.pretrained import find_keras_file
from tests.weights.checkpoints import SHAPE, expected_logits, goldens, logits_of, path

pytest.importorskip("safetensors", reason="the checkpoints are safetensors")

HEADS = ("class_head", "distillation_head")


@pytest.fixture
def run(tmp_path):
    """The output directory of a run with its student."""
    student = kd.DeiT(**SHAPE, class_names=tuple("abcde"), drop_path_rate=0.1)
    student.freeze(up_to=1)
    student.save(tmp_path / "student.keras")
    (tmp_path / "config.toml").write_text('variant = "deit_ti"\n')
    (tmp_path / "summary.json").write_text("{}\n")
    return tmp_path, student


def assert_equal_weights(received, expected):
    for mine, theirs in zip(received.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize(
    ("name", "model_class", "fused_class"),
    [
        ("timm_two_tokens", kd.DeiT, kd.DeiTClassifier),
        ("transformers_masked", kd.DeiTMaskedImageModel, kd.DeiTMaskedImageModel),
        ("timm_regnety", kd.RegNetY, kd.RegNetY),
    ],
)
def test_a_checkpoint_determines_the_class_of_the_model(name, model_class, fused_class):
    num_heads = None if "regnety" in name else 2
    model = kd.pretrained(path(name), num_heads=num_heads)
    assert type(model) is model_class
    assert type(kd.pretrained(path(name), num_heads=num_heads, fused=True)) is fused_class
    for head, logits in expected_logits(name).items() if hasattr(model, "num_classes") else ():
        np.testing.assert_allclose(logits_of(model)[head], logits, atol=1e-4)


def test_a_checkpoint_gets_fresh_heads_for_other_classes():
    with pytest.warns(
        UserWarning, match="The class head is not loaded: the checkpoint has 5 classes, the model 7"
    ) as warned:
        model = kd.pretrained(path("timm_two_tokens"), num_classes=7, num_heads=2)
    assert warned[0].filename == __file__
    assert model.num_classes == 7
    assert_equal_weights(model.backbone, kd.pretrained(path("timm_two_tokens"), num_heads=2).backbone)


def test_a_directory_with_a_checkpoint_is_loaded(tmp_path):
    model = kd.DeiT(**SHAPE)
    kd.weights.to_huggingface(model, tmp_path)
    assert_equal_weights(kd.pretrained(str(tmp_path)), model)


def test_the_student_of_a_runs_directory_is_loaded(run):
    directory, student = run
    model = kd.pretrained(directory)
    assert model.get_config() == student.get_config()
    assert_equal_weights(model, student)
    classifier = kd.pretrained(directory / "student.keras", fused=True)
    assert type(classifier) is kd.DeiTClassifier
    assert_equal_weights(classifier.deit, student)


def test_the_student_of_a_distiller_is_loaded(tmp_path):
    student = kd.DeiT(**SHAPE)
    kd.Distiller(student, None).save(tmp_path / "distiller.keras")
    assert_equal_weights(kd.pretrained(tmp_path / "distiller.keras"), student)


def test_a_saved_model_gets_fresh_heads_for_other_classes(run):
    directory, student = run
    with pytest.warns(
        UserWarning, match="The distillation head is not loaded: the checkpoint has 5 classes, the model 3"
    ):
        model = kd.pretrained(directory, num_classes=3)
    assert model.get_config() == {**student.get_config(), "num_classes": 3, "class_names": None}
    assert_equal_weights(model.backbone, student.backbone)
    assert [model.get_layer(head).kernel.shape[-1] for head in HEADS] == [3, 3]


def test_a_saved_model_keeps_its_heads_for_the_same_classes(run):
    directory, student = run
    model = kd.pretrained(directory, num_classes=5, image_size=32)
    assert model.class_names == student.class_names
    assert_equal_weights(model, student)


def test_positions_of_a_saved_model_are_resized_for_another_image_size(run):
    directory, student = run
    with pytest.warns(UserWarning, match="Positions resized from 4×4 to 2×6 patches"):
        model = kd.pretrained(directory, image_size=(16, 48))
    assert model.image_size == (16, 48)
    for head in HEADS:
        assert_equal_weights(model.get_layer(head), student.get_layer(head))


def test_a_saved_classifier_keeps_its_fusion(tmp_path):
    classifier = kd.DeiTClassifier(kd.DeiT(**SHAPE), fusion="mean_probabilities", name="some_name")
    classifier.save(tmp_path / "classifier.keras")
    with pytest.warns(UserWarning, match="The class head is not loaded"):
        model = kd.pretrained(tmp_path / "classifier.keras", num_classes=3)
    assert (model.fusion, model.name, model.output_shape) == ("mean_probabilities", "some_name", (None, 3))
    assert_equal_weights(model.backbone, classifier.backbone)


@pytest.mark.parametrize("arguments", [{"num_classes": 3}, {"image_size": (16, 48)}])
def test_a_saved_classifier_keeps_its_frozen_layers(arguments, tmp_path):
    classifier = kd.DeiTClassifier(kd.DeiT(**SHAPE))
    classifier.freeze(up_to=1)
    classifier.save(tmp_path / "classifier.keras")
    with pytest.warns(UserWarning, match="not loaded|resized"):
        model = kd.pretrained(tmp_path / "classifier.keras", **arguments)
    trainable = [variable.path for variable in classifier.trainable_variables]
    assert [variable.path for variable in model.trainable_variables] == trainable
    for mine, theirs in zip(model.backbone.blocks, classifier.backbone.blocks, strict=True):
        assert_equal_weights(mine, theirs)


@pytest.mark.parametrize("wrap", [lambda deit: deit, kd.DeiTClassifier])
def test_a_fresh_head_is_trainable_although_the_saved_one_was_frozen(wrap, tmp_path):
    deit = kd.DeiT(**SHAPE)
    deit.get_layer("class_head").trainable = False
    deit.backbone.blocks[0].trainable = False
    wrap(deit).save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match="The class head is not loaded"):
        model = kd.pretrained(tmp_path / "model.keras", num_classes=3)
    loaded = getattr(model, "deit", model)
    assert loaded.get_layer("class_head").trainable
    assert not loaded.backbone.blocks[0].trainable
    assert not getattr(kd.pretrained(tmp_path / "model.keras"), "deit", deit).get_layer("class_head").trainable


def test_a_saved_convnet_gets_a_fresh_head(tmp_path):
    convnet = kd.pretrained(path("timm_regnety"))
    convnet.save(tmp_path / "convnet.keras")
    assert_equal_weights(kd.pretrained(tmp_path / "convnet.keras", image_size=64), convnet)
    with pytest.warns(UserWarning, match="The head is not loaded"):
        model = kd.pretrained(tmp_path / "convnet.keras", num_classes=3)
    assert model.predict(goldens()["images"], verbose=0).shape == (3, 3)
    np.testing.assert_array_equal(model.get_weights()[0], convnet.get_weights()[0])


def test_invalid_sources_and_arguments_are_refused(run, tmp_path):
    directory, _ = run
    late = tmp_path / "late.keras"
    kd.DeiTClassifier(kd.DeiT(**SHAPE), fusion="concat").save(late)
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "config.toml").touch()
    for source, arguments, message in (
        ("none.keras", {}, "There is no file 'none.keras'"),
        (
            tmp_path / "unfinished",
            {},
            "holds no model: it has neither student.keras, .* nor one of model.safetensors, ",
        ),
        (directory, {"num_heads": 2}, "`num_heads` is only for weights without a model"),
        (directory, {"variant": "deit_ti"}, "`variant` is only for weights without a model"),
        (late, {"num_classes": 3}, "The head of fusion='concat' in .* is only for the saved number of classes"),
        (path("timm_regnety"), {"num_heads": 2}, "A RegNetY has no attention heads"),
        (path("transformers_masked"), {"num_heads": 2, "num_classes": 3}, "DeiTMaskedImageModel has no classes"),
    ):
        with pytest.raises(ValueError, match=message):
            kd.pretrained(source, **arguments)


def test_a_model_of_another_package_is_refused(tmp_path):
    import keras

    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="Expected a model of keras_deit in .*other.keras'. Received: Sequential"):
        kd.pretrained(tmp_path / "other.keras")


def test_a_presets_name_is_never_taken_for_a_directory(run, monkeypatch, tmp_path):
    directory, _ = run
    monkeypatch.chdir(tmp_path)
    (tmp_path / "regnety_160").symlink_to(directory)
    assert find_keras_file("regnety_160") is None
    assert find_keras_file("./regnety_160").name == "student.keras"
