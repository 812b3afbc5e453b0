"""Finds uses of private names of Keras and other frameworks, by reading the source of a package."""

import ast
import collections
import functools
import inspect
import pathlib
import re
import sys

import keras

FRAMEWORKS = ("keras", "tensorflow", "jax", "torch")
PRIVATE_MODULES = ("keras.src", "tensorflow.python", "tf.python", "jax._src", "torch._")
DOCUMENTED = re.compile(r"os\._exit|torch\._foreach_\w+")  # public in spite of their names
TAKE_A_NAME = {"getattr", "hasattr", "setattr", "delattr", "attrgetter", "get", "pop", "setdefault"}
CORE = (keras.Model, keras.Layer, keras.Optimizer, keras.Metric, keras.Loss, keras.Variable, keras.callbacks.Callback)


def private_uses(package):
    """Finds the uses of private names of other packages.

    A private name begins with one underscore. In a class, `self._name`, `super()._name` and `def _name` are uses if a
    foreign base class has the name, or if no class of the package defines it. Elsewhere, `object._name` is a use unless the
    same module defines the name. Names in strings (`getattr(model, "_name")`), keywords (`_name=...`) and imports count too.

    Args:
        package: Folder of the package.

    Returns:
        Dictionary from relative paths to lists of `(line, text)`.
    """
    trees = {path.relative_to(package).as_posix(): ast.parse(path.read_text()) for path in package.rglob("*.py")}
    families = _Families(trees)
    uses = {}
    for path, tree in trees.items():
        finder = _Finder(families, _defined_in(tree), package.name)
        finder.visit(tree)
        uses[path] = finder.uses
    return {path: found for path, found in uses.items() if found}


class _Finder(ast.NodeVisitor):
    """Collects the uses in one module."""

    def __init__(self, families, defined_here, package):
        self.families, self.defined_here, self.package = families, defined_here, package
        self.classes, self.uses = [], []

    def visit_ClassDef(self, node):
        self.classes.append(node)
        for name in _own_names(node):
            if _is_private(name) and name in self.families.foreign(node):
                self.uses.append((node.lineno, f"class {node.name}: {name}"))
        self.generic_visit(node)
        self.classes.pop()

    def visit_Attribute(self, node):
        if node.attr == "__internal__" or ast.unparse(node) in PRIVATE_MODULES:
            self._add(node)
        self._check(node, ast.unparse(node.value), node.attr)
        self.generic_visit(node)

    def visit_Call(self, node):
        function = ast.unparse(node.func).split(".")[-1]
        names = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
        if function in TAKE_A_NAME:
            for name in names:
                self._check(node, ast.unparse(node.args[0]), name)
        for keyword in node.keywords:
            self._check(node, "", keyword.arg)
        self.generic_visit(node)

    def visit_Subscript(self, node):
        if isinstance(node.slice, ast.Constant):
            self._check(node, "", node.slice.value)
        self.generic_visit(node)

    def visit_Compare(self, node):
        if isinstance(node.left, ast.Constant):
            self._check(node, "", node.left.value)
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, str) and f"{node.value}.".startswith(
            tuple(f"{name}." for name in PRIVATE_MODULES[:-1])
        ):
            self._add(node)

    def visit_Import(self, node):
        self._check_import(node, [alias.name for alias in node.names])

    def visit_ImportFrom(self, node):
        self._check_import(node, [f"{node.module}.{alias.name}" for alias in node.names])

    def _check_import(self, node, names):
        for name in names:
            parts = name.split(".")
            if parts[0] in (self.package, "__future__"):
                continue
            if any(map(_is_private, parts)) or f"{name}.".startswith(tuple(f"{one}." for one in PRIVATE_MODULES[:-1])):
                self._add(node)

    def _check(self, node, owner, name):
        if not _is_private(name) or DOCUMENTED.fullmatch(f"{owner}.{name}"):
            return
        if self.classes and owner in ("self", "cls", "super()", "type(self)"):
            families, this = self.families, self.classes[-1]
            if name in families.foreign(this) or name not in families.own(this):
                self._add(node)
        elif name not in self.defined_here or name in _core_names():
            self._add(node)

    def _add(self, node):
        self.uses.append((node.lineno, ast.unparse(node)))


class _Families:
    """Which classes of a package end up in one object, and what their foreign bases define."""

    def __init__(self, trees):
        self.by_name = collections.defaultdict(list)
        for tree in trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    self.by_name[node.name.lstrip("_")].append(node)
        self.classes = [node for nodes in self.by_name.values() for node in nodes]

    @functools.cache  # noqa: B019  one short-lived object
    def own(self, node):
        """Names that the classes of the family define."""
        return set().union(*map(_own_names, self._family(node)))

    @functools.cache  # noqa: B019
    def foreign(self, node):
        """Private names that the family's foreign base classes define."""
        bases = (base for relative in self._family(node) for base in _foreign_bases(relative))
        return set().union(*map(_private_names, bases))

    def _family(self, node):
        heirs = [one for one in self.classes if node in self._ancestors(one)]
        return {id(one): one for heir in (node, *heirs) for one in self._ancestors(heir)}.values()

    @functools.cache  # noqa: B019
    def _ancestors(self, node):
        found = [node]
        for base in node.bases:
            for parent in self.by_name[ast.unparse(base).split(".")[-1].lstrip("_")]:
                if parent is not node:
                    found += self._ancestors(parent)
        return found


def _own_names(node):
    names = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Attribute) and isinstance(child.ctx, ast.Store):
            names |= {child.attr} if ast.unparse(child.value) in ("self", "cls") else set()
    for child in node.body:
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(child.name)
        elif isinstance(child, (ast.Assign, ast.AnnAssign)):
            names |= {one.id for one in ast.walk(child) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    return names


def _defined_in(tree):
    """Names of a module: those at its top, and those of its classes."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            names |= {node.name} | _own_names(node)
        elif isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


def _foreign_bases(node):
    for base in node.bases:
        text = ast.unparse(base)
        if text.startswith("keras."):
            yield functools.reduce(getattr, text.split(".")[1:], keras)


@functools.cache
def _private_names(cls):
    """Private methods and attributes of a class of Keras, on every backend."""
    names = set()
    for base in cls.__mro__:
        if base.__module__.split(".")[0] in FRAMEWORKS:
            names |= set(vars(base))
            for file in _source_files(base):
                names |= _attributes_in(file)
    return {name for name in names if _is_private(name)}


def _source_files(cls):
    file = pathlib.Path(inspect.getsourcefile(cls))
    kind = next((kind for kind in ("trainer", "layer", "optimizer") if kind in cls.__module__.split(".")[-1]), None)
    if ".backend." not in cls.__module__ or kind is None:
        return [file]
    backends = pathlib.Path(keras.__file__).parent / "src" / "backend"
    return [file, *(path for path in backends.rglob(f"*{kind}.py"))]


@functools.cache
def _attributes_in(file):
    classes = (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.ClassDef))
    return set().union(*map(_own_names, classes))


@functools.cache
def _core_names():
    return set().union(*map(_private_names, CORE))


def _is_private(name):
    return isinstance(name, str) and len(name) > 1 and name[0] == "_" and name[1] != "_" and name.isidentifier()


if __name__ == "__main__":
    for module, found in private_uses(pathlib.Path(sys.argv[1])).items():
        for line, text in found:
            print(f"{module}:{line}: {text}")
