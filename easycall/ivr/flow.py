"""How a caller walks through an IVR flow: ``step(flow, position, said)``.  Pure.

:func:`begin` gives the first position and instruction.  Whoever has a channel carries the instruction out and hands what
came of it to :func:`step`, until the instruction is one that ends the flow (:mod:`easycall.ivr.instructions`).  Retries and
time-outs are decided here.
"""

from __future__ import annotations

from attrs import evolve, frozen

from easycall.ivr.capture import (
    Branch,
    BranchNode,
    CallbackNode,
    Collect,
    CollectNode,
    Keys,
    Post,
    PostNode,
    Return,
    ReturnNode,
    Seal,
    SealNode,
    TransactionNode,
)
from easycall.ivr.instructions import (
    Ask,
    Done,
    Failed,
    Finish,
    Instruction,
    Key,
    Known,
    LookAtHours,
    Receive,
    Said,
    Say,
    ToQueue,
    ToVoicemail,
)
from easycall.ivr.nodes import Choice, FaxNode, Flow, HangUpNode, HoursNode, MenuNode, QueueNode, SayNode, VoicemailNode

__all__ = ["Position", "begin", "chosen", "collected", "language_chosen", "resume", "step"]


@frozen
class Position:
    """Where a caller is in a flow."""

    node: str
    tries: int = 0
    """How often the menu was heard without a choice."""
    language: str = ""
    """The language chosen by the caller; ``""``: the site's own."""


def begin(flow: Flow) -> tuple[Position, Instruction]:
    """The first position and what to do there."""
    return _enter(flow, Position(flow.start))


def resume(flow: Flow, node: str, language: str) -> tuple[Position, Instruction]:
    """Where a caller is who was at that node when the process that walked the flow ended, and what to do there.

    A service that may have been asked is not asked again: it counts as having failed.  A node that is no more is the start.
    """
    match flow.nodes.get(node):
        case None:
            return begin(flow)
        case PostNode():
            return step(flow, Position(node, language=language), Failed())
        case _:
            return _enter(flow, Position(node, language=language))


def language_chosen(flow: Flow, node: str, choice: str) -> str:
    """The language that goes with a choice of that name at a node, ``""``: none."""
    found = flow.nodes.get(node)
    choices = found.choices if isinstance(found, MenuNode) else found.keys if isinstance(found, QueueNode) else {}
    return next((one.language for one in choices.values() if one.name == choice), "")


def chosen(flow: Flow, position: Position, said: Said) -> Choice | None:
    """The choice the caller made with ``said``, if it was one."""
    node = flow.nodes[position.node]
    if not isinstance(said, Key):
        return None
    match node:
        case MenuNode():
            return node.choices.get(said.key)
        case QueueNode():
            return node.keys.get(said.key)
        case _:
            return None


def collected(flow: Flow, position: Position, said: Said) -> CollectNode | None:
    """The node whose value the caller keyed with ``said``, if it was one."""
    node = flow.nodes[position.node]
    return node if isinstance(node, CollectNode) and isinstance(said, Keys) and node.fits(said.keys) else None


def step(flow: Flow, position: Position, said: Said) -> tuple[Position, Instruction]:
    """Where the caller goes from ``position``, and what to do there.  Raises ValueError behind the end of a flow."""
    node = flow.nodes[position.node]
    if choice := chosen(flow, position, said):
        return _enter(flow, Position(choice.next, language=choice.language or position.language))
    match node:
        case SayNode():
            return _enter(flow, evolve(position, node=node.next))
        case SealNode() | TransactionNode():
            return _go(flow, position, node.next)
        case PostNode() | CallbackNode():
            return _go(flow, position, node.next if isinstance(said, Done) else node.otherwise)
        case BranchNode():
            known = said.value if isinstance(said, Known) else ""
            return _go(flow, position, node.cases.get(known, node.otherwise))
        case HoursNode():
            return _go(flow, position, node.open if said == Known("open") else node.closed)
        case CollectNode():
            return _collected(flow, position, node, said)
        case MenuNode():
            if position.tries >= node.retries:
                return _enter(flow, Position(node.otherwise, language=position.language))
            first = node.invalid if isinstance(said, Key) else ()
            return evolve(position, tries=position.tries + 1), Ask((*first, *node.prompts), node.timeout)
        case FaxNode():
            return _enter(flow, evolve(position, node=node.next if isinstance(said, Done) else node.otherwise))
        case _:
            raise ValueError(f"the flow {flow.name} is over at {position.node}")


def _collected(flow: Flow, position: Position, node: CollectNode, said: Said) -> tuple[Position, Instruction]:
    if collected(flow, position, said):
        return _go(flow, position, node.next)
    if position.tries >= node.retries or isinstance(said, Failed):
        return _go(flow, position, node.otherwise)
    first = node.invalid if isinstance(said, Keys) and said.keys else ()
    prompts = (*first, *node.prompts)
    return evolve(position, tries=position.tries + 1), Collect(prompts, node.most, node.timeout, node.secret)


def _go(flow: Flow, position: Position, node: str) -> tuple[Position, Instruction]:
    return _enter(flow, Position(node, language=position.language))


def _enter(flow: Flow, position: Position) -> tuple[Position, Instruction]:
    node = flow.nodes[position.node]
    match node:
        case SayNode():
            following = flow.nodes[node.next]
            return position, Say(node.prompts, "".join(following.choices) if isinstance(following, MenuNode) else "")
        case MenuNode():
            return position, Ask(node.prompts, node.timeout)
        case FaxNode():
            return position, Receive(node.box)
        case HoursNode():
            return position, LookAtHours(node.hours)
        case QueueNode():
            return position, ToQueue(node.queue, "".join(node.keys), node.asks)
        case VoicemailNode():
            return position, ToVoicemail(node.box)
        case HangUpNode():
            return position, Finish()
        case CollectNode():
            return position, Collect(node.prompts, node.most, node.timeout, node.secret)
        case SealNode():
            return position, Seal(node.value, node.key, node.name)
        case PostNode():
            return position, Post(node.service, node.send, node.take)
        case BranchNode():
            return position, Branch(node.value)
        case ReturnNode():
            return position, Return(node.result)
        case TransactionNode():
            return position, node.report
        case CallbackNode():
            return position, node.promise
