"""Training on a folder of pictures, with the commands that look at it."""

import pathlib

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit import recipes
from keras_deit.cli import main
from keras_deit.training import images as images_of_runs
from keras_deit.training.settings import resolve
from tests.cli.runs import SHORT, summary_of, train

for package in ("filelock", "sklearn", "matplotlib", "tomli_w", "tqdm"):
    pytest.importorskip(package, reason=f"the main job needs {package}")
pillow = pytest.importorskip("PIL.Image", reason="pictures are read by Pillow")
pytestmark = pytest.mark.usefixtures("short_runs")


def write_pictures(folder, number):
    """Dark and bright pictures; their paths."""
    rng, paths = np.random.default_rng(0), []
    for place in range(number):
        path = folder / ("dark", "bright")[place % 2] / f"{place:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.normal((60, 190)[place % 2], 30, (48, 64, 3)).clip(0, 255).astype("uint8")
        pillow.fromarray(pixels).save(path, quality=90)
        paths.append(path)
    return paths


def write_folder(folder):
    """Pictures, one of each kind that is none or not what it seems; and the paths of those by kind."""
    paths = write_pictures(folder, 200)
    bad = dict(zip(kd.data.IMAGE_ISSUES, paths[11::7], strict=False))
    picture = pillow.open(paths[0]).copy()
    bad["unreadable"].write_bytes(b"no picture")
    bad["truncated"].write_bytes(bad["truncated"].read_bytes()[:900])
    picture.save(bad["mislabelled"], "PNG")
    picture.resize((9, 9)).save(bad["tiny"])
    picture.convert("CMYK").save(bad["cmyk"])
    for kind in ("16-bit", "animated"):
        bad[kind].unlink()
        bad[kind] = bad[kind].with_suffix(".gif" if kind == "animated" else ".png")
    pillow.fromarray((np.arange(48 * 64).reshape(48, 64) * 20).astype("uint16")).save(bad["16-bit"])
    picture.save(bad["animated"], save_all=True, append_images=[picture.rotate(90)])
    return bad


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "light"
    return folder, write_folder(folder)


ON_FOLDER = ["--image-size", "32", "--patch-size", "8", "--recipe", "deit", "--batch-size", "16"]
UNCHECKED = [*ON_FOLDER, "--epochs", "2", "--no-check-images"]


def test_a_folder_with_pictures_of_every_bad_kind_is_trained_on_and_nothing_is_lost_in_silence(
    folder, tmp_path, capsys
):
    folder, bad = folder
    assert main(["validate-data", str(folder), "--report", str(tmp_path / "report.json")]) == 1
    printed = capsys.readouterr().out
    for kind, path in bad.items():
        assert f"{kind}: {path}" in printed
    report = kd.data.read_report(tmp_path / "report.json")
    assert report.problems == {str(path): [kind] for kind, path in bad.items()}
    assert report.checked == 200

    options = ["--dataset", folder, *ON_FOLDER, "--epochs", "1", "--skip-images", ",".join(kd.data.IMAGE_ISSUES)]
    options += ["--validated", tmp_path / "report.json", "--max-skipped", "0.1"]
    assert train("--variant", "deit_short", *options, "--output-dir", tmp_path / "run") == 0
    summary = summary_of(tmp_path / "run")
    skipped = [summary["skipped"][part] for part in ("train", "test")]
    assert sum(part["images"] for part in skipped) == 7
    assert {kind for part in skipped for kind in part} == {"images", *kd.data.IMAGE_ISSUES}
    assert f"{skipped[0]['images']} pictures of the train part were left out" in capsys.readouterr().out
    assert 0 <= summary["waiting_for_data"] < 1
    student = keras.saving.load_model(tmp_path / "run" / "student.keras")
    assert student.class_names == ("bright", "dark")


