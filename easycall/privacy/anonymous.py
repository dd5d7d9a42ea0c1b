"""An event without what tells who the customer was.  Pure.

Times, queues, agents, outcomes and how often something happened stay, so that figures stay right.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from attrs import evolve, fields

from easycall import events as facts
from easycall.config import DialingSettings
from easycall.events import Event
from easycall.model import Direction
from easycall.outbound.rules import NotDialled, normalised

__all__ = ["PERSONAL", "anonymous", "shown_forms", "without"]

PERSONAL: Mapping[type[Event], tuple[str, ...]] = {
    facts.ContactArrived: ("caller", "caller_name", "dialled"),
    facts.ScreenPop: ("caller", "caller_name", "dialled", "answers", "data", "reason"),
    facts.CallbackAsked: ("number", "reason"),
    facts.CallDialled: ("number",),
    facts.CallRinging: ("number",),
    facts.CallAnswered: ("number",),
    facts.CallCut: ("number",),
    facts.CallFailed: ("number",),
    facts.OutsideStarted: ("number",),
    facts.OutsideEnded: ("number",),
    facts.MenuAnswered: ("choice",),
    facts.Collected: ("value",),
    facts.ServiceAsked: ("taken",),
    facts.AskIgnored: ("why",),
    facts.StrategyAsked: ("error",),
    facts.LoanEnded: ("answers", "result"),
    facts.FaxEnded: ("station", "error"),
    facts.FaxReceived: ("station",),
    facts.DataAttached: ("data",),
    facts.RecordingStarted: ("file",),
    facts.RecordingFailed: ("why",),
    facts.TransactionReported: ("reference", "data"),
}
"""Event -> its fields that may tell who the customer was, or what was said or sent."""

OURS: Mapping[type[Event], tuple[str, ...]] = {facts.CallDialled: ("caller_id",)}
"""Fields with a number of our own."""

_NUMBER = re.compile(r"\+[0-9]{5,15}")
"""Somebody outside: in any field, as who was asked, or to whom the customer was given."""

ERASED = "erased"


def anonymous(event: Event) -> Event:
    """The same without it."""
    personal = set(PERSONAL.get(type(event), ()))
    if isinstance(event, facts.ContactArrived | facts.ScreenPop):
        personal.discard(
            "caller" if event.direction is Direction.OUTBOUND else "dialled"
        )  # the other one is a number of ours
    kept = {*OURS.get(type(event), ()), *({"caller", "dialled"} - personal)}
    changes: dict[str, Any] = {}
    for one in fields(type(event)):
        value = getattr(event, one.name)
        if one.name in personal:
            changes[one.name] = "" if isinstance(value, str) else {}
        elif one.name not in kept and isinstance(value, str) and _NUMBER.fullmatch(value):
            changes[one.name] = ERASED
    return evolve(event, **changes)


def shown_forms(typed: str, settings: DialingSettings) -> frozenset[str]:
    """The forms in which a number may stand in records; empty for what is none.

    Records are kept by the number in full; where that was not known, or before it was looked at, as the PBX showed it.
    """
    bare = re.sub(r"[ ()./-]", "", typed)
    if not re.fullmatch(r"\+?[0-9]{3,20}", bare) or not bare.strip("+0"):
        return frozenset()
    try:
        full = normalised(typed, settings)
    except NotDialled:
        return frozenset({bare})
    forms = {bare, full, full[1:], f"{settings.international_prefix or '00'}{full[1:]}"}
    if settings.country and full.startswith(f"+{settings.country}"):
        forms.add(settings.national_prefix + full.removeprefix(f"+{settings.country}"))
    return frozenset(forms)


def without(body: str, numbers: Collection[str]) -> str:
    """The JSON of an event in which none of the numbers stands as a value any more."""
    return msgspec.json.encode(_without(msgspec.json.decode(body), numbers)).decode()


def _without(value: Any, numbers: Collection[str]) -> Any:
    if isinstance(value, str):
        return ERASED if value in numbers else value
    if isinstance(value, dict):
        return {key: _without(one, numbers) for key, one in value.items()}
    return [_without(one, numbers) for one in value] if isinstance(value, list) else value
