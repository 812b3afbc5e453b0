"""The processes of a run on several machines, by JAX's distributed runtime; a run in one process is process 0 of 1.

All processes compute the same steps in the same order, each on its share of the data: a step that only some of them take
never ends. Process 0 alone prints, and writes files where others read them.
"""

import contextlib
import io
import json
import os
import pathlib
import re
import socket
import sys
import tempfile
import time
import warnings

import keras
import numpy as np

HEARTBEAT_SECONDS = 30  # after which a process without a sign of life counts as dead, and the others end
SHUTDOWN_SECONDS = 15
SECONDS_FOR_OTHERS = 2
CONNECT_SECONDS = 300  # that a process waits for process 0
SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")  # that JAX reads
INDEX_IN_JOB = "JOB_COMPLETION_INDEX"  # set by Kubernetes in the pods of an indexed job


class ProcessError(RuntimeError):
    """Another process of the run has failed or cannot be reached."""


def process_index():
    """Index of this process, from 0."""
    return _jax().process_index() if is_distributed() else 0


def num_processes():
    """Number of processes of the run."""
    return _jax().process_count() if is_distributed() else 1


def is_main_process():
    """Whether this is process 0, which prints and writes files."""
    return process_index() == 0


def is_distributed():
    """Whether this process has joined others."""
    return keras.backend.backend() == "jax" and _jax().distributed.is_initialized()


def join(coordinator=None, num_processes=None, process_id=None):
    """Joins the other processes of a run, if there are any.

    Args:
        coordinator: Address of process 0, `host:port`.
        num_processes: Number of processes.
        process_id: Index of this process, from 0. What is None is read from the environment: from Slurm's variables in a
            step of several tasks, and the index from `JOB_COMPLETION_INDEX` in an indexed job of Kubernetes.

    Raises:
        ValueError: If the three do not fit together, or the backend is not JAX.
        ProcessError: If process 0 does not answer.
    """
    given = _resolved(coordinator, num_processes, process_id)
    _check_backend(several=given is not None)
    if given is None or is_distributed():
        return
    coordinator, _, index = given
    if coordinator is not None and index:
        _await_coordinator(coordinator)
    is_slurm = _is_slurm_step()
    _jax().config.update("jax_enable_preemption_service", False)  # it would take SIGTERM away from `StopSignals`
    _jax().distributed.initialize(
        *given,
        local_device_ids=_slurm_devices() if is_slurm else None,
        cluster_detection_method="slurm" if is_slurm else "deactivate",
        heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
        shutdown_timeout_seconds=SHUTDOWN_SECONDS,
        initialization_timeout=CONNECT_SECONDS,
    )


@contextlib.contextmanager
def quiet_unless_main():
    """Discards what a process other than process 0 prints, and its warnings."""
    if is_main_process():
        yield
        return
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def from_main(value):
    """Returns the value that process 0 passed, in every process.

    Args:
        value: Value that JSON can represent; that of the other processes is ignored.
    """
    return json.loads(_bytes_of_main(json.dumps(value).encode())) if is_distributed() else value


def _bytes_of_main(content):
    """Returns the bytes that process 0 passed, in every process."""
    encoded = np.frombuffer(content if is_main_process() else b"", "uint8")
    size = int(_multihost().broadcast_one_to_all(np.array(len(encoded))))
    padded = np.zeros(size, "uint8")
    if is_main_process():
        padded[:] = encoded
    received = _multihost().broadcast_one_to_all(padded)
    return np.asarray(received).astype("uint8").tobytes()  # JAX may widen the integers


@contextlib.contextmanager
def file_of_main(path):
    """Yields the path of a file of process 0; in the other processes, that of a copy, which is deleted afterwards."""
    with scratch_unless_main(path) as file:
        if is_distributed():
            content = _bytes_of_main(path.read_bytes() if is_main_process() else b"")
            if not is_main_process():
                file.write_bytes(content)
        yield file


@contextlib.contextmanager
def scratch_unless_main(path):
    """Yields a path to write to: the given one in process 0, that of a temporary file in the others."""
    if is_main_process():
        yield path
        return
    with tempfile.TemporaryDirectory() as directory:
        yield pathlib.Path(directory, path.name)


def maximum(*numbers):
    """Returns the largest of the integers that the processes pass, for each position; all must call at the same step."""
    if not is_distributed():
        return numbers
    return tuple(np.max(_multihost().process_allgather(np.array(numbers, "int32")), axis=0).tolist())


def wait_for_all():
    """Waits until every process has come to this call."""
    if is_distributed():
        _multihost().sync_global_devices("keras_deit")


def only_main(function):
    """Calls a function in process 0, while the others wait.

    Args:
        function: Function without arguments. It must not compute with the variables of a model that the processes share.

    Returns:
        Its value in process 0, None in the others.

    Raises:
        ProcessError: In the other processes, if the function raises an error in process 0.
    """
    if not is_distributed():
        return function()
    value, error = None, None
    if is_main_process():
        try:
            value = function()
        except Exception as raised:  # the others wait for the answer
            error = raised
    failed = from_main(error is not None)
    if error is not None:
        raise error
    if failed:
        raise ProcessError("Process 0 of the run has failed; its own message says why.")
    return value


def local_function(function, variables):
    """Makes a function of arrays that this process computes without the others, on one of its devices.

    Args:
        function: Function of a tensor.
        variables: Variables of the processes that the function reads.

    Returns:
        Function of an array that returns an array.
    """
    jax = _jax()
    values = [jax.device_put(np.asarray(variable.value), jax.local_devices()[0]) for variable in variables]

    @jax.jit
    def compute(values, inputs):
        with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
            return function(inputs)

    return lambda inputs: np.asarray(compute(values, inputs))


