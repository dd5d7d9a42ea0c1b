"""What goes over the wire: the bodies the API takes, and the nouns as it shows them.

Times are seconds since the epoch, durations are seconds.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from attrs import asdict

from easycall.acd.routing import hindrance
from easycall.acd.waits import Forecast
from easycall.api.conduct import Distributor, History, Recovery, ServiceLevels, Staff
from easycall.api.problems import Problem
from easycall.hours import Hours, Opening
from easycall.model import OPEN, Agent, AgentState, Contact, Queue
from easycall.policy import Channel, WorkItem
from easycall.stats.journey import Step
from easycall.stats.record import Record
from easycall.stats.recordings import Recording
from easycall.stats.recovery import Standing
from easycall.stats.service_level import Level

__all__ = [
    "AmendContact",
    "Dispose",
    "EditRouting",
    "Extend",
    "LogIn",
    "Nothing",
    "SetQueues",
    "SetSkills",
    "SetState",
    "agent_view",
    "board",
    "contact_view",
    "decode",
    "queue_view",
    "record_view",
    "record_with_journey",
    "recording_view",
    "wait_view",
]

T = TypeVar("T")

Text = Annotated[str, msgspec.Meta(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*\Z")]
"""One line of text without control characters."""

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*\Z")]


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """A request that has nothing to say."""


class LogIn(msgspec.Struct, forbid_unknown_fields=True):
    """Log an agent in."""

    phone: Id | None = None
    """The phone to ring; None: the agent's own."""
    queues: Annotated[list[Id], msgspec.Meta(max_length=500)] | None = None
    """The queues to serve; None: the agent's own."""


class SetQueues(msgspec.Struct, forbid_unknown_fields=True):
    """The queues of an agent."""

    queues: Annotated[list[Id], msgspec.Meta(max_length=500)]


class SetSkills(msgspec.Struct, forbid_unknown_fields=True):
    """The skills of an agent, each with its level."""

    skills: Annotated[dict[Id, Annotated[int, msgspec.Meta(ge=1, le=100)]], msgspec.Meta(max_length=100)]


class AmendContact(msgspec.Struct, forbid_unknown_fields=True):
    """What a contact that waits asks for from now on; None: as before."""

    priority: Annotated[float, msgspec.Meta(ge=-86_400, le=86_400)] | None = None
    skills: Annotated[str, msgspec.Meta(max_length=500)] | None = None


class Dispose(msgspec.Struct, forbid_unknown_fields=True):
    """Say what came of a contact."""

    disposition: Id


class Extend(msgspec.Struct, forbid_unknown_fields=True):
    """Let a wrap-up last longer."""

    seconds: Annotated[float, msgspec.Meta(ge=1, le=3600)]


class EditRouting(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Change a queue's routing; what an option may be is checked as in the configuration.  null: as it stands there."""

    skills: Any = msgspec.UNSET
    prefers: Any = msgspec.UNSET
    order: Any = msgspec.UNSET
    first_agents: Any = msgspec.UNSET
    ring_all_agents: Any = msgspec.UNSET
    priority_seconds: Any = msgspec.UNSET
    max_talks: Any = msgspec.UNSET
    rings: Any = msgspec.UNSET
    ring_seconds: Any = msgspec.UNSET
    max_waiting: Any = msgspec.UNSET
    max_wait_seconds: Any = msgspec.UNSET


class SetState(msgspec.Struct, forbid_unknown_fields=True):
    """Make an agent ready or not ready."""

    state: Literal["ready", "not_ready"]
    reason: Text = ""


def decode(body: bytes, shape: type[T]) -> T:
    """A request's body; an empty one is ``{}``.

    Raises Problem: 400 for what is no JSON, 422 with the field for what has the wrong shape.
    """
    try:
        value = msgspec.json.decode(body or b"{}", type=shape)
        json.loads(body or b"{}", object_pairs_hook=_once)
        return value
    except msgspec.ValidationError as why:
        raise _misfit(str(why), shape) from None
    except (msgspec.DecodeError, ValueError, RecursionError) as why:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is not JSON: {why}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    twice = [name for name, count in Counter(name for name, _ in pairs).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]!r} is there twice")
    return dict(pairs)


