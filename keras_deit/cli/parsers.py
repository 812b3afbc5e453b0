"""The parsers of the commands. They import neither Keras nor a backend, so that `--help` is printed at once."""

import argparse

from keras_deit.choices import (
    ATTENTION_METHODS,
    CROP_RATIO,
    EVALUATION_FILES,
    EXPLANATION_FILES,
    EXPORT_FORMATS,
    EXPORT_INPUTS,
    EXPORTED,
    IMAGE_ISSUES,
    INFERENCE_PRECISIONS,
    INTERPOLATION,
    INTERPOLATIONS,
    SOURCES,
    SPLITS,
)
from keras_deit.cli.benchmark_parsers import (
    benchmark_data_parser,
    benchmark_export_parser,
    benchmark_parser,
    benchmark_roofline_parser,
    benchmark_startup_parser,
)
from keras_deit.cli.common import make_parser
from keras_deit.cli.options import add_setting_options
from keras_deit.recipes.fields import DATA, GROUPS, RUN, TEACHER, settings_of
from keras_deit.training.settings import Settings

DATASET_SETTINGS = ("train_folder", "test_folder", "test_split", "bit_depth", "data_dir")  # of `validate-data`

PREDICT = """\
Classify images and print the most probable classes of each. Published weights are downloaded once and then found without a
network; `keras_deit.list_presets()` lists their names. The environment variable KERAS_BACKEND selects the backend."""

EVALUATE = """\
Evaluate a model on labelled images: the accuracy of each head and of their fusion, precision and recall of each class, and
the most confident mistakes. The images are prepared as in the run or preset that the model is from. The classes of the
dataset are matched with those of the model by name. Without --bit-depth, the bit depth of the run that trained the model is
used. The environment variable KERAS_BACKEND selects the backend."""

EXPLAIN = """\
Draw which patches of an image the class token and the distillation token attend to: for each image a PNG file with the
image, its most probable classes, and a map for each token. With --dataset, also compute how often the teacher, the two
heads and their fusion predict different classes, how similar the two tokens are after each block, and how far each
attention head looks.

A map of attention shows where information comes from, not why the model decides as it does. The environment variable
KERAS_BACKEND selects the backend."""

ALL = "all"  # splits of a dataset as one

EXPORT = """\
Write a trained model as files for other runtimes, and compare each exported model with the original:

  saved_model  TensorFlow and TensorFlow Serving
  litert       LiteRT (formerly TensorFlow Lite); with a quantization: litert:float16, litert:dynamic_int8, litert:int8
  onnx         ONNX Runtime and other programs that read ONNX
  openvino     OpenVINO

The comparison uses the test split of --data, and litert:int8 is calibrated on images of the training split. The images are
prepared as in the run or preset that the model is from. Each exported model must meet a condition:

  litert:float16        a logit differs by at most 5e-3 from the original
  litert:dynamic_int8   the same class as the original for 99.5 % of the images
  litert:int8           the same class as the original for 99 % of the images
  the other formats     a logit differs by at most 1e-4 from the original

If an exported model does not, the command exits with status 1."""

CONVERT = """\
Convert weights between timm, the official DeiT code, Hugging Face transformers and Keras. The format of --weights is
recognised from the content. The file extension of --output selects the format that is written:

  .safetensors     tensors with the names of timm
  .pth             tensors with the names of the official code (needs PyTorch)
  .keras           a Keras model of this package
  no extension     a directory for transformers, with config.json and preprocessor_config.json

Every format keeps the names of the classes and the preparation of images.
"""

SHOW_DATA = """\
Draw one batch of training images after cropping, augmentation and mixing (mixup and CutMix), with their labels. With
--teacher, the teacher's predictions are drawn too. The options are those of `keras-deit train`. A batch has 32 images
unless --batch-size or --config gives another number."""

VALIDATE_DATA = (
    "Read every image of a dataset. Print the images that training excludes, and the number of the other images that have\n"
    "an issue. --output writes a list of all images that have one of these issues:\n\n"
    + "\n".join(f"  {issue:<15} {meaning}" for issue, meaning in IMAGE_ISSUES.items())
)


