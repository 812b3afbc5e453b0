"""Exported models are timed in turns."""

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
