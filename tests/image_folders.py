"""Folders of images of two classes."""

import numpy as np
import pytest

from keras_deit.choices import IMAGE_ISSUES

ON_FOLDER = [
    "--image-size",
    "32",
    "--patch-size",
    "8",
    "--recipe",
    "deit",
    "--batch-size",
    "16",
]  # of a run on a folder


def write_images(folder, number):
    """Writes dark and bright images of 48×64 pixels in turn; returns their paths."""
    pillow = pytest.importorskip("PIL.Image", reason="images are written by Pillow")
    rng, paths = np.random.default_rng(0), []
    for index in range(number):
        path = folder / ("dark", "bright")[index % 2] / f"{index:03d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.normal((60, 190)[index % 2], 30, (48, 64, 3)).clip(0, 255).astype("uint8")
        pillow.fromarray(pixels).save(path, quality=90)
        paths.append(path)
    return paths


def write_issues(folder):
    """Writes 200 images, one of them with each of `IMAGE_ISSUES`; returns the paths of these by issue."""
    paths = write_images(folder, 200)
    pillow = pytest.importorskip("PIL.Image", reason="images are written by Pillow")
    bad = dict(zip(IMAGE_ISSUES, paths[11::7], strict=False))
    image = pillow.open(paths[0]).copy()
    bad["unreadable"].write_bytes(b"not an image")
    bad["truncated"].write_bytes(bad["truncated"].read_bytes()[:900])
    image.save(bad["wrong-extension"], "PNG")
    image.resize((9, 9)).save(bad["tiny"])
    image.convert("CMYK").save(bad["cmyk"])
    for issue in ("16-bit", "unused-bits", "alpha-only", "animated"):
        bad[issue].unlink()
        bad[issue] = bad[issue].with_suffix(".gif" if issue == "animated" else ".png")
    pillow.fromarray((np.arange(48 * 64).reshape(48, 64) * 20).astype("uint16")).save(bad["16-bit"])
    pillow.fromarray(np.arange(48 * 64).reshape(48, 64).astype("uint16")).save(bad["unused-bits"])  # 12 bits
    drawing = pillow.new("RGBA", (64, 48))
    drawing.putalpha(image.convert("L").resize((64, 48)))
    drawing.save(bad["alpha-only"])
    image.save(bad["animated"], save_all=True, append_images=[image.rotate(90)])
    return bad
