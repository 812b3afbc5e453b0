"""The parsers of `keras-deit benchmark`. They import neither Keras nor a backend, like the parsers of the other commands."""

from keras_deit.choices import PEERS, REGNETY_VARIANTS
from keras_deit.cli.common import make_parser
from keras_deit.runtime.cores import usable_cores

BACKENDS = ("tensorflow", "jax", "torch")
PRECISIONS = ("float32", "bfloat16")
MODES = ("inference", "training", "distillation")

BENCHMARK = """\
Compare the speed of a model of this package with those of KerasHub and zeromodels on the same backend and, on PyTorch, with
those of transformers and of timm, as it is and with torch.compile. Packages that are not installed are left out. A round
times each model and a large matrix product once, and the ratios are taken within a round. The column MFU gives the speed
of a model as a fraction of the speed of the matrix product.

The mode `distillation` times a step of hard distillation, and in the same rounds its two parts alone: the training step of
the student, and the forward pass of the teacher.

Other benchmarks have their own options, which `keras-deit benchmark NAME --help` lists:

  data      the input pipelines
  export    the exports of a model
  startup   imports, and the first training step
  roofline  operations and bytes of each part of a step, beside the speed of arithmetic and memory"""

BENCHMARK_DATA = """\
Compare the speed of input pipelines with the augmentation of the recipe `deit`, from JPEG files of ImageNet's typical size
to mixed batches: this package's pipelines tf.data and Grain, timm's transform in PyTorch's worker processes, and
keras-cv's layers in tf.data. Packages that are not installed are left out. A round runs each pipeline once, in a process
of its own on the same cores, and the ratios are taken within a round.

A second table gives the milliseconds of each augmentation operation on one core, with tf.data and with Pillow."""

BENCHMARK_EXPORT = """\
Compare the speed of the exports of a model on the CPU: LiteRT in float32 and in each quantization, and ONNX Runtime in
float32 and quantized by its own dynamic quantization. timm's model on PyTorch is timed as it is and with torch.compile.
Packages that are not installed are left out. A round times each one once in the same process, and the ratios are taken
within a round. The weights are random, which does not change the time."""

BENCHMARK_STARTUP = """\
Time how long starting takes, each in a process of its own: the import of Keras with its backend, the import of this
package, `keras-deit --help`, and a program that builds a model and trains it for one step. On JAX, the same program is also
timed when the compilation cache holds the step. The environment variable KERAS_BACKEND selects the backend."""

BENCHMARK_ROOFLINE = """\
Measure the speed of a large matrix product and of reading memory, and print the operations and bytes of each part of a step
with the shortest time that they allow. The counts are computed from the architecture, and the model is not run. The
environment variable KERAS_BACKEND selects the backend."""


def benchmark_parser():
    """Makes the parser of `keras-deit benchmark`."""
    parser = make_parser("benchmark", BENCHMARK)
    group = _add_model_options(parser, variant="deit_s", batch_size=8)
    _add_precision(group, "bfloat16 is mixed precision in training; ")
    group.add_argument(
        "--mode",
        nargs="+",
        choices=MODES,
        default=list(MODES),
        help="what is timed: the forward pass, a training step, a distillation step; default: all three",
    )
    group.add_argument(
        "--teacher",
        choices=REGNETY_VARIANTS,
        default="regnety_002",
        help="teacher of the mode distillation; that of the DeiT paper is regnety_160; default: regnety_002",
    )
    group.add_argument(
        "--compile",
        action="store_true",
        help="time the Keras models also with jit_compile=True: XLA on TensorFlow, torch.compile on PyTorch; JAX always "
        "compiles",
    )
    group = parser.add_argument_group("measurement")
    group.add_argument(
        "--backend", choices=(*BACKENDS, "all"), help="backend to measure; default: that of KERAS_BACKEND"
    )
    group.add_argument(
        "--peers",
        nargs="*",
        choices=PEERS,
        default=list(PEERS),
        help="implementations to compare with; transformers and timm run on PyTorch only; default: all",
    )
    group.add_argument("--rounds", type=int, default=20, metavar="N", help="number of rounds; default: 20")
    group.add_argument(
        "--memory",
        action="store_true",
        help="also measure the peak memory of each model: run a few steps of each in a process of its own",
    )
    group.add_argument(
        "--sweep",
        nargs="+",
        metavar=("DIMENSION", "VALUE"),
        help="time this package alone over several values of image_size, variant or batch_size, for example --sweep "
        "image_size 160 224 288, and compare the time with the number of operations",
    )
    group.add_argument("--output", metavar="FILE.json", help="file for all measured values")
    group.add_argument(
        "--plot",
        metavar="FILE.png",
        help="image file for bars of images per second; with --sweep, for the times",
    )
    return parser


