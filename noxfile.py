"""The tests: each backend in an environment that holds only what its extra names, then what needs several together."""

import os
import pathlib
import tempfile

import nox

nox.options.default_venv_backend = "uv|venv"  # uv, where it is installed, creates an environment in seconds
if "PIP_FIND_LINKS" in os.environ:
    os.environ.setdefault("UV_FIND_LINKS", os.environ["PIP_FIND_LINKS"])  # uv does not read the settings of pip
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "tests", "together"]

BACKENDS = ("tensorflow", "jax", "torch")
TORCH = "torch==2.13.0"  # a range would bring gigabytes of CUDA packages along
TEST_PACKAGES = ("pytest", "pytest-xdist")
PACKAGES_OF_PAGES = ("keras-tuner", "timm")  # what the code of the documentation uses in addition
TWO_WORKERS = ("-n", "2", "--dist", "worksteal")
PASSED = tempfile.TemporaryDirectory()  # lasts as long as this call of nox
TOGETHER = (  # what needs several backends, or packages beside a backend: TFDS, Grain, keras-cv, peers, transformers
    "tests/export",
    "tests/benchmark",
    "tests/cli/test_benchmark.py",
    "tests/cli/test_export.py",
    "tests/cli/test_train.py::test_exports_are_written_and_compared",
    "tests/cli/test_train.py::test_an_export_that_differs_from_the_student_is_a_failure",
    "tests/data/augment/test_keras_layers.py",
    "tests/data/pipeline",
    "tests/data/sources/test_labelled_images.py",
    "tests/data/sources/test_tfds.py",
    "tests/models/test_transformers_parity.py",
    "tests/models/test_presets.py",
    "tests/runtime/test_endless.py",
    "tests/runtime/test_shutdown.py",
    "tests/test_teacher.py",
    "tests/training/test_usable_images.py",
    "tests/weights/test_files.py",
    "tests/weights/test_positions.py",
    "tests/weights/test_write.py",
)


def environment(session, backend, skip_backend_independent):
    """The variables that the tests of a backend run with."""
    variables = {
        "KERAS_BACKEND": backend,
        "OMP_NUM_THREADS": "1",  # PyTorch slows down many times over when threads outnumber the cores
        "JAX_COMPILATION_CACHE_DIR": str(session.cache_dir / "jax"),  # many tests, in both sessions, compile the same
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    }
    if skip_backend_independent:
        variables["KERAS_DEIT_SKIP_BACKEND_INDEPENDENT"] = "1"
    return variables


@nox.session
def lint(session):
    """Style of the code."""
    session.install("ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


def install(session, *packages):
    """Installs packages. Python compiles the modules that the tests import, a small part of all, at the first import."""
    session.install("--no-compile", *packages)


def install_backend(session, backend):
    """Installs the package with what its tests on one backend need."""
    if backend == "torch":
        install(session, TORCH)
    install(session, f".[{backend},run,weights,tensorboard]", *TEST_PACKAGES)


def run_pytest(session, backend, *arguments, **variables):
    """Runs tests on two workers; those that need no backend run with PyTorch alone, where they take the least time."""
    variables |= environment(session, backend, skip_backend_independent=backend != "torch")
    session.run("pytest", *TWO_WORKERS, *arguments, env=variables)


def passed_file(backend):
    """File that names the tests that passed on a backend: `tests` writes it, and `together` leaves these tests out."""
    return str(pathlib.Path(PASSED.name) / backend)


@nox.session
@nox.parametrize("backend", BACKENDS)
def tests(session, backend):
    """The tests on one backend, with no other installed."""
    install_backend(session, backend)
    run_pytest(session, backend, *session.posargs, KERAS_DEIT_WRITE_PASSED=passed_file(backend))


@nox.session
@nox.parametrize("backend", BACKENDS)
def nightly(session, backend):
    """The tests with Keras's nightly build; on request only: `nox -s nightly`, or `nox -s "nightly(backend='torch')"`."""
    install_backend(session, backend)
    uninstall = ("uv", "pip", "uninstall") if session.venv_backend == "uv" else ("pip", "uninstall", "--yes")
    session.run(*uninstall, "keras", "keras-nightly", external=True)
    session.install("keras-nightly")
    run_pytest(session, backend, *session.posargs)


@nox.session
def together(session):
    """Exports, PyTorch's files, transformers as the reference, TFDS and Grain, the benchmark's peers."""
    install(session, TORCH)
    install(session, ".[dev]")
    for backend in BACKENDS:
        run_pytest(session, backend, *TOGETHER, KERAS_DEIT_SKIP_PASSED=passed_file(backend))


@nox.session
def docs(session):
    """The documentation site in `docs/_build`, its code, and the quick study; on request only: `nox -s docs`.

    `nox -s docs -- docs/models.md` runs only the code of a page or of a notebook. The environment variable KERAS_BACKEND
    selects the backend.
    """
    install(session, TORCH)
    install(session, ".[dev,docs]", *PACKAGES_OF_PAGES)
    variables = environment(session, os.environ.get("KERAS_BACKEND", "torch"), skip_backend_independent=False)
    if session.posargs:
        session.run("python", "-m", "docs.run_all", *session.posargs, env=variables)
        return
    session.run("sphinx-build", "-W", "--keep-going", "docs", "docs/_build", env=variables)
    with tempfile.TemporaryDirectory() as directory:  # an empty one: a study continues in the directory of its results
        session.run("python", "scripts/reproduce.py", "--quick", "--output-dir", directory, env=variables)
    session.run("python", "-m", "docs.run_all", env=variables)
