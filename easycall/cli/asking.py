"""What the commands have in common that ask a running daemon over its API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from easycall.client import Client

__all__ = ["asked", "of_the_api"]

F = TypeVar("F", bound=Callable[..., Any])

_PORT = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8800,
    show_default=True,
    envvar="EASYCALL_PORT",
    show_envvar=True,
    help="Where the API listens on this machine.",
)
_TOKEN = click.option(
    "--token",
    envvar="EASYCALL_TOKEN",
    show_envvar=True,
    prompt=True,
    hide_input=True,
    help="A token of the API with the right read.  On the command line others on this machine can see it.",
)


def of_the_api(command: F) -> F:
    """The options ``--port`` and ``--token``."""
    return _PORT(_TOKEN(command))


def asked(port: int, token: str, question: Callable[[Client], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """The API's answer.  Raises ClickException."""
    from twisted.internet.defer import Deferred
    from twisted.internet.error import ConnectError
    from twisted.internet.task import react

    from easycall.client import Client, Refused

    answers: list[dict[str, Any]] = []
    faults: list[str] = []

    async def ask(reactor: Any) -> None:
        try:
            answers.append(await question(Client(port, token, reactor)))
        except Refused as refused:
            faults.append(str(refused.problem.get("detail", refused)))
        except (ConnectError, TimeoutError):
            faults.append(
                f"no easycall answers on port {port} of this machine: see --port, and api.listen of its configuration"
            )

    try:
        react(lambda reactor: Deferred.fromCoroutine(ask(reactor)))
    except SystemExit as end:  # always: it ends so
        if end.code:
            raise
    if faults:
        raise click.ClickException(faults[0])
    return answers[0]