def _misfit(text: str, shape: type) -> Problem:
    """What msgspec says about a wrong body, with what is allowed and the field: its message names one or ends in a path."""
    path = re.search(r"at `\$\.?([^`]*)`\Z", text)
    named = re.search(r"field `([^`]*)`", text)
    field = ".".join(found[1] for found in (path, named) if found and found[1])
    text = re.sub(r" matching regex .*\[0-9\*#.*(?= - at )", " of 1 to 32 of 0-9 * # A-D and w", text)
    text = re.sub(r" matching regex .*(?= - at )", " without control characters", text)
    hint = get_type_hints(shape).get(field)
    if get_origin(hint) is Literal:
        text += f"; allowed: {', '.join(get_args(hint))}"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, text, field=field)


def agent_view(agent: Agent) -> dict[str, Any]:
    """An agent as the API shows one."""
    return {
        "id": agent.id,
        "name": agent.name,
        "state": agent.state,
        "reason": agent.reason,
        "since": agent.since,
        "until": agent.until or None,
        "next": agent.wants[0] if agent.wants else None,
        "next_reason": agent.wants[1] if agent.wants else "",
        "phone": agent.phone,
        "hindrance": hindrance(agent) or None,
        "queues": agent.queues,
        "own_queues": agent.own_queues,
        "skills": agent.skills,
        "contact": agent.contact or None,
        "disposition": agent.disposition or None,
        "missed": msgspec.to_builtins(agent.missed),
        "takes": {channel.value: most for channel, most in agent.capacity.limits.items()},
        "work": {contact: channel.value for contact, channel in agent.work.items()},
    }


def queue_view(queue: Queue, waiting: Sequence[WorkItem], agents: Mapping[str, Agent], now: float) -> dict[str, Any]:
    """A queue, its line and its agents."""
    states = Counter(agent.state for agent in agents.values() if queue.id in agent.queues)
    return {
        "id": queue.id,
        "name": queue.name,
        "disposition": queue.disposition,
        "dispositions": queue.dispositions,
        "waiting": len(waiting),
        "waiting_by_channel": Counter(item.channel.value for item in waiting),
        "longest_wait": max((_since(item.enqueued, now) for item in waiting), default=0.0),
        "agents": {state.value: states[state] for state in AgentState},
        "opening": _opening(queue.hours, now),
        "limits": {"max_waiting": queue.max_waiting or None, "max_wait_seconds": queue.max_wait_seconds},
        "hindered": sum(
            agent.state is AgentState.READY and queue.id in agent.queues and bool(hindrance(agent))
            for agent in agents.values()
        ),
        "contacts": [
            {
                "id": item.contact,
                "channel": item.channel,
                "position": position,
                "enqueued": item.enqueued,
                "waited": _since(item.enqueued, now),
            }
            for position, item in enumerate(waiting, 1)
        ],
    }


def wait_view(forecast: Forecast) -> dict[str, Any]:
    """What is expected of a queue's waits, and how good such expectations were of late."""
    return {
        "seconds": rounded(forecast.seconds, 1),
        "known": forecast.known,
        "method": "head_of_line" if forecast.by_head else "formula",
        "bias": rounded(forecast.bias, 4),
        "mean_absolute_error": rounded(forecast.mean_absolute_error, 1),
        "compared": forecast.compared,
    }


def level_view(levels: Mapping[Channel, Level]) -> dict[str, Any]:
    """How many were answered in time today, by kind of work."""
    return {
        channel.value: {
            "target_seconds": level.target,
            **asdict(level.tally),
            "waiting": level.waiting,
            "late": level.late,
            "talking": level.talking,
            "sl_abandons": rounded(level.share, 4),
        }
        for channel, level in levels.items()
    }


