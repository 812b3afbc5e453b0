"""The benchmarks' results as text tables."""

import statistics

import numpy as np

from keras_deit.benchmark.device import peak_flops


def model_table(setting, timings, left_out, backend, device):
    """Writes the step times of a model and its peers as a table.

    Args:
        setting: The `Setting` that was measured.
        timings: List of `Timing`, this package's first.
        left_out: Dictionary from the names of the peers that could not run to the reason.
        backend: Name of the Keras backend.
        device: Name of the device.

    Returns:
        Text of several lines. The ratio is the peer's time divided by this package's: above 1, this package is faster.
    """
    peak = peak_flops(device, setting.precision)
    lines = [
        f"{setting.variant} at {setting.architecture['image_size']} pixels, batch {setting.batch_size}, "
        f"{setting.precision}, {setting.mode}; {backend} on {device}, {len(timings[0].seconds)} rounds",
        f"{'':22}{'ms':>10}{'images/s':>10}{'GFLOP/s':>10}   peer / ours: median (quartiles)",
        *(_model_row(setting, timing, peak, with_ratio=index > 0) for index, timing in enumerate(timings)),
        *(f"{name:22} left out: {reason}" for name, reason in left_out.items()),
    ]
    return "\n".join(lines) + "\n"


def _model_row(setting, timing, peak, with_ratio):
    seconds = float(np.median(timing.seconds))
    flops = setting.step_flops / seconds
    low, middle, high = np.percentile(timing.ratios, (25, 50, 75))
    ratio = f"   {middle:.3f} ({low:.3f} to {high:.3f})" if with_ratio else ""
    share = f"   {flops / peak:.1%} of the peak" if peak else ""
    return f"{timing.name:22}{1e3 * seconds:10.2f}{setting.batch_size / seconds:10.1f}{flops / 1e9:10.1f}{ratio}{share}"


def pipeline_table(setting, results, left_out, rounds, file_size):
    """Writes the speed of input pipelines as a table.

    Args:
        setting: The `PipelineSetting` that was measured.
        results: Dictionary from names of pipelines to lists of images per second, one value per round.
        left_out: Dictionary from the names of the pipelines that could not run to the reason.
        rounds: Number of rounds.
        file_size: `(width, height)` of the image files in pixels.

    Returns:
        Text of several lines. The last column is the speed of this package's `tf.data` pipeline divided by the speed of the
        row's pipeline in the same round: the median and the range.
    """
    lines = [
        f"{setting.image_size} pixels, batches of {setting.batch_size}, {setting.num_workers} workers, JPEG files of "
        f"{file_size[0]}×{file_size[1]}; medians of {rounds} rounds",
        f"{'':<18}{'images/s':>10}{'core ms/image':>15}{'tf.data is faster by':>22}",
        *(_pipeline_row(setting, name, results) for name in results),
        *(f"{name}: left out, {reason}" for name, reason in left_out.items()),
    ]
    return "\n".join(lines)


def _pipeline_row(setting, name, results):
    speed, ratio = statistics.median(results[name]), ""
    if "tf.data" in results and name not in ("tf.data", "decoding only"):
        ratios = [ours / other for ours, other in zip(results["tf.data"], results[name], strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
    return f"{name:<18}{speed:>10.0f}{1e3 * setting.num_workers / speed:>15.2f}{ratio:>22}".rstrip()


def export_table(setting, num_threads, seconds, left_out):
    """Writes the latency of exported models as a table.

    Args:
        setting: The `Setting` that was measured.
        num_threads: Number of threads of each runtime.
        seconds: Dictionary from names to lists of seconds per batch, one value per round.
        left_out: Dictionary from the names of those that could not run to the reason.

    Returns:
        Text of several lines. The last column is the time of the row divided by that of timm's compiled model (its eager one
        if that could not run) in the same round: the median and the quartiles. Below 1, the row is faster than timm.
    """
    reference = next((name for name in ("timm compiled", "timm") if name in seconds), None)
    lines = [
        f"{setting.variant} at {setting.architecture['image_size']} pixels, batch {setting.batch_size}, "
        f"{num_threads} threads",
        f"{'':<22}{'ms':>8}   {f'ratio to {reference}: median (quartiles)' if reference else ''}".rstrip(),
        *(_export_row(name, times, seconds.get(reference)) for name, times in seconds.items()),
        *(f"{name:<22}left out: {reason}" for name, reason in left_out.items()),
    ]
    return "\n".join(lines)


def _export_row(name, seconds, reference):
    row = f"{name:<22}{1e3 * statistics.median(seconds):>8.2f}"
    if reference is None or seconds is reference:
        return row
    low, middle, high = np.percentile(np.array(seconds) / np.array(reference), (25, 50, 75))
    return f"{row}   {middle:.3f} ({low:.3f} to {high:.3f})"


def operation_table(rows):
    """Writes the times of single operations as a table.

    Args:
        rows: Iterable of tuples: name of the operation, its milliseconds within `tf.data`, its milliseconds by Pillow.

    Returns:
        Text of several lines.
    """
    lines = [f"{'milliseconds':<18}{'tf.data':>10}{'Pillow':>10}"]
    lines += [f"{name:<18}{within_tf_data:>10.2f}{by_pillow:>10.2f}" for name, within_tf_data, by_pillow in rows]
    return "\n".join(lines)
