"""Optional dependencies."""

import sys

import pytest

from keras_deit.runtime.optional import require


def test_a_missing_package_names_its_extra():
    with pytest.raises(ImportError, match=r"Drawing needs `no_such_package`.*pip install 'keras-deit\[train\]'"):
        require("no_such_package.part", extra="train", purpose="Drawing")


def test_an_import_error_inside_of_a_package_is_passed_on(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import something_that_is_not_there")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="something_that_is_not_there"):
        require("half_installed", extra="train", purpose="Drawing")
    assert "half_installed" not in sys.modules
