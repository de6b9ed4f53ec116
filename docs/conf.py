"""How Sphinx builds these pages: MyST for Markdown, numpydoc for docstrings, furo for the looks. Needs no network."""

import fastsched

project = "fastsched"
author = "the fastsched developers"
copyright = "2026, the fastsched developers"
version = release = fastsched.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "numpydoc", "sphinxcontrib.mermaid"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_fence_as_directive = ["mermaid"]  # a ```mermaid block is a diagram here as it is on GitHub
myst_heading_anchors = 3
default_role = "py:obj"  # `Client.submit` in a docstring is a link where there is one
nitpicky = False

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # numpydoc's parameter lists say it in words
autosummary_generate = False
numpydoc_show_class_members = False

html_theme = "furo"
html_title = f"fastsched {release}"
html_copy_source = False
html_show_sphinx = False