def predict_parser():
    """Makes the parser of `keras-deit predict`."""
    parser = make_parser("predict", PREDICT)
    parser.add_argument(
        "images",
        nargs="+",
        metavar="IMAGE",
        help="an image file, or a directory whose images are found at any depth; hidden files are skipped",
    )
    _add_model_options(parser)
    group = parser.add_argument_group("images")
    _add_preparation_options(group)
    group.add_argument(
        "--bit-depth",
        type=int,
        metavar="BITS",
        help="number of bits that the pixels use, for example 12; only for image files of 16 bits that do not state this "
        "number; default: the bit depth of the run that trained the model, or 16",
    )
    group = parser.add_argument_group("predictions")
    group.add_argument("--top", type=int, default=5, metavar="K", help="number of classes to print; default: 5")
    group.add_argument(
        "--class-names",
        metavar="FILE",
        help="text file with one class name on each line; default: the names that are stored in the model",
    )
    return parser


def evaluate_parser():
    """Makes the parser of `keras-deit evaluate`."""
    parser = make_parser("evaluate", EVALUATE)
    _add_model_options(parser)
    group = add_setting_options(parser, [DATA])[DATA]
    group.add_argument(
        "--split",
        choices=(*SPLITS, ALL),
        default="test",
        help="split to evaluate; all: the images of both splits; default: test",
    )
    _add_preparation_options(parser.add_argument_group("images"))
    group = parser.add_argument_group("figures")
    files = ", ".join(EVALUATION_FILES)
    group.add_argument("--output", metavar="DIR", help=f"directory for the files {files}; default: no files")
    group.add_argument("--mistakes", type=int, default=10, metavar="N", help="number of mistakes to print; default: 10")
    group.add_argument(
        "--report",
        action="store_true",
        help="--weights is the directory of a run: write its report.html again; dataset and teacher are those of the run "
        "where no option is given",
    )
    return parser


def explain_parser():
    """Makes the parser of `keras-deit explain`."""
    parser = make_parser("explain", EXPLAIN)
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="an image file, or a directory whose images are found at any depth; hidden files are skipped",
    )
    _add_model_options(parser, takes_exports=False)
    _add_preparation_options(parser.add_argument_group("images"))
    _add_attention_options(parser.add_argument_group("attention"))
    teacher = [name for name in _without(TEACHER) if name.startswith("teacher") and "cache" not in name]
    groups = add_setting_options(parser, [DATA, TEACHER], [*_without(DATA, "dataset"), *teacher])
    group = groups[DATA]
    group.add_argument(
        "--dataset",
        metavar="NAME",
        help="images for the figures of a dataset, as for --dataset of keras-deit train; default: no such figures",
    )
    group.add_argument("--split", choices=SPLITS, default="test", help="split of the dataset; default: test")
    group.add_argument(
        "--max-images",
        type=int,
        default=1000,
        metavar="N",
        help="number of images of the dataset, at equal distances in its order; default: 1000",
    )
    return parser


