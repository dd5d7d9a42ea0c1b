"""A flow file's text -> a :class:`~easycall.ivr.nodes.Flow`.  Pure.

:mod:`easycall.ivr.reader` reads the YAML; :mod:`easycall.ivr.source_values` the nodes that ask for values and use them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import yaml

from easycall.ivr.nodes import (
    KEYS,
    Choice,
    FaxNode,
    Flow,
    FlowError,
    HangUpNode,
    HoursNode,
    MenuNode,
    Node,
    QueueNode,
    SayNode,
    VoicemailNode,
)
from easycall.ivr.reader import FILE_LIMIT, FLOW_NAME, NODE_NAME, Reader
from easycall.ivr.source_values import VALUE_KINDS, asks_of, function_of

__all__ = ["FILE_LIMIT", "parse"]


def parse(text: str, name: str) -> Flow:
    """The flow of that name in ``text``.  Raises FlowError with every fault in the text.

    What needs more than one node to see (a node that does not exist, say) is :mod:`easycall.ivr.lint`'s.
    """
    reader = Reader(f"{name}.yaml")
    root = reader.compose(text)
    if not FLOW_NAME.fullmatch(name):
        reader.fault(0, "", f"{name!r} is no flow name: 1 to 40 of a-z 0-9 and -")
    top = reader.fields(root, "", ("start", "nodes"), ("parameters", "result", "limit")) if root else {}
    start = reader.name(top, "start", "start") if "start" in top else ""
    nodes = {}
    if "nodes" in top:
        for node, (line, value) in reader.mapping(top["nodes"][1], "nodes").items():
            if not NODE_NAME.fullmatch(node):
                reader.fault(line, "nodes", f"{node[:80]!r} is no node name: 1 to 64 of letters, digits, _ and -")
            nodes[node] = _node(reader, node, line, value)
    function = function_of(reader, top)
    if reader.faults:
        raise FlowError(sorted(reader.faults, key=lambda fault: fault.line))
    return Flow(name, start, {node: value for node, value in nodes.items() if value}, function)


def _node(reader: Reader, name: str, line: int, value: yaml.Node) -> Node | None:
    keys = (
        [key.value for key, _ in value.value if isinstance(key, yaml.ScalarNode)]
        if isinstance(value, yaml.MappingNode)
        else []
    )
    kinds = [kind for kind in _KINDS if kind in keys]
    if len(kinds) != 1:
        reader.fault(line, name, f"a node has exactly one of {', '.join(_KINDS)}, not {len(kinds)}")
        return None
    return _KINDS[kinds[0]](reader, name, line, value)


def _say(reader: Reader, name: str, line: int, value: yaml.Node) -> Node:
    fields = reader.fields(value, name, required=("say", "next"))
    return SayNode(reader.prompts(fields, "say", name), reader.name(fields, "next", name), line)


def _menu(reader: Reader, name: str, line: int, value: yaml.Node) -> Node:
    fields = reader.fields(
        value, name, required=("menu", "choices", "otherwise"), optional=("invalid", "retries", "timeout")
    )
    choices = _choices(reader, fields, "choices", name)
    if "choices" in fields and not choices:
        reader.fault(fields["choices"][0], name, "the menu has no choices")
    return MenuNode(
        prompts=reader.prompts(fields, "menu", name),
        choices=choices,
        otherwise=reader.name(fields, "otherwise", name),
        invalid=reader.prompts(fields, "invalid", name),
        retries=int(reader.number(fields, "retries", name, 0, 9, 2, whole=True)),
        timeout=reader.number(fields, "timeout", name, 1, 25, 5),
        line=line,
    )


def _choices(reader: Reader, fields: Mapping[str, tuple[int, yaml.Node]], name: str, where: str) -> dict[str, Choice]:
    """Key -> what it means."""
    choices = {}
    for key, (at, choice) in reader.mapping(fields[name][1], f"{where}.{name}").items() if name in fields else ():
        if len(key) != 1 or key not in KEYS:
            reader.fault(at, f"{where}.{name}", f"{key[:40]!r} is no key: one of {' '.join(KEYS)}")
        choices[key] = _choice(reader, f"{where}.{name}.{key[:8]}", choice)
    return choices


def _choice(reader: Reader, where: str, value: yaml.Node) -> Choice:
    fields = reader.fields(value, where, required=("name", "next"), optional=("language",))
    name = reader.text(fields["name"][1], f"{where}.name") if "name" in fields else ""
    if "name" in fields and not (0 < len(name) <= 64 and name.isprintable() and name.strip() == name):
        reader.fault(fields["name"][0], f"{where}.name", f"{name[:40]!r} is no name: 1 to 64 printable characters")
    language = ""
    if "language" in fields:
        language = reader.language(reader.text(fields["language"][1], where), fields["language"][0], where)
    return Choice(name, reader.name(fields, "next", where), language)


def _queue(reader: Reader, name: str, line: int, value: yaml.Node) -> Node:
    fields = reader.fields(value, name, required=("queue",), optional=("keys", "skills", "priority", "owner"))
    choices = _choices(reader, fields, "keys", name)
    return QueueNode(reader.name(fields, "queue", name), choices, asks_of(reader, fields, name), line)


def _voicemail(reader: Reader, name: str, line: int, value: yaml.Node) -> Node:
    return VoicemailNode(reader.name(reader.fields(value, name, required=("voicemail",)), "voicemail", name), line)


def _fax(reader: Reader, name: str, line: int, value: yaml.Node) -> Node:
    fields = reader.fields(value, name, required=("fax", "next"), optional=("otherwise",))
    following = reader.name(fields, "next", name)
    return FaxNode(reader.name(fields, "fax", name), following, reader.name(fields, "otherwise", name) or following, line)


def _hours(reader: Reader, name: str, line: int, value: yaml.Node) -> Node:
    fields = reader.fields(value, name, required=("hours", "open", "closed"))
    hours, open_, closed = (reader.name(fields, part, name) for part in ("hours", "open", "closed"))
    return HoursNode(hours, open_, closed, line)


def _hang_up(reader: Reader, name: str, line: int, value: yaml.Node) -> Node:
    fields = reader.fields(value, name, required=("hangup",))
    at, nothing = fields["hangup"]
    if reader.text(nothing, name):
        reader.fault(at, name, "hangup takes no value: write 'hangup:'; to say goodbye, use a say node before it")
    return HangUpNode(line)


_KINDS: Mapping[str, Callable[[Reader, str, int, yaml.Node], Node]] = {
    "say": _say,
    "menu": _menu,
    "queue": _queue,
    "voicemail": _voicemail,
    "fax": _fax,
    "hours": _hours,
    "hangup": _hang_up,
    **VALUE_KINDS,
}