def standing_view(standing: Standing) -> dict[str, int]:
    """How many callbacks of a queue are open."""
    return {**{state.value: standing.states[state] for state in sorted(OPEN)}, "late": standing.late}


def rounded(value: float | None, places: int) -> float | None:
    """It with so many places; None: there is none."""
    return None if value is None else round(value, places)


def _opening(hours: Hours | None, now: float) -> dict[str, Any]:
    """Whether it is open; without hours it always is."""
    opening = hours.at(now) if hours else Opening(True, "open", None)
    return {"hours": hours.name if hours else None, **msgspec.to_builtins(opening)}


def _since(then: float, now: float) -> float:
    return round(max(0.0, now - then), 3)


def contact_view(contact: Contact) -> dict[str, Any]:
    """A live contact."""
    return {
        "id": contact.id,
        "stage": contact.stage,
        "arrived": contact.arrived,
        "channel": contact.channel,
        "pbx": contact.pbx,
        "direction": contact.direction,
        "caller": contact.caller,
        "caller_name": contact.caller_name,
        "dialled": contact.dialled,
        "queue": contact.queue or None,
        "priority": contact.priority,
        "skills": contact.skills.text or None,
        "agent": contact.agent or None,
        "consulted": contact.consulted or None,
        "conference": list(contact.conference),
        "rung": list(contact.rung),
        "recording": contact.recording or None,
        "answers": contact.answers,
        "data": contact.data,
        "loan": msgspec.to_builtins(contact.loan),
    }


BESIDE = ("session", "callback", "nodes", "offers", "dials", "wrap_ups", "transactions")
"""What lists of contacts do not show of a record, beside its segments and recordings."""


def record_view(record: Record) -> dict[str, Any]:
    """A contact's record without its segments and what belongs to it beside them, as lists show it."""
    view: dict[str, Any] = msgspec.to_builtins(record)
    for beside in (*BESIDE, "segments", "recordings"):
        del view[beside]
    return view


def recording_view(contact: str, recording: Recording) -> dict[str, Any]:
    """A recording; where its file lies is nobody's business."""
    view: dict[str, Any] = msgspec.to_builtins(recording)
    del view["file"]
    seconds = None if recording.ended is None else round(recording.ended - recording.started, 3)
    return {"id": view.pop("id"), "contact": contact, **view, "seconds": seconds}


def record_with_journey(record: Record, steps: Sequence[Step]) -> dict[str, Any]:
    """A contact's record with all that belongs to it, and its story."""
    view = record_view(record)
    for beside in BESIDE:
        view[beside] = msgspec.to_builtins(getattr(record, beside))
    view["segments"] = [{**msgspec.to_builtins(part), "seconds": round(part.seconds, 3)} for part in record.segments]
    view["recordings"] = [recording_view(record.id, one) for one in record.recordings]
    view["journey"] = msgspec.to_builtins(steps)
    return view


def board(
    staff: Staff,
    distributor: Distributor,
    levels: ServiceLevels,
    recovery: Recovery,
    history: History,
    live: Mapping[str, Contact],
    agent: str,
    now: float,
) -> dict[str, Any]:
    """Everything a live board starts from; with ``agent``, only that agent and the contact it has."""
    agents, standing = staff.agents, recovery.open()
    return {
        "at": now,
        "agents": [agent_view(one) for one in agents.values() if agent in ("", one.id)],
        "queues": [
            queue_view(queue, distributor.waiting(queue.id), agents, now)
            | {
                "service_level": level_view(levels.of_queue(queue.id, now)),
                "callbacks": standing_view(standing.get(queue.id) or Standing()),
            }
            for queue in distributor.queues.values()
        ],
        "contacts": [contact_view(one) for one in live.values() if agent in ("", one.agent, *one.rung)],
        "incomplete": dict(history.missing),
    }