def export_parser():
    """Makes the parser of `keras-deit export`."""
    parser = make_parser("export", EXPORT)
    parser.add_argument("source", nargs="?", metavar="RUN_OR_WEIGHTS", help=SOURCES)
    group = parser.add_argument_group("model")
    group.add_argument("--weights", metavar="NAME", help="the same as RUN_OR_WEIGHTS")
    _add_weights_options(group)
    _add_image_size(group)
    group = parser.add_argument_group("exports")
    group.add_argument(
        "--format",
        type=_names,
        required=True,
        metavar="FORMATS",
        help=f"formats, separated by commas: {', '.join(EXPORT_FORMATS)}",
    )
    group.add_argument(
        "--output",
        metavar="DIR",
        help="directory that the exports are written to; default: the run's directory; for other weights, exports",
    )
    group.add_argument("--overwrite", action="store_true", help="replace earlier exports in the directory")
    group.add_argument(
        "--inputs",
        choices=EXPORT_INPUTS,
        default=EXPORT_INPUTS[0],
        help="what the exported models take: normalized images; pixels in 0..255 (saved_model, litert); bytes of image "
        "files (saved_model); default: normalized",
    )
    group = add_setting_options(parser, [DATA], _without(DATA, "dataset"))[DATA]
    group.add_argument(
        "--data",
        dest="dataset",
        metavar="DIR",
        help="labelled images for the comparison and the calibration, as for --dataset of keras-deit train; default: no "
        "comparison",
    )
    group = parser.add_argument_group("comparison")
    group.add_argument(
        "--report",
        action="store_true",
        help="also measure the time of calls, and write export_report.json and export_report.html (a page with plots) to "
        "the output directory",
    )
    group.add_argument(
        "--tolerance",
        type=float,
        metavar="DIFFERENCE",
        help="largest accepted absolute difference of a logit, in every format, in place of what is listed above",
    )
    group.add_argument(
        "--max-images",
        type=int,
        metavar="N",
        help="compare on N images at equal distances in the dataset's order; default: all that fit into 256 MiB",
    )
    return parser


def convert_parser():
    """Makes the parser of `keras-deit convert`."""
    parser = make_parser("convert", CONVERT)
    parser.add_argument("--weights", required=True, metavar="SOURCE", help=SOURCES)
    parser.add_argument("--output", required=True, metavar="DESTINATION", help="the file or directory to write")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing DESTINATION")
    parser.add_argument(
        "--model-card",
        action="store_true",
        help="also write a model card for the Hugging Face hub, README.md, into the directory or beside the file; with the "
        "accuracies of the run if SOURCE is one",
    )
    group = parser.add_argument_group("architecture", "Needed only if it cannot be inferred from the weights.")
    _add_weights_options(group)
    return parser


def show_data_parser():
    """Makes the parser of `keras-deit show-data`."""
    parser = make_parser("show-data", SHOW_DATA)
    add_setting_options(parser, [group for group in GROUPS if group != RUN])
    group = parser.add_argument_group("grid")
    group.add_argument(
        "--output", default="data.png", metavar="FILE.png", help="image file to write; default: data.png"
    )
    group.add_argument(
        "--epoch", type=int, default=0, metavar="N", help="epoch whose samples are drawn, from 0; default: 0"
    )
    group.add_argument("--config", metavar="FILE.toml", help="settings, such as the config.toml of a run")
    return parser


def validate_data_parser():
    """Makes the parser of `keras-deit validate-data`."""
    parser = make_parser("validate-data", VALIDATE_DATA)
    parser.add_argument(
        "dataset", help="a folder of class folders, a .csv file, an .npz file or the name of a dataset of TFDS"
    )
    parser.add_argument("--split", choices=(*SPLITS, "both"), default="both", help="split to check; default: both")
    add_setting_options(parser, [DATA], DATASET_SETTINGS)
    parser.add_argument("--num-workers", type=int, metavar="N", help="number of threads; default: one for each core")
    parser.add_argument(
        "--output",
        metavar="FILE.json",
        help="report to write, which lists all images with an issue; for the option --validated of keras-deit train",
    )
    return parser


PARSERS = {
    "predict": predict_parser,
    "evaluate": evaluate_parser,
    "explain": explain_parser,
    "export": export_parser,
    "convert": convert_parser,
    "show-data": show_data_parser,
    "validate-data": validate_data_parser,
    "benchmark": benchmark_parser,
    "benchmark data": benchmark_data_parser,
    "benchmark export": benchmark_export_parser,
    "benchmark startup": benchmark_startup_parser,
    "benchmark roofline": benchmark_roofline_parser,
}


