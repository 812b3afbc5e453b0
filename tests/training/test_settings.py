"""Where the settings of a run come from."""

import tomllib

import pytest

from keras_deit.training.settings import read_config, resolve, write_config

pytest.importorskip("tomli_w", reason="config.toml is written with tomli-w")


def test_the_command_line_beats_the_file_and_the_file_beats_the_recipe(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('variant = "deit_s"\nepochs = 7\nbatch_size = 16\n')
    settings = resolve({"variant": None, "epochs": 3}, config)
    assert (settings.variant, settings.epochs, settings.batch_size) == ("deit_s", 3, 16)
    assert settings.label_smoothing == 0.1  # the recipe's


def test_another_recipe_brings_its_own_values():
    settings = resolve({"variant": "deit_s", "recipe": "deit_distilled_hard", "alpha": 0.3})
    assert (settings.epochs, settings.drop_path_rate, settings.alpha) == (300, 0.1, 0.3)


def test_a_file_of_another_recipe_is_refused(tmp_path):
    config = tmp_path / "config.toml"
    config.write_text('variant = "deit_s"\nrecipe = "small_data"\n')
    with pytest.raises(ValueError, match="Leave out one of the two"):
        resolve({"recipe": "deit"}, config)
    assert resolve({"recipe": "small_data"}, config).epochs == 20


def test_the_written_file_repeats_the_run(tmp_path):
    settings = resolve(
        {
            "variant": "deit_ti",
            "teacher": "x.keras",
            "teacher_value_range": (0.0, 255.0),
            "export": ("litert",),
            "seed": 5,
        }
    )
    write_config(settings, tmp_path / "config.toml")
    assert resolve({}, tmp_path / "config.toml") == settings
    written = tomllib.loads((tmp_path / "config.toml").read_text())
    assert "output_dir" not in written
    assert "resume" not in written
    assert read_config(tmp_path / "config.toml") == written


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown keys: epoch"),
        ("epochs = ", "not valid TOML"),
        (None, "cannot be read"),
        ('epochs = "3"', "`epochs` must be of type int"),
        ("epochs = true", "`epochs` must be of type int"),
        ('alpha = "half"', "`alpha` must be of type float"),
        ('export = "litert"', "`export` must be of type tuple"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        resolve({"variant": "deit_ti"}, tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "Which variant"),
        ({"variant": "deit_ti", "epochs": 0}, "`epochs` must be positive"),
        ({"variant": "deit_ti", "precision": "int8"}, "`precision` must be one of"),
        ({"variant": "deit_ti", "learning_rate": 0.0}, "`learning_rate` must be positive"),
        ({"variant": "deit_ti", "label_smoothing": 1.0}, "`label_smoothing` must be at least 0 and less than 1"),
        ({"variant": "deit_ti", "weight_decay": -1.0}, "`weight_decay` must not be negative"),
        ({"variant": "deit_ti", "teacher": "x", "teacher_value_range": (0.0,)}, "two numbers"),
        ({"variant": "deit_ti", "teacher": "x", "teacher_mean": (0.0, 1.0)}, "one for each channel"),
        ({"variant": "deit_ti", "teacher_outputs": "logits"}, "Pass --teacher"),
        ({"variant": "deit_ti", "distillation": "none", "compare": True}, "choose hard or soft"),
        ({"variant": "deit_ti", "distillation": "none", "alpha": 0.3}, "choose hard or soft"),
        ({"variant": "deit_ti", "recipe": "deit3"}, "Did you mean"),
        ({"variant": "deit3_m", "recipe": "deit3_1k"}, "no published `drop_path_rate` for 'deit3_m'.*--drop-path-rate"),
        ({"variant": "deit_ti", "recipe": "deit3_1k"}, "no published `learning_rate` for 'deit_ti'"),
        ({"variant": "deit_x"}, "no variant 'deit_x'"),
    ],
)
def test_impossible_settings_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        resolve(given)
