"""``easycall lab``: two real Asterisks on loopback for anyone without a PBX at hand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from easycall.lab import lab as labs
from easycall.lab.instance import INSTANCES
from easycall.lab.layout import DEFAULT_BASE, LabError, Order, State
from easycall.lab.root import Unobtainable, obtain

__all__ = ["lab"]

Command = TypeVar("Command", bound=Callable[..., Any])


class OneLine(click.Group):
    """A group whose commands' known errors are one line and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except (LabError, Unobtainable) as error:
            raise click.ClickException(str(error)) from error


def of_lab(command: Command) -> Command:
    """The options that say which lab is meant."""
    command = click.option(
        "--var",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("var/lab"),
        show_default=True,
        envvar="EASYCALL_LAB",
        help="The folder of all labs.",
    )(command)
    return click.option("--name", default="default", show_default=True, help="Which lab.")(command)


@click.group(cls=OneLine)
def lab() -> None:
    """Two real Asterisks on loopback: `a`, the PBX easycall serves, and `world`, its callers and phones."""


@lab.command()
@of_lab
def install(var: Path, name: str) -> None:
    """Obtain an Asterisk: the host's own, or a folder of Debian under --var."""
    obtain(var, _progress())


@lab.command()
@of_lab
@click.option("--ports", default=DEFAULT_BASE, show_default=True, help="The first of a block of 1000 loopback ports.")
@click.option("--patience", default=30, show_default=True, help="Seconds a caller waits for a daemon that is away.")
def up(var: Path, name: str, ports: int, patience: int) -> None:
    """Start a lab; it stays until `easycall lab down`."""
    state = labs.up(Order(var, name, ports, patience), _progress())
    click.echo(_described(state))


@lab.command()
@of_lab
@click.option("--all", "every", is_flag=True, help="Every lab under --var.")
def down(var: Path, name: str, every: bool) -> None:
    """End a lab; nothing of it stays running."""
    names = labs.names(var) if every else [name]
    for one in names:
        click.echo(f"the lab {one} is down" if labs.down(Order(var, one)) else f"the lab {one} was not up")


@lab.command()
@of_lab
@click.option("--json", "as_json", is_flag=True, help="Everything, the secrets too, for a program.")
def status(var: Path, name: str, as_json: bool) -> None:
    """Print where everything is; exit code 1 when the lab is not up."""
    state = _needed(Order(var, name))
    click.echo(state.to_json() if as_json else _described(state))


@lab.command()
@of_lab
@click.argument("asterisk", type=click.Choice(INSTANCES))
@click.argument("command", nargs=-1)
def console(var: Path, name: str, asterisk: str, command: tuple[str, ...]) -> None:
    """Open the console of `a` or `world`, or run one COMMAND there."""
    options = ("-rx", " ".join(command)) if command else ("-rvvv",)
    argv = labs.remote(_needed(Order(var, name)), asterisk, *options)
    os.execvp(argv[0], argv)  # noqa: S606 -- this process becomes the console


@lab.command()
@of_lab
@click.argument("number")
@click.option("--from", "caller", default="+4930123456", show_default=True, help="The caller's number.")
@click.option("--press", default="", help="Keys to press, one a second; a comma waits one more.")
@click.option("--seconds", default=30.0, show_default=True, help="Hang up after so long.")
def dial(var: Path, name: str, number: str, caller: str, press: str, seconds: float) -> None:
    """Let a caller of the world dial NUMBER at the PBX, and tell what he meets."""
    from twisted.internet.task import react  # here: the other commands do without Twisted

    from easycall.lab.dial import dial_in

    state = _needed(Order(var, name))
    react(lambda reactor: dial_in(reactor, state, number, caller, press, seconds, click.echo))


def _needed(order: Order) -> State:
    """The state of a lab that must be up.  Raises LabError."""
    state = labs.status(order)
    if state is None:
        raise LabError(f"the lab {order.name} is not up: easycall lab up")
    return state


def _progress() -> Callable[[str], None]:
    """Print lines with the time since now."""
    began = time.monotonic()
    return lambda text: click.echo(f"{time.monotonic() - began:6.1f} s  {text}", err=True)


def _described(state: State) -> str:
    """A lab for a person."""
    ports = state.ports
    return "\n".join(
        [
            f"the lab {state.name} is up (Asterisk from {state.root or 'this host'}, process {state.pids['keeper']})",
            f"  a, the PBX      SIP 127.0.0.1:{ports.a_sip}  AMI 127.0.0.1:{ports.a_ami}",
            f"                  looks for the daemon at agi://127.0.0.1:{ports.agi}/leg",
            f"  world           SIP 127.0.0.1:{ports.world_sip}  AMI 127.0.0.1:{ports.world_ami}",
            f"  AMI accounts    easycall {state.secrets['easycall']}  (a)",
            f"                  lab {state.secrets['lab']}  (both, every right)",
            f"  prompts         {state.prompts}",
            "  phones          PJSIP/2101@world answers, 2201 is busy, 2301 rings for ever, 2901 does not exist",
        ]
    )
