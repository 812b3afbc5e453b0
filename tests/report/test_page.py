"""The page of a run's report, for every kind of run."""

import dataclasses

import numpy as np
import pytest

from keras_deit.evaluation.evaluation import Evaluation, Mistake
from keras_deit.explain.overlay import attention_figure
from keras_deit.report.findings import Findings, ShownMistake
from keras_deit.report.page import Report, most_confused
from keras_deit.report.pixels import ShownAttention
from tests.html_pages import CHROMIUM, Page, seen_by_browser

pytestmark = pytest.mark.backend_independent
pytest.importorskip("matplotlib", reason="the plots")
pytest.importorskip("PIL.Image", reason="the images")

SETTINGS = {
    "variant": "deit_ti",
    "architecture": None,
    "dataset": "images/<b>&/" + "a_long_name_of_a_folder_" * 5,
    "image_size": [16, 24],
    "recipe": "small_data",
    "teacher": "runs/teacher",
    "log": [],
}
SUMMARY = {
    "epochs": 2,
    "steps": 1200,
    "student": {"accuracy": 0.75, "class_accuracy": 0.7, "distillation_accuracy": 0.72, "teacher_accuracy": 0.9},
    "best_epoch": {"epoch": 1, "accuracy": 0.8, "weights": None},
    "complete": True,
    "teacher": {"accuracy": 0.9},
    "settings": SETTINGS,
    "parameters": 5353556,
    "images_per_second": 123.4,
    "waiting_for_data": 0.0125,
    "skipped": {"train": {"images": 3, "truncated": 3}, "test": {"images": 0}},
    "skipped_steps": 2,
    "seconds": 75.0,
    "peak_memory_bytes": 2**30,
    "versions": {"keras_deit": "0.1", "keras": "3.15", "backend": "jax", "jax": "0.11"},
}
HISTORY = [
    {"epoch": epoch, "loss": 2.0 / epoch, "val_accuracy": 0.4 * epoch, "learning_rate": 1e-3} for epoch in (1, 2)
]
COMMANDS = {"Repeat the run": "KERAS_BACKEND=jax keras-deit train --config 'a & b'"}


def evaluation(num_classes, mistakes=1, num_unlabelled=0):
    names = tuple(f"<class> {index}" for index in range(num_classes))
    confusion = np.diag(np.full(num_classes, 4))
    if mistakes:
        confusion[0, 1] = mistakes
    return Evaluation(
        dataset="images",
        num_images=int(confusion.sum()),
        num_unlabelled=num_unlabelled,
        accuracies={"accuracy": 0.8},
        class_names=names,
        confusion=confusion,
        mistakes=(Mistake("0.png", names[0], names[1], 0.9),) * mistakes,
        preparation={},
    )


def findings(num_classes=3, candidates=None, **arguments):
    found = evaluation(num_classes, **arguments)
    pixels = np.random.default_rng(0).random((16, 24, 3))
    shown = ShownMistake(pixels, "a/<0>.png", "<class> 0", "<class> 1", 0.987, "<class> 0", 0.654)
    rates = np.array([[0.0, 0.125], [0.125, 0.0]])
    candidates = candidates or found.num_images + found.num_unlabelled
    return Findings(found, candidates, (shown,) * len(found.mistakes), (("fused", "teacher"), rates))


def attention(tokens=("class", "distillation")):
    images = np.random.default_rng(1).random((1, 64, 64, 3))
    figure = attention_figure(images, {token: np.full((1, 4, 4), 1 / 16) for token in tokens}, mean=0, std=1)
    return (ShownAttention("<1>.png", figure),) * 2


def report(folder, **changes):
    summary = {**SUMMARY, **changes.pop("summary", {})}
    given = {"history": HISTORY, "findings": findings(), "attention": attention(), **changes}
    return Report(directory=folder / "<run>", summary=summary, commands=COMMANDS, **given)


def test_a_page_shows_everything_of_a_distilled_run(tmp_path):
    exports = [{"format": "litert", "largest_difference": None, "agreement": 0.5, "accuracy": None, "agrees": False}]
    content = report(tmp_path, summary={"exports": exports}).to_html()
    page = Page(content)
    assert [heading for heading in page.headings if heading != "The only confusion"] == [
        "Run <run>",
        "Results",
        "Curves",
        "Confusion matrix",
        "Most confident mistakes",
        "Disagreement",
        "Attention",
        "Exports",
        "Settings",
        "Commands",
    ]
    for text in (
        "deit_ti with 5,353,556 parameters · images/<b>&/a_long",
        "images of 16×24 pixels · recipe small_data · 2 epochs in 1 min 15 s · complete",
        "distillation head72.00%",
        "The best epoch is epoch 1, with an accuracy of 80.00%.",
        "waiting for data1.2% of the training time",
        "peak memory1.00 GiB",
        "images of the train split that were left out3",
        "steps that were skipped2",
        "<class> 0<class> 1120.00%",  # one image, a fifth of its class
        "true: <class> 0predicted: <class> 1 (98.7%)teacher: <class> 0 (65.4%)a/<0>.png",
        "teacher12.50%0.00%",
        "litert (do not use)not finite50.00%",
        "architecturenone",
        "log[]",
        "jax0.11",
        "keras-deit train --config 'a & b'",
    ):
        assert text in page.text, text
    assert len(page.images) == 3 + 1 + 1 + 2
    assert len(content) < 2e6


