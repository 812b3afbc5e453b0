"""Writes the figures of the pages to `docs/figures`, as SVG files that are legible on a narrow screen.

Run it from the root folder after a change: `python docs/make_figures.py`. The `.png` files are plots of the commands:

- `digits_curves.png`: `curves.png` of the run of README's first command;
- `attention.png`, `attention_gradient.png`: `keras-deit explain` of a DeiT-Ti that was trained on Fashion-MNIST with a
  convolutional teacher, by the methods `rollout` and `gradient`;
- `token_similarity.png`: the code block of the section on tokens' similarity in `explaining.md`, with the same DeiT-Ti;
- `sweep_sizes.png`, `sweep_variants.png`, `sweep_batches.png`: `keras-deit benchmark --sweep`, by the commands that
  `speed.md` shows.
"""

import math
import pathlib

FOLDER = pathlib.Path(__file__).parent / "figures"
WIDTH = 400
BLUE, ORANGE, GREY = "#3b6fb6", "#d9772b", "#5f6368"
STEPS = (  # what the tensor is, its shape, and the operation that leads to the next one
    ("image", "384 × 384 × 3", "divide into patches of 16 × 16 pixels"),
    ("576 patches", "576 × 768", "patch embedding: one linear layer"),
    ("576 tokens", "576 × 768", "put two tokens before, add positions"),
    ("578 tokens", "578 × 768", "12 encoder blocks: attention, MLP"),
    ("578 tokens", "578 × 768", "layer norm, keep the first two tokens"),
)
HEADS = (("class token", "class head", BLUE), ("distillation token", "distillation head", ORANGE))


def text(x, y, content, size=15, color="#202124", anchor="middle", weight="normal"):
    """Returns a line of text, anchored at `x`."""
    style = f'font-size="{size}" fill="{color}" text-anchor="{anchor}" font-weight="{weight}"'
    return f'<text x="{x}" y="{y}" {style}>{content}</text>'


def box(x, y, width, title, shape, color=GREY):
    """Returns a box of height 46 with a title and a shape below."""
    frame = (
        f'<rect x="{x}" y="{y}" width="{width}" height="46" rx="6" fill="#f6f8fa" stroke="{color}" stroke-width="1.5"/>'
    )
    middle = x + width / 2
    return frame + text(middle, y + 19, title, weight="bold") + text(middle, y + 38, shape, color=GREY)


def arrow(x, y, length, label=""):
    """Returns an arrow downward from `y`, with a label at its right."""
    line = f'<path d="M{x} {y}v{length - 6}" stroke="{GREY}" stroke-width="1.5"/>'
    head = f'<path d="M{x - 4} {y + length - 8}h8l-4 8z" fill="{GREY}"/>'
    return line + head + text(x + 10, y + length / 2 + 4, label, 14, anchor="start")


def shapes():
    """Returns the elements of the figure of the shapes in `deit_b_384`, and its height."""
    parts, y = [], 10
    for title, shape, operation in STEPS:
        parts += [box(30, y, 180, title, shape), arrow(60, y + 46, 40, operation)]
        y += 86
    for index, (token, head, color) in enumerate(HEADS):
        x = 10 + 195 * index
        parts += [
            box(x, y, 185, token, "768", color),
            arrow(x + 30, y + 46, 40, head),
            box(x, y + 86, 185, "logits", "1000", color),
        ]
    parts += [arrow(100, y + 132, 40, ""), arrow(300, y + 132, 40, "mean"), box(100, y + 172, 200, "logits", "1000")]
    return parts, y + 228


def softmax(logits):
    """Returns the probabilities of logits."""
    powers = [math.exp(logit) for logit in logits]
    return [power / sum(powers) for power in powers]


def temperature():
    """Returns the elements of the figure of the softmax at two temperatures, and its height."""
    parts = []
    for index, (value, color) in enumerate(((1, BLUE), (10, ORANGE))):
        y = 28 + 150 * index
        parts.append(text(10, y, f"T = {value}", anchor="start", weight="bold"))
        for row, logit in enumerate((30, 5, 2, 2)):
            probability = softmax([other / value for other in (30, 5, 2, 2)])[row]
            top = y + 12 + 28 * row
            shown = f"{probability:.4f}" if probability > 1e-4 else f"{probability:.1e}"
            bar = max(220 * probability, 1)
            parts += [
                text(10, top + 16, f"{logit} / {value} = {logit / value:g}", 14, GREY, "start"),
                f'<rect x="110" y="{top}" width="{bar:.1f}" height="20" fill="{color}"/>',
                text(116 + bar, top + 16, shown, 14, anchor="start"),
            ]
    return parts, 310


def main():
    """Writes each figure."""
    for draw in (shapes, temperature):
        parts, height = draw()
        frame = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" font-family="sans-serif"'
        background = f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
        lines = [f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>', background, *parts, "</svg>"]
        (FOLDER / f"{draw.__name__}.svg").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
