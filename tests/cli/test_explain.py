"""`keras-deit explain`: attention maps of images, and the figures of a dataset."""

import csv
import json

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.choices import EXPLANATION_FILES
from keras_deit.cli import main
from keras_deit.cli.explain import distinct_stems
from keras_deit.explain import attention_rollout, gradient_rollout, raw_attention
from tests.runs import need_run_packages

need_run_packages()
pillow = pytest.importorskip("PIL.Image", reason="Pillow reads the images")
SIZE = {"image_size": 16, "patch_size": 4, "hidden_dim": 16, "num_layers": 2, "num_heads": 2, "num_classes": 3}
NAMES = ("cat", "dog", "a fox with a name that is longer than the column")


def random_deit(**arguments):
    deit = kd.DeiT(**{**SIZE, "class_names": NAMES, "preprocessing": {"crop_ratio": 1.0, "mean": 0.5}, **arguments})
    rng = np.random.default_rng(0)
    deit.set_weights([rng.normal(scale=0.4, size=weight.shape) for weight in deit.get_weights()])
    return deit


@pytest.fixture(scope="module")
def deit():
    return random_deit()


@pytest.fixture(scope="module")
def folder(deit, tmp_path_factory):
    """A folder with two images of the same name, an `.npz` dataset, a model and a teacher."""
    folder = tmp_path_factory.mktemp("explain")
    rng = np.random.default_rng(1)
    for name in ("images/photo.png", "images/more/photo.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pillow.fromarray(rng.integers(0, 256, (20, 30, 3), "uint8")).save(folder / name)
    images, labels = rng.integers(0, 256, (24, 16, 16, 3), "uint8"), np.arange(24) % 3
    np.savez(folder / "data.npz", x_train=images, y_train=labels, x_test=images[:20], y_test=labels[:20])
    (folder / "names.txt").write_text("\n".join(NAMES))
    deit.save(folder / "student.keras")
    teacher = keras.Sequential([keras.Input((16, 16, 3)), keras.layers.Flatten(), keras.layers.Dense(3)])
    teacher.save(folder / "teacher.keras")
    return folder


@pytest.fixture
def explain(folder, monkeypatch):
    """A function that runs the command in the folder."""
    monkeypatch.chdir(folder)

    def run(*arguments, weights="student.keras"):
        return main(["explain", *map(str, arguments), "--weights", str(weights)])

    return run


def processed(deit, path):
    return np.asarray(deit.image_processor()(path))[None]


@pytest.mark.eager
def test_each_image_gets_a_picture_and_the_maps_of_both_tokens(explain, deit, tmp_path, capsys):
    assert explain("images", "--output", tmp_path / "out", "--arrays", "--discard-ratio", 0.5) == 0
    written = sorted(file.name for file in (tmp_path / "out").iterdir())
    stems = ("photo-2-attention", "photo-attention")
    assert written == [f"{stem}.{extension}" for stem in stems for extension in ("npz", "png")]
    lines = dict(line.split(": ") for line in capsys.readouterr().out.splitlines())
    for path, picture in lines.items():
        arrays = np.load(picture.replace(".png", ".npz"))
        assert set(arrays) == {"class", "distillation"}
        for token, found in arrays.items():
            expected = attention_rollout(deit, processed(deit, path), token, discard_ratio=0.5)[0]
            np.testing.assert_allclose(found, expected, rtol=1e-4)
        assert pillow.open(picture).size[0] > 800


@pytest.mark.eager
def test_one_image_may_have_a_file_and_the_raw_attention_of_a_head(explain, deit, tmp_path):
    picture = tmp_path / "picture.png"
    options = ["--method", "raw", "--block", 1, "--head", 2, "--arrays"]
    assert explain("images/photo.png", "--output", picture, *options) == 0
    found = np.load(tmp_path / "picture.npz")["class"]
    expected = raw_attention(deit, processed(deit, "images/photo.png"), "class", block=1, head=2)[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    before = picture.read_bytes()
    assert explain("images/photo.png", "--output", picture) == 2
    assert picture.read_bytes() == before
    assert explain("images/photo.png", "--output", picture, "--overwrite") == 0
    assert picture.read_bytes() != before


@pytest.mark.eager
@pytest.mark.parametrize("method", ["raw", "rollout", "gradient"])
def test_the_precision_of_the_model_is_that_of_the_option(explain, deit, tmp_path, method):
    options = ["--method", method, "--precision", "bfloat16", "--arrays"]
    assert explain("images/photo.png", "--output", tmp_path, *options) == 0
    found = np.load(tmp_path / "photo-attention.npz")["class"]
    function = {"raw": raw_attention, "rollout": attention_rollout, "gradient": gradient_rollout}[method]
    image = processed(deit, "images/photo.png")
    expected, other = (function(model, image, "class")[0] for model in (deit.to_dtype("bfloat16"), deit))
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.any(np.abs(found - other) > 1e-3 * np.abs(other))


@pytest.mark.eager
@pytest.mark.backend_independent
def test_the_picture_names_the_predictions(explain, deit, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr("keras_deit.cli.explain.draw_attention", lambda *arguments: drawn.append(arguments))
    assert explain("images/photo.png", "--output", tmp_path / "a.png", "--top", 2) == 0
    outputs = deit.predict(processed(deit, "images/photo.png"), verbose=0)

    def described(logits, top):
        shares = np.exp(logits[0]) / np.exp(logits[0]).sum()
        names = ("cat", "dog", "a fox with a name that is l…")
        return "\n".join(f"{names[index]} {shares[index]:.1%}" for index in np.argsort(-shares)[:top])

    ((_, columns, *_, captions),) = drawn
    assert captions == [f"photo.png\n{described((outputs['class'] + outputs['distillation']) / 2, 2)}"]
    assert list(columns) == [f"{head} token\nits head: {described(outputs[head], 1)}" for head in outputs]


@pytest.mark.eager
@pytest.mark.backend_independent
def test_models_of_one_token_and_of_several_labels_have_one_map(explain, tmp_path):
    random_deit(distilled=False, multi_label=True, class_names=None).save(tmp_path / "one.keras")
    assert explain("images/photo.png", "--output", tmp_path, "--arrays", weights=tmp_path / "one.keras") == 0
    assert list(np.load(tmp_path / "photo-attention.npz")) == ["class"]


@pytest.mark.eager
def test_the_figures_of_a_dataset_are_written(explain, deit, tmp_path, capsys):
    teacher = ["--teacher", "teacher.keras", "--teacher-value-range", "0,255"]
    dataset = ["--dataset", "data.npz", "--class-names", "names.txt", "--max-images", 10, "--pipeline", "python"]
    assert explain(*dataset, *teacher, "--output", tmp_path / "out") == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == set(EXPLANATION_FILES)
    figures = json.loads((tmp_path / "out" / "explanation.json").read_text())
    pixels = np.load("data.npz")["x_test"][np.linspace(0, 19, 10).round().astype(int)]
    assert figures["images"] == 10
    images = ((pixels / 255 - 0.5) / kd.IMAGENET_STD).astype("float32")
    names, rates = kd.explain.disagreement(
        {
            "teacher": keras.saving.load_model("teacher.keras").predict(pixels.astype("float32"), verbose=0),
            **deit.predict(images, verbose=0),
            "fused": sum(deit.predict(images, verbose=0).values()),
        }
    )
    assert figures["disagreement"] == {"names": list(names), "rates": pytest.approx(rates)}
    table = list(csv.reader((tmp_path / "out" / "disagreement.csv").open(newline="")))
    assert table[0] == ["", *names]
    assert [list(map(float, row[1:])) for row in table[1:]] == rates.tolist()
    assert figures["token_similarity"] == pytest.approx(kd.explain.token_similarity(deit, images), abs=1e-5)
    distances = np.array(figures["attention_distance"])
    np.testing.assert_allclose(distances, kd.explain.attention_distance(deit, images), rtol=1e-4)
    assert f"Attention distance: {distances[0].mean():.1f} pixels in the first block" in capsys.readouterr().out


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "There is nothing to explain: pass image files, or --dataset."),
        (["no.png"], "There is no image file at 'no.png'."),
        (["images", "--output", "new.png"], "--output may be a PNG file for one image alone."),
        (["images/photo.png", "--output", "images/photo.png", "--overwrite"], "must be another file than the image."),
        (["images", "--output", "names.txt"], "--output must be a directory, or a .png file."),
        (["images", "--top", 0], "--top must be positive."),
        (
            ["images", "--head", 1, "--block", 2],
            "Only --method raw takes --block and --head. Received: --method rollout",
        ),
        (
            ["images", "--method", "raw", "--discard-ratio", 0.5],
            "Only --method rollout takes --discard-ratio. Received: --method raw",
        ),
        (["images", "--method", "raw", "--block", 3], "--block must be a number in 1..2, or None. Received: --block 3"),
        (["images", "--discard-ratio", 1], "--discard-ratio must lie in [0, 1). Received: --discard-ratio 1.0"),
        (["--dataset", "data.npz", "--max-images", 0], "--max-images must be positive."),
    ],
)
def test_errors_name_the_options(explain, arguments, message, capsys):
    assert explain(*arguments) == 2
    assert message in capsys.readouterr().err


