"""Settings of Sphinx, which builds the documentation site: `python -m nox -s docs`."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))  # the check of the reference uses a test of the package

from keras_deit import __version__

project = "keras_deit"
release = __version__
html_title = f"keras_deit {release}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton", "docs.check_reference"]
exclude_patterns = ["_build", "examples"]
html_theme = "furo"
html_show_sourcelink = False
html_show_copyright = False

myst_heading_anchors = 4  # anchors of headings, such as `data.md#datasets`, are those of Git hosts

default_role = "code"  # docstrings mark code with single backquotes
autodoc_inherit_docstrings = False  # what overrides a method of Keras is described there
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "imported-members": True, "inherited-members": True}
napoleon_numpy_docstring = False
napoleon_use_param = False  # else the description of `mean, std` is repeated for each of the two
napoleon_use_rtype = False
napoleon_custom_sections = ["Input shape", "Output shape", ("Call arguments", "params_style"), "Reference"]

copybutton_prompt_text = ">>> "
