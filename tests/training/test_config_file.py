"""The configuration file of a run."""

import dataclasses
import tomllib

import pytest

from keras_deit.training.config_file import read_config, write_config
from keras_deit.training.resolve import resolve

pytest.importorskip("tomli_w", reason="config.toml is written with tomli-w")


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


def test_the_written_file_keeps_what_the_recipe_would_change(tmp_path):
    settings = resolve({"variant": "deit_s", "recipe": "deit", "ema_decay": "none", "crop_scale": "none"})
    write_config(settings, tmp_path / "config.toml")
    assert resolve({}, tmp_path / "config.toml") == settings
    text = (tmp_path / "config.toml").read_text()
    assert text.startswith('variant = "deit_s"\n')
    assert 'ema_decay = "none"' in text
    assert "teacher" not in tomllib.loads(text)  # without a value, and no recipe gives it one


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown keys: epoch. Did you mean epochs"),
        ('output_dir = "runs"', "unknown keys: output_dir"),
        ("epochs = ", "not valid TOML"),
        (None, "cannot be read"),
        ('epochs = "3"', "`epochs` must be an integer.*'3'. Pass another --epochs"),
        ("epochs = true", "`epochs` must be an integer"),
        ('alpha = "half"', "`alpha` must be a finite number"),
        ('export = "litert"', "`export` must be a list of strings"),
        ("weights = 3", "`weights` must be a string"),
        ("recipe = 3", "`recipe` must be a string"),
        ("compare = 1", "`compare` must be true or false"),
        ('epochs = "none"', "`epochs` must be an integer"),
        ('teacher_mean = ["a"]', "`teacher_mean` must be a list of finite numbers"),
    ],
)
def test_a_bad_file_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        resolve({"variant": "deit_ti"}, tmp_path / "bad.toml")


def test_the_paths_of_the_written_file_are_absolute_and_its_names_stay_names(tmp_path, monkeypatch):
    pytest.importorskip("tomli_w", reason="it writes the file")
    monkeypatch.chdir(tmp_path)
    for name in ("images", "teacher.keras", "digits", "deit_tiny_patch16_224"):
        (tmp_path / name).mkdir()
    given = {
        "variant": "deit_ti",
        "dataset": "images",
        "teacher": "teacher.keras",
        "teacher_cache": "new/cache",
        "weights": "deit_tiny_patch16_224",
        "augmentation_layers": "keras-cv",
    }
    for dataset, expected in (("images", str(tmp_path / "images")), ("digits", "digits"), ("cifar10", "cifar10")):
        settings = dataclasses.replace(resolve({"variant": "deit_ti"}), **{**given, "dataset": dataset})
        write_config(settings, tmp_path / "config.toml")
        written = read_config(tmp_path / "config.toml")
        assert written["dataset"] == expected
    assert written["teacher"] == str(tmp_path / "teacher.keras")
    assert written["teacher_cache"] == str(tmp_path / "new" / "cache")
    assert (written["weights"], written["augmentation_layers"]) == ("deit_tiny_patch16_224", "keras-cv")
