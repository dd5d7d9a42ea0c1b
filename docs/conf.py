"""Sphinx configuration."""

from easycall import __version__

project = "easycall"
author = "the easycall authors"
copyright = "2026, the easycall authors"
version = release = __version__
extensions: list[str] = []
exclude_patterns = ["_build"]
html_theme = "alabaster"
