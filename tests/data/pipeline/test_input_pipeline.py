"""The same batches from every pipeline, from any position on."""

import dataclasses
import importlib.util
import io
import pathlib

import keras
import numpy as np
import pytest

import keras_deit as kd
from keras_deit.data import Augmentation, ImageData, ImageFiles, ImageRecords, InputPipeline
from keras_deit.data.pipeline.input_stall_timer import InputStallTimer
from keras_deit.data.pipeline.pillow_batches import TrainingBatches
from tests.data.images import encode
from tests.data.pipeline.first_batches import AUGMENTATIONS, assert_equal, input_pipeline, skip_without, take

SIZE, BATCH = (48, 64), 8
PIPELINES = ["tf.data", "python", "grain"]
pillow = pytest.importorskip("PIL.Image", reason="Pillow reads the images")


def noise():
    return ImageData("noise", np.zeros((8, *SIZE, 3), "uint8"), np.arange(8) % 2, ("a", "b"))


def steps_of_255(one, two):
    """Absolute differences of normalised images, in steps of pixels in 0..255."""
    return np.abs(one - two) * np.array(kd.IMAGENET_STD) * 255


def assert_close(images, others):
    assert steps_of_255(images, others).mean() < 0.5
    assert (steps_of_255(images, others) > 4).mean() < 0.02  # a threshold or an edge that is rounded differently


@pytest.mark.backend_independent
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_tf_data_and_python_make_the_same_samples(name, first_batches):
    one, two = (first_batches(pipeline, name)[:3] for pipeline in ("tf.data", "python"))
    for (images, labels), (others, other_labels) in zip(one, two, strict=True):
        assert images.shape == (BATCH, *SIZE, 3)
        np.testing.assert_allclose(labels, other_labels, atol=1e-6)
        assert_close(images, others)


@pytest.mark.backend_independent
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_pipeline_yields_the_batch_of_epoch_and_index(pipeline, image_files, first_batches):
    streamed = first_batches(pipeline)
    plan = input_pipeline(image_files, pipeline).plan
    batches = TrainingBatches(image_files, plan, kd.IMAGENET_MEAN, kd.IMAGENET_STD, 0.875)
    for position in (6, 4, 0):  # of three batches an epoch
        images, labels = batches.batch(*divmod(position, 3))
        if pipeline == "tf.data":
            np.testing.assert_allclose(streamed[position][1], labels, atol=1e-6)
            assert_close(streamed[position][0], images)
        else:
            assert_equal(streamed[position], (images, labels))


@pytest.mark.backend_independent
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_batches_from_the_middle_of_an_epoch_on_are_those_of_the_whole_run(pipeline, image_files, first_batches):
    whole = first_batches(pipeline)  # three batches an epoch
    received = take(input_pipeline(image_files, pipeline).training_batches(epoch=1, batch=1), 3)
    assert_equal(received, whole[4:7])


@pytest.mark.backend_independent
def test_augmented_samples_differ_and_plain_samples_do_not(image_files, first_batches):
    plan = input_pipeline(image_files, "python", "nothing").plan
    for name, is_equal in (("nothing", True), ("deit", False)):
        batches = first_batches("python", name)[:6]
        of_epoch = []
        for epoch in (0, 1):
            indices = np.concatenate([plan.samples(epoch, batch)[0] for batch in range(3)])
            images = np.concatenate([images for images, _ in batches[3 * epoch : 3 * epoch + 3]])
            of_epoch.append(images[np.argsort(indices)])
            assert sorted(indices) == list(range(24))
        assert all(np.array_equal(one, two) == is_equal for one, two in zip(*of_epoch, strict=True))


