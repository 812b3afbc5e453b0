"""The tests: each backend in an environment that holds only what its extra names, then what needs several together."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "tests", "together"]

TORCH = "torch==2.13.0"  # a range would bring gigabytes of CUDA packages along
TEST_PACKAGES = ("pytest", "pytest-xdist")
TWO_WORKERS = ("-n", "2", "--dist", "worksteal")
TOGETHER = (
    "tests/export",
    "tests/models/test_transformers_parity.py",
    "tests/cli/test_train.py",
    "tests/benchmark",
    "tests/cli/test_convert.py",
    "tests/models/test_presets.py",
    "tests/weights/test_files.py",
    "tests/weights/test_write.py",
    "tests/data/sources/test_load.py",
    "tests/data/pipeline/test_input_pipeline.py",
    "tests/data/augment/test_keras_layers.py",
)
TOGETHER += ("-k", "not test_train or export")  # of the runs, those that export


def environment(session, backend):
    """The variables that the tests of a backend run with."""
    return {
        "KERAS_BACKEND": backend,
        "OMP_NUM_THREADS": "1",  # PyTorch slows down many times over when threads outnumber the cores
        "JAX_COMPILATION_CACHE_DIR": session.create_tmp(),  # many tests compile the same
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    }


@nox.session
def lint(session):
    """Style of the code."""
    session.install("ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
@nox.parametrize("backend", ["tensorflow", "jax", "torch"])
def tests(session, backend):
    """The tests on one backend, with no other installed."""
    if backend == "torch":
        session.install(TORCH)
    session.install(f".[{backend},run,weights]", *TEST_PACKAGES)
    session.run("pytest", *TWO_WORKERS, *session.posargs, env=environment(session, backend))


@nox.session
@nox.parametrize("backend", ["tensorflow", "jax", "torch"])
def nightly(session, backend):
    """The tests with Keras's nightly build; on request only: `nox -s nightly`, or `nox -s "nightly(backend='torch')"`."""
    if backend == "torch":
        session.install(TORCH)
    session.install(f".[{backend},run,weights]", *TEST_PACKAGES)
    session.run("python", "-m", "pip", "uninstall", "--yes", "--quiet", "keras", "keras-nightly")
    session.install("keras-nightly")
    session.run("pytest", *TWO_WORKERS, *session.posargs, env=environment(session, backend))


@nox.session
def together(session):
    """Exports, PyTorch's files, transformers as the reference, TFDS and Grain, the benchmark's peers."""
    session.install(TORCH)
    session.install(".[dev]")
    for backend in ("tensorflow", "jax", "torch"):
        session.run("pytest", *TWO_WORKERS, *TOGETHER, env=environment(session, backend))
