"""Quantization of LiteRT files: which operations use integers of 8 bits, and which remain in float32."""

import contextlib
import io
import warnings

from keras_deit.export.signatures import INPUT, SERVING_DEFAULT
from keras_deit.runtime.cores import usable_cores
from keras_deit.runtime.optional import require

QUANTIZATIONS = (None, "float16", "dynamic_int8", "int8")
MATRIX_PRODUCTS = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D")


def quantize(content, quantization, batches=None, int8_io=False):
    """Quantizes a LiteRT file in float32.

    Only the products with weights are quantized: dense layers and convolutions. The attention, the softmax, the layer norms,
    GELU and the sums of the residual stream remain in float32, because a vision transformer that computes them in 8 bits
    loses its accuracy.

    Args:
        content: The file, a bytes object. It has the signature `serving_default` with the input `images`.
        quantization: `"float16"`: weights in float16, which the program that runs the file turns into float32.
            `"dynamic_int8"`: weights in int8, with one scale for each output channel; the inputs of each product are
            quantized when the file runs, by their own range. `"int8"`: weights in int8, inputs and outputs of each product
            in int8, with ranges that were measured on the calibration images.
        batches: For `"int8"`, a list of arrays that the file takes as its input, to measure ranges on.
        int8_io: For `"int8"`, whether the input and the output of the file are int8 as well.

    Returns:
        The quantized file, a bytes object.

    Raises:
        ImportError: If the package that quantizes is not installed; the message names the extra.

    Reference:
        AI Edge Quantizer, https://github.com/google-ai-edge/ai-edge-quantizer. Why some operations remain in float32:
        Lin et al., 2021 (arXiv 2111.13824), section 3, and Bondarenko et al., 2021 (arXiv 2109.12948), section 3.
    """
    quantizer = quantizer_package().Quantizer(content)
    for operation in (*MATRIX_PRODUCTS, *(("INPUT", "OUTPUT") if int8_io else ())):
        _add_to_recipe(quantizer, operation, quantization)
    with warnings.catch_warnings(action="ignore"), contextlib.redirect_stderr(io.StringIO()):  # progress bars
        ranges = _ranges(content, quantizer.get_quantization_recipe(), batches) if quantization == "int8" else None
        result = quantizer.quantize(ranges, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


def quantizer_package():
    """Imports the module that quantizes LiteRT files.

    Returns:
        The module `ai_edge_quantizer.quantizer`.

    Raises:
        ImportError: If the package is not installed; the message names the extra.
    """
    return require("ai_edge_quantizer.quantizer", extra="export", purpose="Quantizing a LiteRT file")


def _add_to_recipe(quantizer, operation, quantization):
    from ai_edge_quantizer import qtyping

    operation = qtyping.TFLOperationName(operation)
    if quantization == "float16":
        quantizer.add_weight_only_config(".*", operation, num_bits=16, algorithm_key="float_casting")
    elif quantization == "dynamic_int8":
        quantizer.add_dynamic_config(".*", operation, num_bits=8)
    else:
        quantizer.add_static_config(".*", operation, activation_num_bits=8, weight_num_bits=8)


def _ranges(content, recipe, batches):
    """Measures the smallest and the largest value of every tensor over all calibration images.

    `Quantizer.calibrate` would take a moving average over the images. Values of a rare image that are cut off cost more than
    the wider steps of the whole range.
    """
    from ai_edge_quantizer import calibrator, recipe_manager
    from ai_edge_quantizer.utils import qsv_utils

    recipes = recipe_manager.RecipeManager()
    recipes.load_quantization_recipe(recipe)
    measured = calibrator.Calibrator(content, usable_cores(), qsv_update_func=qsv_utils.min_max_update)
    measured.calibrate({SERVING_DEFAULT: [{INPUT: batch} for batch in batches]}, recipes)
    return measured.get_model_qsvs()