@pytest.mark.parametrize("pipeline", ["tf.data", "python"])
def test_evaluation_has_every_image_once_as_the_image_processor_makes_it(pipeline, image_files):
    skip_without(pipeline)
    batches = InputPipeline(image_files, SIZE, crop_ratio=0.875, pipeline=pipeline).evaluation_batches(
        10, multiple_of=4
    )
    batches = [batches[index] for index in range(batches.num_batches)] if pipeline == "python" else list(batches)
    images, labels, weights = (np.concatenate([np.asarray(batch[part]) for batch in batches]) for part in range(3))
    assert [len(batch[0]) for batch in batches] == [8, 8, 8]  # of at most 10, which 4 replicas divide
    is_labelled = image_files.labels >= 0
    np.testing.assert_array_equal(labels.argmax(-1)[is_labelled], image_files.labels[is_labelled])
    assert not labels[~is_labelled].any()  # an unlabelled image has a row of zeros
    np.testing.assert_array_equal(weights, np.ones(24))
    processor = kd.ImageProcessor(SIZE, 0.875)
    for path, image in zip(image_files.paths, images, strict=True):
        expected = keras.ops.convert_to_numpy(processor(path))
        assert steps_of_255(image, expected).mean() < 0.5
        assert steps_of_255(image, expected).max() < 5  # rows and columns are rounded in another order


@pytest.mark.parametrize("pipeline", ["tf.data", "python"])
@pytest.mark.parametrize(("interpolation", "squash"), [("bilinear", False), ("nearest", True), ("bicubic", True)])
def test_other_ways_to_resize_are_those_of_the_image_processor(pipeline, interpolation, squash, image_files):
    skip_without(pipeline)
    files = image_files.select(range(4))
    arrays = ImageData("arrays", [np.asarray(pillow.open(files.paths[0]).convert("RGB"))], np.array([0]), ("a", "b"))
    resizing = {"crop_ratio": 0.875, "interpolation": interpolation, "squash": squash}
    processor = kd.ImageProcessor(SIZE, mean=(0, 0, 0), std=(1 / 255,) * 3, **resizing)
    for data, given in ((files, list(files.paths)), (arrays, arrays.images)):
        images = evaluation_images(data, pipeline, SIZE, **resizing)
        np.testing.assert_allclose(images, keras.ops.convert_to_numpy(processor(given)), atol=1e-3)


@pytest.mark.backend_independent
def test_files_arrays_and_records_give_the_same_samples(image_files):
    files = image_files.select(range(3))  # plain JPEGs
    arrays = [np.asarray(pillow.open(path)) for path in files.paths]
    contents = [pathlib.Path(path).read_bytes() for path in files.paths]
    in_memory = ImageData("arrays", arrays, files.labels, files.class_names)
    records = ImageRecords("records", list(zip(contents, files.labels, strict=True)), files.class_names)
    batches = []
    for data in (files, in_memory, records):
        pipeline = InputPipeline(data, SIZE, 2, AUGMENTATIONS["deit"], crop_ratio=0.875, pipeline="python")
        batches += take(pipeline.training_batches(), 2)
    assert_equal(batches[:2], batches[2:4])
    assert_equal(batches[:2], batches[4:6])


@pytest.mark.backend_independent
@pytest.mark.parametrize("pipeline", ["auto", *PIPELINES])
def test_teacher_outputs_come_beside_the_images_and_end_the_batches(pipeline):
    skip_without(pipeline)
    outputs = [np.full(4, index, "int32") for index in range(3)]
    timer = InputStallTimer()
    options = dict(teacher_outputs=lambda: iter(outputs), timer=timer)
    batches = take(InputPipeline(noise(), SIZE, 4, pipeline=pipeline, num_workers=0).training_batches(**options), 10)
    assert [batch[0]["teacher"].tolist() for batch in batches] == [[0] * 4, [1] * 4, [2] * 4]
    assert batches[0][0]["image"].shape == (4, *SIZE, 3)
    assert batches[0][1].shape == (4, 2)
    assert timer.seconds > 0


