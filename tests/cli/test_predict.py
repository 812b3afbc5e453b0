"""`keras-deit predict`: the most probable classes of images."""

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.cli import main
from keras_deit.export import to_litert
from keras_deit.imaging.imagenet import class_names
from tests.export.students import needs_litert, tensorflow_only
from tests.loopback import pretend_hub, serving
from tests.runs import LEARNING, add_short_variant, leave_report_out, need_run_packages, summary_of, train

pytest.importorskip("huggingface_hub", reason="huggingface_hub downloads the weights")
pillow = pytest.importorskip("PIL.Image", reason="Pillow reads the images")
datasets = pytest.importorskip("sklearn.datasets", reason="the photographs are scikit-learn's")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Paths of two real photographs as PNG."""
    folder = tmp_path_factory.mktemp("photographs")
    paths = [folder / name for name in ("china.png", "flower.png")]
    for path, pixels in zip(paths, datasets.load_sample_images().images, strict=True):
        pillow.fromarray(pixels).save(path)
    return paths


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A model whose predictions differ between images, and the path of its weights."""
    model = kd.DeiT.from_variant("deit_ti", num_layers=12)
    rng = np.random.default_rng(0)
    for head in ("class_head", "distillation_head"):
        model.get_layer(head).set_weights([rng.normal(size=(192, 1000)), np.zeros(1000)])
    return model, kd.weights.to_timm(model, tmp_path_factory.mktemp("weights") / "model.safetensors")


def predict(*arguments):
    return main(["predict", *map(str, arguments)])


def by_hand(model, paths, crop_ratio):
    """The classes in the order of their probabilities, and these, computed from the definition."""
    images = np.asarray([kd.ImageProcessor(224, crop_ratio)(path) for path in paths])
    logits = model.predict(images, verbose=0)
    mean = (logits["class"] + logits["distillation"]).astype("float64") / 2
    exponentials = np.exp(mean - mean.max(axis=-1, keepdims=True))
    probabilities = exponentials / exponentials.sum(axis=-1, keepdims=True)
    order = np.argsort(-probabilities, axis=-1)
    return order, np.take_along_axis(probabilities, order, axis=-1)


def test_a_preset_prints_the_names_of_imagenets_classes(weights, photographs, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    model, file = weights
    with serving() as server:
        pretend_hub(monkeypatch, server.url)
        server.add_to_hub("timm/deit_tiny_distilled_patch16_224.fb_in1k", file.read_bytes())
        assert predict(*photographs, "--weights", "deit_tiny_distilled_patch16_224", "--top", 3) == 0
    lines = capsys.readouterr().out.splitlines()
    order, probabilities = by_hand(model, photographs, crop_ratio=0.875)
    names = class_names()
    expected = []
    for path, best, shares in zip(photographs, order, probabilities, strict=True):
        expected += [
            str(path),
            *(f"  {share:6.1%}  {names[index]}" for index, share in zip(best[:3], shares, strict=False)),
        ]
    assert lines == expected


@pytest.mark.backend_independent
def test_a_saved_model_prints_its_own_class_names(photographs, tmp_path, capsys):
    student = kd.DeiT.from_variant("deit_ti", num_classes=3, image_size=32, patch_size=8, num_layers=1)
    student.save(tmp_path / "student.keras")
    (tmp_path / "names.txt").write_text("cat\ndog\nhouse\n")
    options = ["--weights", tmp_path, "--crop-ratio", 1.0]  # the directory of a run
    assert predict(photographs[0], *options, "--class-names", tmp_path / "names.txt") == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[1] for line in lines[1:]) == ["cat", "dog", "house"]
    assert predict(photographs[0], *options) == 0
    assert "  class 1" in capsys.readouterr().out


@pytest.mark.backend_independent
def test_an_image_that_is_named_twice_gets_two_answers(photographs, tmp_path, capsys):
    kd.DeiT.from_variant("deit_ti", num_classes=3, image_size=32, patch_size=8, num_layers=1).save(tmp_path / "m.keras")
    assert predict(photographs[0], photographs[0], photographs[1], "--weights", tmp_path / "m.keras", "--top", 1) == 0
    named = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    assert named == [str(photographs[index]) for index in (0, 0, 1)]


@pytest.mark.parametrize(
    "options",
    [pytest.param([], marks=pytest.mark.backend_independent), ["--image-size", 12]],
    ids=["own size", "resized"],
)
def test_the_images_of_a_test_split_are_classified_as_the_run_did(options, monkeypatch, tmp_path, capsys):
    """On the digits' test split as files, `predict` is right as often as `summary.json` says, to the digit."""
    need_run_packages()
    add_short_variant(monkeypatch)
    leave_report_out(monkeypatch)
    run = tmp_path / "run"
    assert train(*LEARNING, "--distillation", "none", "--output-dir", run, *options) == 0
    test = kd.data.load("digits", split="test")
    (tmp_path / "images").mkdir()
    for index, (pixels, label) in enumerate(zip(test.images, test.labels, strict=True)):
        pillow.fromarray(pixels).save(tmp_path / "images" / f"{index:04}-{label}.png")
    capsys.readouterr()
    assert predict(tmp_path / "images", "--weights", run, "--top", 1) == 0
    lines = capsys.readouterr().out.splitlines()
    files, answers = lines[::2], lines[1::2]
    right = [file.split("-")[-1] == f"{answer.split()[-1]}.png" for file, answer in zip(files, answers, strict=True)]
    accuracy = summary_of(run)["student"]["accuracy"]
    assert len(right) == 364
    assert np.mean(right) == pytest.approx(accuracy, abs=1e-6)
    assert accuracy > 0.2  # 0.1 by chance


