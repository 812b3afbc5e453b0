"""Speed of a variant beside what a user would pick instead, measured in turns in one call."""

import argparse
import dataclasses
import importlib.util
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np

from keras_deit.benchmark import data as data_benchmark
from keras_deit.models import DeiT, DeiTClassifier, get_variant
from keras_deit.runtime.child_process import child_environment
from keras_deit.runtime.cores import usable_cores

BACKENDS = ("tensorflow", "jax", "torch")
OURS = "keras_deit"
NUM_CLASSES = 1000
ROUND_SECONDS = 0.2  # a round repeats a step for about this long, so that a short one is measured as well
PEAKS = {("H200", "bfloat16"): 989.5e12}  # FLOP/s of dense products, by device and precision: NVIDIA's data sheet

DESCRIPTION = """\
Time a variant beside KerasHub's DeiT on the same backend, and on PyTorch beside transformers' and timm's where they can
be imported. Each round times all of them in turn, and the ratios are taken within a round. On a GPU, PyTorch's are timed
under torch.compile as well. `benchmark data` times the input pipeline: see its own --help."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is measured.

    Attributes:
        variant: Name of a variant.
        mode: `"inference"` or `"training"` (a whole step with AdamW).
        batch_size: Images in a step.
        precision: `"float32"` or `"bfloat16"` (inference: of the weights too; training: mixed).
        architecture: Arguments of the backbone.
    """

    variant: str
    mode: str
    batch_size: int
    precision: str
    architecture: dict

    @property
    def policy(self):
        """The Keras dtype policy."""
        mixed = self.precision != "float32" and self.mode == "training"
        return f"mixed_{self.precision}" if mixed else self.precision

    @property
    def step_flops(self):
        """Floating-point operations of a step. The backward pass has two products for each of the forward pass."""
        passes = 3 if self.mode == "training" else 1
        return passes * 2 * multiply_adds(**self.architecture) * self.batch_size

    def batch(self):
        """Random images, channels last, and labels."""
        generator, size = np.random.default_rng(0), self.architecture["image_size"]
        images = generator.standard_normal((self.batch_size, size, size, 3), dtype="float32")
        return images, generator.integers(0, NUM_CLASSES, self.batch_size)


@dataclasses.dataclass(frozen=True)
class Timing:
    """How long the steps of one implementation took.

    Attributes:
        name: The implementation.
        seconds: Seconds of a step, one figure a round.
        ratios: Those divided by ours of the same round: above 1, ours is faster.
    """

    name: str
    seconds: list
    ratios: list


