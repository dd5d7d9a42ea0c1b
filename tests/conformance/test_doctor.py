"""``easycall doctor`` as a user runs it, on an Asterisk that is right and on ones that are not."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from .stage import Stage

CONFIG = """\
[node]
data = "{folder}/data"
[asterisk.main]
ami = "tcp:127.0.0.1:{ami}"
username = "{user}"
secret = "{secret}"
fastagi = "tcp:{agi}:interface=127.0.0.1"
dial = "{dial}"
context = "{context}"
[prompts]
directory = "{folder}/prompts"
[flows]
directory = "{flows}"
[queues.sales]
name = "Sales"
[agents.ana]
name = "Ana"
queues = ["sales"]
phone = "2001"
"""
RUN = "from easycall.cli.main import cli; cli()"


async def examined(stage: Stage, folder: Path, **options: Any) -> tuple[int, list[dict[str, str]]]:
    """Run the doctor; its exit code and its findings, which are noted but for the ones of the machine."""
    usual = {
        "folder": folder,
        "flows": Path(__file__).parent.parent / "scenarios" / "flows",
        "ami": stage.place.ami,
        "agi": stage.place.agi,
        "user": "easycall",
        "secret": stage.place.secrets["easycall"],
        "dial": "PJSIP/{phone}@world",
        "context": "easycall",
    }
    file = folder / "easycall.toml"
    file.touch(mode=0o600)
    file.write_text(CONFIG.format(**{**usual, **options}))
    command = (sys.executable, ["-c", RUN, "doctor", "-c", str(file), "--json"])
    output, errors, code = await getProcessOutputAndValue(*command, env=None, reactor=reactor)
    assert output, errors
    findings: list[dict[str, str]] = json.loads(output)["main"]
    for finding in findings:
        stage.notes.add(finding["level"], finding["place"])
    return code, findings


def faults(findings: list[dict[str, str]]) -> list[str]:
    return [finding["place"] for finding in findings if finding["level"] == "fault"]


async def test_an_asterisk_with_our_files_is_all_right_and_nothing_happens_to_it(stage: Stage, tmp_path: Path) -> None:
    before = len(stage.daemon.events)
    code, findings = await examined(stage, tmp_path)
    assert (code, faults(findings)) == (0, [])
    texts = [finding["text"] for finding in findings]
    assert any(text.startswith("Asterisk 22.") for text in texts)
    assert "it is there, as shipped" in texts
    await stage.daemon.quiet()
    phones = {"DeviceStateChange", "ContactStatus", "PeerStatus"}  # of a lab that has just started
    assert {event.name for event in stage.daemon.events[before:]} - phones == {"OriginateResponse"}
    assert await stage.channels() == {}


async def test_an_account_with_every_right_is_warned_of(stage: Stage, tmp_path: Path) -> None:
    code, findings = await examined(stage, tmp_path, user="lab", secret=stage.place.secrets["lab"])
    assert (code, faults(findings)) == (0, [])
    [granted] = [finding["text"] for finding in findings if "are granted: whoever" in finding["text"]]
    stage.notes.add(granted)
    assert granted.startswith("command, system, config, agi, message are granted")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"secret": "wrong"}, "asterisk.main.secret"),
        ({"context": "elsewhere"}, "extensions.conf: [elsewhere]"),
        ({"dial": "PJSIP/desk{phone}"}, "agents.ana.phone"),
        ({"agi": "nobody"}, "extensions.conf: EASYCALL_AGI"),
    ],
    ids=["secret", "context", "phone", "fastagi"],
)
async def test_what_is_wrong_is_a_fault(stage: Stage, tmp_path: Path, options: dict[str, Any], expected: str) -> None:
    if options.get("agi") == "nobody":
        options = {"agi": stage.place.nobody}
    code, findings = await examined(stage, tmp_path, **options)
    assert (code, faults(findings)) == (1, [expected])


async def test_an_asterisk_that_is_not_there(stage: Stage, tmp_path: Path) -> None:
    code, findings = await examined(stage, tmp_path, ami=stage.place.nobody)
    assert (code, faults(findings)) == (1, ["asterisk.main.ami"])


async def test_the_daemon_is_not_running(stage: Stage, tmp_path: Path) -> None:
    await stage.home.close()
    code, findings = await examined(stage, tmp_path)
    assert code == 0
    assert {"level": "warning", "place": "asterisk.main.fastagi"}.items() <= findings[-1].items()
