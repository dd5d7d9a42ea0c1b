"""What must hold at every moment of every call centre, whatever went wrong before: I1 to I9.  Pure.

===  =====================================================================================================
I1   a caller who has not hung up is alive: in a bridge, at home, or in the dialplan's fallback
I2   nobody is in two conversations: no channel, no agent, no contact
I3   what the daemon holds is what the PBX shows
I4   each contact that ended has one record, and its segments share out its time
I5   a customer is on one line at a time, so nobody is dialled twice for one attempt
I6   at rest nothing is left
I7   in real time the reactor is never long away
I8   no error is lost, no failure logged
I9   nobody is overtaken
===  =====================================================================================================

Messages are on their way at any moment, so of a system that runs a difference counts only when it lasts (:func:`lasting`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator

from easycall.lab.evidence import Evidence, HeldContact, PbxChannel
from easycall.model import AgentState, Role, Stage
from easycall.stats.record import Record

__all__ = ["assert_invariants", "lasting", "violations"]

DURATION_TOLERANCE = 0.1
"""Seconds by which the segments of a record may miss its duration."""
LAG_WORST = 0.25
LAG_USUAL = 0.05
"""Seconds that 99.9 % of the reactor's lags stay below."""

HOLDING = frozenset({AgentState.RESERVED, AgentState.RINGING, AgentState.TALKING, AgentState.HELD})
"""States in which an agent has a contact that has the agent."""
LISTENS = "chanspy"
"""What a supervisor's leg may run at home."""
AT_HOME = ("agi", "sendfax", "receivefax")
"""What a leg at home may run: its FastAGI, and what that executes."""
CONFERENCE = "ConfBridge"
"""The application of a leg in a conference, which it is put into from home: its session goes on."""


def violations(evidence: Evidence) -> list[str]:
    """Everything that does not hold, each in words that begin with the number of the invariant."""
    return [f"{check.__name__[1:].upper()}: {wrong}" for check in _CHECKS for wrong in check(evidence)]


def lasting(earlier: Iterable[str], later: Iterable[str]) -> list[str]:
    """Of the violations found at two moments, those that were there both times."""
    before = set(earlier)
    return [one for one in later if one in before]


def assert_invariants(evidence: Evidence) -> None:
    """Raises AssertionError with everything that does not hold."""
    if wrong := violations(evidence):
        raise AssertionError(f"{len(wrong)} violations\n" + "\n".join(wrong))


def _i1(evidence: Evidence) -> Iterator[str]:
    there = {channel.id: channel for channel in evidence.channels}
    for caller in sorted(evidence.callers):
        channel = there.get(caller)
        if channel is None:
            yield f"the caller at {caller} has not hung up and has no channel"
        elif channel.up and not channel.bridge and not channel.application:
            yield f"the caller at {caller} is in no bridge and no application"


def _i2(evidence: Evidence) -> Iterator[str]:
    bridges = _by(evidence.channels, lambda channel: channel.bridge)
    for bridge, together in bridges.items():
        conference = all(channel.application == CONFERENCE for channel in together)
        if len(together) > 2 and not conference:
            yield f"{_names(together)} are together in bridge {bridge}"
        elif len({channel.contact for channel in together if channel.contact}) > 1:
            yield f"{_names(together)} of different contacts are in bridge {bridge}"
    agents = [channel for channel in evidence.channels if channel.role == Role.AGENT]
    for channel in evidence.channels:
        if channel.role == Role.SUPERVISOR and channel.bridge:
            yield f"the supervisor's leg {channel.id} is in bridge {channel.bridge}"
    others = {contact.id: len(contact.others) for contact in evidence.held.contacts}
    for agent, legs in _by(agents, lambda channel: channel.agent if channel.bridge else "").items():
        if len(legs) > 1:
            yield f"agent {agent} talks on {_names(legs)}"
    for contact, legs in _by(agents, lambda channel: channel.contact if channel.up else "").items():
        if len(legs) > 1 + others.get(contact, 0):
            yield f"contact {contact} has the agent legs {_names(legs)}"
    for contact, number in Counter(one.contact for one in evidence.held.agents if one.state in HOLDING).items():
        if number > 1 + others.get(contact, 0):
            yield f"{number} agents have contact {contact}"


