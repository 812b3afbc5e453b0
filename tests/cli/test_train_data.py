"""Training on a folder of images with `keras-deit train`."""

import pathlib

import keras
import pytest

import keras_deit as kd
from keras_deit import recipes
from keras_deit.choices import IMAGE_ISSUES
from keras_deit.data.pipeline.sampling_plan import SamplingPlan
from keras_deit.training.position import Position
from tests.image_folders import ON_FOLDER, write_images
from tests.runs import SHORT, need_run_packages, summary_of, train

need_run_packages()
pytest.importorskip("PIL.Image", reason="images are read by Pillow")
pytestmark = pytest.mark.usefixtures("short_runs")

UNCHECKED = [*ON_FOLDER, "--epochs", "2", "--no-check-images"]


def train_short(*arguments):
    return train("--variant", "deit_short", *arguments)


@pytest.mark.backend_independent
def test_a_folder_with_images_of_every_issue_is_trained_on_and_every_image_left_out_is_counted(
    issues_folder, issues_report, tmp_path, capsys
):
    folder, _ = issues_folder
    options = ["--dataset", folder, *ON_FOLDER, "--skip-images", ",".join(IMAGE_ISSUES), "--max-skipped", "0.1"]
    options += ["--validated", issues_report, "--epochs", "1", "--steps-per-epoch", "2"]
    assert train_short(*options, "--output-dir", tmp_path / "run") == 0
    summary = summary_of(tmp_path / "run")
    skipped = [summary["skipped"][split] for split in ("train", "test")]
    assert sum(counts["images"] for counts in skipped) == len(IMAGE_ISSUES)
    assert {issue for counts in skipped for issue in counts} == {"images", *IMAGE_ISSUES}
    assert f"{skipped[0]['images']} images of the train split were left out" in capsys.readouterr().out
    assert 0 <= summary["waiting_for_data"] < 1
    student = keras.saving.load_model(tmp_path / "run" / "student.keras")
    assert student.class_names == ("bright", "dark")


@pytest.mark.usefixtures("linear_student")
def test_readable_images_of_all_kinds_are_trained_on_by_default(issues_folder, tmp_path):
    folder, _ = issues_folder
    options = ["--dataset", folder, *ON_FOLDER, "--epochs", "1", "--output-dir", tmp_path / "run"]
    assert train_short(*options) == 0
    counts = summary_of(tmp_path / "run")["skipped"]
    assert {**counts["train"], **counts["test"]}.keys() == {"images", "unreadable", "truncated"}


@pytest.mark.backend_independent
def test_too_many_unusable_images_stop_the_run(issues_folder, tmp_path, capsys):
    folder, _ = issues_folder
    options = ["--dataset", folder, *ON_FOLDER, "--max-skipped", "0.001", "--output-dir", tmp_path / "run"]
    assert train_short(*options, "--distillation", "none") == 2
    error = capsys.readouterr().err
    assert "cannot be used, a larger fraction than --max-skipped 0.001" in error
    assert "validate-data" in error


@pytest.mark.backend_independent
@pytest.mark.usefixtures("linear_student")
def test_what_was_found_is_printed_and_equal_images_are_warned_of(tmp_path, capsys):
    write_images(tmp_path / "seg_train", 20)
    write_images(tmp_path / "seg_test", 4)  # the first images of seg_train
    options = ["--dataset", tmp_path, *ON_FOLDER, "--pipeline", "python", "--dry-run"]
    assert train_short(*options, "--output-dir", tmp_path / "run") == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    start = lines.index(f"{tmp_path.name}: 2 classes, 20 train, 4 test, from seg_train/ and seg_test/")
    assert lines[start + 1 : start + 4] == ["  class   train  test", "  bright     10     2", "  dark       10     2"]
    assert printed.err.count("4 of the 4 test images equal training images") == 1