@pytest.mark.backend_independent
def test_options_replace_what_is_kept_with_the_model(photographs, tmp_path, capsys):
    student = kd.DeiT.from_variant(
        "deit_ti", num_classes=3, image_size=32, patch_size=8, num_layers=1, preprocessing={"crop_ratio": 1.0}
    )
    rng = np.random.default_rng(0)
    for head in ("class_head", "distillation_head"):
        student.get_layer(head).set_weights([rng.normal(size=(192, 3)), np.zeros(3)])
    student.save(tmp_path / "student.keras")
    assert predict(photographs[0], "--weights", tmp_path / "student.keras") == 0
    kept = capsys.readouterr().out
    given = {"crop_ratio": 0.5, "interpolation": "box", "squash": True, "mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.3)}
    options = [
        "--crop-ratio",
        0.5,
        "--interpolation",
        "box",
        "--squash",
        "--mean",
        "0.5,0.4,0.3",
        "--std",
        "0.1,0.2,0.3",
    ]
    assert predict(photographs[0], "--weights", tmp_path / "student.keras", *options) == 0
    printed = capsys.readouterr().out
    images = np.asarray([kd.ImageProcessor(32, **given)(photographs[0])])
    logits = sum(student.predict(images, verbose=0).values()) / 2
    shares = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert printed.splitlines()[1:] == [f"  {shares[index]:6.1%}  class {index}" for index in np.argsort(-shares)]
    assert printed != kept


@pytest.mark.backend_independent
def test_a_model_of_a_thousand_classes_of_its_own_has_no_names_of_imagenet(weights, photographs, capsys):
    assert predict(photographs[0], "--weights", weights[1]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    assert all(line.split("%")[1].startswith("  class ") for line in lines)


@pytest.mark.backend_independent
def test_another_image_size_resizes_the_positions(weights, photographs, capsys):
    assert predict(photographs[0], "--weights", weights[1], "--image-size", 96) == 0
    assert capsys.readouterr().err == f"{weights[1]}: Positions resized from 14×14 to 6×6 patches.\n"


@pytest.mark.backend_independent
def test_the_other_images_of_a_directory_with_a_broken_image_are_classified(weights, photographs, tmp_path, capsys):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "good.png").write_bytes(photographs[0].read_bytes())
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    (tmp_path / "notes.txt").write_text("not an image")
    assert predict(tmp_path, "--weights", weights[1], "--top", 1) == 2
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0] == str(tmp_path / "inside" / "good.png")
    assert len(printed.out.splitlines()) == 2
    assert "broken.jpg' cannot be read" in printed.err
    assert "1 of 2 images could not be read" in printed.err


