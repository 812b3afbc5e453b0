"""`keras-deit convert`: weights from one framework's files to another's."""

import pathlib
import sys

from keras_deit import weights
from keras_deit.cli.common import make_parser, reporting
from keras_deit.models import pretrained
from keras_deit.runtime.files import replacing
from keras_deit.runtime.optional import require

DESCRIPTION = """\
Convert weights between timm, the official code, transformers and Keras. What is read is told by the file; what is written
by the ending of DESTINATION:

  .safetensors     timm's names
  .pth             the official code's names (needs PyTorch)
  .keras           a Keras model of this package
  no ending        a directory for transformers, with config.json
"""


@reporting("convert")
def main(arguments=None):
    """Runs the command.

    Args:
        arguments: List of strings; None means those of the process.

    Returns:
        The exit status: 0; 2 for bad input; 130 after Ctrl-C.
    """
    options = _parser().parse_args(arguments)
    destination = pathlib.Path(options.destination)
    write = _writer(destination)
    if destination.exists() and not options.overwrite:
        raise ValueError(f"{options.destination!r} is there already: choose another name, or pass --overwrite.")
    if destination.suffix == ".pth":
        require("torch", extra="torch", purpose="Writing a .pth file")  # before anything is downloaded
    model = pretrained(options.source, variant=options.variant, num_heads=options.num_heads)
    write(model, destination)
    fusion = getattr(model, "fusion", "mean_logits")
    if fusion != "mean_logits" and destination.suffix != ".keras":
        print(f"The file holds the heads and not that they are fused by {fusion!r}.", file=sys.stderr)
    print(f"{destination}: {type(model).__name__}, {model.count_params():,} parameters.")


def _parser():
    parser = make_parser("convert", DESCRIPTION)
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a preset, hf://owner/repository, a .safetensors or .pth file, a directory of transformers', a .keras model",
    )
    parser.add_argument("destination", metavar="DESTINATION", help="the file or directory to write")
    group = parser.add_argument_group("what the tensors' shapes do not show")
    group.add_argument("--variant", help="default: the published one of the same shapes")
    group.add_argument("--num-heads", type=int, metavar="N", help="attention heads of a width that was not published")
    parser.add_argument("--overwrite", action="store_true", help="replace what is at DESTINATION")
    return parser


def _writer(destination):
    writers = {
        ".safetensors": weights.to_timm,
        ".pth": weights.to_official,
        ".keras": _to_keras,
        "": weights.to_huggingface,
    }
    if destination.suffix not in writers:
        endings = ", ".join(ending for ending in writers if ending)
        raise ValueError(
            f"{str(destination)!r} should end in one of {endings}, or be a directory's name without a dot."
        )
    return writers[destination.suffix]


def _to_keras(model, path):
    with replacing(path) as temporary:
        model.save(temporary)