def _add_model_options(parser, takes_exports=True):
    """Adds the options that name a classifier."""
    group = parser.add_argument_group("model")
    sources = f"{SOURCES}; or {EXPORTED}" if takes_exports else SOURCES
    group.add_argument("--weights", required=True, metavar="NAME", help=sources)
    _add_weights_options(group)
    _add_image_size(group)
    group.add_argument(
        "--precision",
        choices=INFERENCE_PRECISIONS,
        help="precision of the weights and of the computation; bfloat16 needs half of the memory, and less time on "
        "processors and GPUs with instructions for it; default: the precision of the model",
    )


def _add_image_size(group):
    group.add_argument(
        "--image-size",
        type=int,
        metavar="PIXELS",
        help="height and width of the images; for another size than that of the weights, the position embeddings are "
        "interpolated; default: the image size of the weights",
    )


def _add_preparation_options(group):
    """Adds the options that replace what the model's record says on the preparation of images, without `--bit-depth`."""
    unknown = "default: the value that is stored in the model, otherwise"
    group.add_argument(
        "--crop-ratio",
        type=float,
        metavar="FRACTION",
        help=f"side of the centre crop, as a fraction of the shorter side of the resized image; {unknown} {CROP_RATIO}",
    )
    group.add_argument(
        "--interpolation",
        choices=INTERPOLATIONS,
        help=f"filter of Pillow that resizes the image; {unknown} {INTERPOLATION}",
    )
    group.add_argument(
        "--squash",
        action=argparse.BooleanOptionalAction,
        help=f"resize without keeping the aspect ratio; {unknown} --no-squash",
    )
    for name, meaning in (("mean", "mean"), ("std", "standard deviation")):
        group.add_argument(
            f"--{name}",
            type=_channels,
            metavar="R,G,B",
            help=f"{meaning} of each channel, for pixels in 0..1; {unknown} ImageNet's",
        )


def _add_attention_options(group):
    """Adds the options on the attention maps of `keras-deit explain` and on its files."""
    group.add_argument(
        "--method",
        choices=ATTENTION_METHODS,
        default=ATTENTION_METHODS[0],
        help="rollout: the attention of all blocks together; raw: the attention in one block; gradient: a rollout of the "
        "attention that raises the logit of the class that the head of the token predicts; default: rollout",
    )
    group.add_argument(
        "--discard-ratio",
        type=float,
        metavar="FRACTION",
        help="fraction of the smallest attention values of each block that the rollout leaves out, at least 0 and below 1; "
        "default: 0",
    )
    group.add_argument(
        "--block", type=int, metavar="N", help="block of the raw attention, counted from 1; default: the last one"
    )
    group.add_argument(
        "--head",
        type=int,
        metavar="N",
        help="attention head of the raw attention, counted from 1; default: the mean of all heads",
    )
    group.add_argument("--top", type=int, default=3, metavar="K", help="number of classes to name; default: 3")
    group.add_argument(
        "--output",
        default="explanation",
        metavar="DIR_OR_FILE",
        help="directory for a file NAME-attention.png for each image, and with --dataset for "
        f"{', '.join(EXPLANATION_FILES)}; for one image also the PNG file; default: explanation",
    )
    group.add_argument("--arrays", action="store_true", help="also write the maps of each image as an .npz file")
    group.add_argument("--overwrite", action="store_true", help="replace existing files")


def _add_weights_options(group):
    """Adds the options on weights without a model."""
    group.add_argument(
        "--weights-entry",
        metavar="KEY",
        help="key of the weights in a checkpoint that holds several, such as model_ema, or the prefix of their names; "
        "default: the key model or state_dict, or the only key with weights",
    )
    group.add_argument("--variant", help="variant of a checkpoint; default: inferred from the shapes of the tensors")
    group.add_argument(
        "--num-heads",
        type=int,
        metavar="N",
        help="number of attention heads of a checkpoint, if no published variant has the same shapes of tensors",
    )


def _without(group, *names):
    """The names of a group's settings without some of them."""
    return [name for name, declared in settings_of(Settings).items() if declared.group == group and name not in names]


def _names(text):
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _channels(text):
    values = tuple(float(value) for value in text.split(","))
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"expected three numbers, separated by commas. Received: {text!r}")
    return values
