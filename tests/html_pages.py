"""Checks of HTML pages that are complete in one file."""

import html
import html.parser
import json
import re
import shutil
import subprocess

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
WITHOUT_END = {"meta", "img", "br"}
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--host-resolver-rules=MAP * ~NOTFOUND")
FRAME = """<!DOCTYPE html><iframe style="width:{width}px;height:800px;border:0" srcdoc="{page}"></iframe><pre></pre><script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const page = frame.contentDocument, resources = frame.contentWindow.performance.getEntriesByType("resource");
  document.querySelector("pre").textContent = JSON.stringify({{
    hidden: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    images: page.images.length,
    broken: [...page.images].filter((image) => !image.complete || !image.naturalWidth).map((image) => image.alt),
    loaded: resources.map((entry) => entry.name).filter((name) => !name.startsWith("data:")),
  }});
}};
</script>"""


class Page(html.parser.HTMLParser):
    """A page that is checked while it is parsed.

    Attributes:
        images: List of the dictionaries of the attributes of the images.
        headings: List of the texts of the headings.
        text: All of its text outside of the style.
    """

    def __init__(self, content):
        super().__init__()
        self.images, self.headings, self.text, self._open = [], [], "", []
        self.feed(content)
        self.close()
        assert not self._open, f"these tags are not closed: {self._open}"
        assert not re.search(r"<script|https?://|url\(", re.sub(r'src="data:[^"]*"', "", content))

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        if tag not in WITHOUT_END:
            self._open.append(tag)
        if tag == "img":
            assert attributes["src"].startswith("data:image/")
            assert attributes["alt"].strip()
            self.images.append(attributes)
        if "href" in attributes:
            assert attributes["href"].startswith("#")
        if tag in ("h1", "h2", "h3"):
            self.headings.append("")

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "style" in self._open:
            return
        self.text += data
        if {"h1", "h2", "h3"} & set(self._open):
            self.headings[-1] += data


def seen_by_browser(content, width, folder):
    """Opens a page in headless Chromium, without a network.

    Args:
        content: The HTML of the page.
        width: Width of the window in pixels.
        folder: `pathlib.Path` of a folder for temporary files.

    Returns:
        Dictionary with the width in pixels that is `hidden` until the reader scrolls sideways, the number of `images`, the
        descriptions of those that are
        `broken`, and the addresses that were `loaded`.
    """
    file = folder / "frame.html"
    file.write_text(FRAME.format(width=width, page=html.escape(content)), encoding="utf-8")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", file.as_uri()]
    printed = subprocess.run(command, capture_output=True, check=True, timeout=60).stdout.decode()
    return json.loads(html.unescape(re.search(r"<pre>(.*?)</pre>", printed, re.DOTALL)[1]))
