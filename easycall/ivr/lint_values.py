"""What is wrong with the values of a flow: not known where they are used, shown though secret, no result.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from attrs import frozen

from easycall.ivr.capture import BranchNode, CallbackNode, CollectNode, PostNode, ReturnNode, SealNode, TransactionNode
from easycall.ivr.function import STATUS, Field
from easycall.ivr.nodes import Flow, HangUpNode, MenuNode, Node, QueueNode, SayNode, VoicemailNode
from easycall.ivr.prompt import Prompt
from easycall.ivr.values import GIVEN, Text, Use

__all__ = ["value_faults"]

TEXT = Field("text")

Ways = Mapping[str, Sequence[tuple[str, str]]]
Told = Iterator[tuple[str, str]]
"""Node, and what is wrong there."""


@frozen
class _Kind:
    """What a value is."""

    shape: Field = TEXT
    secret: bool = False


def value_faults(flow: Flow, ways: Ways, services: Collection[str], keys: Collection[str]) -> Told:
    """Every fault; ``ways``: node -> its parts that lead on, and where to."""
    yield from _unknown_places(flow, services, keys)
    yield from _ends(flow)
    kinds: dict[str, _Kind] = dict.fromkeys(GIVEN, _Kind())
    kinds |= dict.fromkeys(flow.function.parameters if flow.function else (), _Kind())
    for name, node in flow.nodes.items():
        for value, kind in _made(node).items():
            if kinds.setdefault(value, kind) != kind:
                yield name, f"the value {value!r} is another kind of thing elsewhere: take another name"
    known = _known(flow, ways, {value for value, kind in kinds.items() if kind.secret})
    for name, node in flow.nodes.items():
        for value in dict.fromkeys(_used(node)):
            if value not in kinds:
                yield name, f"there is no value {value!r}; known: {', '.join(sorted(kinds))}"
            elif value not in known[name]:
                yield name, f"the value {value!r} is not known on every way to here"
        yield from ((name, message) for message in _shown(node, kinds))
        if isinstance(node, CollectNode) and node.check == "luhn" and not node.secret:
            yield name, "what has the check digit of a card number is secret: add 'secret: yes'"
        if isinstance(node, ReturnNode) and flow.function is not None:
            yield from ((name, message) for message in _result(node, flow.function.result, kinds))


def _unknown_places(flow: Flow, services: Collection[str], keys: Collection[str]) -> Told:
    for name, node in flow.nodes.items():
        if isinstance(node, PostNode) and node.service not in services:
            known = f"there are {', '.join(sorted(services))}" if services else "there is none"
            yield name, f"there is no service {node.service!r} in the configuration; {known}"
        if isinstance(node, SealNode) and node.key not in keys:
            known = f"there are {', '.join(sorted(keys))}" if keys else "there is none"
            yield name, f"there is no key {node.key!r} in the configuration; {known}"


def _ends(flow: Flow) -> Told:
    """A function ends with a result, another flow does not."""
    for name, node in flow.nodes.items():
        if flow.function is not None and isinstance(node, QueueNode | VoicemailNode | HangUpNode):
            yield name, "a function ends with 'return': the customer goes back to the agent"
        if flow.function is None and isinstance(node, ReturnNode):
            yield name, "only a function returns: give the flow a 'result'"


def _made(node: Node) -> dict[str, _Kind]:
    """The values that are known behind a node, when it went well."""
    match node:
        case CollectNode():
            return {node.name: _Kind(secret=node.secret)}
        case SealNode():
            return {node.name: _Kind()}
        case PostNode():
            return {name: _Kind(shape) for name, shape in node.take.items()}
    return {}


def _used(node: Node) -> Iterator[str]:
    """The values that must be known at a node."""
    yield from (prompt.spelled for prompt in _prompts(node) if prompt.spelled)
    match node:
        case SealNode() | BranchNode():
            yield node.value
        case PostNode():
            yield from (use.name for text in node.send.values() for use in text.uses)
        case ReturnNode():
            yield from (use.name for text in node.result.values() for use in text.uses)
        case QueueNode():
            yield from (use.name for text in node.asks.texts.values() for use in text.uses)
        case CallbackNode():
            yield from (use.name for use in node.promise.number.uses) if node.promise.number is not None else ()
        case TransactionNode():
            yield from (use.name for text in node.report.all_texts.values() for use in text.uses)


def _prompts(node: Node) -> tuple[Prompt, ...]:
    match node:
        case SayNode():
            return node.prompts
        case MenuNode() | CollectNode():
            return (*node.prompts, *node.invalid)
    return ()


def _known(flow: Flow, ways: Ways, secrets: Collection[str]) -> dict[str, frozenset[str]]:
    """Node -> the values that are known on every way to it.  Secrets are forgotten when a caller begins to wait."""
    parameters = flow.function.parameters if flow.function else ()
    known: dict[str, frozenset[str]] = {flow.start: frozenset((*GIVEN, *parameters))}
    changed = [flow.start]
    while changed:
        name = changed.pop()
        for part, target in ways[name]:
            arriving = known[name] | (_made(flow.nodes[name]).keys() if part == "next" else frozenset())
            if isinstance(flow.nodes[name], QueueNode):
                arriving -= frozenset(secrets)
            before = known.get(target)
            after = arriving if before is None else before & arriving
            if after != before:
                known[target] = after
                changed.append(target)
    return known


def _shown(node: Node, kinds: Mapping[str, _Kind]) -> Iterator[str]:
    """Secrets where they would be heard, told or decided by."""

    def secret(name: str) -> bool:
        return kinds.get(name, _Kind()).secret

    yield from (
        f"the value {prompt.spelled!r} is secret and is not read out" for prompt in _prompts(node) if secret(prompt.spelled)
    )
    if isinstance(node, BranchNode) and secret(node.value):
        yield f"the value {node.value!r} is secret and nothing is decided by it here"
    if isinstance(node, QueueNode):
        for what, text in node.asks.texts.items():
            yield from (f"{what}: the value {use.name!r} is secret" for use in text.uses if secret(use.name))
    if isinstance(node, CallbackNode) and node.promise.number is not None:
        yield from (f"number: the value {use.name!r} is secret" for use in node.promise.number.uses if secret(use.name))
    texts: Mapping[str, Text] = {}
    if isinstance(node, ReturnNode):
        texts = {f"return.{field}": text for field, text in node.result.items()}
    elif isinstance(node, TransactionNode):
        texts = node.report.all_texts
    for where, text in texts.items():
        for use in text.uses:
            if secret(use.name) and not use.how:
                yield f"{where}: the value {use.name!r} is secret: write {{{use.name}.masked}}, or seal it"


def _result(node: ReturnNode, fields: Mapping[str, Field], kinds: Mapping[str, _Kind]) -> Iterator[str]:
    if STATUS not in node.result:
        yield f"return: {STATUS!r} is missing"
    for name, text in node.result.items():
        if name not in fields:
            yield f"return: the result has no field {name!r}; it has {', '.join(fields)}"
        elif not _fits(text, fields[name], kinds):
            yield f"return.{name}: what stands there is not always {fields[name].words}"


def _fits(text: Text, field: Field, kinds: Mapping[str, _Kind]) -> bool:
    """Whether whatever comes of a text fits a field."""
    if text.plain is not None:
        return field.fits(text.plain)
    alone = text.alone
    if field.allowed or field.kind == "number":
        if alone is None or alone.name not in kinds:
            return False
        return _narrower(alone, kinds[alone.name].shape, field)
    return field.kind == "text" or (alone is not None and alone.how == "masked")


def _narrower(use: Use, given: Field, wanted: Field) -> bool:
    if use.how == "luhn":
        return {"yes", "no"} <= set(wanted.allowed)
    if use.how:
        return False
    if wanted.allowed:
        return bool(given.allowed) and set(given.allowed) <= set(wanted.allowed)
    return given.kind == "number"
