"""What the code blocks of the pages run with: small images, tiny models under the published names, short training.

The code of a page is written for real images and real models. Here the variants are narrow, weights that would be downloaded
are random, and a training ends after one epoch. `FULL_SIZE` names the pages that need the real variants.
"""

import contextlib
import dataclasses
import functools
import importlib
import inspect
import itertools
import pathlib
import re
import shlex
import shutil
import sys
import tempfile
import types

import keras
import numpy as np
from PIL import Image

import keras_deit as kd
from keras_deit import cli
from keras_deit.cli import parsers
from keras_deit.cli.common import make_parser
from keras_deit.cli.reproduce import reproduce_parser
from keras_deit.cli.train import add_options
from keras_deit.models import presets
from keras_deit.models.variants import VARIANTS
from keras_deit.training.position import Position
from keras_deit.weights import download

FULL_SIZE = ("coming_from.md", "how_deit_works.md")
CLASSES = ("bird", "cat", "dog", "fish", "horse")
SCRIPT = re.compile(r"python scripts/(?P<name>\w+)\.py")
VARIABLE = re.compile(r"\w+=\S*")  # of the environment, before a command
REDIRECTION = re.compile(r"(?<=\s)(\d?>\S*(\s+[\w.]+\.log)?|&)(?=\s|$)")
NARROW = {
    "deit": dict(hidden_dim=24, num_heads=3),
    "regnety": dict(widths=(16, 16, 32, 32), depths=(1, 1, 1, 1), group_width=16),
}  # PyTorch 2.13 crashes in the training of a RegNetY with 8 channels
SMALL_IMAGES = {"distilling.md": 32}  # the image size of a page, where the page does not use 224 pixels
IMAGES = ("cat.jpg", "dog.png", "new.jpg", "some.jpg", "boot.png", "digit.png", "image.png")


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of a shell block.

    Attributes:
        arguments: The arguments of `keras-deit`; for `python scripts/train.py --variant deit_ti`, those of the command that
            the script is named after: `["train", "--variant", "deit_ti"]`.
        runs: Whether the shell itself starts `keras-deit`, and not another program such as `srun` or `python`.
    """

    arguments: list
    runs: bool


def commands_of(block):
    """Yields a `Command` for each command of this project in a shell block."""
    for words in _simple_commands(block):
        while words and VARIABLE.fullmatch(words[0]):
            del words[0]
        if "keras-deit" in words:
            position = words.index("keras-deit")
            yield Command(words[position + 1 :], runs=position == 0)
        elif script := SCRIPT.fullmatch(" ".join(words[:2])):
            yield Command([script["name"], *words[2:]], runs=False)


def _simple_commands(block):
    """Yields the words of each command, without what `&&`, `;` and `|` separate, redirections and comments."""
    for line in block.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(REDIRECTION.sub("", line), posix=True, punctuation_chars="&;|")
        lexer.whitespace_split = True
        for is_separator, words in itertools.groupby(lexer, key=lambda word: not word.strip("&;|")):
            if not is_separator:
                yield list(words)


def parse(arguments):
    """Parses the options of a `keras-deit` command without running it; an unknown option ends in `SystemExit`."""
    command, *options = arguments
    if command == "reproduce":
        parser = reproduce_parser()
    elif command == "train":
        parser = make_parser("train", "")
        add_options(parser)
    elif (benchmark := " ".join(arguments[:2])) in parsers.PARSERS:
        parser = parsers.PARSERS[benchmark]()
        del options[0]
    else:
        parser = parsers.PARSERS[command]()
    parser.parse_args(options)


def run_commands(block):
    """Runs the `keras-deit` commands of a shell block in this process.

    Args:
        block: The shell commands; others are left out.

    Raises:
        RuntimeError: If a command ends with another status than 0.
    """
    for command in commands_of(block):
        status = command.runs and _run(command.arguments)
        if status:
            raise RuntimeError(f"keras-deit {shlex.join(command.arguments)} ended with status {status}")


def _run(arguments):
    """Runs a command and returns its status; training takes one epoch, in an empty directory."""
    if arguments[0] != "train":
        return cli.main(arguments)
    if "--output-dir" in arguments and "--resume" not in arguments:
        _remove(arguments[arguments.index("--output-dir") + 1])
    return cli.main([*arguments, "--epochs", "1"])


@contextlib.contextmanager
def for_page(path, namespace=None):
    """Runs the code of a page in a directory of its own, with the variables that the page does not define itself.

    A notebook has no such variables: without a `namespace`, there are only the files.
    """
    name = pathlib.Path(path).name
    with contextlib.ExitStack() as stack:
        if name == "coming_from.md":
            _make_torchvision_importable()
        stack.enter_context(contextlib.chdir(stack.enter_context(tempfile.TemporaryDirectory())))
        if name not in FULL_SIZE:
            stack.enter_context(_narrow_variants())
        stack.enter_context(_patched(presets, "_find_or_download", _random_weights))
        stack.enter_context(_patched(download, "from_hub", lambda *source: pathlib.Path("directory/model.safetensors")))
        stack.enter_context(_patched(keras.Model, "fit", _short_fit(keras.Model.fit)))
        stack.enter_context(_patched(kd, "train", _short_train(kd.train)))
        image_size = SMALL_IMAGES.get(name, 224)
        _write_files(image_size)
        if namespace is not None:
            namespace.update(_variables(image_size), __name__="__main__")
            if name == "models.md":  # there the dataset of the pre-training has no labels
                namespace["dataset"] = [namespace["images"]]
        yield


def _make_torchvision_importable():
    """Leaves out the modules of torchvision that fail beside PyTorch for CPUs, and that timm does not need.

    On Linux, the package index serves torchvision for CUDA. Its compiled operators then do not load, and the modules that
    register derivatives and shapes for these operators raise an error.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in ("torchvision._meta_registrations", "torchvision._autograd_registrations"):
            sys.modules[name] = types.ModuleType(name)


