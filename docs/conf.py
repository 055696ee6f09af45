"""The documentation site: python -m sphinx -W docs build/docs. Needs no network."""

import contextlib
import importlib
import io
import re
import sys
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

sys.path.insert(0, str(Path(__file__).parents[1]))

from lifnum import __version__

project = "lifnum"
version = release = __version__
copyright = "the authors of lifnum, MIT licence"

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
nitpicky = False

html_theme = "furo"
html_title = "lifnum"
html_static_path = ["_static"]
html_css_files = ["site.css", "neuron.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {"source_edit_link": "", "footer_icons": []}
html_math_renderer = "mathml"

autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
suppress_warnings = ["config.cache"]


class Help(Directive):
    """``{help} lifnum.train``: what the program prints for --help, of a part where one is named."""

    required_arguments, optional_arguments = 1, 1

    def run(self):
        program = importlib.import_module(self.arguments[0])
        if hasattr(program, "__path__"):
            program = importlib.import_module(f"{self.arguments[0]}.__main__")
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            program.main([*self.arguments[1:], "--help"])
        return [nodes.literal_block(text.getvalue(), text.getvalue(), language="none")]


def _visit_math(self, node):
    self.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def _loads_nothing_from_elsewhere(app, exception):
    for page in Path(app.outdir).glob("**/*.html"):
        for url in re.findall(r"(?:src=|<link [^>]*href=)[\"'](https?:[^\"']*)", page.read_text()):
            logging.getLogger(__name__).warning("%s loads %s", page, url)


def setup(app):
    app.add_directive("help", Help)
    app.connect("build-finished", _loads_nothing_from_elsewhere)
    # browsers draw MathML themselves: no script, no fonts
    app.add_html_math_renderer("mathml", (_visit_math, None), (_visit_math, None))