def _i3(evidence: Evidence) -> Iterator[str]:
    shown = {(channel.pbx, channel.id): channel for channel in evidence.channels}
    legs = {(leg.pbx, leg.id): leg for leg in evidence.held.legs}
    live = {contact.id for contact in evidence.held.contacts}
    for key in sorted(legs.keys() - shown.keys()):
        yield f"leg {key[1]} is {legs[key].place} and has no channel"
    for key in sorted(shown.keys() - legs.keys()):
        if shown[key].contact:
            yield f"channel {key[1]} of contact {shown[key].contact} is no leg of ours"
    for key in sorted(shown.keys() & legs.keys()):
        channel, leg = shown[key], legs[key]
        if channel.contact and channel.contact not in live:
            yield f"channel {channel.id} is of contact {channel.contact}, which is not live"
        if channel.bridge != leg.bridge:
            yield f"leg {leg.id} is held in bridge {leg.bridge or 'none'}, its channel is in {channel.bridge or 'none'}"
        listens = channel.role == Role.SUPERVISOR and channel.application.lower() == LISTENS
        confers = channel.application == CONFERENCE and channel.bridge
        if leg.place == "home" and channel.application.lower() not in AT_HOME and not (listens or confers):
            yield f"leg {leg.id} is held at home, its channel is in {channel.application or 'no application'}"
    partners = _by(evidence.channels, lambda channel: channel.bridge)
    for contact in evidence.held.contacts:
        yield from _contact_is_where_it_is(contact, shown.get((contact.pbx, contact.leg)), partners)
    yield from _agents_are_where_they_are(evidence)
    yield from _supervisors_are_where_they_are(evidence)


def _contact_is_where_it_is(
    contact: HeldContact, channel: PbxChannel | None, partners: dict[str, list[PbxChannel]]
) -> Iterator[str]:
    if channel is None:
        # Work without a call has no leg; a customer who is to be called has none before the agent is there.
        undialled = contact.stage in (Stage.WAITING, Stage.OFFERED) and contact.leg.startswith(f"ec-{contact.id}-")
        if contact.leg and not undialled and contact.stage not in (Stage.ENDED, Stage.DIALLING):
            yield f"contact {contact.id} is live and its channel {contact.leg} is gone"
        return
    talks_with = [one.agent for one in partners.get(channel.bridge, ()) if one.id != channel.id]
    if contact.stage is Stage.TALKING and talks_with != [contact.agent]:
        yield f"contact {contact.id} talks with {contact.agent}, its channel with {', '.join(talks_with) or 'nobody'}"
    elif contact.stage is Stage.CONFERENCE and contact.agent not in talks_with:
        yield f"contact {contact.id} is in a conference with {contact.agent}, its channel is not"
    elif contact.stage is Stage.ASIDE and not talks_with:
        yield f"contact {contact.id} is in a conference that goes on without its agent, its channel is with nobody"
    elif contact.stage in (Stage.IVR, Stage.WAITING, Stage.PARKED, Stage.VOICEMAIL) and talks_with:
        yield f"contact {contact.id} is in {contact.stage}, its channel talks with {', '.join(talks_with)}"


def _agents_are_where_they_are(evidence: Evidence) -> Iterator[str]:
    contacts = {contact.id: contact for contact in evidence.held.contacts}
    talking = {channel.agent for channel in evidence.channels if channel.role == Role.AGENT and channel.bridge}
    for agent in evidence.held.agents:
        if agent.state in HOLDING:
            contact = contacts.get(agent.contact)
            if contact is None or agent.id not in (contact.agent, *contact.others):
                yield f"agent {agent.id} is {agent.state} with contact {agent.contact}, which is not there or not with them"
        if agent.id in talking and agent.state not in (AgentState.TALKING, AgentState.HELD):
            yield f"agent {agent.id} is {agent.state}, and talks"
        consulted = contacts.get(agent.contact)
        if consulted is not None and consulted.consulted == agent.id:
            continue  # a second agent may wait with music
        if agent.id not in talking and agent.state is AgentState.TALKING:
            yield f"agent {agent.id} is talking, and no leg of theirs is in a bridge"