@pytest.mark.backend_independent
def test_freed_memory_is_kept_as_soon_as_training_batches_are_made(monkeypatch):
    calls = []
    monkeypatch.setattr("keras_deit.data.pipeline.input_pipeline.keep_freed_memory", lambda: calls.append("kept"))
    pipeline = InputPipeline(noise(), SIZE, 4, pipeline="python")
    assert not calls
    next(iter(pipeline.training_batches()))
    assert calls == ["kept"]


def test_the_plan_has_the_settings_of_the_pipeline():
    plan = InputPipeline(noise(), 48, 2, Augmentation(flip=0.5), seed=5, steps_per_epoch=7, shard=1, num_shards=2).plan
    assert (plan.num_examples, plan.batch_size, plan.image_size, plan.seed) == (8, 2, (48, 48), 5)
    assert (plan.num_batches, plan.shard, plan.num_shards, plan.augmentation) == (7, 1, 2, Augmentation(flip=0.5))
    assert InputPipeline(noise(), SIZE, 3).steps == 2


def test_auto_takes_the_first_pipeline_that_is_installed(monkeypatch):
    def installed(*names):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: name in names or None)
        return InputPipeline(noise(), SIZE, augmentation=Augmentation(flip=0.5)).training_pipeline

    assert installed("tensorflow", "grain") == "tf.data"
    assert installed("grain") == "grain"
    assert installed() == "python"
    assert InputPipeline(noise(), SIZE).training_pipeline == "python"  # images that are only normalised
    assert InputPipeline(noise(), SIZE, pipeline="tf.data").training_pipeline == "tf.data"


def test_a_batch_that_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="batch of 16 images cannot be drawn from the 8"):
        InputPipeline(noise(), SIZE, 16).training_batches()
    with pytest.raises(ValueError, match="must be even. Received: batch_size=3"):
        InputPipeline(noise(), SIZE, 3, Augmentation(mixup=0.8)).training_batches()


def test_unknown_pipelines_and_grain_on_tensorflow_are_refused(monkeypatch):
    with pytest.raises(ValueError, match="`pipeline` must be one of"):
        InputPipeline(noise(), SIZE, pipeline="dali")
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    with pytest.raises(ValueError, match="With TensorFlow use 'tf.data'"):
        InputPipeline(noise(), SIZE, pipeline="grain")


def evaluation_images(data, pipeline, size=(32, 32), **resizing):
    """The images of a dataset as a pipeline makes them for evaluation, as pixels in 0..255."""
    options = {"mean": (0, 0, 0), "std": (1 / 255,) * 3, "crop_ratio": 0.875, "pipeline": pipeline, **resizing}
    batches = InputPipeline(data, size, **options).evaluation_batches(4)
    batches = [batches[index] for index in range(batches.num_batches)] if pipeline == "python" else list(batches)
    return np.concatenate([np.asarray(batch[0]) for batch in batches])


@pytest.mark.backend_independent
@pytest.mark.parametrize("pipeline", ["tf.data", "python"])
def test_records_of_any_kind_give_the_samples_of_rgb_arrays(pipeline):
    skip_without(pipeline)
    rgb = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3)).astype("uint8")
    grey = np.repeat(rgb[..., :1], 3, axis=-1)
    kinds = {
        "Pillow RGBA": ([pillow.fromarray(image).convert("RGBA") for image in rgb], rgb),
        "Pillow L": ([pillow.fromarray(image[..., 0]) for image in rgb], grey),
        "grey": (rgb[..., 0], grey),
        "one channel": (rgb[..., :1], grey),
        "floats": (rgb.astype("float32"), rgb),
    }
    for images, expected in kinds.values():
        data = ImageRecords("mine", [{"image": image, "label": 0} for image in images], ("a", "b"))
        arrays = ImageData("arrays", expected, np.zeros(3, int), ("a", "b"))
        np.testing.assert_array_equal(evaluation_images(data, pipeline), evaluation_images(arrays, pipeline))
        training = InputPipeline(data, (32, 32), 2, AUGMENTATIONS["deit3"], pipeline=pipeline).training_batches()
        expected = InputPipeline(arrays, (32, 32), 2, AUGMENTATIONS["deit3"], pipeline=pipeline).training_batches()
        assert_equal(take(training, 1), take(expected, 1))


