"""What is wrong with a flow, found before anybody calls it.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from easycall.ivr.capture import BranchNode, CallbackNode, CollectNode, PostNode, SealNode, TransactionNode
from easycall.ivr.lint_values import value_faults
from easycall.ivr.nodes import Choice, Fault, FaxNode, Flow, HoursNode, MenuNode, Node, QueueNode, SayNode, VoicemailNode
from easycall.ivr.prompt import Prompt

__all__ = ["NODE_LIMIT", "STEP_LIMIT", "lint"]

NODE_LIMIT = 1000
STEP_LIMIT = 200
"""How many steps a flow may take without the caller choosing anything."""


def lint(
    flow: Flow,
    queues: Collection[str],
    languages: Collection[str],
    services: Collection[str] = (),
    keys: Collection[str] = (),
    boxes: Collection[str] = (),
    hours: Collection[str] = (),
) -> list[Fault]:
    """Every fault of a flow, in the order of its lines.

    ``queues`` are the ids of the queues there are, ``languages`` those that have a voice, ``services`` and ``keys`` the
    names that flows may hand values to and seal them with, ``boxes`` those of voice mail, ``hours`` those of opening hours.
    """
    if len(flow.nodes) > NODE_LIMIT:
        return [_fault(flow, "", f"{len(flow.nodes)} nodes are too many: {NODE_LIMIT} at most")]
    faults = [
        *_unknown_nodes(flow),
        *_unreachable(flow),
        *_silent_walks(flow),
        *_unknown_queues(flow, queues),
        *_unknown_boxes(flow, boxes),
        *_unknown_hours(flow, hours),
        *_unspoken(flow, languages),
    ]
    if not faults:  # what is known where can be told of ways that lead somewhere
        faults += [_fault(flow, name, message) for name, message in value_faults(flow, _ways(flow), services, keys)]
    return sorted(faults, key=lambda fault: fault.line)


def _fault(flow: Flow, name: str, message: str) -> Fault:
    return Fault(f"{flow.name}.yaml", flow.nodes[name].line if name in flow.nodes else 0, name, message)


def _targets(node: Node) -> Iterator[tuple[str, str]]:
    """Where a node leads: which part of it, and to which node."""
    match node:
        case SayNode():
            yield "next", node.next
        case MenuNode():
            yield from ((f"choice {key}", choice.next) for key, choice in node.choices.items())
            yield "otherwise", node.otherwise
        case QueueNode():
            yield from ((f"key {key}", choice.next) for key, choice in node.keys.items())
        case FaxNode():
            yield "next", node.next
            if node.otherwise != node.next:
                yield "otherwise", node.otherwise
        case CollectNode() | PostNode() | CallbackNode():
            yield "next", node.next
            yield "otherwise", node.otherwise
        case HoursNode():
            yield "open", node.open
            yield "closed", node.closed
        case SealNode() | TransactionNode():
            yield "next", node.next
        case BranchNode():
            yield from ((f"case {case}", target) for case, target in node.cases.items())
            yield "otherwise", node.otherwise


def _ways(flow: Flow) -> dict[str, list[tuple[str, str]]]:
    """Node -> its parts that lead on, and where to."""
    return {name: list(_targets(node)) for name, node in flow.nodes.items()}


def _unknown_nodes(flow: Flow) -> Iterator[Fault]:
    if flow.start not in flow.nodes:
        yield _fault(flow, "start", f"there is no node {flow.start!r}")
    for name, node in flow.nodes.items():
        for part, target in _targets(node):
            if target not in flow.nodes:
                yield _fault(flow, name, f"{part}: there is no node {target!r}")


def _unreachable(flow: Flow) -> Iterator[Fault]:
    reached: set[str] = set()
    found = [flow.start] if flow.start in flow.nodes else list(flow.nodes)
    while found:
        name = found.pop()
        if name in flow.nodes and name not in reached:
            reached.add(name)
            found.extend(target for _, target in _targets(flow.nodes[name]))
    for name in flow.nodes.keys() - reached:
        yield _fault(flow, name, "no way leads here from the start")


def _silent_walks(flow: Flow) -> Iterator[Fault]:
    """Circles and overlong ways for a caller who never chooses."""
    following = {name: [target for target in _silent(node) if target in flow.nodes] for name, node in flow.nodes.items()}
    steps: dict[str, int] = {}
    for name in flow.nodes:
        for circle in _circles(name, following, steps, flow):
            way = " -> ".join([*circle, circle[0]])
            yield _fault(flow, circle[0], f"no way out for a caller who presses nothing: {way}")
    longest = max(steps, key=lambda name: steps[name], default="")
    if longest and steps[longest] > STEP_LIMIT:
        yield _fault(flow, longest, f"{steps[longest]} steps from here without a choice of the caller: {STEP_LIMIT} at most")


def _circles(start: str, following: Mapping[str, list[str]], steps: dict[str, int], flow: Flow) -> Iterator[list[str]]:
    """The circles met on the ways from ``start``; ``steps`` gets the longest way from each node that was passed.

    Without recursion: a flow may be a thousand nodes deep.
    """
    way: list[tuple[str, Iterator[str]]] = []
    on_way: dict[str, None] = {}

    def enter(name: str) -> None:
        on_way[name] = None
        way.append((name, iter(following[name])))

    if start not in steps:
        enter(start)
    while way:
        name, targets = way[-1]
        target = next(targets, None)
        if target is None:
            way.pop()
            del on_way[name]
            longest = max((steps.get(one, 0) for one in following[name]), default=0)
            steps[name] = (_tries(flow.nodes[name]) if following[name] else 0) + longest
        elif target in on_way:
            passed = list(on_way)
            yield passed[passed.index(target) :]
        elif target not in steps:
            enter(target)


def _silent(node: Node) -> list[str]:
    """Where a caller may come to who presses nothing."""
    match node:
        case SayNode() | SealNode() | TransactionNode():
            return [node.next]
        case MenuNode() | CollectNode() | FaxNode():
            return [node.otherwise]
        case PostNode() | CallbackNode():
            return [node.next, node.otherwise]
        case HoursNode():
            return [node.open, node.closed]
        case BranchNode():
            return [*node.cases.values(), node.otherwise]
        case _:
            return []


def _tries(node: Node) -> int:
    return node.retries + 1 if isinstance(node, MenuNode | CollectNode) else 1


def _unknown_queues(flow: Flow, queues: Collection[str]) -> Iterator[Fault]:
    known = f"there are {', '.join(sorted(queues))}" if queues else "there is none"
    for name, node in flow.nodes.items():
        queue = node.queue if isinstance(node, QueueNode) else node.promise.queue if isinstance(node, CallbackNode) else ""
        if queue and queue not in queues:
            yield _fault(flow, name, f"there is no queue {queue!r}; {known}")


def _unknown_boxes(flow: Flow, boxes: Collection[str]) -> Iterator[Fault]:
    known = ", ".join(sorted(boxes)) or "none"
    for name, node in flow.nodes.items():
        if isinstance(node, VoicemailNode) and node.box not in boxes:
            yield _fault(flow, name, f"there is no voice mail box {node.box!r}; [voicemail.boxes] has {known}")


def _unknown_hours(flow: Flow, hours: Collection[str]) -> Iterator[Fault]:
    known = f"there are {', '.join(sorted(hours))}" if hours else "there are none"
    for name, node in flow.nodes.items():
        if isinstance(node, HoursNode) and node.hours not in hours:
            yield _fault(flow, name, f"there are no hours {node.hours!r} in the configuration; {known}")


def _unspoken(flow: Flow, languages: Collection[str]) -> Iterator[Fault]:
    """Languages that no voice of the site speaks."""
    for name, node in flow.nodes.items():
        for language in sorted(_languages(node) - {"", *languages}):
            yield _fault(flow, name, f"no voice speaks {language!r}; those with a voice: {', '.join(sorted(languages))}")


def _languages(node: Node) -> set[str]:
    prompts: tuple[Prompt, ...] = ()
    choices: Mapping[str, Choice] = {}
    match node:
        case SayNode():
            prompts = node.prompts
        case MenuNode():
            prompts, choices = (*node.prompts, *node.invalid), node.choices
        case QueueNode():
            choices = node.keys
        case CollectNode():
            prompts = (*node.prompts, *node.invalid)
    return {language for prompt in prompts for language, _ in prompt.texts} | {
        choice.language for choice in choices.values()
    }
