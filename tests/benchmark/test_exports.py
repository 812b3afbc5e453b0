"""Exported models are timed in turns."""

import pytest

from keras_deit.benchmark import exports
from tests.export.students import HAS_ONNX, needs_quantizer, tensorflow_only


@tensorflow_only
@needs_quantizer
def test_every_export_is_timed(make_setting, monkeypatch):
    compiled = []

    def timm_step(setting, num_threads, is_compiled):
        compiled.append(is_compiled)
        if is_compiled:
            raise RuntimeError("no compiler")
        return lambda times=1: None

    monkeypatch.setattr(exports, "_timm_step", timm_step)
    seconds, left_out = exports.run(make_setting(batch_size=1), rounds=2, num_threads=1)
    litert = [f"LiteRT {name}" for name in ("float32", "float16", "dynamic_int8", "int8")]
    onnx = ["ONNX Runtime float32", "ONNX Runtime int8"]
    assert list(seconds) == [*litert, *(onnx if HAS_ONNX else []), "timm"]
    assert all(len(times) == 2 and min(times) > 0 for times in seconds.values())
    assert left_out["timm compiled"] == "RuntimeError: no compiler"
    assert compiled == [False, True]


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", ["to_litert", "to_onnx"])
def test_an_export_that_fails_is_an_error_and_one_without_its_package_is_left_out(name, make_setting, monkeypatch):
    def fail(error):
        def export(*arguments, **options):
            raise error

        return export

    for other in ("to_litert", "to_onnx", "_timm_step"):
        monkeypatch.setattr(exports, other, fail(ImportError("no package")))
    seconds, left_out = exports.run(make_setting(batch_size=1), rounds=1, num_threads=1)
    assert (seconds, len(left_out), set(left_out.values())) == ({}, 8, {"ImportError: no package"})
    monkeypatch.setattr(exports, name, fail(ValueError("a wrong graph")))
    with pytest.raises(ValueError, match="a wrong graph"):
        exports.run(make_setting(batch_size=1), rounds=1, num_threads=1)
