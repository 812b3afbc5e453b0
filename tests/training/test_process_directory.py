"""The output directory of each process."""

import pytest

from keras_deit.runtime import processes
from keras_deit.training.process_directory import claimed

pytest.importorskip("filelock", reason="a run needs it")
pytestmark = pytest.mark.backend_independent


def test_process_0_has_the_directory_and_locks_it(tmp_path):
    with claimed(tmp_path / "run", is_resumed=False) as directory:
        assert directory == tmp_path / "run"
        with pytest.raises(ValueError, match="Another process trains"), claimed(tmp_path / "run", is_resumed=True):
            pass
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="is not empty"), claimed(tmp_path, is_resumed=False):
        pass


def test_another_process_has_a_copy_that_is_deleted(tmp_path, monkeypatch):
    (tmp_path / "config.toml").write_text("epochs = 3")
    monkeypatch.setattr(processes, "is_main_process", lambda: False)
    monkeypatch.setattr(processes, "only_main", lambda function: None)
    with claimed(tmp_path, is_resumed=True) as directory:
        assert directory != tmp_path
        assert (directory / "config.toml").read_text() == "epochs = 3"
        (directory / "written").touch()
    assert not directory.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]
