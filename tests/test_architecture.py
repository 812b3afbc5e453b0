"""Imports run downward, frameworks stay where they belong, and tests/ mirrors keras_deit/."""

import ast
import pathlib
import subprocess
import sys

import keras

import keras_deit

PACKAGE = pathlib.Path(keras_deit.__file__).parent
TESTS = pathlib.Path(__file__).parent

# From the top down; a module may import from rows below its own, and from peers where the second table says so.
ROWS = [
    ["cli"],
    ["training", "benchmark"],
    ["data_benchmark"],
    ["export", "explain", "data"],
    ["distiller", "teacher", "recipes", "models"],
    ["weights"],
    ["layers", "losses", "fusion", "image_processor"],
    ["cores", "cubic", "extras", "files", "image_size", "imagenet", "pictures", "_backend"],
]
PEERS = {("distiller", "teacher"), ("_backend", "files"), ("pictures", "extras")}
FRAMEWORKS = {"tensorflow", "jax", "torch"}
MAY_NAME_A_FRAMEWORK = (
    "distiller/tensorflow.py",
    "distiller/jax.py",
    "distiller/torch.py",
    "data/",
    "export/",
    "training/strategy.py",
    "benchmark.py",
    "data_benchmark.py",
    "weights/files.py",
)
COVERED_ELSEWHERE = {
    "distiller/tensorflow.py": "distiller/test_replicas.py",
    "distiller/jax.py": "distiller/test_replicas.py",
    "distiller/torch.py": "distiller/test_distiller.py",
    "_backend.py": "test_backend.py",
    "models/pretrained.py": "cli/test_convert.py",
    "recipes/deit.py": "recipes/test_recipes.py",
    "recipes/deit3.py": "recipes/test_recipes.py",
    "recipes/transfer.py": "recipes/test_recipes.py",
    "recipes/small_data.py": "recipes/test_recipes.py",
    "recipes/recipe.py": "recipes/test_recipes.py",
    "data/choices.py": "data/test_policies.py",
    "cli/options.py": "cli/test_train.py",
    "cli/show_data.py": "cli/test_train_data.py",
    "cli/validate_data.py": "cli/test_train_data.py",
    "data/operations.py": "data/test_pillow_ops.py",
    "data/pillow_views.py": "data/test_feed.py",
    "data/tensorflow_views.py": "data/test_feed.py",
    "data/tensorflow_pipeline.py": "data/test_feed.py",
    "data/grain_pipeline.py": "data/test_feed.py",
    "data/sources.py": "data/test_datasets.py",
    "pictures.py": "test_image_processor.py",
    "training/teacher_cache.py": "cli/test_train_cache.py",
    "training/images.py": "cli/test_train_data.py",
    "training/build.py": "cli/test_train.py",
    "training/run.py": "cli/test_train.py",
    "training/report.py": "cli/test_train.py",
}


def modules():
    return [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]


def imported(path):
    """Absolute names of the modules that a file imports, and whether at its top."""
    for node in ast.walk(ast.parse((PACKAGE / path).read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            yield name, node.col_offset == 0


def part(name):
    return name.split(".")[1] if name.startswith("keras_deit.") else None


def row(name):
    return next(index for index, names in enumerate(ROWS) if name in names)


def test_imports_run_downward():
    for path in modules():
        here = path.parts[0].removesuffix(".py")
        for name, _ in imported(path):
            there = part(name)
            if there in (None, here) or there not in sum(ROWS, []):
                continue
            assert row(there) > row(here) or (here, there) in PEERS, f"{path} imports {name}"


def test_every_part_has_its_row():
    parts = {path.parts[0].removesuffix(".py") for path in modules()}
    assert parts <= set(sum(ROWS, [])), parts - set(sum(ROWS, []))


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