@pytest.mark.backend_independent
def test_models_without_attention_are_refused(explain, tmp_path, capsys):
    assert explain("images", weights="model.tflite") == 2
    assert "An exported model does not return its attention." in capsys.readouterr().err
    kd.RegNetY.from_variant("regnety_002", num_classes=2).save(tmp_path / "convnet.keras")
    assert explain("images", weights=tmp_path / "convnet.keras") == 2
    assert "The attention of a DeiT is needed" in capsys.readouterr().err


@pytest.mark.eager
@pytest.mark.backend_independent
def test_a_model_of_two_tokens_and_several_labels_has_all_figures_but_the_disagreement(explain, tmp_path, capsys):
    random_deit(multi_label=True).save(tmp_path / "several.keras")
    options = ["--dataset", "data.npz", "--class-names", "names.txt", "--max-images", 4, "--pipeline", "python"]
    assert explain(*options, "--output", tmp_path / "out", weights=tmp_path / "several.keras") == 0
    figures = json.loads((tmp_path / "out" / "explanation.json").read_text())
    assert {"token_similarity", "attention_distance"} <= set(figures)
    assert "disagreement" not in figures
    assert "The disagreement is left out: the model may give an image several classes" in capsys.readouterr().out


@pytest.mark.backend_independent
def test_many_images_with_the_same_name_get_distinct_names():
    names = distinct_stems(["a"] * 20_000)
    assert len(set(names)) == 20_000
    assert (names[0], names[-1]) == ("a", "a-20000")
