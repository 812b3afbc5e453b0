"""The benchmarks' results as text tables."""

import statistics

import numpy as np

from keras_deit.benchmark import distillation
from keras_deit.benchmark.peers import COMPILED, OURS
from keras_deit.benchmark.roofline import least_seconds
from keras_deit.benchmark.sweep import by_series
from keras_deit.runtime.files import format_bytes


def model_table(measurement):
    """Writes the step times of a model and its peers as a table.

    Args:
        measurement: A `Measurement`.

    Returns:
        Text of several lines. The last two columns are ratios of times of the same round. In the column `best peer / row`, a
        value above 1 means that the row is faster than the best of the other packages. In the column `row / keras_deit`, a
        value above 1 means that this package is faster than the row.
    """
    setting, best, ours = measurement.setting, measurement.best_peer(), measurement.named(OURS)
    lines = [
        f"{title(setting)}; {measurement.backend} on {measurement.device}, "
        f"{len(measurement.matrix_product.seconds)} rounds: medians (quartiles)",
        f"{'':26}{'ms':>30}{'images/s':>10}{'GFLOP/s':>10}{'MFU':>7}{'memory':>10}   "
        f"{'best peer / row' if best else '':<25}{f'row / {OURS}' if best else ''}".rstrip(),
        *(_model_row(measurement, timing, best, ours) for timing in measurement.timings),
        *(f"{name:26}left out: {reason}" for name, reason in measurement.left_out.items()),
        f"MFU: the GFLOP/s divided by those of a matrix product in the same rounds ({measurement.peak_flops / 1e9:.1f})",
    ]
    if best:
        lines.append(f"best peer: {best.name}")
    if setting.mode == "distillation":
        lines.extend(_distillation_ratios(measurement))
    return "\n".join(lines) + "\n"


def title(setting):
    """Describes a `Setting` on one line."""
    size = setting.architecture["image_size"]
    teacher = f" from {setting.teacher}" if setting.mode == "distillation" else ""
    return (
        f"{setting.variant} at {size} pixels, batch {setting.batch_size}, {setting.precision}, {setting.mode}{teacher}"
    )


def _model_row(measurement, timing, best, ours):
    milliseconds = _median_and_quartiles(1e3 * np.array(timing.seconds), 2)
    rates = f"{measurement.setting.batch_size / timing.median:10.1f}{timing.flops / timing.median / 1e9:10.1f}"
    memory = "" if timing.memory is None else format_bytes(timing.memory)
    row = f"{timing.name:26}{milliseconds:>30}{rates}{measurement.utilisation(timing):7.1%}{memory:>10}"
    if best:
        row += f"   {_median_and_quartiles(timing.speed_relative_to(best), 3):<25}"
        row += "" if timing is ours else _median_and_quartiles(ours.speed_relative_to(timing), 3)
    return row.rstrip()


def _median_and_quartiles(values, digits):
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _distillation_ratios(measurement):
    """A line for each way in which the step was run: its time divided by the time of its two parts together."""
    for suffix in ("", f" {COMPILED}"):
        step, *parts = (measurement.named(name + suffix) for name in distillation.PARTS)
        if step and all(parts):
            ratios = np.array(step.seconds) / sum(np.array(part.seconds) for part in parts)
            names = " + ".join(part.name for part in parts)
            yield f"{step.name} / ({names}): {_median_and_quartiles(ratios, 3)}"


def summary_table(measurements):
    """Writes this package on each backend beside the fastest other package of all backends.

    Args:
        measurements: List of `Measurement` of several backends.

    Returns:
        Text of several lines for each setting that another package ran with; `""` if there is none.
    """
    settings = []
    for measurement in measurements:
        if measurement.best_peer() and measurement.setting not in settings:
            settings.append(measurement.setting)
    return "\n".join(_summary(setting, measurements) for setting in settings)


