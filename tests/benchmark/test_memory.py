"""The peak memory of a step is measured in a process of its own."""

import keras
import pytest

from keras_deit.benchmark import __main__, memory, peers


@pytest.mark.backend_independent
def test_the_peak_is_that_which_building_and_stepping_add(make_setting, monkeypatch):
    peak, calls = 1_000, []

    def build(setting):
        nonlocal peak
        peak += 200

        def step(times):
            nonlocal peak
            peak += 30
            calls.append(times)

        return step

    monkeypatch.setattr(peers, "our_step", build)
    monkeypatch.setattr(memory, "peak_memory", lambda: peak)
    assert memory.peak_of("keras_deit", make_setting()) == 230
    assert calls == [memory.STEPS]


@pytest.mark.backend_independent
def test_a_child_process_prints_the_peak(make_setting, monkeypatch, capsys):
    environments = []

    def run_here(arguments, environment):
        assert arguments[:2] == ["-m", "keras_deit.benchmark"]
        environments.append(environment)
        __main__.main(*arguments[2:])
        return float(capsys.readouterr().out)

    setting = make_setting("training")
    monkeypatch.setattr(memory, "number_of_python", run_here)
    monkeypatch.setattr(memory, "peak_of", lambda name, given: 123 if (name, given) == ("timm", setting) else None)
    assert memory.peak_in_child_process("timm", setting) == 123
    assert environments[0]["KERAS_BACKEND"] == keras.backend.backend()
