"""HTML pages in one file each: style, tables and images are in the page, which needs neither a network nor a script."""

import base64
import html
import io
import warnings

from keras_deit.runtime.optional import require

JPEG_SIDE = 64  # pixels, from which on images are stored as JPEG, in about a tenth of the space of PNG
JPEG_QUALITY = 88
MISSING_GLYPH = "Glyph .* missing"  # a warning of matplotlib: a script that its font lacks is drawn as boxes
STYLE = """
:root { color-scheme: light dark;
  --text: #1c1c1c; --page: #fff; --soft: #555; --line: #ddd; --good: #1a7f37; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6e6e6; --page: #16181c; --soft: #a8adb5; --line: #3a3f47; --good: #57c27a; --bad: #ff8a80; }
}
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 80rem; padding: 1rem; color: var(--text);
  background: var(--page); overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.2rem; margin-top: 2rem; } h3 { font-size: 1rem; }
a { color: inherit; } nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: .3rem .5rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 7rem; }
.plots { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); }
.large { grid-template-columns: repeat(auto-fit, minmax(min(100%, 30rem), 1fr)); }
.plots img, .scroll img { background: #fff; border-radius: .25rem; }
.plots img { width: 100%; height: auto; }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(100%, 9.5rem), 1fr)); }
figure { margin: 0; } figcaption { font-size: .85rem; line-height: 1.35; }
.cards img { width: 100%; height: auto; image-rendering: pixelated; display: block; }
.good { color: var(--good); } .bad { color: var(--bad); font-weight: bold; }
.note { color: var(--soft); } code { overflow-wrap: anywhere; } details { margin: .5rem 0; }
pre { overflow-x: auto; padding: .5rem; border: 1px solid var(--line); border-radius: .25rem; }
"""


def page(title, parts):
    """Composes a page that follows the reader's choice of a light or dark scheme.

    Args:
        title: Title of the window, text.
        parts: List of strings: the HTML of the body.

    Returns:
        The HTML of the page, a string.

    Example:

    >>> page("A & B", ["<h1>A</h1>"]).splitlines()[-2:]
    ['<h1>A</h1>', '</body></html>']
    """
    head = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(printable(title))}</title><style>{STYLE}</style></head><body>",
    ]
    return "\n".join([*head, *parts, "</body></html>"]) + "\n"


def escape(text):
    """Writes any text as HTML. What is not in UTF-8, such as bytes of a file's name, is written as on the terminal.

    Example:

    >>> escape("<cats> & dogs")
    '&lt;cats&gt; &amp; dogs'
    """
    return html.escape(printable(str(text)))


def printable(text):
    """Replaces what UTF-8 cannot represent by escape sequences."""
    return text.encode("utf-8", "backslashreplace").decode()


def table(header, rows):
    """Composes a table that scrolls within itself where it is wider than the window.

    Args:
        header: List of texts.
        rows: List of lists of texts.

    Returns:
        HTML.

    Example:

    >>> table(["class"], [["<cat>"]])
    '<div class="scroll"><table><tr><th>class</th></tr><tr><td>&lt;cat&gt;</td></tr></table></div>'
    """
    lines = [_row("th", header), *(_row("td", row) for row in rows)]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _row(tag, cells):
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def drawing(draw, description, size=(5.6, 3.6)):
    """Draws a plot into an image of the page.

    Args:
        draw: Function that draws into the axes of matplotlib that it gets.
        description: What the plot shows, for readers who do not see it.
        size: `(width, height)` in inches.

    Returns:
        HTML.

    Raises:
        ImportError: If matplotlib is not installed.
    """
    figures = require("matplotlib.figure", extra="run", purpose="Drawing the report")
    figure = figures.Figure(figsize=size, layout="constrained")
    draw(figure.subplots())
    return embedded_figure(figure, description)


def embedded_figure(figure, description):
    """Embeds a figure of matplotlib as an image.

    Args:
        figure: `matplotlib.figure.Figure`.
        description: See `drawing`.

    Returns:
        HTML.
    """
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", MISSING_GLYPH)
        figure.savefig(file, format="svg")
    return _image("image/svg+xml", file.getvalue(), description)


def embedded_pixels(pixels, description):
    """Embeds an image, as PNG if it is small and as JPEG otherwise.

    Args:
        pixels: Float array `(height, width, 3)` of pixels in 0..1.
        description: What the image shows, for readers who do not see it.

    Returns:
        HTML.

    Raises:
        ImportError: If Pillow is not installed.
    """
    images = require("PIL.Image", extra="run", purpose="Drawing the report")
    image = images.fromarray((pixels * 255).round().clip(0, 255).astype("uint8"))
    kind, options = ("jpeg", {"quality": JPEG_QUALITY}) if max(image.size) > JPEG_SIDE else ("png", {})
    file = io.BytesIO()
    image.save(file, format=kind, **options)
    return _image(f"image/{kind}", file.getvalue(), description)


def _image(kind, content, description):
    encoded = base64.b64encode(content).decode()
    return f'<img alt="{escape(description)}" src="data:{kind};base64,{encoded}">'
