"""Judges the phones of agents, as Asterisk knows them.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from easycall.doctor.answers import Phone
from easycall.doctor.findings import Finding, fault, ok, unseen, warning

__all__ = ["aor_variables", "endpoint_variables", "judge_phones"]


def endpoint_variables(endpoint: str) -> tuple[str, str, str, str]:
    """What is to be asked about an endpoint: its AORs, whether sound may pass Asterisk by, when a dead line is dropped, and
    whether it may transfer its calls by itself."""
    names = ("aors", "direct_media", "rtp_timeout", "allow_transfer")
    return tuple(f"PJSIP_ENDPOINT({endpoint},{name})" for name in names)  # type: ignore[return-value]


def aor_variables(aor: str) -> tuple[str, str]:
    """What is to be asked about an AOR: how often its contacts are looked after, and its contacts."""
    return f"PJSIP_AOR({aor},qualify_frequency)", f"PJSIP_AOR({aor},contact)"


def judge_phones(phones: Sequence[Phone], variables: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the agents' phones can be rung, and a missing one is known at once."""
    by_endpoint: dict[str, list[Phone]] = {}
    for phone in phones:
        by_endpoint.setdefault(phone.endpoint, []).append(phone)
    for endpoint, owners in by_endpoint.items():
        names = ", ".join(f"agents.{phone.agent}.phone" for phone in owners)
        if endpoint:
            yield from _endpoint(names, endpoint, variables)
        else:
            yield unseen(names, f"whether {owners[0].dialled} can be rung", "try it: only PJSIP can be asked")
    if not phones:
        yield unseen("agents", "their phones: none is in the configuration", "log in with a phone and let it ring")


def _endpoint(names: str, endpoint: str, variables: Mapping[str, str]) -> Iterator[Finding]:
    aors, media, timeout, transfer = (variables.get(name, "") for name in endpoint_variables(endpoint))
    place = f"pjsip.conf: [{endpoint}]"
    if not aors:
        yield fault(names, f"Asterisk has no PJSIP endpoint {endpoint} with an aor", "see etc/asterisk/pjsip.conf")
        return
    if media in ("true", "yes"):
        text = "sound may pass Asterisk by: calls lose it when they are moved"
        yield warning(place, text, "direct_media = no")
    if timeout == "0":
        yield warning(place, "a line whose far end died is kept for ever", "rtp_timeout = 30")
    if transfer in ("true", "yes"):
        text = "it may transfer its calls by itself: easycall takes that for the end of the talk"
        yield warning(place, text, "allow_transfer = no")
    for aor in aors.split(","):
        yield from _aor(f"pjsip.conf: aor [{aor}]", aor, variables)


def _aor(place: str, aor: str, variables: Mapping[str, str]) -> Iterator[Finding]:
    frequency, contacts = (variables.get(name, "") for name in aor_variables(aor))
    if not frequency:
        yield unseen(place, "whether it is qualified: Asterisk lacks func_pjsip_aor.so", "qualify_frequency must be set")
    elif frequency == "0":
        text = "it is not qualified: a phone that is gone is rung for 32 s before the next agent is"
        yield warning(place, text, "qualify_frequency = 2, qualify_timeout = 1")
    else:
        yield ok(place, f"it is qualified every {frequency} s")
    if frequency and not contacts:
        yield warning(place, "no phone is registered", "let the phone register, or give the aor a contact")
    for contact in contacts.split(",") if contacts else ():
        status = variables.get(f"PJSIP_CONTACT({contact},status)", "")
        if status == "Unreachable":
            yield warning(place, "a phone that is known there does not answer", "see that it is on and reached")
