"""The options that are derived from the settings."""

import argparse
import dataclasses

import pytest

from keras_deit.cli.options import add_setting_options
from keras_deit.recipes.fields import DATA, GROUPS, MODEL, settings_of
from keras_deit.training.resolve import resolve
from keras_deit.training.settings import Settings

# In the order of their groups. A flag that is renamed or lost breaks the commands of users.
FLAGS = """
--variant --architecture --image-size --weights --weights-entry --patch-size --num-layers --num-heads
--precision
--dataset --data-dir --class-names --validated --check-images --no-check-images --skip-images --max-skipped --pipeline
--num-workers --train-folder --test-folder --test-split --bit-depth
--crop-scale --augmentation-layers --flip --auto-augment --color-jitter --erasing --mixup --cutmix --repeats --crop-ratio
--teacher --teacher-outputs --teacher-image-size --teacher-value-range --teacher-mean --teacher-std --teacher-preprocessing
--teacher-cache
--teacher-same-classes --no-teacher-same-classes
--teacher-cache-top --distillation --alpha --temperature --attention-weight --compare --no-compare
--recipe --epochs --batch-size --steps-per-epoch --learning-rate --learning-rate-batch --min-learning-rate
--warmup-epochs --warmup-learning-rate --schedule --optimizer --weight-decay --clip-norm --layer-decay --ema-decay --loss
--label-smoothing --drop-path-rate --strategy --accumulate --lora-rank --remat --no-remat --seed --on-nan
--checkpoint-every --keep-checkpoints --patience --keep --log --export
"""


def parser(**options):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_setting_options(parser, **options)
    return parser


def parsed(*arguments):
    options = vars(parser().parse_args(map(str, arguments)))
    return {name: value for name, value in options.items() if value is not None}


def test_every_setting_has_its_flags_and_no_other():
    flags = [flag for action in parser()._actions for flag in action.option_strings]
    assert sorted(flags) == sorted([*FLAGS.split(), "-h", "--help"])
    assert set(vars(parser().parse_args([]))) == {field.name for field in dataclasses.fields(Settings)}


def test_options_that_are_not_given_are_none():
    assert parsed() == {}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--epochs", 3, "--batch-size", "16"], {"epochs": 3, "batch_size": 16}),
        (["--learning-rate", "1e-3", "--flip", 1], {"learning_rate": 1e-3, "flip": 1.0}),
        (["--variant", "deit_ti", "--dataset", "none"], {"variant": "deit_ti", "dataset": "none"}),
        (["--crop-scale", "0.5,1"], {"crop_scale": (0.5, 1.0)}),
        (["--crop-scale", "none", "--auto-augment", "none"], {"crop_scale": "none", "auto_augment": "none"}),
        (["--ema-decay", "none", "--clip-norm", "1"], {"ema_decay": "none", "clip_norm": 1.0}),
        (
            ["--teacher-value-range", "0,255", "--teacher-mean", "100"],
            {"teacher_value_range": (0, 255), "teacher_mean": (100,)},
        ),
        (
            ["--skip-images", "tiny, cmyk", "--export", "litert,"],
            {"skip_images": ("tiny", "cmyk"), "export": ("litert",)},
        ),
        (["--check-images", "--no-compare"], {"check_images": True, "compare": False}),
        (["--no-check-images", "--compare"], {"check_images": False, "compare": True}),
        (["--augmentation-layers", "keras-cv"], {"augmentation_layers": "keras-cv"}),
        (
            ["--optimizer", "lamb", "--loss", "binary_cross_entropy"],
            {"optimizer": "lamb", "loss": "binary_cross_entropy"},
        ),
    ],
)
def test_texts_become_values(arguments, expected):
    assert parsed(*arguments) == expected


def test_none_takes_back_what_the_recipe_says():
    given = parsed("--variant", "deit_s", "--recipe", "deit", "--ema-decay", "none", "--crop-scale", "none")
    settings = resolve(given)
    assert (settings.ema_decay, settings.crop_scale) == (None, None)


def test_class_names_come_from_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("small dog\ncat\n", encoding="utf-8")
    assert parsed("--class-names", tmp_path / "names.txt") == {"class_names": ("small dog", "cat")}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "3.5"], "argument --epochs: expected an integer. Received: '3.5'"),
        (["--mixup", "high"], "argument --mixup: expected a finite number. Received: 'high'"),
        (["--crop-scale", "a,b"], "argument --crop-scale: expected a list of two finite numbers, separated by commas"),
        (["--class-names", "no/such/file"], "'no/such/file' cannot be read: No such file"),
        (["--augmentation", "keras-cv"], "unrecognized arguments: --augmentation"),
    ],
)
def test_other_texts_are_refused(arguments, message, capsys):
    with pytest.raises(SystemExit):
        parsed(*arguments)
    assert message in capsys.readouterr().err


def test_the_help_names_values_and_defaults():
    text = " ".join(parser().format_help().split())
    for part in (
        "--seed N seed of the weights, the order of the images and the augmentation (at least 0); default: 0",
        "--clip-norm NORM global norm that gradients are clipped to (positive; none: no clipping); default: the recipe's",
        "--num-workers N number of threads or processes that make batches (positive); default: one for each core",
        "--precision {float32,bfloat16,float16}",
        "--check-images, --no-check-images check before the training that every image can be read; images in memory are not "
        "checked; default: true",
    ):
        assert part in text


def test_every_option_has_a_group_and_says_its_default():
    for declared in settings_of(Settings).values():
        assert declared.group in GROUPS
        assert (declared.none is not None) == declared.accepts_none, f"{declared.name}: what does None mean?"
    for action in parser()._actions:
        assert "default: " in action.help or action.dest == "help"


def test_a_command_may_take_some_of_the_groups():
    text = parser(groups=[MODEL]).format_help()
    assert "--variant" in text
    assert DATA not in text
    assert "--dataset" not in text
