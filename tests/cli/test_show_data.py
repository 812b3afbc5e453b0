"""The command that draws training images."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.cli import main, show_data
from tests.image_folders import ON_FOLDER
from tests.runs import need_run_packages

need_run_packages()
pillow = pytest.importorskip("PIL.Image", reason="images are read by Pillow")
HALF = kd.Preprocessing(mean=0.5, std=0.5)
pytestmark = pytest.mark.usefixtures("short_runs")


def test_a_grid_of_training_images_is_drawn(issues_folder, tmp_path, capsys):
    folder, _ = issues_folder
    options = ["--dataset", folder, *ON_FOLDER, "--output", tmp_path / "grid.png"]
    assert main(["show-data", *map(str, options)]) == 0
    assert "16 of 159 images of light, recipe deit, epoch 1" in capsys.readouterr().out
    assert min(pillow.open(tmp_path / "grid.png").size) > 300


def test_the_grid_follows_the_configuration_of_a_run(whole_run, tmp_path, capsys):
    options = ["--config", whole_run.directory / "config.toml", "--output", tmp_path / "grid.png"]
    assert main(["show-data", *map(str, options)]) == 0
    assert "8 of 1,433 images of digits, recipe small_data" in capsys.readouterr().out
    published = ["--recipe", "deit3_1k", "--batch-size", "8", "--image-size", "16", "--output", tmp_path / "grid.png"]
    assert main(["show-data", *map(str, published)]) == 0


@pytest.mark.backend_independent
def test_every_title_has_the_label_and_the_prediction_of_a_given_teacher(tmp_path, monkeypatch):
    teacher = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(10)])
    teacher.set_weights([np.zeros((192, 10)), 10.0 * np.eye(10)[3]])
    teacher.save(tmp_path / "teacher.keras")
    drawn = {}
    monkeypatch.setattr(show_data, "draw_grid", lambda images, titles, *_: drawn.update(images=images, titles=titles))
    options = ["--teacher", tmp_path / "teacher.keras", "--mixup", "0.8", "--batch-size", "6", "--epoch", "2"]
    assert main(["show-data", *map(str, options)]) == 0
    assert drawn["images"].shape == (6, 8, 8, 3)
    labels, predictions = zip(*(title.split("\n") for title in drawn["titles"]), strict=True)
    assert set(predictions) == {"teacher: 3 100%"}
    for label in labels:
        shares = [float(part.split()[1].rstrip("%")) for part in label.split(" + ") if " " in part]
        assert not shares or sum(shares) == pytest.approx(100, abs=1)


@pytest.mark.backend_independent
def test_the_images_are_normalised_as_the_weights_expect(tmp_path, monkeypatch):
    model = kd.DeiT(10, image_size=8, patch_size=4, hidden_dim=8, num_layers=1, num_heads=1, preprocessing=HALF)
    model.save(tmp_path / "model.keras")
    files = [kd.weights.to_timm(model, tmp_path / "model.safetensors"), tmp_path / "model.keras"]
    drawn = []
    monkeypatch.setattr(show_data, "draw_grid", lambda *arguments: drawn.append(arguments))
    options = ["show-data", "--batch-size", "6", "--erasing", "0"]
    for weights in ([], *(["--weights", str(file)] for file in files)):
        assert main([*options, *weights]) == 0
    (plain, *_, mean, std), *with_weights = drawn
    assert (mean, std) == (kd.IMAGENET_MEAN, kd.IMAGENET_STD)
    for images, *_, mean, std in with_weights:
        assert (mean, std) == (HALF.mean, HALF.std)
        np.testing.assert_allclose(images * 0.5 + 0.5, plain * kd.IMAGENET_STD + kd.IMAGENET_MEAN, atol=1e-5)


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("size", "activation", "num_classes", "message"),
    [
        (16, None, 10, "teacher takes images of shape (16, 16, 3) and would receive (8, 8, 3)"),
        (8, "softmax", 10, "outputs look like probabilities"),
        (16, None, 10, "`--teacher-image-size 16`, or give the student images of this size (--image-size)."),
        (8, None, 7, "must cover the dataset's 10 classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9. Received: shape=(4, 7)."),
    ],
)
def test_a_given_teacher_is_checked_as_in_training(size, activation, num_classes, message, tmp_path, capsys):
    layers = [keras.layers.Flatten(), keras.layers.Dense(num_classes, activation=activation)]
    keras.Sequential([keras.Input((size, size, 3)), *layers]).save(tmp_path / "teacher.keras")
    shown = ["show-data", "--output", tmp_path / "grid.png"]
    trained = ["train", "--variant", "deit_short", "--output-dir", tmp_path / "run"]
    for command in (shown, trained):
        assert main([*map(str, command), "--teacher", str(tmp_path / "teacher.keras")]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "grid.png").exists()


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("row", "title"),
    [
        ([0, 0, 0], "no label"),
        ([0, 1, 0], "dog"),
        ([0.3, 0.7, 0], "dog 70% + cat 30%"),
        ([0.001, 0.999, 0], "dog"),
    ],
)
def test_labels_are_described(row, title):
    assert show_data._describe_label(np.array(row, "float32"), ("cat", "dog", "cow")) == title
