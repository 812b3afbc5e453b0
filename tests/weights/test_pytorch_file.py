"""PyTorch files that hold more than weights."""

import pytest

from keras_deit.weights.files import read_with_notes
from tests.weights.checkpoints import read

torch = pytest.importorskip("torch", reason=".pth files need PyTorch")
pytestmark = pytest.mark.backend_independent


class Options:
    """A class that PyTorch does not load."""


def test_refused_objects_are_named_without_advice_to_load_them(tmp_path):
    torch.save({"model": {"a": torch.ones(1)}, "options": Options()}, tmp_path / "options.pth")
    with pytest.raises(ValueError, match="it holds tests.weights.test_pytorch_file.Options. .*`torch.save") as failure:
        read(tmp_path / "options.pth")
    assert "weights_only" not in str(failure.value)
    assert failure.value.__cause__ is None


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.bfloat16, torch.float16])
def test_parameters_and_short_floats_are_read(dtype, tmp_path):
    stored = {"a": torch.nn.Parameter(torch.tensor([1.5, -0.25])), "b": torch.tensor([1.5, -0.25]).to(dtype)}
    torch.save(stored, tmp_path / "model.pth")
    for value in read(tmp_path / "model.pth").values():
        assert (str(value.dtype), value.tolist()) == ("float32", [1.5, -0.25])


def test_an_entry_is_chosen(tmp_path):
    weights = {name: {"weight": torch.full((1,), float(index))} for index, name in enumerate(("model", "model_ema"))}
    torch.save({**weights, "epoch": 3}, tmp_path / "run.pth")
    assert read(tmp_path / "run.pth")["weight"] == 0
    assert read_with_notes(tmp_path / "run.pth", "model_ema")[0]["weight"] == 1
    with pytest.raises(
        ValueError, match="no weights 'ema' in .*run.pth'. It holds 'model' .*'model_ema' .*'epoch' .int"
    ):
        read_with_notes(tmp_path / "run.pth", "ema")