@contextlib.contextmanager
def alone():
    """Models that are built within are this process's own, and not shared with the other processes."""
    distribution = keras.distribution.distribution() if is_distributed() else None
    if distribution is None:
        yield
        return
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


@contextlib.contextmanager
def leaving_together():
    """Leaves the other processes when the block ends, after all of them have reached its end.

    Raises:
        ProcessError: If a step fails because another process has ended.
    """
    try:
        yield
    except Exception as error:
        if is_distributed() and _is_lost_connection(error):
            raise ProcessError(_lost_message(error)) from error
        raise
    if is_distributed():
        wait_for_all()  # until process 0 has written everything
        _jax().distributed.shutdown()


def exit_now(status):
    """Ends a process of several without waiting for the others, which wait for this one; does nothing in a run of one."""
    if is_distributed():
        sys.stdout.flush()
        sys.stderr.flush()
        if is_main_process():
            time.sleep(SECONDS_FOR_OTHERS)  # with process 0 all others end, and they may have messages of their own
        os._exit(status)


def _resolved(coordinator, num_processes, process_id):
    """Coordinator, number and index of the processes, None where JAX reads Slurm's variables; None for one process."""
    if process_id is None and INDEX_IN_JOB in os.environ and coordinator is not None:
        process_id = int(os.environ[INDEX_IN_JOB])
    given = (coordinator, num_processes, process_id)
    if all(value is not None for value in given):
        return _checked(*given)
    if _is_slurm_step():
        return given
    if given == (None, None, None):
        return None
    names = ("coordinator", "num_processes", "process_id")
    missing = ", ".join(f"`{name}`" for name, value in zip(names, given, strict=True) if value is None)
    raise ValueError(
        "Several processes need `coordinator` (host:port of process 0), `num_processes` and `process_id`, unless Slurm "
        f"(srun) starts them; an indexed job of Kubernetes sets the `process_id`. Missing: {missing}."
    )


def _checked(coordinator, num_processes, process_id):
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(
            f"`coordinator` must be the address of process 0 as host:port, for example node1:12345. Received: "
            f"coordinator={coordinator!r}"
        )
    if not 0 <= process_id < num_processes:
        raise ValueError(
            "`process_id` must be an integer from 0 to `num_processes` - 1. Received: "
            f"process_id={process_id}, num_processes={num_processes}"
        )
    return None if num_processes == 1 else (coordinator, num_processes, process_id)


def _is_slurm_step():
    return all(name in os.environ for name in SLURM) and int(os.environ["SLURM_NTASKS"]) > 1


def _slurm_devices():
    """Indices of the GPUs of a task among those that it sees; None where Slurm says nothing of GPUs.

    JAX's own choice is one GPU for each task, also for the only task of a machine with eight.
    """
    visible = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    if not visible:
        return None
    tasks = _tasks_on_node(os.environ.get("SLURM_STEP_TASKS_PER_NODE", "1"), int(os.environ.get("SLURM_NODEID", "0")))
    if tasks == 1 or len(visible) < int(os.environ.get("SLURM_GPUS_ON_NODE", len(visible))):
        return list(range(len(visible)))  # the task sees its own GPUs only
    share, task = len(visible) // tasks, int(os.environ["SLURM_LOCALID"])
    return list(range(task * share, (task + 1) * share)) or [task % len(visible)]


def _tasks_on_node(counts, node):
    """Number of tasks of a node, from Slurm's notation.

    Example:

    >>> _tasks_on_node("8(x2),4", node=1), _tasks_on_node("8(x2),4", node=2)
    (8, 4)
    """
    found = re.findall(r"(\d+)(?:\(x(\d+)\))?", counts)
    return [int(tasks) for tasks, nodes in found for _ in range(int(nodes or 1))][node]


def _check_backend(several):
    """Refuses several processes on another backend, where each would train alone."""
    backend = keras.backend.backend()
    workers = {"tensorflow": _tensorflow_workers, "torch": _torch_workers}.get(backend, lambda: 1)()
    if backend != "jax" and (several or workers > 1):
        raise ValueError(
            f"Several processes train together on JAX only. Received: backend={backend!r}, {'' if several else workers} "
            "processes. Set KERAS_BACKEND=jax and start every process with --coordinator, --num-processes and --process-id, "
            "or by srun; or start one process, which on TensorFlow uses all GPUs of its machine."
        )


def _tensorflow_workers():
    cluster = json.loads(os.environ.get("TF_CONFIG") or "{}").get("cluster", {})
    return sum(len(cluster.get(kind, ())) for kind in ("chief", "worker"))


def _torch_workers():
    return int(os.environ.get("WORLD_SIZE", "1"))  # of torchrun


def _await_coordinator(address):
    """Waits until process 0 listens, because JAX aborts this process without a usable message when it gives up."""
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise ProcessError(
                    f"Process 0 of the run did not answer at {address} within {CONNECT_SECONDS} seconds ({error}). Check "
                    "that it runs, and that its machine accepts connections on this port."
                ) from error
            time.sleep(1)


def _is_lost_connection(error):
    return isinstance(error, _jax().errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" not in str(error)


def _lost_message(error):
    return (
        f"Process {process_index()} of {num_processes()} lost the connection to another process of the run, which has "
        "probably ended: the first message among those of all processes says why. Start all processes again with --resume. "
        f"(JAX: ...{str(error).strip()[-200:]})"
    )


def _jax():
    import jax

    return jax


def _multihost():
    from jax.experimental import multihost_utils

    return multihost_utils