@contextlib.contextmanager
def _patched(owner, name, value):
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextlib.contextmanager
def _narrow_variants():
    published = dict(VARIANTS)
    for name, variant in published.items():
        VARIANTS[name] = dataclasses.replace(variant, arguments=variant.arguments | NARROW[variant.family])
    try:
        yield
    finally:
        VARIANTS.update(published)


def _random_weights(preset):
    """Writes a checkpoint of random weights for a preset, and returns its path."""
    path = pathlib.Path("downloads", f"{preset.name}.safetensors").absolute()
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        kd.weights.to_timm(_of_variant(preset), path)
    return path


def _of_variant(preset):
    if VARIANTS[preset.variant].family == "regnety":
        return kd.RegNetY.from_variant(preset.variant)
    return kd.DeiT.from_variant(preset.variant, distilled="distilled" in preset.name)


def _short_fit(fit):
    """Returns a `fit` of one step and one batch of evaluation, except within a run, which counts its steps."""

    @functools.wraps(fit)
    def short_fit(*arguments, **options):
        call = inspect.signature(fit).bind(*arguments, **options)
        if not any(isinstance(callback, Position) for callback in call.arguments.get("callbacks") or ()):
            call.arguments |= {"epochs": 1, "steps_per_epoch": 1}
            if call.arguments.get("validation_data") is not None:
                call.arguments["validation_steps"] = 1
        return fit(*call.args, **call.kwargs)

    return short_fit


def _short_train(train):
    """Returns a `kd.train` of one epoch, in an empty directory."""

    def short_train(output_dir=None, **settings):
        if output_dir is not None:
            _remove(output_dir)
        return train(output_dir=output_dir, **settings | {"epochs": 1})

    return short_train


def _remove(directory):
    """Removes a directory of a run, which must be in the directory of the page."""
    path = pathlib.Path(directory).expanduser().resolve()
    if not path.is_relative_to(pathlib.Path.cwd()):
        raise ValueError(f"A block that runs must write to a relative path. Received: {directory}")
    shutil.rmtree(path, ignore_errors=True)


def _write_files(image_size):
    """Writes the files that the pages name: images of five classes, trained models, and directories of runs."""
    rng = np.random.default_rng(0)
    paths = [pathlib.Path("images", CLASSES[index % 5], f"{index}.jpg") for index in range(100)]
    for path in (*paths, *map(pathlib.Path, IMAGES)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), "uint8")).save(path)
    for name in ("folder_of_images", "more_images"):
        pathlib.Path(name).symlink_to("images/cat")
    student = _student(image_size)
    for name in ("runs/mine", "runs/teacher", "runs/student"):
        pathlib.Path(name).mkdir(parents=True)
        student.save(f"{name}/student.keras")
    for name in ("checkpoint", "file"):
        kd.weights.to_timm(student, f"{name}.safetensors")
    kd.weights.to_official(student, "checkpoint.pth")
    kd.weights.to_huggingface(student, "directory")
    student.save("student.keras")
    _convnet().save("teacher.keras")
    _convnet("sigmoid").save("multi_label_teacher.keras")


def _student(image_size):
    arguments = dict(num_classes=len(CLASSES), class_names=CLASSES, preprocessing=kd.Preprocessing())
    return kd.DeiT.from_variant(
        "deit_ti", image_size=image_size, patch_size=16 if image_size == 224 else 8, **arguments
    )


def _convnet(activation=None):
    layers = [keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, 2), keras.layers.GlobalMaxPooling2D()]
    return keras.Sequential([*layers, keras.layers.Dense(len(CLASSES), activation=activation)])


def _variables(image_size):
    """Returns the variables that a page may use without defining them."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(8, image_size, image_size, 3)).astype("float32")
    labels = np.arange(8) % len(CLASSES)
    return dict(
        images=images,
        labels=labels,
        one_hot_labels=np.eye(len(CLASSES))[labels],
        dataset=Batches([(images, labels)]),
        training_images=images,
        student=_student(image_size),
        model=_student(image_size),
        inputs=kd.data.InputPipeline(kd.data.load("images/", "test"), image_size=image_size),
        convnet=_convnet("softmax"),
        teacher=_convnet(),
        another_keras_model=_convnet(),
        distiller=_distiller(image_size),
    )


def _distiller(image_size):
    distiller = kd.Distiller(_student(image_size), _convnet())
    distiller.compile("adamw", loss=keras.losses.CategoricalCrossentropy(from_logits=True))
    return distiller


class Batches(keras.utils.PyDataset):
    """A dataset of batches in memory."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]
