"""What ``${…}`` is on a channel: its variables, those of the whole PBX, and the functions a dialplan of ours uses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from easycall.simulator.channel import Channel
    from easycall.simulator.core import Core

__all__ = ["caller_id", "find", "set_variable", "value"]

_FUNCTION = re.compile(r"([A-Z_]+)\((.*)\)", re.DOTALL)
_PART = re.compile(r"(\w+):(-?\d+)(?::(-?\d+))?")
_CALLERID = re.compile(r'\s*(?:"?([^"<]*?)"?\s*<([^>]*)>|(.*))\s*', re.DOTALL)


def value(core: Core, channel: Channel | None, name: str) -> str:
    """As :func:`find`, but empty when it is not set."""
    return find(core, channel, name) or ""


def find(core: Core, channel: Channel | None, name: str) -> str | None:
    """The value of a variable, of a part of one (``X:1:3``) or of a function; None when it is not set.

    Without a channel: of what belongs to the whole PBX.
    """
    if (function := _FUNCTION.fullmatch(name)) is not None:
        found = _function(core, function[1], function[2])
        return _own_function(channel, function[1], function[2]) if found is None and channel is not None else found
    if (part := _PART.fullmatch(name)) is not None:
        whole = value(core, channel, part[1])
        begin = int(part[2]) if int(part[2]) >= 0 else max(0, len(whole) + int(part[2]))
        length = None if part[3] is None else int(part[3])
        end = None if length is None else begin + length if length >= 0 else len(whole) + length
        return whole[begin:end]
    if channel is None:
        return core.globals.get(name)
    for variables in (channel.variables, core.globals):
        if (found := variables.get(name)) is not None:
            return found
    return _built_in(core, channel, name)


def _built_in(core: Core, channel: Channel, name: str) -> str | None:
    match name:
        case "EXTEN":
            return channel.extension
        case "CONTEXT":
            return channel.context
        case "PRIORITY":
            return str(channel.priority)
        case "UNIQUEID":
            return channel.id
        case "CHANNEL":
            return channel.name
        case "EPOCH":
            return str(int(core.now()))
        case "HANGUPCAUSE":
            return str(channel.cause)
    return None


def _function(core: Core, name: str, given: str) -> str | None:
    match name:
        case "FILTER":
            allowed, _, text = given.partition(",")
            return "".join(re.findall(f"[{re.escape(allowed).replace(chr(92) + '-', '-')}]", text))
        case "DIALPLAN_EXISTS":
            context, extension, priority = [*given.split(","), "s", "1"][:3]
            return "1" if core.dialplan.priority(context, extension, priority) else "0"
        case "GLOBAL":
            return core.globals.get(given, "")
        case "URIENCODE":
            return quote(given)
        case "URIDECODE":
            return unquote(given)
        case "PJSIP_ENDPOINT" | "PJSIP_AOR" | "PJSIP_CONTACT":
            return _pjsip(core, name, *given.partition(",")[::2])
    return None


def _pjsip(core: Core, function: str, name: str, fact: str) -> str:
    """What is known of an endpoint; its AOR has the same name, and one contact."""
    state = core.endpoints.get(name.partition("@@")[0])
    if state is None:
        return ""
    reachable = core.devices.is_reachable(name.partition("@@")[0])
    facts = {
        "PJSIP_ENDPOINT": {
            "aors": name,
            "direct_media": "false",
            "rtp_timeout": "30",
            "allow_transfer": "false",
        },
        "PJSIP_AOR": {"qualify_frequency": "2", "contact": f"{name}@@{'0' * 32}"},
        "PJSIP_CONTACT": {"status": "Reachable" if reachable else "Unreachable"},
    }
    return facts[function].get(fact, "")


def _own_function(channel: Channel, name: str, given: str) -> str | None:
    match name:
        case "CALLERID":
            number, text = channel.caller, channel.caller_name
            known = {"num": number, "number": number, "ani": number, "name": text, "all": f'"{text}" <{number}>'}
            return known.get(given, "")
        case "CHANNEL":
            return {"name": channel.name, "uniqueid": channel.id, "linkedid": channel.linkedid}.get(given, "")
    return None


def set_variable(core: Core, channel: Channel, name: str, text: str) -> bool:
    """Set a variable of the channel, ``GLOBAL(X)``, or what ``CALLERID(…)`` names; False: that cannot be set.

    ``TIMEOUT(absolute)`` is obeyed; ``CONFBRIDGE(user,…)`` and ``PJSIP_HEADER(add,…)`` are kept under their names.
    """
    function = _FUNCTION.fullmatch(name)
    if function is None:
        channel.variables[name.lstrip("_")] = text
        if core.wanted("dialplan", "VarSet"):
            core.tell("dialplan", "VarSet", channel, [("Variable", name), ("Value", text)])
    elif function[1] == "FAXOPT":
        channel.variables[name] = text
    elif function[1] == "GLOBAL":
        core.globals[function[2]] = text
    elif function[1] == "CALLERID":
        number, text_of_name = caller_id(text) if function[2] == "all" else (channel.caller, channel.caller_name)
        channel.caller = text if function[2] in ("num", "number") else number
        channel.caller_name = text if function[2] == "name" else text_of_name
    elif function[1] == "TIMEOUT" and function[2] == "absolute":
        channel.limit(float(text))
    elif function[1] in ("CONFBRIDGE", "PJSIP_HEADER"):
        channel.variables[name] = text
    else:
        return False
    return True


def caller_id(text: str) -> tuple[str, str]:
    """Number and name of ``"Name" <number>``, or of a number alone."""
    found = _CALLERID.fullmatch(text)
    if found is None:
        return "", ""
    return (found[2], found[1].strip()) if found[2] is not None else (found[3].strip(), "")