def _summary(setting, measurements):
    chosen = [measurement for measurement in measurements if measurement.setting == setting]
    with_peer = [measurement for measurement in chosen if measurement.best_peer()]
    best = min(with_peer, key=lambda measurement: measurement.best_peer().median)
    peer = best.best_peer()
    lines = [
        f"{title(setting)}: all backends beside the best peer, {peer.name} ({best.backend}, {1e3 * peer.median:.2f} ms)",
        f"{'':38}{'ms':>10}   best peer / row",
    ]
    for measurement in chosen:
        for timing in measurement.timings:
            if not timing.is_peer:
                name = f"{timing.name} ({measurement.backend})"
                lines.append(f"{name:38}{1e3 * timing.median:10.2f}   {peer.median / timing.median:.3f}")
    lines.append("ratios of medians; each backend was measured in a process of its own, one after the other")
    return "\n".join(lines) + "\n"


def sweep_table(measurements, dimension):
    """Writes how the time of a step grows with its operations.

    Args:
        measurements: List of `Measurement` that differ in one dimension.
        dimension: One of `keras_deit.benchmark.sweep.DIMENSIONS`.

    Returns:
        Text of several lines. In the last column, 1 is the fewest milliseconds per GFLOP of the same mode and
        implementation. Values near 1 mean that the time grows as the operations do.
    """
    lines = []
    for series in by_series(measurements, dimension):
        lines.append(f"{series.mode}: {series.name}")
        lines.append(f"{dimension:<14}{'GFLOP':>10}{'ms':>12}{'ms/GFLOP':>12}{'relative':>10}")
        rows = zip(series.values, series.flops, series.seconds, series.relative_costs(), strict=True)
        for value, flops, seconds, relative in rows:
            per_operation = 1e12 * seconds / flops
            lines.append(
                f"{value:<14}{flops / 1e9:>10.1f}{1e3 * seconds:>12.2f}{per_operation:>12.2f}{relative:>10.2f}"
            )
        lines.append("")
    return "\n".join(lines)


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


def startup_table(setting, backend, seconds):
    """Writes the times of starting as a table.

    Args:
        setting: The `Setting` of the training step.
        backend: Name of the Keras backend.
        seconds: Dictionary from names to lists of seconds, one value per round.

    Returns:
        Text of several lines.
    """
    lines = [
        f"{title(setting)}; {backend}; each in a process of its own, from its start to its end",
        f"{'':<38}seconds: median (quartiles)",
        *(f"{name:<38}{_median_and_quartiles(times, 2)}" for name, times in seconds.items()),
    ]
    return "\n".join(lines)


def roofline_table(setting, device, parts, flops, bandwidths):
    """Writes the operations and bytes of the parts of a step, and the shortest time that the device allows for them.

    Args:
        setting: The `Setting` of the step.
        device: Name of the device.
        parts: List of `keras_deit.benchmark.costs.Part`.
        flops, bandwidths: What `keras_deit.benchmark.roofline.measure_limits` returns.

    Returns:
        Text of several lines.
    """
    peak, bandwidth = statistics.median(flops), statistics.median(bandwidths)
    times = {part.name: least_seconds(part, peak, bandwidth) for part in parts}
    total = sum(times.values())
    lines = [
        f"{title(setting)} on {device}",
        f"matrix product: {_median_and_quartiles(np.array(flops) / 1e9, 1)} GFLOP/s",
        f"memory: {_median_and_quartiles(np.array(bandwidths) / 1e9, 1)} GB/s",
        f"time is bound by the memory below {peak / bandwidth:.1f} FLOP/byte",
        f"{'':<18}{'GFLOP':>10}{'MB':>10}{'FLOP/byte':>11}{'least ms':>10}{'share':>8}",
    ]
    for part in parts:
        row = f"{part.name:<18}{part.flops / 1e9:>10.2f}{part.num_bytes / 1e6:>10.1f}{part.intensity:>11.1f}"
        lines.append(f"{row}{1e3 * times[part.name]:>10.2f}{times[part.name] / total:>8.1%}")
    operations, num_bytes = sum(part.flops for part in parts), sum(part.num_bytes for part in parts)
    lines.append(
        f"{'sum':<18}{operations / 1e9:>10.2f}{num_bytes / 1e6:>10.1f}{operations / num_bytes:>11.1f}{1e3 * total:>10.2f}"
    )
    return "\n".join(lines)