def damaged_jpeg():
    """A JPEG file that Pillow reads and TensorFlow refuses, unless it is told to be as lenient."""
    tf = pytest.importorskip("tensorflow")
    pixels = np.random.default_rng(0).integers(0, 256, (12, 16, 3)).astype("uint8")
    whole = encode(pillow.fromarray(pixels).resize((64, 48), pillow.Resampling.BICUBIC), "JPEG", quality=90)
    for position in range(len(whole) // 2, len(whole) - 2):
        content = whole[:position] + b"\xff" + whole[position + 1 :]
        try:
            expected = np.asarray(pillow.open(io.BytesIO(content)))
        except OSError:
            continue
        try:
            tf.io.decode_jpeg(content, channels=3)
        except tf.errors.InvalidArgumentError:
            return content, expected
    raise AssertionError("no such file was found")


@pytest.mark.backend_independent
def test_a_damaged_jpeg_that_pillow_reads_is_read_by_every_pipeline(tmp_path):
    content, pixels = damaged_jpeg()
    path = tmp_path / "damaged.jpg"
    path.write_bytes(content)
    files = ImageFiles("files", (str(path),) * 2, np.array([0, 1]), ("a", "b"))
    arrays = ImageData("arrays", [pixels] * 2, np.array([0, 1]), ("a", "b"))
    for pipeline in ("tf.data", "python"):
        np.testing.assert_array_equal(evaluation_images(files, pipeline), evaluation_images(arrays, pipeline))
        (images, _), (expected, _) = (
            take(InputPipeline(data, (32, 32), 2, AUGMENTATIONS["deit3"], pipeline=pipeline).training_batches(), 1)[0]
            for data in (files, arrays)
        )
        assert (
            steps_of_255(images, expected).mean() < 1
        )  # TensorFlow decodes the crop alone, and skips the damage or not


@pytest.mark.backend_independent
def test_a_jpeg_that_is_cut_off_is_refused_by_tf_data(tmp_path):
    """Also where no check of the images comes first: TensorFlow would fill the rest with grey."""
    tf = pytest.importorskip("tensorflow")
    whole = encode(pillow.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype("uint8")), "JPEG")
    path = tmp_path / "cut.jpg"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    files = ImageFiles("files", (str(path),) * 2, np.array([0, 1]), ("a", "b"))
    with pytest.raises(tf.errors.OpError, match="truncated"):
        evaluation_images(files, "tf.data")


@pytest.mark.parametrize("pipeline", ["tf.data", "python"])
@pytest.mark.parametrize("shape", [(2, 3000), (3000, 2), (3, 2500)])
def test_strips_are_those_of_the_image_processor(pipeline, shape):
    skip_without(pipeline)
    rows, columns, channels = np.indices((*shape, 3))
    strip = (128 + 100 * np.sin(rows + 2 * columns + channels)).astype("uint8")
    data = ImageData("strips", [strip], np.array([0]), ("a", "b"))
    processor = kd.ImageProcessor(32, 0.875, mean=(0, 0, 0), std=(1 / 255,) * 3)
    difference = np.abs(evaluation_images(data, pipeline)[0] - keras.ops.convert_to_numpy(processor(strip)))
    assert difference.max() < (5 if pipeline == "tf.data" else 1.01)  # tf.data does not round between the axes
    assert difference.mean() < (0.5 if pipeline == "tf.data" else 0.01)


