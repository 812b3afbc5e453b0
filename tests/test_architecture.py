"""Imports run downward, frameworks stay where they belong, and tests/ mirrors keras_deit/."""

import ast
import pathlib
import subprocess
import sys

import keras
import pytest

import keras_deit
from tests.private_names import private_uses

PACKAGE = pathlib.Path(keras_deit.__file__).parent
TESTS = pathlib.Path(__file__).parent

# Rooms from the top down. A module may import from its own room and from the rows below it; the root module imports what is
# public, and only the command line may import the root.
ROWS = [
    ["cli"],
    ["keras_deit"],
    ["public"],
    ["reproduction"],
    ["training", "benchmark"],
    ["report"],
    ["evaluation"],
    ["data"],
    ["export", "explain", "data/pipeline"],
    ["data/augment", "data/sources"],
    ["distiller", "recipes", "models"],
    ["teacher"],
    ["weights", "lora"],
    ["layers", "losses", "fusion", "imaging", "optimizers"],
    ["runtime"],
    ["choices"],
]
ROOMS = {room: row for row, rooms in enumerate(ROWS) for room in rooms}
FRAMEWORKS = {"tensorflow", "jax", "torch"}
MAY_NAME_A_FRAMEWORK = (
    "distiller/tensorflow.py",
    "distiller/jax.py",
    "distiller/torch.py",
    "layers/jax_operations.py",
    "layers/torch_operations.py",
    "optimizers/torch_lists.py",
    "data/",
    "export/",
    "training/device_strategy.py",
    "training/accumulation.py",
    "runtime/devices.py",
    "runtime/gradients.py",
    "runtime/processes.py",
    "benchmark/device.py",
    "benchmark/steps.py",
    "benchmark/pipelines.py",
)
# Modules without a test file of their own, with the test file that covers them and the reason.
COVERED_ELSEWHERE = {
    "public.py": ("test_public_surface.py", "its names are those of the package"),
    "distiller/tensorflow.py": (
        "distiller/test_replicas.py",
        "a backend's step is compared with the other backends' steps",
    ),
    "layers/jax_operations.py": ("layers/test_operations.py", "the same values are expected on every backend"),
    "layers/torch_operations.py": ("layers/test_operations.py", "the same values are expected on every backend"),
    "optimizers/torch_lists.py": ("optimizers/test_base.py", "the same values are expected on every backend"),
    "cli/image_files.py": ("cli/test_predict.py", "`predict` reads images and prints their classes"),
    "cli/explain_dataset.py": ("cli/test_explain.py", "it is the part of `explain` with the option --dataset"),
    "cli/benchmark_parsers.py": ("cli/test_commands.py", "the help of every command is printed there"),
    "cli/parsers.py": ("cli/test_commands.py", "the help of every command is printed there"),
    "distiller/checked_data.py": (
        "distiller/test_checks.py",
        "the checks that the methods make have their tests there",
    ),
    "distiller/jax.py": ("distiller/test_replicas.py", "a backend's step is compared with the other backends' steps"),
    "distiller/torch.py": (
        "distiller/test_distiller.py",
        "a backend's step is compared with the other backends' steps",
    ),
    "recipes/deit.py": ("recipes/test_recipes.py", "all recipes are compared with one table of published values"),
    "recipes/deit3.py": ("recipes/test_recipes.py", "all recipes are compared with one table of published values"),
    "recipes/few_images.py": ("recipes/test_recipes.py", "its values are not published ones; whole runs were measured"),
    "recipes/transfer_convnet.py": (
        "recipes/test_recipes.py",
        "all recipes are compared with one table of published values",
    ),
    "recipes/transfer.py": ("recipes/test_recipes.py", "all recipes are compared with one table of published values"),
    "recipes/small_data.py": ("recipes/test_recipes.py", "all recipes are compared with one table of published values"),
    "recipes/recipe.py": ("recipes/test_recipes.py", "the class is tested through the recipes, its only instances"),
    "training/recipe_optimizer.py": ("optimizers/test_base.py", "its optimisers are compared with timm's groups there"),
    "training/loop.py": ("cli/test_train.py", "the loop writes the files of whole runs"),
    "training/teachers/stored_outputs.py": ("cli/test_train_cache.py", "whole runs are compared with the live teacher"),
    "reproduction/spec.py": ("reproduction/test_design.py", "the design makes the trainings"),
    "reproduction/results.py": ("reproduction/test_report.py", "the report shows its estimates"),
    "runtime/version.py": ("cli/test_commands.py", "`keras-deit --version` prints it"),
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
            assert not node.level, f"{path} has a relative import, which hides the room that it imports from"
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
        ("data/augment/low.py", "from keras_deit.data.pipeline import pillow_batches", True),
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
        own = (path.parent / f"test_{path.name}").as_posix()
        wanted, _ = COVERED_ELSEWHERE.get(path.as_posix(), (own, ""))
        assert (TESTS / wanted).exists(), f"{path} has no {wanted}"
        assert wanted == own or not (TESTS / own).exists(), f"{path} has {own} and need not be covered elsewhere"
    assert set(COVERED_ELSEWHERE) <= {path.as_posix() for path in modules()}


def test_importing_the_package_imports_no_other_framework():
    active = keras.backend.backend()
    # Keras itself imports JAX where it is installed, so only what the package adds is looked at.
    code = (
        "import sys, keras; before = set(sys.modules); import keras_deit; "
        f"print(sorted({FRAMEWORKS - {active}!r} & (set(sys.modules) - before)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip().splitlines()[-1] == "[]"


def test_private_names_of_frameworks_are_used_behind_the_guard_only():
    assert set(private_uses(PACKAGE)) == {"runtime/keras_private.py"}


@pytest.mark.parametrize(
    "code",
    [
        "class Model(keras.Model):\n    def _compute_loss(self, x):\n        return 0",
        "class Model(keras.Model):\n    def reset(self):\n        self._jax_state = None",
        "class Model(keras.Model):\n    def strategy(self):\n        return self._distribute_strategy",
        "class Model(keras.Model):\n    def call(self, x):\n        return super()._symbolic_build(x)",
        "class Mixin:\n    def call(self, x):\n        return super()._any_name(x)",
        "class Mixin:\n    def call(self, x):\n        return self._any_name(x)",
        "class Mixin:\n    def _clip_gradients(self, x):\n        pass\nclass Adam(Mixin, keras.optimizers.Adam):\n    pass",
        "class Layer(keras.layers.Layer):\n    def call(self, x):\n        return self.sublayer._any_name",
        "def tracker(model):\n    return model._loss_tracker",
        "def tracker(model):\n    return getattr(model, '_loss_tracker', None)",
        "def tracker(model):\n    return model.__dict__['_loss_tracker']",
        "def cached(kwargs):\n    return kwargs.get('_use_cached_eval_dataset')",
        "def cached(kwargs):\n    return '_use_cached_eval_dataset' in kwargs",
        "def evaluate(model, x):\n    model.evaluate(x, _use_cached_eval_dataset=True)",
        "from keras.src import ops",
        "import keras.src.ops as ops",
        "from keras.ops import _private",
        "def load():\n    from tensorflow.python.data.ops import dataset_ops",
        "def load():\n    return importlib.import_module('jax._src.core')",
        "value = keras.src.backend",
        "value = tf.__internal__.distribute",
    ],
)
def test_a_private_name_is_found(tmp_path, code):
    (tmp_path / "module.py").write_text(code)
    assert private_uses(tmp_path), code


def test_private_names_of_the_package_itself_are_allowed(tmp_path):
    (tmp_path / "module.py").write_text(
        "class Base:\n    def _ours(self):\n        return self._theirs\n"
        "class Model(Base, keras.Model):\n    def __init__(self):\n        super().__init__()\n        self._theirs = 1\n"
        "    def call(self, x):\n        return super()._ours()\n"
        "def ours(model):\n    return model._theirs, getattr(model, '_ours')\n"
    )
    assert not private_uses(tmp_path)


@pytest.mark.parametrize("category", [DeprecationWarning, PendingDeprecationWarning, FutureWarning])
def test_deprecated_calls_of_the_package_are_errors(category):
    call = f"import warnings; warnings.warn('This call is deprecated.', {category.__name__}, stacklevel=1)"
    with pytest.raises(category, match="This call is deprecated"):
        exec(call, {"__name__": "keras_deit.some.module"})
    if category is not FutureWarning:
        exec(call, {"__name__": "another_package.keras_deit"})
