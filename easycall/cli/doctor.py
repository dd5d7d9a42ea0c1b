"""``easycall doctor``: look whether an Asterisk is as easycall needs it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from easycall.cli.config_file import config_file

if TYPE_CHECKING:
    from easycall.config import Config
    from easycall.doctor.findings import Finding

__all__ = ["doctor"]

COLOURS = {"fault": "red", "warning": "yellow", "ok": "green", "unseen": "bright_black"}


@click.command()
@config_file
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object, for a program.")
def doctor(file: Path, as_json: bool) -> None:
    """Ask every Asterisk of a configuration whether it is as easycall needs it.

    Nothing is changed and nobody is called.  Each finding is ok, a warning, a fault, or unseen: what cannot be looked at
    from here.  Exit code 1 when there is a fault.
    """
    from easycall.config import ConfigError, load

    try:
        config = load(file, os.environ)
    except ConfigError as error:
        raise click.ClickException(str(error)) from error
    findings = _examined(config)
    if as_json:
        click.echo(json.dumps({name: list(map(_plain, found)) for name, found in findings.items()}, indent=2))
    else:
        for name, found in findings.items():
            _print(name, found)
    if any(finding.level.value == "fault" for found in findings.values() for finding in found):
        sys.exit(1)


def _examined(config: Config) -> dict[str, list[Finding]]:
    """Asterisk -> what was found."""
    from twisted.internet.defer import Deferred
    from twisted.internet.task import react

    from easycall.doctor.answers import Phone
    from easycall.doctor.judgement import home_of, judge
    from easycall.doctor.questions import ask
    from easycall.lab.layout import shipped

    home = home_of((shipped() / "asterisk/extensions.conf").read_text(encoding="utf-8"))
    findings: dict[str, list[Finding]] = {}

    async def examine(reactor: Any) -> None:
        for box in config.asterisks:
            agents = [agent for agent in config.agents.values() if agent.phone]
            phones = [Phone(agent.id, box.dial.replace("{phone}", agent.phone)) for agent in agents]
            findings[box.name] = judge(box, phones, home, await ask(box, phones, reactor))

    try:
        react(lambda reactor: Deferred.fromCoroutine(examine(reactor)))
    except SystemExit as end:  # always: it ends so
        if end.code:
            raise
    return findings


def _plain(finding: Finding) -> dict[str, str]:
    return {
        "level": finding.level.value,
        "place": finding.place,
        "text": finding.text,
        "remedy": finding.remedy,
    }


def _print(name: str, findings: Sequence[Finding]) -> None:
    click.echo(f"asterisk.{name}")
    for finding in findings:
        level, rest = finding.level.value, str(finding)[8:]
        click.echo(f"  {click.style(f'{level:<8}', COLOURS[level])}{rest}")
