"""TensorFlow in a child process, for exports from the other backends."""

import contextlib
import importlib.util
import pathlib
import pickle
import subprocess
import sys
import tempfile
import weakref

from keras_deit.runtime.child_process import child_environment
from keras_deit.runtime.optional import require


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

    The process ends with this object, and at the latest with the program.

    Args:
        path: Directory of the SavedModel.

    Raises:
        ImportError: If TensorFlow is not installed.
        RuntimeError: If the process fails; the message contains its error output.
    """

    def __init__(self, path):
        check_tensorflow()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - a full pipe would block
        self._process = subprocess.Popen(
            [sys.executable, "-m", "keras_deit.export", "run", str(path)],
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        weakref.finalize(self, _end, self._process)
        vars(self).update(self._ask("describe"))

    def run(self, images):
        """See `keras_deit.export.runtimes.Runtime.run`."""
        return self._ask("run", images)

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
        try:
            pickle.dump((method, arguments), self._process.stdin)
            self._process.stdin.flush()
            return pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError):
            status = self._process.wait()
            self._errors.seek(0)
            raise _failure(status, self._errors.read().decode(errors="replace")) from None


def serve(runtime, replies):
    """Serves the calls of a `SavedModelProcess`, until it ends.

    Args:
        runtime: `keras_deit.export.runtimes.SavedModelRuntime`.
        replies: Binary file that the results are written to. The calls come from the standard input.
    """
    while True:
        try:
            method, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(getattr(runtime, method)(*arguments), replies)
        replies.flush()


def _end(process):
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.stdout.close()
    process.wait()


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