def _supervisors_are_where_they_are(evidence: Evidence) -> Iterator[str]:
    legs = _by(evidence.channels, lambda channel: channel.agent if channel.role == Role.SUPERVISOR else "")
    for agent in evidence.held.agents:
        supervises = agent.state is AgentState.SUPERVISING
        if supervises != (agent.id in legs):
            yield f"agent {agent.id} is {agent.state}, with {_names(legs.get(agent.id, ())) or 'none'} as a supervisor's leg"


def _i4(evidence: Evidence) -> Iterator[str]:
    ended = Counter(evidence.ended)
    records = Counter(record.id for record in evidence.records)
    for contact, times in ended.items():
        if times > 1:
            yield f"the end of contact {contact} was told {times} times"
        if records[contact] != 1:
            yield f"contact {contact} has {records[contact]} records"
    for contact in sorted(records.keys() - ended.keys()):
        yield f"contact {contact} has a record and no end"
    for record in evidence.records:
        yield from _adds_up(record)


def _adds_up(record: Record) -> Iterator[str]:
    if record.ended is None:
        yield f"the record of contact {record.id} has no end"
        return
    at = record.arrived
    for segment in record.segments:
        if segment.started != at or segment.ended < segment.started:
            yield f"contact {record.id}: its segment {segment.kind} does not begin where the one before ends"
        at = segment.ended
    total = sum(segment.seconds for segment in record.segments)
    if abs(total - (record.ended - record.arrived)) > DURATION_TOLERANCE:
        yield f"contact {record.id} lasted {record.ended - record.arrived:.3f} s, its segments {total:.3f} s"


def _i5(evidence: Evidence) -> Iterator[str]:
    customers = [channel for channel in evidence.channels if channel.role == Role.CALLER]
    for contact, legs in _by(customers, lambda channel: channel.contact).items():
        if len(legs) > 1:
            yield f"the customer of contact {contact} is on {_names(legs)}"


def _i6(evidence: Evidence) -> Iterator[str]:
    for what, number in sorted(evidence.left.items()):
        if number:
            yield f"{number} {what} left"


def _i7(evidence: Evidence) -> Iterator[str]:
    lags = sorted(evidence.lags)
    if not lags:
        return
    if lags[-1] > LAG_WORST:
        yield f"the reactor was away for {lags[-1] * 1000:.0f} ms"
    usual = lags[min(len(lags) - 1, int(len(lags) * 0.999))]
    if usual > LAG_USUAL and len(lags) >= 1000:
        yield f"the reactor was away for {usual * 1000:.0f} ms, p99.9"


def _i8(evidence: Evidence) -> Iterator[str]:
    yield from evidence.failures


def _i9(evidence: Evidence) -> Iterator[str]:
    yield from evidence.overtaken
    for queue, line in evidence.held.waiting.items():
        if list(line) != sorted(line):
            yield f"the line of queue {queue} is not in order"


_CHECKS = (_i1, _i2, _i3, _i4, _i5, _i6, _i7, _i8, _i9)


def _by(channels: Iterable[PbxChannel], key: Callable[[PbxChannel], str]) -> dict[str, list[PbxChannel]]:
    """Grouped by a key; those without one are left out."""
    groups: defaultdict[str, list[PbxChannel]] = defaultdict(list)
    for channel in channels:
        if name := key(channel):
            groups[name].append(channel)
    return groups


def _names(group: Iterable[PbxChannel]) -> str:
    return " and ".join(sorted(channel.id for channel in group))
