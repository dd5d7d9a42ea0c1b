"""What may stand in ``easycall.toml``: every section, every option, every value.  Pure."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

from easycall.config.kinds import (
    Kind,
    addresses,
    client_endpoint,
    command,
    levels,
    lists,
    matching,
    number,
    server_endpoint,
    switch,
    text,
    web_address,
    whole,
)
from easycall.config.settings import Right
from easycall.config.toml import Entries, Open, Option, Schema
from easycall.hours import spans_of, weekdays_of, zone_of
from easycall.model import (
    BY_THEMSELVES,
    DELAYS,
    NUMBER,
    SKILL,
    AutoAnswer,
    CallbackSource,
    Closing,
    DispositionRule,
    First,
    LostAgent,
    Outcome,
    OverflowTo,
    OverflowWhen,
    OwnerAway,
    RecordRule,
)
from easycall.policy import AT_DESK, AgentOrder, Channel

__all__ = ["ASTERISK_DIRECTORY", "BOX", "ID", "SCHEMA", "SECRET"]

ID = matching("1 to 64 letters, digits, _ and -", r"[A-Za-z0-9_-]{1,64}")
_NAME = matching("1 to 32 letters, digits and -", r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")
BOX = matching("1 to 32 small letters, digits and -", r"[a-z0-9][a-z0-9-]{0,31}")
_FLOW = matching("the name of a flow: 1 to 40 of a-z 0-9 and -", r"[a-z0-9][a-z0-9-]{0,39}")
_LANGUAGE = matching("a language such as en, zh or zh-TW", r"[a-z]{2,3}(-[A-Z]{2})?")
_VOICE = matching("a voice that prompts.speak knows", r"[A-Za-z0-9/][A-Za-z0-9_+./-]{0,200}")
_STRATEGY = matching("the name of a strategy: 1 to 64 letters, digits, _ . and -", r"[A-Za-z0-9_.-]{1,64}")
_DIALLED = matching("1 to 40 digits, letters, + * # . _ -", r"[0-9A-Za-z+*#._-]{1,40}")
_DIAL = matching(
    "a technology, / and {phone} once, such as PJSIP/{phone} or PJSIP/{phone}@trunk",
    r"[A-Za-z0-9]+/[A-Za-z0-9_./@:-]*\{phone\}[A-Za-z0-9_./@:-]*",
)
_OUT = matching(
    "a technology, / and {number} or {digits} once, such as PJSIP/{number}@carrier",
    r"[A-Za-z0-9]+/[A-Za-z0-9_./@:-]*\{(?:number|digits)\}[A-Za-z0-9_./@:-]*",
)
_E164 = matching("a whole number such as +493012345678", NUMBER.pattern)
_PREFIX = matching("the beginning of a number: + and up to 15 digits", r"\+(?:[1-9][0-9]{0,14})?")
ASTERISK_DIRECTORY = matching("an absolute path of letters, digits and / . _ -", r"/(?!.*\.\.)[A-Za-z0-9/._-]{0,200}")


def _target(value: Any) -> tuple[OverflowTo, str]:
    """Where an overflow rule sends contacts."""
    to, _, name = str(value).partition(":")
    if value != OverflowTo.HANG_UP and (to == OverflowTo.HANG_UP or not ID.fits(name)):
        raise ValueError(value)
    return OverflowTo(to), name


def _takes(value: Any) -> dict[Channel, int]:
    """Kinds of work, and how much of each at once."""
    limits = {Channel(kind): whole("", 0, 50).read(most) for kind, most in dict(value).items()}
    if any(most > 1 for kind, most in limits.items() if kind not in AT_DESK):
        raise ValueError(value)
    return limits


def _besides(value: Any) -> dict[Channel, frozenset[Channel]]:
    """Kinds of work, and beside what each may be offered."""
    found = {Channel(kind): frozenset(map(Channel, lists(text(1, 20)).read(others))) for kind, others in dict(value).items()}
    if any(others - AT_DESK for others in found.values()):
        raise ValueError(value)
    return found


def _by_outcome(each: Kind) -> Kind:
    """A table of what may come of an attempt to call back."""

    def read(value: Any) -> dict[Outcome, Any]:
        found = {Outcome(outcome): each.read(given) for outcome, given in dict(value).items()}
        if found.keys() - DELAYS.keys():
            raise ValueError(value)
        return found

    return Kind(f"a table, each line an outcome ({', '.join(DELAYS)}) = {each.allowed}", read)


def _by_itself(value: Any) -> CallbackSource:
    source = CallbackSource(value)
    if source not in BY_THEMSELVES:
        raise ValueError(value)
    return source


def _date(value: Any) -> date:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        raise ValueError(value)
    return date.fromisoformat(value)


def _is_nought(value: Any) -> bool:
    return value == 0 and value is not False


_LIMIT = number("seconds", 2, 3600)
_DAYS = number("days", 2, 36_500)
_KEPT = Kind(
    "0 for ever, or " + _DAYS.allowed, lambda value: 0.0 if value == 0 and value is not False else _DAYS.read(value)
)
_FAX_DAYS = number("days", 0.01, 36_500)
_RECEIVED = Kind(f"0 for ever, or {_FAX_DAYS.allowed}", lambda value: 0.0 if _is_nought(value) else _FAX_DAYS.read(value))
_WATCHDOG = Kind("0, or " + _LIMIT.allowed, lambda value: 0.0 if value == 0 and value is not False else _LIMIT.read(value))
_TO = Kind("queue:QUEUE, voicemail:BOX, flow:FLOW or hang_up", _target)
_KINDS, _DESK = ", ".join(Channel), ", ".join(kind for kind in Channel if kind in AT_DESK)
_TAKES = Kind(f"a table, each line a kind of work ({_KINDS}) = how many at once: 0 to 50, of calls 0 or 1", _takes)
_BESIDE = Kind(f"a table, each line a kind of work ({_KINDS}) = a list of kinds among {_DESK}", _besides)
_ACCEPTS = lists(Kind(f"one of {_DESK}", lambda value: Channel(text(1, 20).read(value) if value in AT_DESK else "")))
_ZONE = Kind("a time zone such as Europe/Berlin", zone_of)
_SPANS = Kind('a list of spans that do not overlap, such as ["08:00-12:00", "13:00-18:00"]; [] is closed', spans_of)
_WEEKDAYS = Kind("a day or days of the week, such as sat or mon-fri", weekdays_of)
_DATE = Kind("a date such as 2026-12-24", _date)

_STORE = matching(
    "sqlite:///FILE or postgresql://USER@HOST:PORT/DATABASE, with ?sslmode=… and the like as libpq knows them, and the "
    "password in store.password_file",
    r"sqlite:///[^?#\x00-\x1f]{1,400}"
    r"|postgresql://([A-Za-z0-9_.%-]{1,63}@)?([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])?(:[0-9]{1,5})?"
    r"/[A-Za-z0-9_.%-]{1,63}"
    r"(\?(host|port|ssl[a-z_]+)=[^&#\x00-\x20]{1,300}(&(host|port|ssl[a-z_]+)=[^&#\x00-\x20]{1,300})*)?",
)

SECRET = text(1, 256)
_RIGHTS = lists(matching(f"one of {', '.join(Right)}", "|".join(Right)))
_KIND = Kind(f"one of {', '.join(Channel)}", Channel)
_CALLBACK = {
    "of": Option(lists(Kind(f"one of {', '.join(BY_THEMSELVES)}", _by_itself))),
    "first": Option(Kind("customer or agent", First)),
    "dial_ahead": Option(switch),
    "hours": Option(ID),
    "after_seconds": Option(number("seconds", 0, 604_800)),
    "min_wait_seconds": Option(number("seconds", 0, 3600)),
    "delays": Option(_by_outcome(number("seconds", 1, 604_800))),
    "most": Option(_by_outcome(whole("attempts", 1, 20))),
    "attempts": Option(whole("attempts", 1, 20)),
    "attempts_per_day": Option(whole("attempts", 1, 20)),
    "expires_hours": Option(number("hours", 0.01, 2160)),
    "asked_per_day": Option(whole("callbacks", 1, 1000)),
    "other_numbers": Option(switch),
    "ring_seconds": Option(number("seconds", 5, 120)),
    "greeting": Option(text(0, 1000)),
    "accept": Option(text(0, 1000)),
    "accept_seconds": Option(number("seconds", 2, 60)),
    "detect_machine": Option(switch),
    "owner_seconds": Option(number("seconds", 0, 86_400)),
    "owner_away": Option(Kind("anyone or postpone", OwnerAway)),
    "late_seconds": Option(number("seconds", 0, 2_592_000)),
}
"""Of all queues, and of one."""
_SKILL = matching("the name of a skill such as billing or lang:zh", SKILL.pattern)

SCHEMA: Schema = {
    "node": {"name": Option(_NAME), "data": Option(text(1, 500)), "watchdog_seconds": Option(_WATCHDOG)},
    "api": {"listen": Option(server_endpoint("tcp", "tcp6", "ssl", "unix", "systemd"))},
    "api.tokens": {
        "name": Option(ID, required=True),
        "sha256": Option(
            matching("64 hexadecimal digits, the SHA-256 of a token", r"[0-9a-f]{64}"), required=True, secret=True
        ),
        "rights": Option(_RIGHTS),
        "agent": Option(ID),
    },
    "store": {
        "url": Option(_STORE, secret=True),  # some write a password into it, which is wrong and must not be shown
        "password_file": Option(text(1, 500)),
    },
    "retention": {
        "contact_days": Option(_KEPT),
        "recording_days": Option(_KEPT),
        "voicemail_days": Option(_KEPT),
        "night": Option(_SPANS),
        "zone": Option(_ZONE),
    },
    "transactions": {"late_hours": Option(number("hours", 0, 8760))},
    "journal": {"max_bytes": Option(whole("bytes", 16 << 20, 1 << 40))},
    "asterisk": {
        "ami": Option(client_endpoint("tcp", "tls", "unix")),
        "username": Option(text(1, 64)),
        "login": Option(matching("md5 or plain", r"md5|plain")),
        "secret": Option(SECRET, secret=True),
        "secret_file": Option(text(1, 500)),
        "fastagi": Option(server_endpoint("tcp", "tcp6")),
        "peers": Option(addresses),
        "dial": Option(_DIAL),
        "context": Option(matching("1 to 79 letters, digits, _ and -", r"[A-Za-z0-9_-]{1,79}")),
    },
    "prompts": {
        "directory": Option(text(1, 500)),
        "asterisk_directory": Option(ASTERISK_DIRECTORY),
        "speak": Option(command),
        "convert": Option(command),
        "language": Option(_LANGUAGE),
    },
    "prompts.voices": Entries(_LANGUAGE, _VOICE),
    "fax": {
        "directory": Option(text(1, 500)),
        "asterisk_directory": Option(ASTERISK_DIRECTORY),
        "lines": Option(whole("lines", 0, 500)),
        "station": Option(matching("0 to 20 digits, spaces and +", r"[0-9+ ]{0,20}")),
        "header": Option(matching("0 to 50 letters, digits, spaces and . , : _ + -", r"[A-Za-z0-9 .,:_+-]{0,50}")),
        "pages": Option(whole("pages", 1, 1000)),
        "document_days": Option(number("days", 0.01, 3650)),
        "received_days": Option(_RECEIVED),
        "render": Option(command),
        "to_pdf": Option(command),
    },
    "fax.start": Entries(_LANGUAGE, text(1, 1000)),
    "fax.detect": Entries(_DIALLED, ID),
    "fax.queues": Entries(ID, ID),
    "voicemail": {
        "directory": Option(text(1, 500)),
        "asterisk_directory": Option(ASTERISK_DIRECTORY),
        "max_seconds": Option(number("seconds", 5, 3600)),
        "silence_seconds": Option(number("seconds", 1, 60)),
    },
    "voicemail.boxes": Entries(ID, text(0, 1000)),
    "voicemail.queues": Entries(ID, ID),
    "calls": {
        "longest_seconds": Option(number("seconds", 60, 604_800)),
        "notice_seconds": Option(number("seconds", 0, 3600)),
    },
    "parking": {"seconds": Option(number("seconds", 5, 3600))},
    "recordings": {"directory": Option(text(1, 500)), "asterisk_directory": Option(ASTERISK_DIRECTORY)},
    "flows": {"directory": Option(text(1, 500)), "default": Option(_FLOW)},
    "numbers": Entries(_DIALLED, _FLOW),
    "queues": {
        "name": Option(text(1, 100), required=True),
        "ring_seconds": Option(number("seconds", 1, 120)),
        "wrap_up_seconds": Option(number("seconds", 0, 3600)),
        "wrap_up_extend_seconds": Option(number("seconds", 0, 3600)),
        "disposition": Option(matching("off, optional or required", "|".join(DispositionRule))),
        "dispositions": Option(lists(text(1, 60))),
        "disposition_seconds": Option(number("seconds", 0, 3600)),
        "music": Option(ID),
        "busy_prompt": Option(text(0, 1000)),
        "busy_repeat_seconds": Option(number("seconds", 0, 3600)),
        "announce_position": Option(switch),
        "announce_wait": Option(switch),
        "announce_seconds": Option(number("seconds", 10, 3600)),
        "record": Option(Kind("never, on_demand or always", RecordRule)),
        "lost_agent": Option(matching("requeue or hang_up", "|".join(LostAgent))),
        "caller_id": Option(_E164),
        "hours": Option(ID),
        "closing": Option(Kind("serve or overflow", Closing)),
        "max_waiting": Option(whole("callers", 0, 100_000)),
        "max_wait_seconds": Option(number("seconds", 1, 86_400)),
        "max_wait_prompt": Option(text(0, 1000)),
        "owner_seconds": Option(number("seconds", 0, 3600)),
        "last_agent_seconds": Option(number("seconds", 0, 3600)),
        "last_agent_days": Option(number("days", 0.01, 366)),
        "last_agent_any_queue": Option(switch),
        "redial_seconds": Option(number("seconds", 0, 3600)),
        "skills": Option(text(0, 500)),
        "prefers": Option(text(0, 500)),
        "order": Option(Kind(f"one of {', '.join(AgentOrder)}", AgentOrder)),
        "first_agents": Option(lists(ID)),
        "priority_seconds": Option(number("seconds", -86_400, 86_400)),
        "max_talks": Option(whole("talks", 0, 10_000)),
        "ring_all_agents": Option(whole("agents", 2, 20)),
        "strategy": Option(ID),
    },
    "callback": _CALLBACK,
    "queues.*.callback": _CALLBACK,
    "queues.*.service_level": Entries(_KIND, number("seconds", 1, 2_592_000)),
    "queues.*.rings": {
        "after": Option(number("seconds", 1, 86_400), required=True),
        "drop": Option(lists(_SKILL)),
        "lower": Option(levels(_SKILL, 1, 100)),
        "queues": Option(lists(ID)),
    },
    "queues.*.overflow": {
        "when": Option(Kind(f"one of {', '.join(OverflowWhen)}", OverflowWhen), required=True),
        "to": Option(_TO, required=True),
        "seconds": Option(number("seconds", 1, 86_400)),
        "say": Option(text(1, 1000)),
    },
    "hours": {
        "zone": Option(_ZONE, required=True),
        "country": Option(matching("a country code such as DE", r"[A-Z]{2}")),
        "subdivision": Option(matching("the code of a part of the country, such as BY", r"[A-Za-z0-9 -]{1,40}")),
    },
    "hours.*.week": Entries(_WEEKDAYS, _SPANS),
    "hours.*.days": Entries(_DATE, _SPANS),
    "dialing": {
        "country": Option(matching("a country code: 1 to 3 digits", r"[1-9][0-9]{0,2}")),
        "national_prefix": Option(matching("0 to 3 digits", r"[0-9]{0,3}")),
        "international_prefix": Option(matching("0 to 5 digits", r"[0-9]{0,5}")),
        "allow": Option(lists(_PREFIX)),
        "deny": Option(lists(_PREFIX)),
        "own": Option(lists(_E164)),
        "ring_seconds": Option(number("seconds", 5, 120)),
        "call_seconds": Option(number("seconds", 60, 86_400)),
        "calls_per_customer": Option(whole("calls", 1, 1_000_000)),
        "calls_per_number": Option(whole("calls", 1, 1_000_000)),
        "calls_per_agent": Option(whole("calls", 1, 1_000_000)),
        "calls_per_queue": Option(whole("calls", 1, 1_000_000)),
        "calls_per_day": Option(whole("calls", 1, 1_000_000)),
    },
    "trunks": {
        "asterisk": Option(BOX),
        "dial": Option(_OUT, required=True),
        "lines": Option(whole("lines", 1, 10_000), required=True),
        "prefixes": Option(lists(_PREFIX)),
        "caller_ids": Option(lists(_E164)),
    },
    "supervision": {"tell_agents": Option(switch)},
    "staff": {
        "reasons": Option(lists(text(1, 60))),
        "desktop_seconds": Option(number("seconds", 5, 3600)),
        "takes": Option(_TAKES),
        "beside": Option(_BESIDE),
        "auto_accept": Option(_ACCEPTS),
    },
    "services": {
        "url": Option(web_address, required=True),
        "ca": Option(text(1, 500)),
        "token_file": Option(text(1, 500)),
        "timeout": Option(number("seconds", 1, 30)),
    },
    "strategies": Open(
        use=Option(
            matching("the name of a strategy: 1 to 64 letters, digits, _ . and -", r"[A-Za-z0-9_.-]{1,64}"), required=True
        ),
        seconds=Option(number("seconds", 0.01, 5)),
        candidates=Option(whole("agents", 1, 20)),
        failures=Option(whole("failures", 1, 1000)),
        rest_seconds=Option(number("seconds", 1, 3600)),
    ),
    "keys": Entries(ID, text(1, 500)),
    "agents": {
        "name": Option(text(1, 100), required=True),
        "queues": Option(lists(ID)),
        "supervises": Option(lists(matching('the id of a queue, or "*" for all', r"\*|[A-Za-z0-9_-]{1,64}"))),
        "skills": Option(levels(_SKILL, 1, 100)),
        "auto_answer": Option(Kind("never, asked or always", AutoAnswer)),
        "takes": Option(_TAKES),
        "beside": Option(_BESIDE),
        "auto_accept": Option(_ACCEPTS),
        "phone": Option(matching("the name of an endpoint: 1 to 64 letters, digits and _ . + -", r"[A-Za-z0-9_.+-]{1,64}")),
    },
}
"""Sections below ``asterisk``, ``queues``, ``hours``, ``services``, ``strategies``, ``agents``, ``trunks`` have names that
the operator chose."""