@pytest.mark.parametrize("table", ["", "table.csv"])
def test_paths_of_images_are_relative_to_the_folder_of_the_dataset(table, tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    monkeypatch.chdir(tmp_path)
    for dataset in (f"images/{table}", f"./images/{table}", str(tmp_path / "images" / table)):
        for folder in ("images", str(tmp_path / "images")):
            mistake = ShownMistake(np.zeros((8, 8, 3)), f"{folder}/cat/1.png", "cat", "dog", 0.5)
            found = dataclasses.replace(findings(), mistakes=(mistake,))
            shown = (ShownAttention(f"{folder}/dog/2.png", attention()[0].figure),)
            summary = {"settings": {**SETTINGS, "dataset": dataset}}
            page = Page(report(tmp_path, summary=summary, findings=found, attention=shown).to_html())
            assert "predicted: dog (50.0%)cat/1.png" in page.text
            assert [one["alt"] for one in page.images[-2:]] == [
                "cat, predicted as dog: cat/1.png",
                "attention over dog/2.png",
            ]


@pytest.mark.parametrize("image", ["other/cat/1.png", "images_2/1.png", "image 3 of 'digits'"])
def test_other_images_keep_their_descriptions(image, tmp_path, monkeypatch):
    (tmp_path / "images").mkdir()
    monkeypatch.chdir(tmp_path)
    found = dataclasses.replace(findings(), mistakes=(ShownMistake(np.zeros((8, 8, 3)), image, "cat", "dog", 0.5),))
    summary = {"settings": {**SETTINGS, "dataset": "images"}}
    assert f"(50.0%){image}" in Page(report(tmp_path, summary=summary, findings=found).to_html()).text


def test_the_file_is_written_whole(tmp_path):
    one = report(tmp_path)
    assert one.write() == tmp_path / "<run>" / "report.html"
    written = (tmp_path / "<run>" / "report.html").read_text(encoding="utf-8")
    assert Page(written).text == Page(one.to_html()).text


def test_a_run_without_teacher_and_with_one_head(tmp_path):
    summary = {"student": {"accuracy": 0.5}, "teacher": {"accuracy": None}, "images_per_second": None}
    plain = ShownMistake(np.zeros((8, 8, 3)), "0.png", "a", "b", 0.5)
    found = dataclasses.replace(findings(), mistakes=(plain,), disagreement=None)
    page = Page(report(tmp_path, summary=summary, findings=found, attention=attention(["class"])).to_html())
    assert "Disagreement" not in page.headings
    assert "teacher:" not in page.text
    assert "accuracy50.00%" in page.text
    assert "training images per secondunknown" in page.text


def test_of_a_thousand_classes_the_most_confused_pairs_are_listed(tmp_path):
    found = findings(1000, candidates=50_000)
    content = report(tmp_path, findings=found, attention=()).to_html()
    page = Page(content)
    assert "4,001 labelled test images, chosen at equal distances in the order of the 50,000 images" in page.text
    assert "The only confusion" in page.headings
    assert not any("Confusion matrix" in image["alt"] for image in page.images)
    assert len(content) < 1e6


def test_an_interrupted_run_before_its_first_epoch(tmp_path):
    nothing = dict(student=None, complete=False, best_epoch=None, waiting_for_data=None, peak_memory_bytes=None)
    page = Page(
        report(tmp_path, summary=nothing, history=[], findings=None, attention=(), notes=("It stopped.",)).to_html()
    )
    assert page.headings == ["Run <run>", "Results", "Settings", "Commands"]
    assert "interrupted" in page.text
    assert "It stopped." in page.text


def test_a_run_without_a_mistake(tmp_path):
    page = Page(report(tmp_path, findings=findings(mistakes=0)).to_html())
    assert "There is no mistake." in page.text


def test_the_most_confused_pairs_are_counted_and_others_are_a_class():
    confusion = np.array([[5, 3, 2], [0, 10, 0]])  # the last column: other classes
    assert most_confused(confusion) == [(0, 1, 3, 0.3), (0, 2, 2, 0.2)]


@pytest.mark.skipif(not CHROMIUM, reason="the page is opened in Chromium")
@pytest.mark.parametrize("width", [360, 1200])
def test_a_browser_shows_the_page_without_a_network_and_without_scrolling_sideways(width, tmp_path):
    long = ShownMistake(np.zeros((8, 8, 3)), "folder" * 60 + "/1.png", "cat", "dog", 0.5)
    found = dataclasses.replace(findings(60), mistakes=(long,) * 3)
    content = report(tmp_path, findings=found).to_html()
    seen = seen_by_browser(content, width, tmp_path)
    assert seen == {"hidden": 0, "images": len(Page(content).images), "broken": [], "loaded": []}
