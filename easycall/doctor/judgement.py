"""Judges what an Asterisk answered.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import ip_address

from easycall.asterisk.dialplan import INCLUDE, MISSING, SHOW, place
from easycall.config.kinds import client_host, server_port
from easycall.config.settings import AsteriskBox
from easycall.doctor.answers import Answers, Phone, Step
from easycall.doctor.findings import Finding, fault, ok, unseen, warning
from easycall.doctor.logging import judge_logging
from easycall.doctor.phones import judge_phones

__all__ = ["DEVICES", "FALLBACK", "NEEDED", "RECORDING", "TESTED", "UNWANTED", "home_of", "judge"]

TESTED = 22
"""The release of Asterisk that the facts easycall rests on were measured on."""
NEEDED: Mapping[str, str] = {"Bridge": "call", "Originate": "originate", "CoreSettings": "reporting"}
"""Action that is tried -> the right of ours it proves."""
UNWANTED: Mapping[str, str] = {
    "Command": "command",
    "ModuleCheck": "system",
    "UpdateConfig": "config",
    "AGI": "agi",
    "MessageSend": "message",
}
"""Action that is tried, with nothing for it to do -> the right it would prove."""
RECORDING = "MixMonitorMute"
"""An action that is there when calls can be recorded; tried on a channel that is not there."""
DEVICES = "DeviceStateList"
"""The action that tells what phones do, when its module is there."""
DENIED = "Permission denied"
UNKNOWN = "Invalid/unknown command"
UNDONE = (DENIED, UNKNOWN)
"""How the answer to an action begins that the account may not send, or that this Asterisk does not have."""
NO_EXTENSION = "Extension does not exist."
FALLBACK = "easycall-fallback"
AGI_VARIABLE = "EASYCALL_AGI"
SKEW_SECONDS = 2.0
"""More than this between two clocks makes records and waiting times wrong."""

_AGI = re.compile(r"agi://(\[[^\]]+\]|[^/:]+)(?::(\d+))?(?:/.*)?")
_STEP = re.compile(r"(?:exten\s*=>\s*s,|same\s*=>\s*)(?:\d+|n)(?:\([\w-]+\))?,\s*(\w+)\((.*)\)\s*")


def judge(box: AsteriskBox, phones: Sequence[Phone], shipped: Sequence[Step], answers: Answers) -> list[Finding]:
    """Everything that can be said of one Asterisk.  ``shipped`` is our context as it is shipped (:func:`home_of`)."""
    key = f"asterisk.{box.name}"
    findings = list(_line(box, key))
    if answers.unreachable:
        remedy = "see that Asterisk runs, and that manager.conf has enabled = yes and lets this machine in"
        findings.append(fault(f"{key}.ami", answers.unreachable, remedy))
    elif answers.refused:
        remedy = f"give [{box.username}] in manager.conf the secret of easycall.toml and permit this machine; manager reload"
        findings.append(fault(f"{key}.secret", f"AMI refuses the account {box.username}: {answers.refused}", remedy))
    else:
        findings += _asterisk(answers, key)
        findings += _rights(box, answers)
        findings += _dialplan(box, shipped, answers)
        findings += _way_home(box, key, answers)
        findings += judge_logging(answers.variables)
        findings += judge_phones(phones, answers.variables)
        findings += _devices(answers)
    findings += _server(box, key, answers)
    return findings


def home_of(extensions: str, context: str = "easycall") -> list[Step]:
    """The steps of the extension ``s`` of a context, of an extensions.conf of ours."""
    section = re.search(rf"^\[{re.escape(context)}\]$(.*?)(?=^\[|\Z)", extensions, re.MULTILINE | re.DOTALL)
    lines = re.split(r"(?m)^exten\s*=>(?!\s*s,)", section[1])[0].splitlines() if section else []
    return [(found[1], found[2]) for line in lines if (found := _STEP.fullmatch(line.strip()))]


def _line(box: AsteriskBox, key: str) -> Iterator[Finding]:
    kind, host = client_host(box.ami)
    if kind == "tcp" and not _is_loopback(host):
        yield warning(f"{key}.ami", f"AMI to {host} is not encrypted", "use tls, see docs/operating.rst")
    if kind != "unix" and not _is_loopback(host) and set(box.peers) <= {"127.0.0.1", "::1"}:
        remedy = "add the address its calls come from"
        yield warning(f"{key}.peers", f"Asterisk is at {host}, and calls are let in from this machine only", remedy)


def _asterisk(answers: Answers, key: str) -> Iterator[Finding]:
    version = answers.settings.get("AsteriskVersion", "")
    shown = f"Asterisk {version or 'of unknown version'}, {answers.greeting}"
    if version.partition(".")[0] == str(TESTED):
        yield ok(f"{key}.ami", shown)
    else:
        yield warning(f"{key}.ami", shown, f"easycall is tested with Asterisk {TESTED} only")
    if answers.uptime is None:
        remedy = "read = call,system,reporting; without it a restart of Asterisk is not noticed and no link opens"
        yield fault("manager.conf: read", "FullyBooted is not told, so the account lacks system", remedy)
    else:
        yield ok("manager.conf: read", f"system is read; Asterisk has been up for {answers.uptime} s")
    if abs(answers.skew) > SKEW_SECONDS:
        text = f"the clock of Asterisk is {abs(answers.skew):.1f} s {'ahead of' if answers.skew > 0 else 'behind'} ours"
        yield warning(f"{key}.ami", text, "let both machines keep time by NTP")
    else:
        yield ok(f"{key}.ami", f"its clock differs from ours by {abs(answers.skew) * 1000:.0f} ms")


def _rights(box: AsteriskBox, answers: Answers) -> Iterator[Finding]:
    place = f"manager.conf: [{box.username}]"
    wanted = "take the account from etc/asterisk/manager.conf"
    missing = [right for action, right in NEEDED.items() if answers.tried.get(action) == DENIED]
    if missing:
        yield fault(f"{place} write", f"the account lacks {', '.join(missing)}", wanted)
    else:
        yield ok(f"{place} write", f"{', '.join(NEEDED.values())} are granted")
    granted = [right for action, right in UNWANTED.items() if not answers.tried.get(action, DENIED).startswith(UNDONE)]
    if granted:
        text = f"{', '.join(granted)} are granted: whoever has the secret may change Asterisk and its machine"
        yield warning(f"{place} write", text, wanted)
    else:
        yield ok(f"{place} write", f"{', '.join(UNWANTED.values())} are refused, as they should be")
    if answers.tried.get(RECORDING, "").startswith(UNKNOWN):
        remedy = "load = app_mixmonitor.so; without it no call is recorded"
        yield warning("modules.conf: app_mixmonitor.so", "it is not loaded", remedy)
    if not answers.tried.get("Originate"):
        if answers.told:
            yield ok(f"{place} read", "call is read: what becomes of calls is told")
        else:
            remedy = "read = call,system,reporting"
            yield fault(f"{place} read", "OriginateResponse is not told, so the account lacks call", remedy)
    remedy = "dtmf, dialplan and agi must not be there: they carry the digits that callers key in"
    yield unseen(f"{place} read", "what else may be read", remedy)
    remedy = "it must be 5000 or more: the default of 100 cuts a daemon off that was busy for a moment"
    yield unseen(f"{place} writetimeout", "its value", remedy)


def _dialplan(box: AsteriskBox, shipped: Sequence[Step], answers: Answers) -> Iterator[Finding]:
    written = place(box.context)
    here = answers.dialplan.get(box.context)
    if answers.tried.get("Originate") == NO_EXTENSION or (here is None and answers.tried.get(SHOW) != DENIED):
        yield fault(written, MISSING, INCLUDE)
        return
    if here is None:
        remedy = (
            "it must be that of etc/asterisk/extensions.conf; as long as it is not seen, /readyz cannot tell that it is gone"
        )
        yield unseen(written, "how it is written", remedy)
    elif list(here) != list(shipped):
        same = next((at for at, (one, other) in enumerate(zip(here, shipped, strict=False), 1) if one != other), 0)
        at = same or min(len(here), len(shipped)) + 1
        yield warning(written, f"it is not the shipped one: priority {at} differs", INCLUDE)
    else:
        yield ok(written, "it is there, as shipped")
    if FALLBACK in answers.dialplan:
        yield ok(place(FALLBACK), "callers are served when the daemon stays away")
    elif here is not None:
        text = "there is none: when the daemon stays away callers hear that all lines are busy"
        yield warning(place(FALLBACK), text, "write one, see etc/asterisk/extensions.conf")


def _way_home(box: AsteriskBox, key: str, answers: Answers) -> Iterator[Finding]:
    """Whether the dialplan looks for the daemon where it listens."""
    place = f"extensions.conf: {AGI_VARIABLE}"
    said = answers.variables.get(AGI_VARIABLE, "") or "agi://127.0.0.1:4573/leg"
    found, (port, interface) = _AGI.fullmatch(said), server_port(box.fastagi)
    if found is None:
        yield fault(place, f"{said} is no address of FastAGI", "write agi://HOST:PORT/leg")
    elif port and int(found[2] or 4573) != port:
        yield fault(place, f"the dialplan looks for the daemon at {said}, {key}.fastagi is {box.fastagi}", "let both agree")
    elif interface and _is_loopback(interface) and not _is_loopback(found[1]):
        remedy = f"let {key}.fastagi listen on an address that Asterisk reaches, and nobody else"
        yield fault(place, f"the dialplan looks for the daemon at {said}, but it listens on {interface} only", remedy)
    else:
        yield ok(place, f"the dialplan looks for the daemon at {said}")


def _devices(answers: Answers) -> Iterator[Finding]:
    if answers.tried.get(DEVICES):
        text = "the states of phones are not told: nothing is known of private calls, and of phones that are away"
        yield warning("modules.conf", text, "load = res_manager_devicestate.so")
    else:
        yield ok("modules.conf", "the states of phones are told")
    remedy = "give every trunk rtp_timeout and allow_transfer = no, see etc/asterisk/pjsip.conf"
    yield unseen("pjsip.conf: trunks", "how those are set over which callers come", remedy)


def _server(box: AsteriskBox, key: str, answers: Answers) -> Iterator[Finding]:
    place = f"{key}.fastagi"
    if answers.fastagi is None:
        yield unseen(place, f"whether anybody listens at {box.fastagi}", "start the daemon and see /readyz")
    elif answers.fastagi:
        remedy = "start the daemon; until then callers hear music and go to the fallback"
        yield warning(place, f"nobody listens at {box.fastagi}: {answers.fastagi}", remedy)
    else:
        yield ok(place, f"somebody listens at {box.fastagi}")
    port, interface = server_port(box.fastagi)
    if port and interface in ("", "0.0.0.0", "::"):  # noqa: S104 - looked for, not listened on
        remedy = "interface=ADDRESS of one that only Asterisk reaches: who speaks FastAGI commands every call"
        yield warning(place, "it listens on every address of this machine", remedy)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