def benchmark_data_parser():
    """Makes the parser of `keras-deit benchmark data`."""
    parser = make_parser("benchmark data", BENCHMARK_DATA)
    group = parser.add_argument_group("pipeline")
    group.add_argument(
        "--image-size",
        type=int,
        default=224,
        metavar="PIXELS",
        help="height and width of the augmented images; default: 224",
    )
    group.add_argument(
        "--batch-size", type=int, default=64, metavar="N", help="number of images in a batch; default: 64"
    )
    group.add_argument(
        "--num-workers",
        type=int,
        default=usable_cores(),
        metavar="N",
        help="number of threads or processes; default: one for each core",
    )
    group = parser.add_argument_group("measurement")
    group.add_argument(
        "--batches",
        type=int,
        default=30,
        metavar="N",
        help="number of timed batches in a round, after a warm-up; default: 30",
    )
    group.add_argument("--rounds", type=int, default=3, metavar="N", help="number of rounds; default: 3")
    group.add_argument("--no-operations", action="store_true", help="leave out the table of operations")
    group.add_argument("--output", metavar="FILE.json", help="file for the images per second of each pipeline")
    return parser


def benchmark_export_parser():
    """Makes the parser of `keras-deit benchmark export`."""
    parser = make_parser("benchmark export", BENCHMARK_EXPORT)
    _add_model_options(parser, variant="deit_ti", batch_size=1)
    group = parser.add_argument_group("measurement")
    group.add_argument(
        "--threads", type=int, default=usable_cores(), metavar="N", help="threads of each runtime; default: one a core"
    )
    group.add_argument("--rounds", type=int, default=10, metavar="N", help="times that each one is timed; default: 10")
    group.add_argument("--output", metavar="FILE.json", help="file for all measured values")
    return parser


def benchmark_startup_parser():
    """Makes the parser of `keras-deit benchmark startup`."""
    parser = make_parser("benchmark startup", BENCHMARK_STARTUP)
    _add_model_options(parser, variant="deit_ti", batch_size=8)
    group = parser.add_argument_group("measurement")
    group.add_argument("--rounds", type=int, default=5, metavar="N", help="times that each is started; default: 5")
    group.add_argument("--output", metavar="FILE.json", help="file for all measured values")
    return parser


def benchmark_roofline_parser():
    """Makes the parser of `keras-deit benchmark roofline`."""
    parser = make_parser("benchmark roofline", BENCHMARK_ROOFLINE)
    group = _add_model_options(parser, variant="deit_s", batch_size=8)
    _add_precision(group)
    group.add_argument("--mode", choices=("inference", "training"), default="training", help="default: training")
    group = parser.add_argument_group("measurement")
    group.add_argument("--rounds", type=int, default=10, metavar="N", help="number of rounds; default: 10")
    return parser


def _add_model_options(parser, variant, batch_size):
    """Adds the group of options that choose the model and the batch, with these defaults, and returns the group."""
    group = parser.add_argument_group("model")
    group.add_argument("--variant", default=variant, help=f"for example deit_ti or deit3_b; default: {variant}")
    group.add_argument(
        "--batch-size",
        type=int,
        default=batch_size,
        metavar="N",
        help=f"number of images in a step; default: {batch_size}",
    )
    group.add_argument(
        "--image-size", type=int, metavar="PIXELS", help="height and width of the images; default: those of the variant"
    )
    return group


def _add_precision(group, explanation=""):
    group.add_argument("--precision", choices=PRECISIONS, default="float32", help=f"{explanation}default: float32")
