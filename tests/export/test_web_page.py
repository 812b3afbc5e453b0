"""The example of a web page in docs/examples/web, which classifies images with an exported model."""

import json
import pathlib
import shutil
import subprocess

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.choices import INTERPOLATIONS
from keras_deit.export import to_onnx
from keras_deit.export.metadata import read_metadata
from tests.export.students import needs_onnx, student

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "examples" / "web"
NODE, CHROMIUM = shutil.which("node"), shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.backend_independent,
    pytest.mark.skipif(not NODE, reason="the code of the page runs in Node.js"),
]


def in_node(code, *arguments):
    """Runs a module of JavaScript, whose imports begin with `SRC`, and returns what it prints."""
    code = code.replace("SRC", (PAGE / "src").as_uri())
    command = [NODE, "--input-type=module", "-", *map(str, arguments)]
    return subprocess.run(command, input=code.encode(), stdout=subprocess.PIPE, check=True, timeout=60).stdout


def noise(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), "uint8")


PREPROCESS = """
import { readFileSync } from "node:fs";
import { preprocess } from "SRC/preprocessing.js";
const [pixels, height, width, size, record] = process.argv.slice(2);
const image = { data: readFileSync(pixels), height: Number(height), width: Number(width) };
process.stdout.write(new Uint8Array(preprocess(image, JSON.parse(size), JSON.parse(record)).buffer));
"""


@pytest.mark.parametrize(
    ("height", "width", "size", "record"),
    [
        *((61, 45, (32, 32), {"interpolation": name}) for name in INTERPOLATIONS),
        (8, 8, (8, 8), {"crop_ratio": 1.0}),
        (5, 7, (32, 48), {"crop_ratio": 0.9, "mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.3)}),
        (40, 301, (24, 32), {"squash": True}),
        (33, 50, (17, 30), {"crop_ratio": 0.8}),
        (300, 200, (33, 32), None),
    ],
)
def test_images_are_prepared_as_by_the_image_processor(height, width, size, record, tmp_path):
    pixels, preparation = noise(height, width), kd.Preprocessing(**(record or {}))
    (tmp_path / "pixels").write_bytes(np.dstack([pixels, np.full((height, width), 255, "uint8")]).tobytes())
    given = json.dumps(record and preparation.get_config())
    written = in_node(PREPROCESS, tmp_path / "pixels", height, width, list(size), given)
    expected = keras.ops.convert_to_numpy(preparation.processor(size)(pixels))
    np.testing.assert_allclose(np.frombuffer(written, "float32").reshape(*size, 3), expected, rtol=0, atol=1e-5)


READ_METADATA = """
import { readFileSync } from "node:fs";
import { readMetadata } from "SRC/metadata.js";
console.log(JSON.stringify(readMetadata(readFileSync(process.argv[2]))));
"""


@needs_onnx
def test_the_metadata_of_an_onnx_file_are_read(tmp_path):
    names = [f"<犬> {index}" for index in range(10)]
    model = student(num_layers=1, class_names=names, preprocessing=kd.Preprocessing(squash=True), multi_label=True)
    path = to_onnx(model, tmp_path / "student.onnx")
    assert json.loads(in_node(READ_METADATA, path)) == read_metadata(path)


def classifier_page(folder, empty_page, **overrides):
    """Copies the page, exports a model beside it, and returns the function that computes the model's probabilities."""
    shutil.copytree(empty_page, folder)
    model = student(**overrides)
    to_onnx(model, folder / "student.onnx")
    classifier, processor = kd.DeiTClassifier(model), model.image_processor()
    activation = keras.ops.sigmoid if model.multi_label else keras.ops.softmax
    names = model.class_names or [f"class {index}" for index in range(model.num_classes)]

    def probabilities(path):
        values = activation(classifier(processor([str(path)])))[0]
        return dict(zip(names, keras.ops.convert_to_numpy(values).tolist(), strict=True))

    return probabilities


def image_files(folder):
    """Files of a photograph that the page must classify, of every kind that the browser and Pillow decode alike."""
    image = pytest.importorskip("PIL.Image", reason="Pillow writes the image files")
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn contains the photograph")
    photograph = image.fromarray(datasets.load_sample_images().images[0][::3, ::3])
    rotated = image.Exif()
    rotated[0x0112] = 6
    photograph.save(folder / "photograph.png")
    photograph.save(folder / "photograph.jpg", quality=90, exif=rotated)
    photograph.convert("L").save(folder / "grey.png")
    photograph.quantize(64).save(folder / "palette.png")
    photograph.convert("CMYK").save(folder / "cmyk.jpg")
    return sorted(folder.iterdir())


def refused_files(folder, photograph):
    """Files that are no readable image, with words of the message that the page must show."""
    contents = {
        "truncated.png": (photograph.read_bytes()[:-5000], "truncated.png is damaged"),
        "empty.jpg": (b"", "empty.jpg is damaged"),
        "page.tif": (b"II*\0", "page.tif is of a type that the browser cannot read"),
        "notes.txt": (b"text", "notes.txt is of a type that the browser cannot read"),
    }
    for name, (content, _) in contents.items():
        (folder / name).write_bytes(content)
    return {str(folder / name): words for name, (_, words) in contents.items()}


@needs_onnx
@pytest.mark.skipif(not (PAGE / "node_modules").exists(), reason="the page needs `npm ci` in docs/examples/web")
@pytest.mark.skipif(not CHROMIUM, reason="the page is opened in Chromium")
def test_the_page_classifies_images_in_a_browser(tmp_path):
    page, images, broken = (tmp_path / name for name in ("page", "images", "broken"))
    for folder in (page, images, broken):
        folder.mkdir()
    subprocess.run([NODE, PAGE / "build.mjs", page], check=True, timeout=60)
    files = image_files(images)
    names = [f"<犬> {index}" for index in range(10)]
    one_label = classifier_page(
        tmp_path / "one", page, class_names=names, preprocessing=kd.Preprocessing(crop_ratio=0.9)
    )
    many_labels = classifier_page(tmp_path / "many", page, num_classes=3, multi_label=True, image_size=(32, 48))
    damaged = shutil.copytree(page, tmp_path / "damaged")
    (damaged / "student.onnx").write_bytes((tmp_path / "one" / "student.onnx").read_bytes()[:-100_000])
    cases = {
        "chromium": CHROMIUM,
        "classified": {
            str(tmp_path / "one"): {str(path): one_label(path) for path in files},
            str(tmp_path / "many"): {str(files[0]): many_labels(files[0])},
        },
        "refused": {str(tmp_path / "one"): refused_files(broken, images / "photograph.png")},
        "unusable": {
            str(page): "student.onnx could not be downloaded: the server answered 404",
            str(damaged): "student.onnx is no model that this page can run",
        },
    }
    (tmp_path / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    subprocess.run([NODE, PAGE / "test" / "browser.mjs", tmp_path / "cases.json"], check=True, timeout=120)