@pytest.mark.usefixtures("linear_student")
@pytest.mark.parametrize("pipeline", ["auto", pytest.param("python", marks=pytest.mark.backend_independent)])
@pytest.mark.parametrize("split", ["train", "test"])
def test_an_unreadable_image_that_was_not_checked_is_named(split, pipeline, tmp_path, capsys):
    write_images(tmp_path / "light", 40)
    damaged = kd.data.load(str(tmp_path / "light"), split).paths[3]
    pathlib.Path(damaged).write_bytes(b"not an image")
    options = ["--dataset", tmp_path / "light", *UNCHECKED, "--pipeline", pipeline]
    assert train_short(*options, "--output-dir", tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert f"Images of 'light' cannot be read: {damaged}. Restore the files" in error


@pytest.mark.usefixtures("linear_student")
def test_an_image_that_is_damaged_during_a_run_is_named_and_the_run_goes_on_when_it_is_restored(
    tmp_path, monkeypatch, capsys
):
    write_images(tmp_path / "light", 40)
    damaged = pathlib.Path(kd.data.load(str(tmp_path / "light"), "train").paths[3])
    content = damaged.read_bytes()
    count = Position.on_train_batch_end

    def damage(self, batch, logs=None):
        count(self, batch, logs)
        damaged.write_bytes(b"not an image")

    options = ["--dataset", tmp_path / "light", *UNCHECKED, "--repeats", "1", "--pipeline", "python"]
    options += ["--epochs", "6"]  # more than what is read ahead
    options += ["--checkpoint-every", "1", "--output-dir", tmp_path / "run"]
    with monkeypatch.context() as patch:
        patch.setattr(Position, "on_train_batch_end", damage)
        assert train_short(*options) == 2
    assert f"cannot be read: {damaged}. Restore the files" in capsys.readouterr().err
    resume = ["--output-dir", tmp_path / "run", "--resume"]
    damaged.write_bytes(content + b"another")
    assert train(*resume) == 2
    assert "images of the train split were renamed, replaced" in capsys.readouterr().err
    damaged.write_bytes(content)
    assert train(*resume) == 0
    assert "student: resumed " in capsys.readouterr().out
    assert summary_of(tmp_path / "run")["complete"]


@pytest.mark.backend_independent
@pytest.mark.usefixtures("linear_student")
@pytest.mark.parametrize("command", [[], ["--dry-run"]], ids=["fit", "dry run"])
def test_an_unreadable_image_of_the_first_batch_is_named(command, tmp_path, capsys):
    write_images(tmp_path / "light", 40)
    data = kd.data.load(str(tmp_path / "light"), "train")
    plan = SamplingPlan(len(data), 16, (32, 32), kd.data.Augmentation.of(recipes.get("deit")))
    damaged = pathlib.Path(data.paths[plan.samples(0, 0)[0][0]])
    damaged.write_bytes(b"not an image")
    options = ["--dataset", tmp_path / "light", *UNCHECKED, "--pipeline", "python"]
    assert train_short(*options, *command, "--output-dir", tmp_path / "run") == 2
    assert f"Images of 'light' cannot be read: {damaged}." in capsys.readouterr().err


def test_an_unreadable_image_that_the_teacher_needs_is_named(tmp_path, capsys):
    write_images(tmp_path / "light", 40)
    teacher = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    teacher.save(tmp_path / "teacher.keras")
    options = ["--dataset", tmp_path / "light", *ON_FOLDER, "--distillation", "hard"]
    options += ["--teacher", tmp_path / "teacher.keras", "--output-dir", tmp_path / "run"]
    options += ["--epochs", "1", "--repeats", "1", "--no-check-images"]
    for split, more in (("test", []), ("train", ["--teacher-cache", tmp_path / "cache"])):
        damaged = pathlib.Path(kd.data.load(str(tmp_path / "light"), split).paths[3])
        content = damaged.read_bytes()
        damaged.write_bytes(b"not an image")
        assert train_short(*options, *more) == 2
        assert f"cannot be read: {damaged}." in capsys.readouterr().err
        damaged.write_bytes(content)


@pytest.mark.backend_independent
def test_images_without_labels_need_a_teacher(issues_folder, tmp_path, capsys):
    folder, _ = issues_folder
    for copied, source in (
        ("train", sorted((folder / "dark").glob("*.jpg"))[:6]),
        ("val/dark", []),
        ("val/bright", []),
    ):
        (tmp_path / copied).mkdir(parents=True)
        for path in source or sorted((folder / copied[4:]).glob("*.jpg"))[-2:]:
            (tmp_path / copied / path.name).write_bytes(path.read_bytes())
    options = ["--dataset", tmp_path, *ON_FOLDER, "--batch-size", "2", "--output-dir", tmp_path / "run"]
    assert train_short(*options) == 2
    assert "6 training images have no label" in capsys.readouterr().err


@pytest.mark.usefixtures("linear_student")
@pytest.mark.parametrize("strategy", ["none", "mirrored", "data_parallel"])
def test_layers_replace_the_augmentation_of_the_recipe(strategy, tmp_path):
    backend = keras.backend.backend()
    if {"none": backend, "mirrored": "tensorflow", "data_parallel": "jax"}[strategy] != backend:
        pytest.skip("a strategy of another backend")
    layers = keras.Sequential([keras.layers.RandomFlip("horizontal"), keras.layers.CutMix(0.5)])
    layers.save(tmp_path / "layers.keras")
    options = ["--augmentation-layers", tmp_path / "layers.keras", "--strategy", strategy, "--distillation", "none"]
    assert train(*SHORT, *options, "--output-dir", tmp_path / "run") == 0
    assert summary_of(tmp_path / "run")["settings"]["augmentation_layers"] == str(tmp_path / "layers.keras")


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (None, "--augmentation-layers must be 'keras-cv', the path of a `.keras` file"),
        (keras.layers.CenterCrop(16, 16), "turn images"),
    ],
    ids=["none", "another size"],
)
def test_layers_that_cannot_augment_a_batch_are_refused_before_the_run_starts(
    layer, message, issues_folder, tmp_path, capsys
):
    folder, _ = issues_folder
    layers = tmp_path / ("layers.keras" if layer else "layers")
    if layer:
        keras.Sequential([layer]).save(layers)
    options = ["--dataset", folder, *ON_FOLDER, "--augmentation-layers", layers]
    assert train_short(*options, "--output-dir", tmp_path / "run") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.backend_independent
def test_a_run_with_the_recipes_batch_size_is_repeated_from_another_folder(
    linear_student, tmp_path, monkeypatch, capsys
):
    write_images(tmp_path / "photos", 40)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    options = [
        "--dataset",
        "photos",
        "--recipe",
        "transfer",
        "--image-size",
        "32",
        "--patch-size",
        "8",
        "--epochs",
        "1",
    ]
    assert train_short(*options, "--output-dir", "run") == 0
    printed = capsys.readouterr().out
    assert "Batch size: 8 instead of 768, because there are only 32 training images." in printed
    assert "imagenet2012" not in printed
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert train("--config", tmp_path / "run" / "config.toml", "--output-dir", "again") == 0
    assert "Batch size" not in capsys.readouterr().out
    assert summary_of(tmp_path / "elsewhere" / "again")["settings"]["batch_size"] == 8
