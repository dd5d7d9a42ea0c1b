"""Whether a number may be dialled, and how.  Pure.

Nothing may be dialled unless the configuration allows it: toll fraud begins with a number that nobody thought of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from attrs import frozen

from easycall.config import DialingSettings
from easycall.model import NUMBER, Trunk
from easycall.verbs import NotNow

__all__ = ["NotDialled", "Rules", "Why", "normalised"]

_TYPED = re.compile(r"[+(]?[0-9][0-9 ()./-]{0,39}")
"""A number as people write it."""


class Why(StrEnum):
    """Why a number is not dialled."""

    NOT_A_NUMBER = "not_a_number"
    NOT_ALLOWED = "not_allowed"
    OWN_NUMBER = "own_number"
    DO_NOT_CALL = "do_not_call"
    NO_TRUNK = "no_trunk"
    NO_LINE = "no_line"
    CAPPED = "capped"
    CALLER_ID = "caller_id"
    NOT_READ = "not_read"
    """Whether it may be called stands in the database, which was away at the start."""


class NotDialled(NotNow):
    """A number is not dialled; the text says why in words."""

    def __init__(self, why: Why, text: str, seconds: float = 0.0) -> None:
        """``seconds``: for how long this holds; 0: nobody can tell."""
        super().__init__(text)
        self.why = why
        self.seconds = seconds


def normalised(typed: str, settings: DialingSettings) -> str:
    """A number as typed -> E.164 (``+49301234567``).  Raises NotDialled for what is none, or not complete."""
    shown = typed[:40]
    if not _TYPED.fullmatch(typed):
        raise NotDialled(Why.NOT_A_NUMBER, f"{shown!r} is no telephone number: digits, a leading +, spaces and ( ) - . /")
    digits = _international(typed, settings)
    if digits is None:
        known = f", or as dialled within {settings.country}" if settings.country else ""
        text = f"{shown!r} is not complete: give it with + and the country code{known}"
        raise NotDialled(Why.NOT_A_NUMBER, text)
    if not NUMBER.fullmatch(f"+{digits}"):
        raise NotDialled(Why.NOT_A_NUMBER, f"{shown!r} is no telephone number: 7 to 15 digits with the country code")
    return f"+{digits}"


def _international(typed: str, settings: DialingSettings) -> str | None:
    """The digits with the country code; None when they cannot be told."""
    bare = re.sub(r"[^0-9]", "", typed)
    # +49 (0)30 …: the 0 is for those who dial within the country
    without_trunk_code = re.sub(r"[^0-9]", "", typed.replace("(0)", ""))
    if typed.startswith("+"):
        return without_trunk_code
    out, national = settings.international_prefix, settings.national_prefix
    if out and bare.startswith(out):
        return without_trunk_code.removeprefix(out)
    if settings.country and bare.startswith(national):
        return settings.country + bare.removeprefix(national)
    return None


@frozen
class Rules:
    """What the configuration says about calls out."""

    settings: DialingSettings
    trunks: tuple[Trunk, ...] = ()
    own: frozenset[str] = frozenset()
    """Numbers that lead back to us."""

    @classmethod
    def of(cls, settings: DialingSettings, trunks: Iterable[Trunk], numbers: Iterable[str]) -> Rules:
        """``numbers``: those that are dialled to reach us, as configured; the trunks' caller ids are ours too."""
        trunks, own = tuple(trunks), set(settings.own)
        for number in (*numbers, *(shown for trunk in trunks for shown in trunk.caller_ids)):
            try:
                own.add(normalised(number, settings))
            except NotDialled:
                continue  # a short number of the PBX is not reached from outside
        return cls(settings, trunks, frozenset(own))

    def allowed(self, typed: str) -> str:
        """The number in its full form.  Raises NotDialled when it is none, or must not be dialled."""
        number = normalised(typed, self.settings)
        if number in self.own:
            raise NotDialled(Why.OWN_NUMBER, f"{number} is a number of our own")
        allow, deny = (_longest(number, prefixes) for prefixes in (self.settings.allow, self.settings.deny))
        if allow <= deny:
            text = f"{number} must not be dialled: the configuration (dialing) does not allow its prefix"
            raise NotDialled(Why.NOT_ALLOWED, text)
        return number

    def trunks_for(self, number: str, caller_id: str = "", pbx: str = "") -> tuple[Trunk, ...]:
        """The trunks a number may go out by, in the order of the configuration: the first with a free line is taken.

        ``caller_id``: the number that must be shown, as typed; ``pbx``: the Asterisk it must be on; both empty: any.
        Raises NotDialled when there is none.
        """
        found = tuple(trunk for trunk in self.trunks if pbx in ("", trunk.asterisk) and _longest(number, trunk.prefixes))
        if not found:
            where = f" on {pbx}" if pbx else ""
            raise NotDialled(Why.NO_TRUNK, f"there is no trunk{where} for {number}")
        if caller_id:
            shown = normalised(caller_id, self.settings)
            found = tuple(trunk for trunk in found if shown in trunk.caller_ids)
            if not found:
                raise NotDialled(Why.CALLER_ID, f"{shown} is not among the caller ids of a trunk for {number}")
        return found

    def caller_id(self, trunk: Trunk, asked: str, queue: str) -> str:
        """The number shown: the one asked for, else the queue's if the trunk may show it, else the trunk's first."""
        if asked:
            return normalised(asked, self.settings)
        return queue if queue in trunk.caller_ids else next(iter(trunk.caller_ids), "")


def _longest(number: str, prefixes: Iterable[str]) -> int:
    """The length of the longest prefix that matches; 0: none does."""
    return max((len(prefix) for prefix in prefixes if number.startswith(prefix)), default=0)
