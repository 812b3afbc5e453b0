"""The command that finds unreadable images."""

import numpy as np
import pytest

from keras_deit.cli import main
from keras_deit.data.sources.image_issues import read_report
from tests.image_folders import write_images

pytest.importorskip("PIL.Image", reason="images are read by Pillow")
pytest.importorskip("tqdm", reason="it shows a progress bar")
pytestmark = pytest.mark.backend_independent


def test_every_image_with_an_issue_is_listed_and_reported(issues_folder, tmp_path, capsys):
    folder, bad = issues_folder
    assert main(["validate-data", str(folder), "--output", str(tmp_path / "report.json")]) == 1
    printed = capsys.readouterr().out
    for issue, path in bad.items():
        assert f"{issue}: {path}" in printed
    report = read_report(tmp_path / "report.json")
    assert report.problems == {str(path): [issue] for issue, path in bad.items()}
    assert report.checked == 200


def test_a_sound_dataset_has_no_issues(tmp_path, capsys):
    write_images(tmp_path / "light", 10)
    (tmp_path / "light" / "dark" / "notes.txt").touch()
    assert main(["validate-data", str(tmp_path / "light"), "--split", "train"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "light (train): 8 images of 2 classes; no issues",
        "light (train): 1 other files were ignored because of their extensions",
    ]


def test_arrays_are_checked_too(tmp_path, capsys):
    images, labels = np.zeros((10, 28, 28), "uint8"), np.arange(10) % 2
    np.savez(tmp_path / "grey.npz", x_train=images, y_train=labels, x_test=images[:4], y_test=labels[:4])
    assert main(["validate-data", str(tmp_path / "grey.npz"), "--split", "test"]) == 0
    assert "grey.npz (test): 4 images of 2 classes; 4 tiny" in capsys.readouterr().out


def test_a_missing_dataset_is_an_error(capsys):
    assert main(["validate-data", "no/such/folder"]) == 2
    assert "There is no dataset at 'no/such/folder'" in capsys.readouterr().err
