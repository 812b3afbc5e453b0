"""The image files that are measured with."""

import pytest

from keras_deit.benchmark.images import write_images

pillow = pytest.importorskip("PIL.Image", reason="Pillow writes the images")
pytest.importorskip("sklearn.datasets", reason="the photographs are scikit-learn's")


@pytest.mark.backend_independent
def test_images_have_the_size_that_is_typical_of_imagenet(tmp_path):
    write_images(tmp_path)
    paths = sorted(tmp_path.glob("*.jpg"))
    assert len(paths) == 64
    assert {pillow.open(path).size for path in paths} == {(500, 375)}
    sizes = [path.stat().st_size for path in paths]
    assert 80_000 < sum(sizes) / len(sizes) < 140_000  # ImageNet's mean is about 110 kB
