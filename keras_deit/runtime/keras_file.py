"""Loading `.keras` files: damaged and crafted ones are refused quickly, by name."""

import contextlib
import json
import math
import zipfile

import h5py
import keras

from keras_deit.runtime.files import user_path
from keras_deit.runtime.foreign_files import cause, excerpt

_CONFIG = "config.json"
_MAX_CONFIG = 50_000_000  # bytes
_LEAST_BYTES = 0.5  # of a parameter: int4
_LEAST_BLOCK = 1000  # bytes of the names and shapes in one block
_COMPRESSION = 4  # Keras does not compress; another tool may


def load_keras_file(path):
    """Loads a model that Keras has saved, without its optimizer.

    Args:
        path: Path of a `.keras` file, or of another file that `keras.saving.load_model` takes.

    Returns:
        The model.

    Raises:
        ImportError: If a package is missing.
        ValueError: If the file is damaged, holds classes that are not registered or objects that could run code, or
            describes a model of this package that is larger than the file.
    """
    path = user_path(path)
    if path.suffix == ".keras":
        _check(path)
    try:
        return keras.saving.load_model(path, compile=False)
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # damaged and crafted files cause errors of many kinds
        raise ValueError(
            f"The file {str(path)!r} cannot be loaded as a Keras model ({type(error).__name__}: {excerpt(error)}). The file "
            "is damaged, or it holds classes that are not registered: import the module that defines them first."
        ) from cause(error)


def check_weights_file(path, is_around_deit, advice):
    """Checks whether a file of `save_weights` is of a model around a DeiT or of a DeiT itself. Keras names no way out.

    Args:
        path: Path of the file. Other files than `.weights.h5` are not checked.
        is_around_deit: Whether the model that loads the file has a DeiT inside, as a Distiller has.
        advice: What to do otherwise.

    Raises:
        ValueError: If the file is of the other kind.
    """
    if is_around_deit:
        refuse_weights_file(path, "dei_t_backbone", "a DeiT itself", advice)
    else:
        refuse_weights_file(path, "dei_t", "a Distiller or a DeiTClassifier", advice)


def refuse_weights_file(path, layer, holder, advice):
    """Checks that a file of `save_weights` has no weights of a layer by which another kind of model is known.

    Args:
        path: Path of the file. Other files than `.weights.h5` are not checked.
        layer: Name of the layer's class in snake case, as in Keras's files.
        holder: What the model that has such a layer is.
        advice: What to do.

    Raises:
        ValueError: If the file has weights of such a layer.
    """
    layers = set()
    if str(path).endswith(".weights.h5"):
        with contextlib.suppress(OSError, KeyError), h5py.File(path) as file:  # Keras names what is wrong with the file
            layers = set(file["layers"])
    if layer in layers:
        raise ValueError(f"The file {str(path)!r} holds the weights of {holder}: {advice}")


def _check(path):
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.getinfo(_CONFIG).file_size > _MAX_CONFIG:
                raise ValueError(f"{_CONFIG} is larger than {_MAX_CONFIG:,} bytes")
            config = json.loads(archive.read(_CONFIG))
        needed = _least_size(config)
    except MemoryError:
        raise
    except Exception as error:  # damaged and crafted archives cause errors of many kinds
        raise ValueError(
            f"The file {str(path)!r} is not a complete Keras file ({type(error).__name__}: {excerpt(error)}). If a download "
            "or copy was interrupted, repeat it."
        ) from error
    size = path.stat().st_size
    if needed > _COMPRESSION * size:
        raise ValueError(
            f"The file {str(path)!r} describes a model of at least {needed:,} bytes, but it has only {size:,} bytes. It is "
            "damaged or was altered."
        )


def _least_size(config):
    """The number of bytes that the weights of this package's models in a config need at least."""
    if isinstance(config, list):
        return sum(map(_least_size, config))
    if not isinstance(config, dict):
        return 0
    inside = sum(map(_least_size, config.values()))
    arguments = config.get("config")
    if not str(config.get("registered_name")).startswith("keras_deit>") or not isinstance(arguments, dict):
        return inside
    return inside + _least_size_of_model(arguments)


def _least_size_of_model(arguments):
    if "num_layers" in arguments:
        width, layers, patch_size = (int(arguments[name]) for name in ("hidden_dim", "num_layers", "patch_size"))
        inner = int(arguments.get("intermediate_dim") or 4 * width)
        patches = math.prod(int(side) // patch_size for side in arguments["image_size"])
        parameters = layers * width * (4 * width + 2 * inner) + width * (3 * patch_size**2 + patches)
    elif "depths" in arguments:
        widths, layers = [int(width) for width in arguments["widths"]], sum(map(int, arguments["depths"]))
        parameters, width = sum(width * width for width in widths), widths[-1]
    else:
        return 0
    parameters += width * int(arguments.get("num_classes", 0))
    return int(_LEAST_BYTES * parameters) + _LEAST_BLOCK * layers