def multiply_adds(
    image_size, patch_size, hidden_dim, num_layers, distilled=True, intermediate_dim=None, num_classes=NUM_CLASSES, **_
):
    """Counts the multiplications in the matrix products of one image's forward pass.

    Layer norms, softmax and GELU are left out, as is usual: they are less than one percent.

    Args:
        image_size: Side of the image in pixels.
        patch_size, hidden_dim, num_layers, distilled, intermediate_dim: As for `keras_deit.DeiTBackbone`, whose other
            arguments do not matter.
        num_classes: Number of classes.

    Returns:
        The number. Floating-point operations are twice as many: each product is added to a sum.

    Example:

    >>> round(multiply_adds(224, 16, hidden_dim=768, num_layers=12, distilled=False) / 1e9, 1)
    17.6

    Reference:
        timm's and the DeiT III paper's (Touvron et al., 2022, arXiv 2204.07118) figures for one token: 1.3, 4.6 and
        17.6 billion for tiny, small and base.
    """
    heads = 2 if distilled else 1
    patches = (image_size // patch_size) ** 2
    tokens = patches + heads
    weights = 4 * hidden_dim**2 + 2 * hidden_dim * (intermediate_dim or 4 * hidden_dim)  # of attention and MLP
    attention = 2 * tokens**2 * hidden_dim  # the logits, and the mean of the values
    return (
        patches * 3 * patch_size**2 * hidden_dim
        + num_layers * (tokens * weights + attention)
        + heads * hidden_dim * num_classes
    )


def main(arguments=None):
    """Runs `python scripts/benchmark.py ...`.

    Args:
        arguments: List of strings; None means those of the process.

    Returns:
        The exit status.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["data"]:
        return data_benchmark.main(arguments[1:])
    parser = argparse.ArgumentParser(prog="keras-deit benchmark", description=DESCRIPTION)
    add_options(parser)
    try:
        return run(parser.parse_args(arguments))
    except ValueError as error:
        print(f"keras-deit benchmark: error: {error}", file=sys.stderr)
        return 2


def add_options(parser):
    """Adds the options to a parser."""
    group = parser.add_argument_group("what is timed")
    group.add_argument("--variant", default="deit_s", help="for example deit_ti, deit_s (the default), deit3_b")
    group.add_argument("--batch-size", type=int, default=8, metavar="N", help="images in a step (default: 8)")
    group.add_argument("--image-size", type=int, metavar="PIXELS", help="side of the images; default: the variant's")
    group.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    group.add_argument("--mode", choices=("inference", "training", "both"), default="both")

    group = parser.add_argument_group("how")
    group.add_argument("--backend", choices=(*BACKENDS, "all"), help="default: that of KERAS_BACKEND")
    group.add_argument("--peers", nargs="*", choices=tuple(PEERS), default=list(PEERS), help="default: all of them")
    group.add_argument("--rounds", type=int, default=20, metavar="N", help="default: 20")
    group.add_argument("--json", type=pathlib.Path, metavar="FILE", help="where to write every figure")


def run(options):
    """Measures and prints: the active backend here, any other in a process of its own.

    Args:
        options: What the parser of `add_options` returns.

    Returns:
        The exit status.

    Raises:
        ValueError: If the variant is unknown or an option is out of range.
    """
    if options.backend not in (None, keras.backend.backend()):
        return _run_elsewhere(options)
    results = []
    for mode in ("inference", "training") if options.mode == "both" else (options.mode,):
        setting = _setting(options, mode)
        timings, left_out = measure(setting, options.rounds, options.peers)
        print(describe(setting, timings, left_out), flush=True)
        results.append(
            {
                **dataclasses.asdict(setting),
                "backend": keras.backend.backend(),
                "device": _device(),
                "timings": [dataclasses.asdict(timing) for timing in timings],
                "left_out": left_out,
            }
        )
    _write_json(options.json, results)
    return 0


def measure(setting, rounds, peers=()):
    """Times our model and its peers in turns.

    Args:
        setting: A `Setting`.
        rounds: How often each is timed.
        peers: Names of `PEERS`.

    Returns:
        A list of `Timing`, ours first, and a dictionary with the reason for every peer that is missing.
    """
    steps, left_out = _steps(setting, peers)
    repeats = {name: max(1, round(ROUND_SECONDS / _seconds(step))) for name, step in steps.items()}
    seconds = {name: [] for name in steps}
    for index in range(rounds):
        for name in list(steps)[:: 1 if index % 2 == 0 else -1]:  # nobody always follows the same one
            seconds[name].append(_seconds(steps[name], repeats[name]))
    ours = np.array(seconds[OURS])
    return [Timing(name, times, (np.array(times) / ours).tolist()) for name, times in seconds.items()], left_out


def describe(setting, timings, left_out):
    """Writes what was measured as a table.

    Args:
        setting: A `Setting`.
        timings: List of `Timing`.
        left_out: Dictionary with the reason for every peer that is missing.

    Returns:
        The text, of several lines.
    """
    backend, device = keras.backend.backend(), _device()
    peak = next((peak for (name, kind), peak in PEAKS.items() if name in device and kind == setting.precision), None)
    lines = [
        f"{setting.variant} at {setting.architecture['image_size']} pixels, batch {setting.batch_size}, "
        f"{setting.precision}, {setting.mode}; {backend} on {device}, {len(timings[0].seconds)} rounds",
        f"{'':22}{'ms':>10}{'images/s':>10}{'GFLOP/s':>10}   peer / ours: median (quartiles)",
        *(_row(setting, timing, peak) for timing in timings),
        *(f"{name:22} left out: {reason}" for name, reason in left_out.items()),
    ]
    return "\n".join(lines) + "\n"


def _row(setting, timing, peak):
    seconds = float(np.median(timing.seconds))
    flops = setting.step_flops / seconds
    low, middle, high = np.percentile(timing.ratios, (25, 50, 75))
    ratio = "" if timing.name == OURS else f"   {middle:.3f} ({low:.3f} to {high:.3f})"
    share = f"   {flops / peak:.1%} of the peak" if peak else ""
    return f"{timing.name:22}{1e3 * seconds:10.2f}{setting.batch_size / seconds:10.1f}{flops / 1e9:10.1f}{ratio}{share}"


def _setting(options, mode):
    if min(options.batch_size, options.rounds) < 1:
        raise ValueError(
            "`--batch-size` and `--rounds` must be positive. "
            f"Received: --batch-size {options.batch_size} --rounds {options.rounds}"
        )
    architecture = dict(get_variant(options.variant).arguments)
    architecture["image_size"] = options.image_size or architecture["image_size"]
    return Setting(options.variant, mode, options.batch_size, options.precision, architecture)


def _seconds(step, repeats=1):
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def _steps(setting, peers):
    """Functions that make a step and wait for its end, by name; and why a peer has none."""
    steps, left_out = {OURS: _warmed(_ours(setting))}, {}
    builders = {name: PEERS[name] for name in peers if name == "keras_hub" or keras.backend.backend() == "torch"}
    if keras.backend.backend() == "torch" and _has_gpu():
        builders[f"{OURS} compiled"] = lambda setting: _ours(setting, compiled=True)
        if "timm" in peers:
            builders["timm compiled"] = lambda setting: _timm(setting, compiled=True)
    for name, build in builders.items():
        try:
            steps[name] = _warmed(build(setting))
        except (AttributeError, ImportError, RuntimeError, TypeError, ValueError) as error:  # a peer's own troubles
            hint = " (pip install 'keras-deit[benchmark]')" if isinstance(error, ModuleNotFoundError) else ""
            left_out[name] = f"{type(error).__name__}: {' '.join(str(error).split())}{hint}"
    return steps, left_out


def _warmed(step):
    for _ in range(2):  # the first compiles, the second fills the caches
        step()
    return step


def _ours(setting, compiled=False):
    deit = DeiT(num_classes=NUM_CLASSES, dtype=setting.policy, **setting.architecture)
    return _keras_step(DeiTClassifier(deit), setting, compiled)


def _keras_hub(setting):
    from keras_hub.models import DeiTBackbone, DeiTImageClassifier

    size, arguments = setting.architecture["image_size"], _two_token_arguments(setting)
    backbone = DeiTBackbone(image_shape=(size, size, 3), dtype=setting.policy, **arguments)
    model = DeiTImageClassifier(backbone=backbone, num_classes=NUM_CLASSES, preprocessor=None)
    return _keras_step(model, setting)


def _transformers(setting):
    from transformers import DeiTConfig, DeiTForImageClassificationWithTeacher

    arguments = _two_token_arguments(setting)
    config = DeiTConfig(
        image_size=setting.architecture["image_size"],
        patch_size=arguments["patch_size"],
        hidden_size=arguments["hidden_dim"],
        num_hidden_layers=arguments["num_layers"],
        num_attention_heads=arguments["num_heads"],
        intermediate_size=arguments["intermediate_dim"],
        num_labels=NUM_CLASSES,
    )
    return _torch_step(DeiTForImageClassificationWithTeacher(config), setting)


def _timm(setting, compiled=False):
    from timm.models import deit, vision_transformer

    architecture = setting.architecture
    distilled = architecture["distilled"]
    make = deit.VisionTransformerDistilled if distilled else vision_transformer.VisionTransformer
    module = make(
        img_size=architecture["image_size"],
        patch_size=architecture["patch_size"],
        embed_dim=architecture["hidden_dim"],
        depth=architecture["num_layers"],
        num_heads=architecture["num_heads"],
        num_classes=NUM_CLASSES,
        **({} if distilled else {"init_values": architecture["layer_scale_init"], "no_embed_class": True}),
    )
    return _torch_step(module, setting, compiled)


PEERS = {"keras_hub": _keras_hub, "transformers": _transformers, "timm": _timm}


def _two_token_arguments(setting):
    architecture = setting.architecture
    if not architecture["distilled"]:
        raise ValueError(f"it has two tokens always and no LayerScale, so no {setting.variant}")
    names = ("patch_size", "hidden_dim", "num_layers", "num_heads")
    return {**{name: architecture[name] for name in names}, "intermediate_dim": 4 * architecture["hidden_dim"]}


def _keras_step(model, setting, compiled=False):
    images, labels = setting.batch()
    if setting.mode == "inference":
        forward = _FORWARDS[keras.backend.backend()](model, images, compiled)
        return lambda: keras.ops.convert_to_numpy(forward())
    model.compile(
        optimizer=keras.optimizers.AdamW(1e-4, weight_decay=0.05),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=compiled or "auto",
    )
    images, labels = keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(labels)
    return lambda: model.train_on_batch(images, labels)  # it answers with a number, so it waits


def _tensorflow_forward(model, images, _):
    import tensorflow as tf

    images, function = tf.constant(images), tf.function(lambda images: model(images, training=False))
    return lambda: function(images)


def _jax_forward(model, images, _):
    import jax

    groups = (model.trainable_variables, model.non_trainable_variables)
    state = [[variable.value for variable in group] for group in groups]
    function = jax.jit(lambda state, images: model.stateless_call(*state, images, training=False)[0])
    images = jax.device_put(images)
    return lambda: function(state, images)


def _torch_forward(model, images, compiled):
    import torch

    images = keras.ops.convert_to_tensor(images)
    function = torch.compile(lambda images: model(images, training=False)) if compiled else model

    def forward():
        with torch.no_grad():
            return function(images) if compiled else model(images, training=False)

    return forward


_FORWARDS = {"tensorflow": _tensorflow_forward, "jax": _jax_forward, "torch": _torch_forward}


def _torch_step(module, setting, compiled=False):
    import torch

    device, dtype = "cuda" if torch.cuda.is_available() else "cpu", getattr(torch, setting.precision)
    images, labels = (torch.from_numpy(array).to(device) for array in setting.batch())
    images = images.permute(0, 3, 1, 2).contiguous()
    module = module.to(device).train(setting.mode == "training")
    function = torch.compile(module) if compiled else module
    if setting.mode == "inference":
        module, images = module.to(dtype), images.to(dtype)

        def infer():
            with torch.no_grad():
                return _logits(function(images)).float().cpu()

        return infer

    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4, weight_decay=0.05)

    def train():
        with torch.autocast(device, dtype=torch.bfloat16, enabled=setting.precision == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(_logits(function(images)), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return train


def _logits(outputs):
    return getattr(outputs, "logits", outputs)


def _has_gpu():
    return not _device().startswith("cpu")


def _device():
    name = {"tensorflow": _tensorflow_gpu, "jax": _jax_gpu, "torch": _torch_gpu}[keras.backend.backend()]()
    return name or f"cpu ({usable_cores()} cores)"


def _tensorflow_gpu():
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU") if gpus else None


def _jax_gpu():
    import jax

    device = jax.devices()[0]
    return None if device.platform == "cpu" else device.device_kind


def _torch_gpu():
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _run_elsewhere(options):
    status, results = 0, []
    for backend in BACKENDS if options.backend == "all" else (options.backend,):
        if importlib.util.find_spec(backend) is None:
            print(f"{backend} is not installed. Install it with: pip install 'keras-deit[{backend}]'", file=sys.stderr)
            status = 1
            continue
        with tempfile.TemporaryDirectory() as directory:
            report = pathlib.Path(directory, "results.json")
            status = _run_backend(options, backend, report) or status
            results += json.loads(report.read_text()) if report.exists() else []
    _write_json(options.json, results)
    return status


def _run_backend(options, backend, report):
    values = {"variant": options.variant, "batch-size": options.batch_size, "image-size": options.image_size}
    values |= {"precision": options.precision, "mode": options.mode, "rounds": options.rounds, "json": report}
    given = [text for name, value in values.items() if value is not None for text in (f"--{name}", str(value))]
    return subprocess.run(
        [sys.executable, "-m", "keras_deit.benchmark.models", *given, "--peers", *options.peers],
        env=child_environment(backend),
    ).returncode


def _write_json(path, results):
    if path is not None:
        path.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    sys.exit(main())
