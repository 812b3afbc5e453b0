"""Where the settings of a run come from, and their checks."""

import pytest

from keras_deit.training.config_file import write_config
from keras_deit.training.resolve import is_given, resolve

pytest.importorskip("tomli_w", reason="config.toml is written with tomli-w")


def test_the_command_line_beats_the_file_and_the_file_beats_the_recipe(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('variant = "deit_s"\nepochs = 7\nbatch_size = 16\n')
    settings = resolve({"variant": None, "epochs": 3}, config)
    assert (settings.variant, settings.epochs, settings.batch_size) == ("deit_s", 3, 16)
    assert settings.label_smoothing == 0.1  # the recipe's


def test_each_source_comes_before_the_next(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("epochs = 7\nbatch_size = 16\n")
    command_line = {"variant": "deit_s", "recipe": "deit", "epochs": 3}
    defaults = {"variant": "deit_ti", "epochs": 1, "batch_size": 2, "weight_decay": 0.5}
    settings = resolve(command_line, config, defaults)
    sources = {
        "variant": "deit_s",  # the command line
        "epochs": 3,
        "batch_size": 16,  # the file
        "weight_decay": 0.5,  # the defaults of the caller
        "label_smoothing": 0.1,  # the recipe
        "crop_scale": (0.08, 1.0),
        "pipeline": "auto",  # the field's default
    }
    assert {name: getattr(settings, name) for name in sources} == sources


def test_none_beats_the_file_and_the_recipe(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('recipe = "deit"\nema_decay = "none"\nteacher_cache = "cache"\nclip_norm = 2\n')
    command_line = {
        "variant": "deit_s",
        "teacher_cache": "none",
        "clip_norm": "none",
        "crop_scale": "none",
        "epochs": None,
    }
    settings = resolve(command_line, config)
    assert (settings.ema_decay, settings.teacher_cache, settings.clip_norm, settings.crop_scale) == (None,) * 4
    assert settings.epochs == 300


def test_another_recipe_brings_its_own_values():
    settings = resolve({"variant": "deit_s", "recipe": "deit_distilled_hard", "alpha": 0.3})
    assert (settings.epochs, settings.drop_path_rate, settings.alpha) == (300, 0.1, 0.3)


def test_a_file_of_another_recipe_is_refused(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('variant = "deit_s"\nrecipe = "small_data"\n')
    with pytest.raises(ValueError, match="Leave out --config or --recipe"):
        resolve({"recipe": "deit"}, config)
    assert resolve({"recipe": "small_data"}, config).epochs == 20


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"epochs": 0}, "`epochs` must be positive. Received: epochs=0. Pass another --epochs."),
        ({"learning_rate": 0.0}, "`learning_rate` must be positive.*Pass another --learning-rate."),
        ({"label_smoothing": 1.0}, "`label_smoothing` must be at least 0 and less than 1"),
        ({"weight_decay": -1.0}, "`weight_decay` must be at least 0"),
        ({"crop_ratio": 0.0}, "`crop_ratio` must be more than 0 and at most 1"),
        ({"max_skipped": 1.1}, "`max_skipped` must be at least 0 and at most 1"),
        ({"crop_scale": (0.5, 0.1)}, "`crop_scale` must be two numbers above 0 and up to 1, the smaller one first"),
        ({"crop_scale": (0.0, 0.1)}, "`crop_scale` must be two numbers above 0"),
        ({"repeats": 0}, "`repeats` must be positive"),
        ({"teacher": "x", "teacher_value_range": (0.0,)}, "two finite numbers"),
        ({"teacher": "x", "teacher_value_range": (1, 0)}, "the smaller one first"),
        ({"teacher": "x", "teacher_mean": (0.0, 1.0)}, "one for each channel"),
        ({"teacher": "x", "teacher_std": (1.0, 0.0, 1.0)}, "`teacher_std` must be positive"),
        ({"precision": "int8"}, "`precision` must be one of float32, bfloat16, float16. Received: precision='int8'"),
        ({"optimizer": "adam"}, "`optimizer` must be one of adamw, lamb, sgd"),
        ({"pipeline": "dali"}, "`pipeline` must be one of auto"),
        ({"strategy": "ddp"}, "`strategy` must be one of auto"),
        ({"teacher": "x", "teacher_outputs": "scores"}, "`teacher_outputs` must be one of logits, probabilities"),
        ({"skip_images": ("tiny", "ugly")}, "`skip_images` must only contain unreadable, .*Pass another --skip-images"),
        ({"export": ("coreml",)}, "`export` must only contain saved_model, litert, litert:float16"),
        ({"auto_augment": "autoaugment"}, "`auto_augment` must be .*Pass another --auto-augment"),
        ({"epoch": 3, "typo": 1}, "no settings of these names: epoch, typo. Did you mean epochs?"),
        ({"recipe": "deit3"}, "Did you mean"),
        (
            {"variant": "deit3_m", "recipe": "deit3_1k"},
            "no published `drop_path_rate` for 'deit3_m'. Pass --drop-path-rate",
        ),
        ({"recipe": "deit3_1k"}, "no published `learning_rate` for 'deit_ti'. Pass --learning-rate"),
        ({"variant": "deit_x"}, "no variant 'deit_x'"),
        ({"variant": None}, "Which variant"),
    ],
)
def test_impossible_values_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        resolve({"variant": "deit_ti", **given})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"teacher_outputs": "logits"}, "Pass --teacher"),
        ({"teacher_preprocessing": "vgg16"}, "Pass --teacher"),
        (
            {"teacher": "x", "teacher_preprocessing": "vgg16", "teacher_mean": (0.5,)},
            "replaces `teacher_value_range`, .*'vgg16' and teacher_mean. Leave out",
        ),
        ({"attention_weight": 1.0}, "needs a transformer teacher"),
        ({"distillation": "none", "compare": True}, "--distillation hard or soft, or --no-compare"),
        ({"distillation": "none", "alpha": 0.3}, "--distillation hard or soft, or --alpha none"),
        ({"distillation": "none", "teacher": "x"}, "alone, pass --teacher none"),
        (
            {"teacher": "x", "teacher_cache": "y", "attention_weight": 1.0},
            "Leave out --teacher-cache or --attention-weight",
        ),
        (
            {"teacher_cache": "y", "augmentation_layers": "keras-cv"},
            "Leave out --teacher-cache or --augmentation-layers",
        ),
    ],
)
def test_contradictions_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        resolve({"variant": "deit_ti", **given})


