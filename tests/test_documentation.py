"""The pages of the documentation: links, navigation, notebooks, syntax of Python code. `nox -s docs` runs the code."""

import pathlib
import re

import keras
import numpy as np
import pytest
from PIL import Image, ImageOps

import keras_deit as kd
from docs.code_setting import commands_of, parse
from docs.make_notebooks import GUIDES, NOTEBOOKS, notebook_of

ROOT = pathlib.Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
FILE_LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)[^)]*\)")
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python.*\n(.*?)^```$", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.backend_independent


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    links = FILE_LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_code_compiles(page):
    for code in PYTHON.findall(page.read_text(encoding="utf-8")):
        compile(code, page.name, "exec")


def test_each_page_is_in_the_navigation():
    navigation = re.findall(r"\w+", (ROOT / "docs" / "index.rst").read_text(encoding="utf-8"))
    assert {page.stem for page in PAGES if page.parent.name == "docs"} <= set(navigation)


@pytest.mark.parametrize("guide", GUIDES)
def test_the_notebook_of_a_guide_is_up_to_date(guide):
    assert (NOTEBOOKS / f"{guide}.ipynb").read_text(encoding="utf-8") == notebook_of(guide), (
        "run docs/make_notebooks.py"
    )


def test_the_commands_of_a_block_are_found_wherever_they_stand():
    block = """
        python -m pip install ".[train]" && python scripts/train.py --variant deit_ti
        KERAS_BACKEND=jax keras-deit predict 'a;b.jpg' \\
            --weights runs/mine > predict.log 2>&1 &  # keras-deit export
        srun --cpus-per-task=64 keras-deit evaluate --weights runs/mine | tee evaluate.log
    """
    found = [(command.arguments, command.runs) for command in commands_of(block)]
    assert found == [
        (["train", "--variant", "deit_ti"], False),
        (["predict", "a;b.jpg", "--weights", "runs/mine"], True),
        (["evaluate", "--weights", "runs/mine"], False),
    ]


@pytest.mark.parametrize("command", ["train", "reproduce", "benchmark"])
def test_an_unknown_option_of_a_command_is_refused(command, capsys):
    with pytest.raises(SystemExit):
        parse([command, "--no-such-option"])
    assert "--no-such-option" in capsys.readouterr().err


@pytest.mark.parametrize("size", [(100, 75), (75, 100), (64, 64), (37, 41)])
@pytest.mark.parametrize(("image_size", "crop_ratio"), [((64, 64), 0.875), ((48, 64), 1.0)])
def test_the_preparation_in_the_code_for_exported_files_is_that_of_the_image_processor(
    size, image_size, crop_ratio, tmp_path, monkeypatch
):
    pages = (ROOT / "docs" / "exporting.md").read_text(encoding="utf-8")
    found = set(re.findall(r"^image = ImageOps.*?^images = [^\n]*$", pages, flags=re.MULTILINE | re.DOTALL))
    assert len(found) == 1  # LiteRT and ONNX Runtime get the same images
    monkeypatch.chdir(tmp_path)
    Image.effect_noise(size, 60).convert("RGB").save("cat.jpg")
    record = kd.Preprocessing(crop_ratio=crop_ratio)
    variables = {"np": np, "Image": Image, "ImageOps": ImageOps}
    variables |= {"preprocessing": record.get_config(), "height": image_size[0], "width": image_size[1]}
    exec(found.pop(), variables)
    expected = keras.ops.convert_to_numpy(record.processor(image_size)("cat.jpg"))
    np.testing.assert_allclose(variables["images"][0], expected, atol=1e-5)
