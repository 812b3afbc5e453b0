"""Imports run downward, frameworks stay where they belong, and tests/ mirrors keras_deit/."""

import ast
import pathlib
import subprocess
import sys

import keras

import keras_deit

PACKAGE = pathlib.Path(keras_deit.__file__).parent
TESTS = pathlib.Path(__file__).parent

# Rooms from the top down. A module may import from its own room and from the rows below it; the root module imports what is
# public, and only the command line may import the root.
ROWS = [
    ["cli"],
    ["keras_deit"],
    ["training", "benchmark"],
    ["data"],
    ["export", "explain", "data/pipeline"],
    ["data/augment", "data/sources"],
    ["distiller", "recipes", "models"],
    ["teacher"],
    ["weights"],
    ["layers", "losses", "fusion", "imaging", "optimizers"],
    ["runtime"],
]
ROOMS = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
FRAMEWORKS = {"tensorflow", "jax", "torch"}
MAY_NAME_A_FRAMEWORK = (
    "distiller/tensorflow.py",
    "distiller/jax.py",
    "distiller/torch.py",
    "data/",
    "export/",
    "training/strategy.py",
    "benchmark/device.py",
    "benchmark/steps.py",
    "benchmark/pipelines.py",
    "weights/files.py",
)
COVERED_ELSEWHERE = {
    "distiller/tensorflow.py": "distiller/test_replicas.py",
    "distiller/jax.py": "distiller/test_replicas.py",
    "distiller/torch.py": "distiller/test_distiller.py",
    "recipes/deit.py": "recipes/test_recipes.py",
    "recipes/deit3.py": "recipes/test_recipes.py",
    "recipes/transfer.py": "recipes/test_recipes.py",
    "recipes/small_data.py": "recipes/test_recipes.py",
    "recipes/recipe.py": "recipes/test_recipes.py",
    "data/augment/randaugment_space.py": "data/augment/test_policies.py",
    "cli/options.py": "cli/test_train.py",
    "cli/show_data.py": "cli/test_train_data.py",
    "cli/validate_data.py": "cli/test_train_data.py",
    "data/augment/operations.py": "data/augment/test_pillow_ops.py",
    "data/augment/pillow_transform.py": "data/pipeline/test_input_pipeline.py",
    "data/augment/tensorflow_transform.py": "data/pipeline/test_input_pipeline.py",
    "data/pipeline/tf_data_pipeline.py": "data/pipeline/test_input_pipeline.py",
    "data/pipeline/grain_pipeline.py": "data/pipeline/test_input_pipeline.py",
    "data/sources/kinds.py": "data/sources/test_load.py",
    "imaging/image_files.py": "imaging/test_processor.py",
    "training/optimizer.py": "test_optimizers.py",
    "training/teacher_cache.py": "cli/test_train_cache.py",
    "training/images.py": "cli/test_train_data.py",
    "training/build.py": "cli/test_train.py",
    "training/run.py": "cli/test_train.py",
    "training/report.py": "cli/test_train.py",
    "runtime/version.py": "cli/test_common.py",
}


def modules(with_packages=False):
    """Paths of all modules; with those of the packages themselves, the root's included."""
    paths = (path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
    return [path for path in paths if with_packages or path.name != "__init__.py"]


def imported(path):
    """Absolute names of the modules that a file imports, and whether at its top."""
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            yield name, node.col_offset == 0


def room_of(name):
    """The room of a module, given by its absolute name or by the path of a module in the package."""
    parts = name.removesuffix(".py").removesuffix("__init__").strip("/.").replace(".", "/").split("/")
    parts = parts[1:] if parts[0] == "keras_deit" else parts
    parts = [part for part in parts if part]
    if not parts:
        return "keras_deit"
    return next(("/".join(parts[:depth]) for depth in (2, 1) if "/".join(parts[:depth]) in ROOMS), None)


def upward_imports(path):
    """Names that a module imports from its own row or from above, other than from its own room."""
    here = room_of(path.as_posix())
    for name, _ in imported(path):
        if name.split(".")[0] == "keras_deit":
            there = room_of(name) or "keras_deit"  # a name without a room, such as `keras_deit.DeiT`, is the root's
            if there != here and ROOMS[there] <= ROOMS[here]:
                yield name


def test_imports_run_downward():
    upward = {path.as_posix(): list(upward_imports(path)) for path in modules(with_packages=True)}
    assert not {path: names for path, names in upward.items() if names}


def test_an_import_upward_is_found(tmp_path, monkeypatch):
    for module, line, expected in (
        ("data/augment/low.py", "from keras_deit.data.pipeline import batches", True),
        ("data/sources/low.py", "from keras_deit.data.augment import mixing", True),
        ("data/pipeline/high.py", "from keras_deit.data.augment import mixing", False),
        ("export/low.py", "import keras_deit", True),
        ("export/low.py", "from keras_deit import DeiT", True),
        ("export/low.py", "from keras_deit import weights", False),
        ("layers/low.py", "from keras_deit.losses import hard_distillation", True),
    ):
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / module).write_text(line + "\n")
        monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
        assert bool(list(upward_imports(pathlib.Path(module)))) == expected, line


def test_every_module_has_a_room():
    assert not [path for path in modules() if room_of(path.as_posix()) is None]


def test_frameworks_are_named_only_where_they_belong_and_never_at_the_top():
    for path in modules():
        for name, at_top in imported(path):
            if name.split(".")[0] in FRAMEWORKS:
                assert path.as_posix().startswith(MAY_NAME_A_FRAMEWORK), f"{path} imports {name}"
                assert not at_top, f"{path} imports {name} at its top"


def test_tests_mirror_the_package():
    for path in modules():
        if path.name == "__main__.py":
            continue
        wanted = COVERED_ELSEWHERE.get(path.as_posix(), (path.parent / f"test_{path.name}").as_posix())
        assert (TESTS / wanted).exists(), f"{path} has no {wanted}"


def test_importing_the_package_imports_no_other_framework():
    active = keras.backend.backend()
    # Keras itself imports JAX where it is installed, so only what the package adds is looked at.
    code = (
        "import sys, keras; before = set(sys.modules); import keras_deit; "
        f"print(sorted({FRAMEWORKS - {active}!r} & (set(sys.modules) - before)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip().splitlines()[-1] == "[]"


def test_what_is_public_is_documented():
    for name in keras_deit.__all__:
        public = getattr(keras_deit, name)
        if callable(public):
            assert len(public.__doc__) > 80, name
