"""The option that says where the daemon's configuration is."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["config_file"]

config_file = click.option(
    "-c",
    "--config",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("/etc/easycall/easycall.toml"),
    show_default=True,
    help="The configuration of the daemon.",
)
"""Gives a command its ``file``."""