@pytest.mark.parametrize("pipeline", ["auto", "python"])
@pytest.mark.parametrize("part", ["train", "test"])
def test_a_picture_that_a_run_did_not_look_at_before_is_named_when_it_fails(part, pipeline, tmp_path, capsys):
    write_pictures(tmp_path / "light", 40)
    damaged = kd.data.load(str(tmp_path / "light"), part).paths[3]
    pathlib.Path(damaged).write_bytes(b"no picture")
    options = ["--dataset", tmp_path / "light", *UNCHECKED, "--pipeline", pipeline]
    assert train("--variant", "deit_short", *options, "--output-dir", tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert f"Pictures of 'light' cannot be read: {damaged}. Put good ones in their places" in error


@pytest.mark.parametrize("command", [[], ["--dry-run"]], ids=["fit", "dry run"])
def test_a_picture_of_the_first_batch_is_named_when_it_fails(command, tmp_path, capsys):
    write_pictures(tmp_path / "light", 40)
    data = kd.data.load(str(tmp_path / "light"), "train")
    first = kd.data.SamplingPlan(len(data), 16, (32, 32), kd.data.Augmentation.of(recipes.get("deit"))).views(0, 0)[0][
        0
    ]
    pathlib.Path(data.paths[first]).write_bytes(b"no picture")
    options = ["--dataset", tmp_path / "light", *UNCHECKED, "--pipeline", "python"]
    assert train("--variant", "deit_short", *options, *command, "--output-dir", tmp_path / "run") == 2
    assert f"Pictures of 'light' cannot be read: {data.paths[first]}." in capsys.readouterr().err


def test_a_picture_that_the_teacher_is_asked_about_is_named_when_it_fails(tmp_path, capsys):
    write_pictures(tmp_path / "light", 40)
    teacher = keras.Sequential([keras.Input((32, 32, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2)])
    teacher.save(tmp_path / "teacher.keras")
    options = [
        "--dataset",
        tmp_path / "light",
        *ON_FOLDER,
        "--distillation",
        "hard",
        "--teacher",
        tmp_path / "teacher.keras",
    ]
    options += ["--epochs", "1", "--repeats", "1", "--no-check-images", "--output-dir", tmp_path / "run"]
    for part, more in (("test", []), ("train", ["--teacher-cache", tmp_path / "cache"])):
        damaged = pathlib.Path(kd.data.load(str(tmp_path / "light"), part).paths[3])
        content = damaged.read_bytes()
        damaged.write_bytes(b"no picture")
        assert train("--variant", "deit_short", *options, *more) == 2
        assert f"cannot be read: {damaged}." in capsys.readouterr().err
        damaged.write_bytes(content)


def test_too_many_bad_pictures_stop_the_run(folder, tmp_path, capsys):
    folder, _ = folder
    options = ["--dataset", folder, *ON_FOLDER, "--max-skipped", "0.001", "--output-dir", tmp_path / "run"]
    assert train("--variant", "deit_short", *options, "--distillation", "none") == 2
    error = capsys.readouterr().err
    assert "cannot be used, more than --max-skipped 0.001" in error
    assert "validate-data" in error


def test_all_readable_kinds_are_trained_on_by_default(folder, tmp_path):
    folder, _ = folder
    options = ["--dataset", folder, *ON_FOLDER, "--epochs", "1", "--output-dir", tmp_path / "run"]
    assert train("--variant", "deit_short", *options) == 0
    counts = summary_of(tmp_path / "run")["skipped"]
    assert {**counts["train"], **counts["test"]}.keys() == {"images", "unreadable", "truncated"}


def test_a_grid_of_training_images_is_drawn(folder, tmp_path, capsys):
    folder, _ = folder
    options = ["--dataset", folder, *ON_FOLDER, "--output", tmp_path / "grid.png"]
    assert main(["show-data", *map(str, options)]) == 0
    assert "16 of 159 images of light, recipe deit, epoch 1" in capsys.readouterr().out
    assert min(pillow.open(tmp_path / "grid.png").size) > 300


def test_a_report_by_another_spelling_of_the_folder_serves(folder, tmp_path, monkeypatch):
    folder, bad = folder
    monkeypatch.chdir(folder.parent)
    assert main(["validate-data", folder.name, "--report", str(tmp_path / "report.json")]) == 1
    settings = resolve({"variant": "deit_ti", "dataset": str(folder), "validated": str(tmp_path / "report.json")})
    left_out = [images_of_runs.load_images(settings, split)[1]["images"] for split in ("train", "test")]
    assert sum(left_out) == len(kd.data.FATAL_ISSUES)
    for path in bad.values():
        assert path.exists()
    (tmp_path / "report.json").write_text('{"dataset": "light", "checked": 1, "problems": {"/gone/1.jpg": ["tiny"]}}')
    with pytest.raises(ValueError, match="names pictures that are not there"):
        images_of_runs.load_images(settings, "train")


def test_the_grid_follows_the_configuration_of_a_run(uninterrupted, tmp_path, capsys):
    options = ["--config", uninterrupted / "config.toml", "--output", tmp_path / "grid.png"]
    assert main(["show-data", *map(str, options)]) == 0
    assert "8 of 1,433 images of digits, recipe small_data" in capsys.readouterr().out
    published = ["--recipe", "deit3_1k", "--batch-size", "8", "--image-size", "16", "--output", tmp_path / "grid.png"]
    assert main(["show-data", *map(str, published)]) == 0


def test_images_without_labels_need_a_teacher(folder, tmp_path, capsys):
    folder, _ = folder
    for part, source in (("train", sorted((folder / "dark").glob("*.jpg"))[:6]), ("val/dark", []), ("val/bright", [])):
        (tmp_path / part).mkdir(parents=True)
        for path in source or sorted((folder / part[4:]).glob("*.jpg"))[-2:]:
            (tmp_path / part / path.name).write_bytes(path.read_bytes())
    options = ["--dataset", tmp_path, *ON_FOLDER, "--batch-size", "2", "--output-dir", tmp_path / "run"]
    assert train("--variant", "deit_short", *options) == 2
    assert "6 training images have no label" in capsys.readouterr().err


@pytest.mark.parametrize("strategy", ["none", "mirrored", "data_parallel"])
def test_layers_of_ones_own_take_the_place_of_the_recipes(strategy, tmp_path):
    backend = keras.backend.backend()
    if {"none": backend, "mirrored": "tensorflow", "data_parallel": "jax"}[strategy] != backend:
        pytest.skip("a strategy of another backend")
    layers = keras.Sequential([keras.layers.RandomFlip("horizontal"), keras.layers.CutMix(0.5)])
    layers.save(tmp_path / "layers.keras")
    options = [*SHORT, "--augmentation-layers", tmp_path / "layers.keras", "--strategy", strategy]
    assert train(*options, "--output-dir", tmp_path / "run") == 0
    assert summary_of(tmp_path / "run")["settings"]["augmentation_layers"] == str(tmp_path / "layers.keras")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (None, "`augmentation` must be 'keras-cv', the path of a `.keras` file"),
        (keras.layers.CenterCrop(16, 16), "turn images"),
    ],
    ids=["none", "another size"],
)
def test_layers_that_make_no_batch_are_refused_before_anything_begins(layer, message, folder, tmp_path, capsys):
    folder, _ = folder
    if layer:
        keras.Sequential([layer]).save(tmp_path / "layers.keras")
    options = [
        "--dataset",
        folder,
        *ON_FOLDER,
        "--augmentation-layers",
        tmp_path / ("layers.keras" if layer else "layers"),
    ]
    assert train("--variant", "deit_short", *options, "--output-dir", tmp_path / "run") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