@pytest.mark.backend_independent
@pytest.mark.parametrize("pipeline", ["tf.data", "python"])
def test_bit_depth_of_the_files_counts(pipeline, tmp_path):
    skip_without(pipeline)
    grey = np.random.default_rng(0).integers(0, 256, (48, 64)).astype("uint16")
    pillow.fromarray(grey * 16).save(tmp_path / "12.png")  # up to 4080 of 4095
    files = ImageFiles("files", (str(tmp_path / "12.png"),), np.array([0]), ("a", "b"), bit_depth=12)
    eight = np.repeat(np.round(grey * 16 / 4095 * 255).astype("uint8")[..., None], 3, axis=-1)
    arrays = ImageData("arrays", [eight], np.array([0]), ("a", "b"))
    np.testing.assert_array_equal(evaluation_images(files, pipeline), evaluation_images(arrays, pipeline))
    assert files.select([0]).bit_depth == 12
    assert files.content_digest() != dataclasses.replace(files, bit_depth=None).content_digest()


@pytest.mark.backend_independent
@pytest.mark.parametrize("pipeline", ["tf.data", "python"])
def test_files_whose_names_are_not_utf_8_are_read(pipeline, tmp_path):
    skip_without(pipeline)
    path = str(tmp_path) + b"/caf\xe9.png".decode("utf-8", "surrogateescape")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype("uint8")
    try:
        pathlib.Path(path).write_bytes(encode(pixels))
    except OSError:
        pytest.skip("the file system takes UTF-8 alone")
    files = ImageFiles("files", (path,), np.array([0]), ("a", "b"))
    arrays = ImageData("arrays", [pixels], np.array([0]), ("a", "b"))
    np.testing.assert_array_equal(evaluation_images(files, pipeline), evaluation_images(arrays, pipeline))
    assert files.content_digest()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"batch_size": 0}, "`batch_size` must be an integer of at least 1. Received: batch_size=0"),
        ({"batch_size": 2.5}, "`batch_size` must be an integer"),
        ({"batch_size": None}, "`batch_size` must be an integer"),
        ({"steps_per_epoch": 0}, "`steps_per_epoch` must be an integer of at least 1"),
        ({"steps_per_epoch": -3}, "`steps_per_epoch` must be an integer of at least 1"),
        ({"seed": -1}, "`seed` must be an integer of at least 0"),
        ({"num_workers": -1}, "`num_workers` must be an integer of at least 0"),
        ({"num_shards": 0}, "`num_shards` must be an integer of at least 1"),
        ({"shard": -1, "num_shards": 2}, "`shard` must be an integer of at least 0"),
        ({"shard": 2, "num_shards": 2}, "`shard` must be less than `num_shards`.*shard=2, num_shards=2"),
        ({"crop_ratio": 1.15}, "`crop_ratio` must be above 0 and at most 1. Received: crop_ratio=1.15"),
        ({"crop_ratio": 87.5}, "`crop_ratio` must be"),
        ({"crop_ratio": 0}, "`crop_ratio` must be"),
        ({"crop_ratio": -1}, "`crop_ratio` must be"),
        ({"interpolation": "cubic"}, "`interpolation` must be one of .*Received: interpolation='cubic'"),
    ],
)
def test_an_argument_out_of_range_is_refused(argument, message):
    with pytest.raises(ValueError, match=message):
        InputPipeline(noise(), **argument)


@pytest.mark.parametrize("argument", [{"batch_size": 0}, {"batch_size": 2.5}, {"multiple_of": 0}])
def test_an_argument_of_the_evaluation_out_of_range_is_refused(argument):
    with pytest.raises(ValueError, match=f"`{next(iter(argument))}` must be an integer of at least 1"):
        InputPipeline(noise(), pipeline="python").evaluation_batches(**argument)


def test_numbers_of_numpy_are_integers():
    options = dict(batch_size=np.int64(4), seed=np.int64(3), steps_per_epoch=np.int32(2), image_size=np.int64(32))
    inputs = InputPipeline(noise(), pipeline="python", **options)
    images, labels = next(iter(inputs.training_batches()))
    assert (np.shape(images), np.shape(labels), inputs.steps) == ((4, 32, 32, 3), (4, 2), 2)


