"""``easycall demo``: a whole contact centre on this machine: the story of one call through it, or a busy day of one."""

from __future__ import annotations

import io
import os
import shutil
import sys
import time
from pathlib import Path

import click
from click.core import ParameterSource
from rich.console import Console

from easycall.lab.layout import LabError, Order, free_block
from easycall.lab.root import Unobtainable

__all__ = ["demo"]


@click.command()
@click.option(
    "--pbx",
    type=click.Choice(["asterisk", "simulator"]),
    default="asterisk",
    show_default=True,
    help="One call on real Asterisks, or a busy contact centre on a simulated one, which needs neither Asterisk nor root.",
)
@click.option("--once", is_flag=True, help="asterisk: end after the story; the exit code is 0 only if every step was seen.")
@click.option("--name", default="demo", show_default=True, help="asterisk: the name of the demo's lab.")
@click.option(
    "--ports", type=int, help="asterisk: the first of a block of 1000 loopback ports.  [default: the first free one]"
)
@click.option(
    "--var",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/lab"),
    show_default=True,
    envvar="EASYCALL_LAB",
    help="asterisk: the folder of all labs.",
)
@click.option("--seconds", type=click.FloatRange(min=0), help="simulator: end after so long.  [default: at Ctrl-C]")
@click.option("--seed", type=int, default=1, show_default=True, help="simulator: of what people do.")
@click.pass_context
def demo(
    context: click.Context,
    pbx: str,
    once: bool,
    name: str,
    ports: int | None,
    var: Path,
    seconds: float | None,
    seed: int,
) -> None:
    """Show a contact centre on this machine.

    On real Asterisks: let a caller reach an agent through easycall, and tell it step by step.  Then everything stays up,
    with addresses and lines to try, until Ctrl-C.  On a simulated one: twelve agents, callers who come all the time, and a
    board with live figures.
    """
    _refuse_options_of_the_other(context, pbx)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # for terminals that do not know the marks of the steps
    try:
        seen = _on_simulator(seconds, seed) if pbx == "simulator" else _on_asterisk(once, name, ports, var)
    except (LabError, Unobtainable) as error:
        raise click.ClickException(str(error)) from error
    if not seen:
        sys.exit(1)


def _refuse_options_of_the_other(context: click.Context, pbx: str) -> None:
    """An option that would be ignored is a mistake to be told.  Raises UsageError."""
    others = ("once", "name", "ports", "var") if pbx == "simulator" else ("seconds", "seed")
    for option in others:
        if context.get_parameter_source(option) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{option} is not for --pbx={pbx}")


def _on_asterisk(once: bool, name: str, ports: int | None, var: Path) -> bool:
    """The story of one call; True when every step was seen."""
    from easycall.lab.demo.narrator import Narrator  # here: the other commands do without Twisted
    from easycall.lab.demo.show import Wish, perform

    order = Order(var, name, free_block() if ports is None else ports)
    return perform(Wish(order, not once, _command()), Narrator(Console(), time.monotonic))


def _on_simulator(seconds: float | None, seed: int) -> bool:
    """A busy contact centre, for so long."""
    from easycall.lab.demo.busy import Show, watch

    watch(Show(seconds, seed), Console())
    return True


def _command() -> str:
    """How the user calls this command in another terminal of the same folder."""
    called = Path(sys.argv[0])
    found = shutil.which("easycall")
    if not called.is_file() or (found is not None and Path(found).samefile(called)):
        return "easycall"
    relative = os.path.relpath(called)
    return str(called) if relative.startswith("..") else relative
