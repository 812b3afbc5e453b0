"""Finding the other processes of a run; runs of two processes are in tests/cli/test_train_processes.py."""

import json
import re

import keras
import pytest

from keras_deit.runtime import processes

BACKEND = keras.backend.backend()
SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[1-2]",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "3",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "2(x2)",
}


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch):
    """No variable of a cluster."""
    for name in (*SLURM, *processes.SLURM, processes.INDEX_IN_JOB, "TF_CONFIG", "WORLD_SIZE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def set_all(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_a_run_in_one_process():
    processes.join()
    assert (processes.process_index(), processes.num_processes(), processes.is_main_process()) == (0, 1, True)
    assert not processes.is_distributed()
    assert processes.from_main([1, "two"]) == [1, "two"]
    assert processes.maximum(3, False) == (3, False)
    assert processes.only_main(lambda: 3) == 3
    with processes.leaving_together(), processes.quiet_unless_main(), processes.alone():
        processes.wait_for_all()
    processes.exit_now(1)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("host:1", None, None), "Missing: `num_processes`, `process_id`"),
        ((None, 2, 0), "Missing: `coordinator`"),
        (("host", 2, 0), "as host:port, for example node1:12345. Received: coordinator='host'"),
        (("host:1", 2, 2), "from 0 to `num_processes` - 1. Received: process_id=2, num_processes=2"),
    ],
)
def test_incomplete_or_wrong_places_are_refused(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        processes.join(*given)


def test_one_process_of_one_needs_no_others():
    processes.join("host:1", 1, 0)
    assert not processes.is_distributed()


@pytest.mark.skipif(BACKEND == "jax", reason="JAX trains in several processes")
def test_several_processes_are_refused_on_another_backend(monkeypatch):
    way = "Several processes train together on JAX only.*KERAS_BACKEND=jax.*--coordinator, --num-processes and --process-id"
    with pytest.raises(ValueError, match=way):
        processes.join("host:1", 2, 0)
    with monkeypatch.context() as patch:
        set_all(patch, SLURM)
        with pytest.raises(ValueError, match=way):
            processes.join()
    cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    set_all(monkeypatch, {"TF_CONFIG": json.dumps(cluster), "WORLD_SIZE": "2"})  # of TensorFlow, and of torchrun
    with pytest.raises(ValueError, match=way):
        processes.join()


@pytest.fixture
def initialized(monkeypatch):
    """The arguments that `jax.distributed.initialize` gets."""
    if BACKEND != "jax":
        pytest.skip("JAX's runtime")
    import jax

    calls = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args, **options: calls.append((args, options)))
    monkeypatch.setattr(processes, "_await_coordinator", calls.append)
    return calls


def test_the_index_of_a_kubernetes_job(initialized, monkeypatch):
    monkeypatch.setenv(processes.INDEX_IN_JOB, "1")
    processes.join("deit-0.deit:12345", 2)
    address, (place, options) = initialized
    assert address == "deit-0.deit:12345"
    assert place == ("deit-0.deit:12345", 2, 1)
    assert options["cluster_detection_method"] == "deactivate"
    assert options["heartbeat_timeout_seconds"] < 60


@pytest.mark.parametrize(
    ("variables", "devices"),
    [
        ({}, None),
        ({"CUDA_VISIBLE_DEVICES": "0,1", "SLURM_GPUS_ON_NODE": "2"}, [1]),  # a GPU for each of two tasks
        ({"CUDA_VISIBLE_DEVICES": "0,1,2,3", "SLURM_GPUS_ON_NODE": "4"}, [2, 3]),
        ({"CUDA_VISIBLE_DEVICES": "0", "SLURM_GPUS_ON_NODE": "2"}, [0]),  # bound by --gpus-per-task
        (
            {
                "CUDA_VISIBLE_DEVICES": "0,1,2",
                "SLURM_GPUS_ON_NODE": "3",
                "SLURM_STEP_TASKS_PER_NODE": "1(x4)",
                "SLURM_LOCALID": "0",
            },
            [0, 1, 2],
        ),
    ],
)
def test_the_step_of_a_slurm_job(initialized, monkeypatch, variables, devices):
    set_all(monkeypatch, {**SLURM, **variables})
    processes.join()
    ((place, options),) = initialized
    assert place == (None, None, None)  # JAX reads them
    assert (options["cluster_detection_method"], options["local_device_ids"]) == ("slurm", devices)


def test_a_slurm_job_of_one_task_is_a_run_in_one_process(initialized, monkeypatch):
    set_all(monkeypatch, {**SLURM, "SLURM_NTASKS": "1"})
    processes.join()
    assert initialized == []


def test_a_coordinator_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr(processes, "CONNECT_SECONDS", 0)
    with pytest.raises(processes.ProcessError, match=r"did not answer at 127.0.0.1:9 within 0 seconds"):
        processes._await_coordinator("127.0.0.1:9")
