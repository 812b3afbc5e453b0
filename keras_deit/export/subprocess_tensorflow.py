"""TensorFlow in a child process, for exports from the other backends."""

import contextlib
import importlib.util
import pathlib
import pickle
import subprocess
import sys
import tempfile
import threading
import weakref

from keras_deit.runtime.child_process import child_environment
from keras_deit.runtime.optional import require

END_SECONDS = 10  # for a process to end by itself


def check_tensorflow():
    """Checks that TensorFlow is installed, without importing it.

    Raises:
        ImportError: If TensorFlow is not installed; the message names the extra.
    """
    if importlib.util.find_spec("tensorflow") is None:
        require("tensorflow", extra="export", purpose="Exporting to SavedModel or LiteRT")


def write(writer, model, path, *arguments):
    """Exports a model in a child process that runs TensorFlow.

    Args:
        writer: `"saved_model"` or `"litert"`.
        model: The Keras model, on any backend.
        path: The file or directory to write.
        *arguments: Further arguments of the task, see `keras_deit.export.__main__`.

    Raises:
        ImportError: If TensorFlow is not installed.
        RuntimeError: If the process fails; the message contains its error output.
    """
    check_tensorflow()
    with tempfile.TemporaryDirectory() as directory:
        saved = pathlib.Path(directory, "model.keras")
        model.save(saved)
        _run(writer, saved, path, *arguments)


class SavedModelProcess:
    """A SavedModel that a child process runs in TensorFlow: `keras_deit.export.runtimes.SavedModelRuntime` at a distance.

    The process ends with this object, and at the latest with the program. A call that is interrupted ends the process, and
    the next call starts another one. Several threads may call the object: their calls run one after the other.

    Args:
        path: Directory of the SavedModel.

    Raises:
        ImportError: If TensorFlow is not installed.
        RuntimeError: If the process fails, also in a later call; the message contains its error output. If a call raises an
            error in TensorFlow; the message contains that error, and the process goes on.
    """

    def __init__(self, path):
        check_tensorflow()
        self._path, self._lock, self._process = path, threading.Lock(), None
        vars(self).update(self._ask("describe"))

    def run(self, images):
        """See `keras_deit.export.runtimes.Runtime.run`."""
        return self._ask("run", images)

    def run_pixels(self, pixels):
        """See `keras_deit.export.runtimes.SavedModelRuntime.run_pixels`."""
        return self._ask("run_pixels", pixels)

    def seconds(self, images, runs):
        """See `keras_deit.export.runtimes.Runtime.seconds`. The process measures the time itself."""
        return self._ask("seconds", images, runs)

    def operators(self):
        """See `keras_deit.export.runtimes.Runtime.operators`."""
        return self._ask("operators")

    def weight_bytes(self):
        """See `keras_deit.export.runtimes.Runtime.weight_bytes`."""
        return self._ask("weight_bytes")

    def _ask(self, method, *arguments):
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._start()
            try:
                pickle.dump((method, arguments), self._process.stdin)
                self._process.stdin.flush()
                is_result, reply = pickle.load(self._process.stdout)
            except (EOFError, BrokenPipeError, pickle.UnpicklingError):  # the latter for a truncated reply
                status = _end(self._process)
                self._errors.seek(0)
                raise _failure(status, self._errors.read().decode(errors="replace")) from None
            except BaseException:  # such as Ctrl-C: the next call would take the unread reply for its own
                interrupted, self._process = self._process, None
                interrupted.kill()
                _end(interrupted)
                raise
        if not is_result:
            raise RuntimeError(f"TensorFlow cannot run the SavedModel {self._path} on this input. {reply}")
        return reply

    def _start(self):
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - a full pipe would block
        self._process = subprocess.Popen(
            [sys.executable, "-m", "keras_deit.export", "run", str(self._path)],
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        weakref.finalize(self, _end, self._process)


def serve(runtime, replies):
    """Serves the calls of a `SavedModelProcess`, until it ends.

    Args:
        runtime: `keras_deit.export.runtimes.SavedModelRuntime`.
        replies: Binary file that the replies are written to: pairs of True and the result, or of False and the text of an
            error. The calls come from the standard input.
    """
    while True:
        try:
            method, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            reply = True, getattr(runtime, method)(*arguments)
        except Exception as error:  # of one call: the process goes on
            reply = False, f"{type(error).__name__}: {error}"
        pickle.dump(reply, replies)
        replies.flush()


def _end(process):
    """Ends the process and returns its exit status."""
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.stdout.close()
    try:
        return process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:  # a forked process may still hold the other end of the input open
        process.kill()
        return process.wait()


def _run(*arguments):
    command = [sys.executable, "-m", "keras_deit.export", *map(str, arguments)]
    result = subprocess.run(command, env=_environment(), capture_output=True, text=True, errors="replace")
    if result.returncode:
        raise _failure(result.returncode, result.stderr)


def _failure(status, errors):
    return RuntimeError(
        f"The child process that runs TensorFlow for the export failed with exit status {status}. The end of its error "
        f"output:\n{errors[-4000:].strip()}"
    )


def _environment():
    # The training backend holds the GPU's memory, so the child process gets no GPU.
    environment = child_environment("tensorflow", CUDA_VISIBLE_DEVICES="-1", TF_CPP_MIN_LOG_LEVEL="3")
    environment.pop("XLA_FLAGS", None)  # set for the other backend; TensorFlow aborts on flags that it does not know
    return environment