def with_segment(content, marker, payload):
    """A JPEG file with one more segment before all others."""
    return content[:2] + bytes([0xFF, marker]) + (len(payload) + 2).to_bytes(2, "big") + payload + content[2:]


def rotated_jpegs():
    """JPEG files that are to be shown rotated, of which a small part says so."""
    rows, columns = np.mgrid[:40, :56]
    image = pillow.fromarray(np.stack([4 * columns, 6 * rows, rows * columns // 9], -1).astype("uint8"))
    tags = pillow.Exif()
    tags[0x0112] = 6
    plain, tagged = encode(image, "JPEG"), encode(image, "JPEG", exif=tags)
    preview = encode(image.resize((7, 5)), "JPEG")
    xmp = b"<rdf:Description xmlns:tiff='http://ns.adobe.com/tiff/1.0/' tiff:Orientation=\"6\"/>"
    return {
        "EXIF first": tagged,
        "EXIF behind a comment": with_segment(tagged, 0xFE, b"comment " * 900),
        "EXIF behind two segments": with_segment(with_segment(tagged, 0xE2, bytes(60_000)), 0xFE, bytes(9000)),
        "EXIF behind a preview of Photoshop": with_segment(
            tagged, 0xED, b"Photoshop 3.0\0008BIM" + preview + bytes(6000)
        ),
        "XMP alone": with_segment(plain, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp),
        "XMP behind a comment": with_segment(
            with_segment(plain, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp), 0xFE, bytes(9000)
        ),
        "not rotated": with_segment(plain, 0xFE, bytes(9000)),
        "progressive": encode(image, "JPEG", progressive=True),
        "grey": encode(image.convert("L"), "JPEG"),
    }


@pytest.mark.backend_independent
@pytest.mark.parametrize("pipeline", ["tf.data", "python"])
def test_a_jpeg_is_upright_wherever_its_rotation_is_written(pipeline):
    skip_without(pipeline)
    from PIL import ImageOps

    images = rotated_jpegs()
    data = ImageRecords("mine", [(content, 0) for content in images.values()], ("a", "b"))
    for name, pixels, content in zip(images, evaluation_images(data, pipeline), images.values(), strict=True):
        upright = ImageOps.exif_transpose(pillow.open(io.BytesIO(content))).convert("RGB")
        assert (upright.height > upright.width) == ("EXIF" in name or "XMP" in name)
        short, long = 36, int(36 * 56 / 40)  # int(32 / 0.875) and the other side
        size = (short, long) if upright.height > upright.width else (long, short)
        resized = upright.resize(size, pillow.Resampling.BICUBIC)
        left, top = (round((side - 32) / 2) for side in size)
        expected = np.asarray(resized.crop((left, top, left + 32, top + 32)), "float32")
        assert np.abs(pixels - expected).mean() < 0.7, name


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_one_number_normalises_all_channels(pipeline):
    skip_without(pipeline)
    data = ImageData("noise", np.arange(2 * 8 * 8 * 3, dtype="uint8").reshape(2, 8, 8, 3), [0, 1], ("a", "b"))
    for mean in (0.5, (0.5,), np.float32(0.5)):
        inputs = InputPipeline(data, 8, 2, pipeline=pipeline, mean=mean, std=mean)
        batches = inputs.evaluation_batches(2)
        images = np.asarray((batches[0] if hasattr(batches, "num_batches") else next(iter(batches)))[0])
        np.testing.assert_allclose(images, data.images / 127.5 - 1, atol=1e-5)


def test_arrays_of_a_small_range_are_warned_of():
    data = ImageData("dark", np.full((2, 8, 8, 3), 16, "uint8"), [0, 1], ("a", "b"))
    with pytest.warns(UserWarning, match="The images of 'dark' have pixels in 0..255, but none is above 16"):
        InputPipeline(data, 8, 2)
