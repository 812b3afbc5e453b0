"""`keras-deit convert`: convert weights from one framework's format to another's."""

from keras_deit.choices import SOURCES
from keras_deit.cli.common import make_parser, reporting
from keras_deit.models import pretrained
from keras_deit.runtime.files import replacing, user_path
from keras_deit.runtime.optional import require
from keras_deit.weights import to_huggingface, to_official, to_timm

DESCRIPTION = """\
Convert weights between timm, the official code, transformers and Keras. The content of the source determines its format. The
file extension of --output determines the format that is written:

  .safetensors     timm's names
  .pth             the official code's names (needs PyTorch)
  .keras           a Keras model of this package
  no extension     a directory for transformers, with config.json and preprocessor_config.json

The names of the classes and the preparation of images are kept in every format.
"""


@reporting(lambda: _parser())
def main(arguments=None):
    """Runs the command.

    Args:
        arguments: List of strings; None means the arguments of the process.

    Returns:
        The exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    output = user_path(options.output)
    write = _writer(output)
    if output.exists() and not options.overwrite:
        raise ValueError(f"{options.output!r} exists already: choose another name, or pass --overwrite.")
    if output.suffix == ".pth":
        require("torch", extra="torch", purpose="Writing a .pth file")  # before anything is downloaded
    model = pretrained(
        options.weights, variant=options.variant, num_heads=options.num_heads, weights_entry=options.weights_entry
    )
    write(model, output)
    print(f"{output}: {type(model).__name__}, {model.count_params():,} parameters.")


def _parser():
    parser = make_parser("convert", DESCRIPTION)
    parser.add_argument("--weights", required=True, metavar="SOURCE", help=SOURCES)
    parser.add_argument("--output", required=True, metavar="DESTINATION", help="the file or directory to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing DESTINATION")
    group = parser.add_argument_group("architecture", "Needed only if it cannot be inferred from the weights.")
    group.add_argument(
        "--weights-entry",
        metavar="KEY",
        help="key of the weights in a file that holds several, such as model_ema, or the prefix of their names; "
        "default: model or state_dict, or the only weights",
    )
    group.add_argument("--variant", help="variant of the weights; default: inferred from the shapes of the tensors")
    group.add_argument(
        "--num-heads", type=int, metavar="N", help="number of attention heads, if no published variant fits the weights"
    )
    return parser


def _writer(output):
    writers = {".safetensors": to_timm, ".pth": to_official, ".keras": _to_keras, "": to_huggingface}
    if output.suffix not in writers:
        extensions = ", ".join(extension for extension in writers if extension)
        raise ValueError(
            f"--output must end in one of {extensions}, or be a directory's name without a dot. Received: {str(output)!r}"
        )
    return writers[output.suffix]


def _to_keras(model, path):
    with replacing(path) as temporary:
        model.save(temporary)
