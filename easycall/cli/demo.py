"""``easycall demo``: a whole contact centre on this machine, and the story of one call through it."""

from __future__ import annotations

import io
import os
import shutil
import sys
import time
from pathlib import Path

import click
from rich.console import Console

from easycall.lab.layout import LabError, Order, free_block
from easycall.lab.root import Unobtainable

__all__ = ["demo"]


@click.command()
@click.option("--once", is_flag=True, help="End after the story; the exit code is 0 only if every step was seen.")
@click.option("--name", default="demo", show_default=True, help="The name of the demo's lab.")
@click.option("--ports", type=int, help="The first of a block of 1000 loopback ports.  [default: the first free block]")
@click.option(
    "--var",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/lab"),
    show_default=True,
    envvar="EASYCALL_LAB",
    help="The folder of all labs.",
)
def demo(once: bool, name: str, ports: int | None, var: Path) -> None:
    """Let a caller on a real Asterisk reach an agent through easycall, and tell it step by step.

    Then everything stays up, with addresses and lines to try, until Ctrl-C.
    """
    from easycall.lab.demo.narrator import Narrator  # here: the other commands do without Twisted
    from easycall.lab.demo.show import Wish, perform

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # for terminals that do not know the marks of the steps
    try:
        order = Order(var, name, free_block() if ports is None else ports)
        seen = perform(Wish(order, not once, _command()), Narrator(Console(), time.monotonic))
    except (LabError, Unobtainable) as error:
        raise click.ClickException(str(error)) from error
    if not seen:
        sys.exit(1)


def _command() -> str:
    """How the user calls this command in another terminal of the same folder."""
    called = Path(sys.argv[0])
    found = shutil.which("easycall")
    if not called.is_file() or (found is not None and Path(found).samefile(called)):
        return "easycall"
    relative = os.path.relpath(called)
    return str(called) if relative.startswith("..") else relative
