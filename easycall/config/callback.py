"""How queues call back, as the configuration says for all of them and for each, and what contradicts itself in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import evolve

from easycall.config.kinds import there_are
from easycall.config.settings import Config
from easycall.config.toml import Document
from easycall.hours import Hours
from easycall.model import CallbackRules, CallbackSource, First

__all__ = ["callback_contradictions", "read_callback"]


def read_callback(document: Document, key: str, hours: Mapping[str, Hours], usual: CallbackRules) -> CallbackRules:
    """The section ``key``, ``callback`` or that of a queue; ``usual``: what counts as far as it does not say.

    What is wrong with it becomes a fault of the document.
    """
    section = document.section(key)
    given = frozenset(section)
    named = section.pop("hours", "")
    if named and named not in hours:
        document.fault(f"{key}.hours", f"there are no hours {named!r}; {there_are(hours)}")
    if "expires_hours" in section:
        section["expires_seconds"] = section.pop("expires_hours") * 3600
    rules = evolve(
        usual,
        of=frozenset(section.pop("of", usual.of)),
        hours=hours.get(named, usual.hours),
        delays={**usual.delays, **section.pop("delays", {})},
        most={**usual.most, **section.pop("most", {})},
        **section,
    )
    for option, trouble in _vain(rules, given):
        document.fault(f"{key}.{option}", trouble)
    return rules


def _vain(rules: CallbackRules, given: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Options that somebody gave and that never count beside the others."""
    if "attempts_per_day" in given and rules.attempts_per_day > rules.attempts:
        yield "attempts_per_day", f"is more than there are in all: give at most {rules.attempts}, or raise attempts"
    if "dial_ahead" in given and rules.dial_ahead and rules.first is First.AGENT:
        yield "dial_ahead", f'goes with first = "{First.CUSTOMER}": an agent who is rung first is there already'
    for outcome, most in rules.most.items() if "most" in given else ():
        if most > rules.attempts:
            yield f"most.{outcome}", f"is more than there are in all: give at most {rules.attempts}, or raise attempts"
    for outcome, delay in rules.delays.items() if "delays" in given else ():
        if delay >= rules.expires_seconds:
            hours = f"{rules.expires_seconds / 3600:g} hours"
            yield f"delays.{outcome}", f"is not over when it is given up, after {hours}: raise expires_hours, or set most"


def callback_contradictions(config: Config, given: Callable[[str], Any]) -> Iterator[tuple[str, str]]:
    """What is right by itself and wrong together: the key, and what is the matter.

    ``given``: whether something stands at a key; what does not was taken from ``callback``.
    """
    told = set()
    for queue in config.queues.values():
        rules, own = queue.callback, f"queues.{queue.id}.callback"

        def place(option: str, own: str = own) -> str:
            return f"{own}.{option}" if given(f"{own}.{option}") else f"callback.{option}"

        if rules.of and not config.dialing.allow:
            told.add((place("of"), "nobody can be called back: dialing.allow names no number that may be dialled"))
        if CallbackSource.CLOSED in rules.of and queue.hours is None and given(f"{own}.of"):
            told.add((place("of"), f"the queue never closes without queues.{queue.id}.hours"))
        daily = place("attempts_per_day")
        if rules.attempts_per_day > config.dialing.calls_per_customer and given(daily):
            most = config.dialing.calls_per_customer
            told.add((daily, f"dialing.calls_per_customer lets {most} through: give no more, or raise that"))
    yield from sorted(told)
