"""What is wrong with a flow, found before anybody calls it.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from easycall.ivr.flow import Choice, Fault, FaxNode, Flow, MenuNode, Node, Prompt, QueueNode, SayNode

__all__ = ["NODE_LIMIT", "STEP_LIMIT", "lint"]

NODE_LIMIT = 1000
STEP_LIMIT = 200
"""How many steps a flow may take without the caller choosing anything."""


def lint(flow: Flow, queues: Collection[str], languages: Collection[str]) -> list[Fault]:
    """Every fault of a flow, in the order of its lines.

    ``queues`` are the ids of the queues there are, ``languages`` those that have a voice.
    """
    if len(flow.nodes) > NODE_LIMIT:
        return [_fault(flow, "", f"{len(flow.nodes)} nodes are too many: {NODE_LIMIT} at most")]
    faults = [
        *_unknown_nodes(flow),
        *_unreachable(flow),
        *_silent_walks(flow),
        *_unknown_queues(flow, queues),
        *_unspoken(flow, languages),
    ]
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
        case FaxNode():
            yield "next", node.next
            if node.otherwise != node.next:
                yield "otherwise", node.otherwise


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
    """Circles and overlong ways for a caller who never chooses: such a caller has only one way from every node."""
    following = {name: target for name, node in flow.nodes.items() if (target := _silent(node)) in flow.nodes}
    steps: dict[str, int] = {}
    for name in flow.nodes:
        way: dict[str, None] = {}
        while name in following and name not in steps and name not in way:
            way[name] = None
            name = following[name]
        if name in way:
            circle = list(way)[list(way).index(name) :]
            yield _fault(flow, name, f"no way out for a caller who presses nothing: {' -> '.join([*circle, name])}")
        for passed in reversed(way):
            steps[passed] = _tries(flow.nodes[passed]) + steps.get(following[passed], 0)
    longest = max(steps, key=lambda name: steps[name], default="")
    if longest and steps[longest] > STEP_LIMIT:
        yield _fault(flow, longest, f"{steps[longest]} steps from here without a choice of the caller: {STEP_LIMIT} at most")


def _silent(node: Node) -> str:
    match node:
        case SayNode():
            return node.next
        case MenuNode():
            return node.otherwise
        case FaxNode():
            return node.otherwise
        case _:
            return ""


def _tries(node: Node) -> int:
    return node.retries + 1 if isinstance(node, MenuNode) else 1


def _unknown_queues(flow: Flow, queues: Collection[str]) -> Iterator[Fault]:
    known = f"there are {', '.join(sorted(queues))}" if queues else "there is none"
    for name, node in flow.nodes.items():
        if isinstance(node, QueueNode) and node.queue not in queues:
            yield _fault(flow, name, f"there is no queue {node.queue!r}; {known}")


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
    return {language for prompt in prompts for language, _ in prompt.texts} | {
        choice.language for choice in choices.values()
    }
