"""The model card, as huggingface_hub reads it."""

import keras
import numpy as np
import pytest

from keras_deit.weights.model_card import write_model_card
from tests.report.students import make_data, make_student
from tests.report.test_page import SETTINGS, SUMMARY

hub = pytest.importorskip("huggingface_hub", reason="huggingface_hub reads the card")
pytestmark = [pytest.mark.backend_independent, pytest.mark.eager]
TRAINED = {"weights": "hf://owner/base@main", "dataset": "digits", "epochs": 2, "teacher": "/home/me/runs/teacher"}
RUN = {**SUMMARY, "settings": {**SETTINGS, **TRAINED}}


@pytest.fixture(scope="module")
def student():
    return make_student()


def test_the_hub_reads_the_measured_accuracies(student, tmp_path):
    path = write_model_card(student, tmp_path, RUN)
    assert path == tmp_path / "README.md"
    card = hub.ModelCard.load(path)
    data = card.data.to_dict()
    assert (data["library_name"], data["pipeline_tag"]) == ("transformers", "image-classification")
    assert "datasets" not in data  # the package's names of datasets are not those of the hub
    assert data["base_model"] == "owner/base"
    assert "license" not in data
    results = {result.metric_name: result for result in card.data.eval_results}
    assert {name: result.metric_value for name, result in results.items()} == {
        "Accuracy": 0.75,
        "Accuracy of the class head": 0.7,
        "Accuracy of the distillation head": 0.72,
    }
    assert {(result.dataset_name, result.dataset_split) for result in results.values()} == {("digits", "test")}
    for text in (
        "| Accuracy | 75.00% |",
        "| Accuracy of the teacher | 90.00% |",
        "- Classes: ant, <bee>, cat.",
        "- Preparation of images: 16×16 pixels; mean [0.4, 0.5, 0.6], std [0.2, 0.3, 0.4], crop ratio 1.0",
        f"with {student.count_params():,} parameters",
        "- Teacher: teacher.",
        "Measured with keras_deit 0.1, Keras 3.15 and jax.",
    ):
        assert text in card.text, text
    assert "/home/me" not in path.read_text(encoding="utf-8")


def test_what_is_unknown_is_said_to_be_unknown(student, tmp_path):
    (tmp_path / "student.safetensors").touch()
    path = write_model_card(student, tmp_path / "student.safetensors")
    card = hub.ModelCard.load(path)
    assert card.data.eval_results is None
    assert card.data.library_name == "keras"
    assert not {"metrics", "base_model"} & card.data.to_dict().keys()
    assert card.text.startswith("\n# student\n")
    for text in ("- Dataset: unknown.", "## Evaluation\n\nUnknown.", "limits\n\nUnknown. The author"):
        assert text in card.text, text


def test_a_local_dataset_is_named_without_its_folder(student, tmp_path):
    run = {**RUN, "settings": {**RUN["settings"], "dataset": "/home/me/images/pets", "weights": None}}
    card = hub.ModelCard.load(write_model_card(student, tmp_path, run))
    assert {result.dataset_name for result in card.data.eval_results} == {"pets"}
    assert "- Dataset: pets." in card.text


def test_a_convnet_of_the_run_and_the_epochs_that_were_trained_are_named(student, tmp_path):
    settings = {
        "teacher": None,
        "distillation": "hard",
        "epochs": 300,
        "learning_rate": 0.001,
        "learning_rate_batch": 512,
    }
    run = {**RUN, "settings": {**RUN["settings"], **settings}}
    text = write_model_card(student, tmp_path, run).read_text(encoding="utf-8")
    for line in (
        "- Teacher: a convnet that was trained on the dataset.",
        "- Epochs: 2.",
        "- Learning rate: 0.001 for a batch of 512 images, in proportion to the batch size.",
    ):
        assert line in text, line
    settings = {**settings, "distillation": "none", "learning_rate_batch": None}
    run = {**RUN, "settings": {**RUN["settings"], **settings}}
    text = write_model_card(student, tmp_path, run, overwrite=True).read_text(encoding="utf-8")
    for line in ("- Teacher: none.", "- Learning rate: 0.001."):
        assert line in text, line


def test_the_code_of_the_card_computes_the_fused_logits(student, tmp_path, monkeypatch):
    student.save(tmp_path / "student.keras")
    card = write_model_card(student, tmp_path / "student.keras").read_text(encoding="utf-8")
    code = card.partition("```python\n")[2].partition("```")[0]
    assert "hf://" not in code  # the hub's loader takes other names of files
    monkeypatch.chdir(tmp_path)
    names = {"images": make_data().images[:2]}
    exec(code, names)
    outputs = student(student.image_processor()(names["images"]))
    expected = (outputs["class"] + outputs["distillation"]) / 2
    np.testing.assert_allclose(*map(keras.ops.convert_to_numpy, (names["logits"], expected)), rtol=1e-4, atol=1e-5)
    assert (
        'kd.pretrained("hf://OWNER/REPOSITORY", fused=True)'
        in write_model_card(student, tmp_path, None, True).read_text()
    )


def test_a_card_is_replaced_only_on_request_and_another_file_never(student, tmp_path):
    path = write_model_card(student, tmp_path)
    with pytest.raises(ValueError, match="exists already"):
        write_model_card(student, tmp_path)
    assert "- Epochs: 2." in write_model_card(student, tmp_path, RUN, overwrite=True).read_text(encoding="utf-8")
    path.write_text("mine")
    with pytest.raises(ValueError, match="is no model card of keras_deit and is not replaced"):
        write_model_card(student, tmp_path, overwrite=True)
    assert path.read_text() == "mine"