def test_whether_a_setting_is_given(tmp_path):
    (tmp_path / "config.toml").write_text("epochs = 3\n")
    assert is_given("seed", {"seed": 0})
    assert is_given("epochs", {"epochs": None}, tmp_path / "config.toml")
    assert not is_given("batch_size", {"batch_size": None}, tmp_path / "config.toml")
    assert not is_given("batch_size", {})


@pytest.mark.parametrize("model", [{"variant": "regnety_040"}, {"architecture": "ResNet50"}])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"recipe": "small_data"}, "is a convnet: .*Received: distillation='hard'. Pass --recipe transfer_convnet"),
        ({"patch_size": 4}, "`patch_size` is a setting of a DeiT.*Received: patch_size=4. Leave --patch-size out"),
        ({"num_layers": 4}, "`num_layers` is a setting of a DeiT.*Received: num_layers=4. Leave --num-layers out"),
        ({"drop_path_rate": 0.1}, "`drop_path_rate` is a setting of a DeiT.* pass --drop-path-rate 0"),
        ({"layer_decay": 0.7, "optimizer": "adamw"}, "`layer_decay` is a setting of a DeiT.* pass --layer-decay 1"),
        ({"accumulate": 2}, "`accumulate` is a setting of a DeiT.* pass --accumulate 1"),
        ({"compare": True}, "`compare` is a setting of a DeiT.* pass --no-compare"),
        ({"alpha": 0.5}, "`alpha` is a setting of a DeiT"),
        ({"teacher": "regnety_160"}, "`teacher` is a setting of a DeiT.* pass --teacher none"),
        ({"teacher_cache": "cache"}, "`teacher_cache` is a setting of a DeiT"),
    ],
)
def test_a_convnet_has_no_settings_of_a_deit(model, given, message):
    with pytest.raises(ValueError, match=message):
        resolve({"recipe": "transfer_convnet", **model, **given})


def test_an_architecture_starts_from_the_weights_of_keras_also_in_a_repeated_run(tmp_path):
    settings = resolve({"architecture": "ResNet50", "recipe": "transfer_convnet"})
    assert (settings.variant, settings.weights, settings.model_name) == (None, "imagenet", "ResNet50")
    random = resolve({"architecture": "ResNet50", "recipe": "transfer_convnet", "weights": "none"})
    for before in (settings, random):
        write_config(before, tmp_path / "config.toml")
        assert resolve({}, tmp_path / "config.toml") == before


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"variant": "regnety_040", "architecture": "ResNet50"}, "both name the model"),
        ({"architecture": "ResNet51"}, "`architecture` must be one of .*Pass another --architecture"),
        ({"variant": "regnety_40"}, "There is no variant 'regnety_40'. Similar names: regnety_040"),
        ({"variant": "regnety_040", "weights": "imagenet"}, "for --architecture only. Pass --weights regnety_040"),
        ({"architecture": "ResNet50", "weights_entry": "model"}, "Leave --weights-entry out"),
    ],
)
def test_a_model_that_is_not_named_rightly_is_refused(given, message):
    with pytest.raises(ValueError, match=message):
        resolve({"recipe": "transfer_convnet", **given})


def test_layer_wise_decay_needs_its_optimizer():
    assert resolve({"variant": "deit_s", "layer_decay": 0.7}).layer_decay == 0.7
    with pytest.raises(ValueError, match="`layer_decay` is only for the optimizer adamw. .*optimizer='sgd'"):
        resolve({"variant": "deit_s", "recipe": "transfer", "layer_decay": 0.7})
