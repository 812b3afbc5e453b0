"""`keras-deit benchmark`: time a model, or the input pipeline, beside other implementations."""

import json
import sys

import keras

from keras_deit.benchmark import data, models
from keras_deit.benchmark.images import FILE_SIZE
from keras_deit.benchmark.operations import operation_milliseconds
from keras_deit.benchmark.peers import PEERS
from keras_deit.benchmark.setting import PipelineSetting, Setting
from keras_deit.benchmark.table import operation_table, pipeline_table
from keras_deit.cli.common import make_parser, reporting
from keras_deit.models import get_variant
from keras_deit.runtime.cores import usable_cores
from keras_deit.runtime.files import write_whole

BACKENDS = ("tensorflow", "jax", "torch")
MODES = ("inference", "training")

DESCRIPTION = """\
Time a model beside KerasHub's DeiT on the same backend and, on PyTorch, beside those of transformers and timm. Packages
that are not installed are left out. All models are timed in turns, and the ratios are taken within a round. On a GPU with
PyTorch, this package's model and timm's are also timed under torch.compile.

`keras-deit benchmark data` times the input pipeline instead; see `keras-deit benchmark data --help`."""

DATA_DESCRIPTION = """\
Time the input pipeline with the augmentation of the recipe `deit`, from JPEG files of ImageNet's typical size to mixed
batches: this package's by tf.data and by Grain's worker processes, timm's transform in PyTorch's worker processes, and
keras-cv's layers in tf.data. Packages that are not installed are left out. Each round runs all pipelines in turn on the
same cores, each in a process of its own, and the ratios are taken within a round.

A second table gives the milliseconds of each augmentation operation on one core, within tf.data and by Pillow."""


def main(arguments=None):
    """Runs the command.

    Args:
        arguments: List of strings; None means those of the process.

    Returns:
        The exit status: 0; 1 if a backend is not installed or its process failed; 2 for bad input; 130 after Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["data"]:
        return _benchmark_data(arguments[1:])
    return _benchmark_models(arguments)


@reporting(lambda: _model_parser())
def _benchmark_models(arguments):
    options = _model_parser().parse_args(arguments)
    _check_positive(options, "batch_size", "image_size", "rounds")
    settings = _settings(options)
    if options.backend in (None, keras.backend.backend()):
        status, results = 0, models.run(settings, options.rounds, options.peers)
    else:
        status, results = _run_on_backends(settings, options)
    _write(results, options.output)
    return status


@reporting(lambda: _data_parser())
def _benchmark_data(arguments):
    options = _data_parser().parse_args(arguments)
    _check_positive(options, "image_size", "batch_size", "batches", "num_workers", "rounds")
    setting = PipelineSetting(options.image_size, options.batch_size, options.batches, options.num_workers)
    results, left_out = data.run(setting, options.rounds)
    print(pipeline_table(setting, results, left_out, options.rounds, FILE_SIZE), flush=True)
    _write(results, options.output)
    if not options.no_operations:
        print()
        print(operation_table(operation_milliseconds(options.image_size)))


def _settings(options):
    architecture = dict(get_variant(options.variant).arguments)
    architecture["image_size"] = options.image_size or architecture["image_size"]
    modes = MODES if options.mode == "both" else (options.mode,)
    return [Setting(options.variant, mode, options.batch_size, options.precision, architecture) for mode in modes]


def _run_on_backends(settings, options):
    status, results = 0, []
    for backend in BACKENDS if options.backend == "all" else (options.backend,):
        try:
            results += models.run_in_child_process(backend, settings, options.rounds, options.peers)
        except (ImportError, RuntimeError) as error:  # the other backends are still timed
            print(f"keras-deit benchmark: error: {error}", file=sys.stderr)
            status = 1
    return status, results


def _check_positive(options, *names):
    for name in names:
        value = getattr(options, name)
        if value is not None and value < 1:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} must be positive. Received: {option} {value}")


def _write(results, path):
    if path is not None:
        write_whole(path, json.dumps(results, indent=1) + "\n")


def _model_parser():
    parser = make_parser("benchmark", DESCRIPTION)
    group = parser.add_argument_group("model")
    group.add_argument("--variant", default="deit_s", help="for example deit_ti, deit_s (the default) or deit3_b")
    group.add_argument("--batch-size", type=int, default=8, metavar="N", help="images per step; default: 8")
    group.add_argument("--image-size", type=int, metavar="PIXELS", help="side of the images; default: the variant's")
    group.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="bfloat16 is mixed precision in training; default: float32",
    )
    group.add_argument(
        "--mode", choices=(*MODES, "both"), default="both", help="time the forward pass, a training step or both"
    )
    group = parser.add_argument_group("measurement")
    group.add_argument("--backend", choices=(*BACKENDS, "all"), help="default: the backend of KERAS_BACKEND")
    group.add_argument(
        "--peers",
        nargs="*",
        choices=tuple(PEERS),
        default=list(PEERS),
        help="implementations to compare with; transformers and timm run on PyTorch only; default: all",
    )
    group.add_argument(
        "--rounds", type=int, default=20, metavar="N", help="times that each model is timed; default: 20"
    )
    group.add_argument("--output", metavar="FILE.json", help="write all measured values to this file")
    return parser


def _data_parser():
    parser = make_parser("benchmark data", DATA_DESCRIPTION)
    group = parser.add_argument_group("pipeline")
    group.add_argument(
        "--image-size", type=int, default=224, metavar="PIXELS", help="side of the augmented images; default: 224"
    )
    group.add_argument("--batch-size", type=int, default=64, metavar="N", help="images per batch; default: 64")
    group.add_argument(
        "--num-workers", type=int, default=usable_cores(), metavar="N", help="threads or processes; default: one a core"
    )
    group = parser.add_argument_group("measurement")
    group.add_argument(
        "--batches", type=int, default=30, metavar="N", help="batches timed per round, after a warm-up; default: 30"
    )
    group.add_argument("--rounds", type=int, default=3, metavar="N", help="default: 3")
    group.add_argument("--no-operations", action="store_true", help="leave out the table of operations")
    group.add_argument("--output", metavar="FILE.json", help="write each pipeline's images per second to this file")
    return parser