@pytest.mark.backend_independent
def test_hidden_files_of_a_directory_are_skipped_and_the_others_are_named(photographs, tmp_path, capsys):
    kd.DeiT.from_variant("deit_ti", num_classes=3, image_size=32, patch_size=8, num_layers=1).save(tmp_path / "m.keras")
    content = photographs[0].read_bytes()
    for name in ("good", "._1.jpg", "__MACOSX/1.jpg", "a/.ipynb_checkpoints/1.jpg", "a/1.jpg"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(content if name[-1] in "dg" and "._" not in name else b"no image")
    (tmp_path / "images" / "notes.txt").write_text("not an image")
    (tmp_path / "empty").mkdir()
    assert predict(tmp_path / "images", "--weights", tmp_path / "m.keras", "--top", 1) == 0
    printed = capsys.readouterr()
    named = [line for line in printed.out.splitlines() if not line.startswith(" ")]
    assert named == [str(tmp_path / "images" / name) for name in ("a/1.jpg", "good")]
    assert "Ignored files of " in printed.err
    assert predict(tmp_path / "empty", "--weights", tmp_path / "m.keras") == 2
    assert "There is no image file below" in capsys.readouterr().err


@pytest.mark.backend_independent
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["no.jpg", "--weights", "deit_tiny_patch16_224"], "There is no image file at 'no.jpg'"),
        (["IMAGE", "--weights", "deit_tiny"], "There is no preset 'deit_tiny'"),
        (["IMAGE", "--weights", "WEIGHTS", "--top", "0"], "--top must be positive"),
        (["IMAGE", "--weights", "WEIGHTS", "--class-names", "NAMES"], "has 1 names, but the model has 1000 classes"),
        (["NAMES", "--weights", "WEIGHTS"], "cannot be read"),
        (["IMAGE", "--weights", "WEIGHTS", "--crop-ratio", "0"], "--crop-ratio must be above 0"),
        (["IMAGE", "--weights", "MASKED", "--num-heads", "2"], "--num-heads is only for weights without a model"),
        (["IMAGE", "--weights", "MASKED"], "Received: DeiTMaskedImageModel"),
        (["IMAGE", "--weights", "EMPTY"], "holds no model: it has neither student.keras"),
    ],
)
def test_bad_input_is_an_error(options, message, weights, photographs, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("only one\n")
    masked = tmp_path / "masked.keras"
    kd.DeiTMaskedImageModel(image_size=32, patch_size=8, hidden_dim=16, num_layers=1, num_heads=2).save(masked)
    (tmp_path / "empty").mkdir()
    paths = {
        "IMAGE": photographs[0],
        "WEIGHTS": weights[1],
        "NAMES": tmp_path / "names.txt",
        "MASKED": masked,
        "EMPTY": tmp_path / "empty",
    }
    assert predict(*(paths.get(option, option) for option in options)) == 2
    assert message in capsys.readouterr().err


@pytest.mark.backend_independent
def test_weights_that_are_not_finite_are_an_error(photographs, tmp_path, capsys):
    model = kd.DeiT.from_variant("deit_ti", num_layers=1, num_classes=3, image_size=32, patch_size=16)
    model.get_layer("class_head").set_weights([np.full((192, 3), np.nan), np.zeros(3)])
    model.save(tmp_path / "student.keras")
    assert predict(photographs[0], "--weights", tmp_path / "student.keras") == 2
    assert "predictions must be finite" in capsys.readouterr().err


@pytest.mark.backend_independent
def test_files_of_sixteen_bits_are_read_with_the_bits_that_they_use(photographs, tmp_path, capsys):
    model = kd.DeiT.from_variant("deit_ti", image_size=32, patch_size=8, num_layers=1, num_classes=3)
    model.save(tmp_path / "model.keras")
    grey = np.asarray(pillow.open(photographs[0]).convert("L"))
    pillow.fromarray(grey).save(tmp_path / "8.png")
    pillow.fromarray(np.round(grey / 255 * 4095).astype("uint16")).save(tmp_path / "12.png")
    files = [tmp_path / "8.png", tmp_path / "12.png"]
    assert predict(*files, "--weights", tmp_path / "model.keras", "--bit-depth", 12) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:4] == lines[5:8]


@pytest.mark.backend_independent
@pytest.mark.parametrize("output", ["model.keras", "model.safetensors", "model"])
def test_several_labels_of_an_image_are_independent_probabilities(output, photographs, tmp_path, capsys):
    student = kd.DeiT.from_variant(
        "deit_ti", num_layers=1, num_classes=3, image_size=32, patch_size=16, class_names=["cat", "dog", "fox"]
    )
    for head, biases in (("class_head", [3, 1, -2]), ("distillation_head", [1, 1, -2])):
        student.get_layer(head).set_weights([np.zeros((192, 3)), np.array(biases)])
    distiller = kd.Distiller(student)
    distiller.compile(loss=keras.losses.BinaryCrossentropy(from_logits=True))  # which has the student say so
    student.save(tmp_path / "student.keras")
    assert main(["convert", "--weights", str(tmp_path / "student.keras"), "--output", str(tmp_path / output)]) == 0
    capsys.readouterr()
    assert predict(photographs[0], "--weights", tmp_path / output) == 0
    expected = [f"  {1 / (1 + np.exp(-logit)):6.1%}  {name}" for logit, name in ((2, "cat"), (1, "dog"), (-2, "fox"))]
    assert capsys.readouterr().out.splitlines()[1:] == expected


@pytest.mark.backend_independent
def test_one_logit_is_the_probability_of_the_class(photographs, tmp_path, capsys):
    model = kd.DeiT.from_variant(
        "deit_ti", num_layers=1, num_classes=1, image_size=32, patch_size=16, class_names=["cat"]
    )
    for head in ("class_head", "distillation_head"):
        model.get_layer(head).set_weights([np.zeros((192, 1)), np.full(1, -1.0)])
    model.save(tmp_path / "model.keras")
    assert predict(photographs[0], "--weights", tmp_path / "model.keras") == 0
    assert capsys.readouterr().out.splitlines()[1] == f"  {1 / (1 + np.exp(1)):6.1%}  cat"


@tensorflow_only
@needs_litert
def test_the_outputs_of_an_export_that_ends_in_a_softmax_are_printed(photographs, tmp_path, capsys):
    head = keras.layers.Dense(2, activation="softmax", kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), head])
    head.bias.assign([1.0, 0.0])
    path = to_litert(model, tmp_path / "a.tflite")
    assert predict(photographs[0], "--weights", path) == 0
    probability = np.e / (np.e + 1)
    expected = [f"  {probability:6.1%}  class 0", f"  {1 - probability:6.1%}  class 1"]
    assert capsys.readouterr().out.splitlines()[1:] == expected
