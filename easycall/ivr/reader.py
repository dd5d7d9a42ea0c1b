"""Reads one flow file's YAML as marked nodes, and keeps every fault instead of stopping at the first.  Pure.

Nothing is ever constructed from it: no tag can make an object, and every value is the text that stands in the file (YAML's
own rules would turn ``0123`` into 83 and ``no`` into False).  Size, depth and aliases are bounded before the tree is built.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeAlias

import yaml
from attrs import field, mutable

from easycall.ivr.nodes import Fault
from easycall.ivr.prompt import Prompt, parse_prompt, plain_text
from easycall.ivr.values import NAME, Text, parse_text

__all__ = ["FILE_LIMIT", "FLOW_NAME", "NODE_NAME", "Fields", "Reader", "line_of"]

FILE_LIMIT = 256 * 1024
"""The longest flow file, in bytes."""
DEPTH_LIMIT = 12
ALIAS_LIMIT = 20
PROMPTS_LIMIT = 20

FLOW_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
NODE_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}")
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")

Fields: TypeAlias = Mapping[str, tuple[int, yaml.Node]]
"""Key -> the line it stands on and its value."""


class BoundedLoader(yaml.SafeLoader):
    """Refuses to go deep and to follow many aliases, before the memory is used."""

    _depth = 0
    _aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._aliases += self.check_event(yaml.AliasEvent)
        self._depth += 1
        if self._depth > DEPTH_LIMIT or self._aliases > ALIAS_LIMIT:
            problem = (
                f"nested deeper than {DEPTH_LIMIT}" if self._depth > DEPTH_LIMIT else f"more than {ALIAS_LIMIT} aliases"
            )
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=self.get_mark())
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


@mutable
class Reader:
    """Reads one file's marked nodes and keeps every fault instead of stopping at the first."""

    file: str
    faults: list[Fault] = field(factory=list)

    def fault(self, line: int, where: str, message: str) -> None:
        self.faults.append(Fault(self.file, line, where, message))

    def compose(self, text: str) -> yaml.Node | None:
        """The root of the document, None with a fault when there is none to be read."""
        if len(text) > FILE_LIMIT:
            self.fault(0, "", f"the file is too large: {FILE_LIMIT // 1024} KiB at most")
            return None
        try:
            root = yaml.compose(text, Loader=BoundedLoader)
        except (yaml.YAMLError, ValueError, OverflowError) as error:  # PyYAML lets chr()'s own errors through
            mark = getattr(error, "problem_mark", None)
            problem = " ".join(str(getattr(error, "problem", None) or error).split())
            self.fault(mark.line + 1 if mark else 0, "", f"cannot be read as YAML: {problem[:200]}")
            return None
        if root is None:
            self.fault(0, "", "the file is empty")
        return root

    def mapping(self, value: yaml.Node, where: str) -> Fields:
        """The keys and values of a mapping; a fault for anything else and for a key given twice."""
        if not isinstance(value, yaml.MappingNode):
            self.fault(line_of(value), where, "must be keys and values")
            return {}
        fields: dict[str, tuple[int, yaml.Node]] = {}
        for key, item in value.value:
            name = self.text(key, where)
            if name in fields:
                self.fault(line_of(key), where, f"{name[:80]!r} is given twice, first in line {fields[name][0]}")
            fields.setdefault(name, (line_of(key), item))
        return fields

    def fields(self, value: yaml.Node, where: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> Fields:
        """A mapping whose keys are known; a fault for each missing or unknown one."""
        given = self.mapping(value, where)
        known = (*required, *optional)
        for key in given.keys() - set(known):
            near = get_close_matches(key[:80], known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            self.fault(given[key][0], where, f"{key[:80]!r} is unknown; {hint}")
        if isinstance(value, yaml.MappingNode):
            for key in required:
                if key not in given:
                    self.fault(line_of(value), where, f"{key!r} is missing")
        return given

    def text(self, value: yaml.Node, where: str) -> str:
        """The text as it stands in the file."""
        if not isinstance(value, yaml.ScalarNode):
            self.fault(line_of(value), where, "must be a single value")
            return ""
        if not value.tag.startswith("tag:yaml.org,2002:") or "python" in value.tag:
            self.fault(line_of(value), where, f"tags like {value.tag[:40]!r} mean nothing here")
        return str(value.value)

    def name(self, fields: Fields, key: str, where: str) -> str:
        """The name of a node or queue under ``key``."""
        if key not in fields:
            return ""
        name = self.text(fields[key][1], where)
        if not NODE_NAME.fullmatch(name):
            self.fault(fields[key][0], where, f"{key}: {name[:80]!r} is no name: 1 to 64 of letters, digits, _ and -")
        return name

    def value_name(self, fields: Fields, key: str, where: str) -> str:
        """The name of a value under ``key``."""
        if key not in fields:
            return ""
        line, value = fields[key]
        name = self.text(value, where)
        if not NAME.fullmatch(name):
            self.fault(line, where, f"{key}: {name[:40]!r} is no name of a value: 1 to 32 of a-z, 0-9 and _")
        return name

    def template(self, line: int, value: yaml.Node, where: str) -> Text:
        """A text that values may be put in."""
        try:
            return parse_text(self.text(value, where))
        except ValueError as error:
            self.fault(line, where, str(error))
            return Text(())

    def items(self, value: yaml.Node, where: str) -> list[str]:
        """A list of texts."""
        if not isinstance(value, yaml.SequenceNode):
            self.fault(line_of(value), where, "must be a list, such as [ok, refused]")
            return []
        return [self.text(item, where) for item in value.value]

    def number(
        self, fields: Fields, key: str, where: str, low: int, high: int, default: float, whole: bool = False
    ) -> float:
        """The number under ``key``."""
        if key not in fields:
            return default
        text = self.text(fields[key][1], where)
        if (
            not re.fullmatch(r"[0-9]{1,4}" if whole else r"[0-9]{1,4}(\.[0-9]{1,3})?", text)
            or not low <= float(text) <= high
        ):
            kind = "whole number" if whole else "number of seconds"
            self.fault(fields[key][0], where, f"{key}: {text[:40]!r} must be a {kind} from {low} to {high}")
            return default
        return float(text)

    def language(self, text: str, line: int, where: str) -> str:
        """A language tag."""
        if not LANGUAGE.fullmatch(text):
            self.fault(line, where, f"{text[:40]!r} is no language: such as en, zh or zh-TW")
        return text

    def prompts(self, fields: Fields, key: str, where: str) -> tuple[Prompt, ...]:
        """One prompt, or a list of prompts heard one after another."""
        if key not in fields:
            return ()
        line, value = fields[key]
        where = f"{where}.{key}"
        values = value.value if isinstance(value, yaml.SequenceNode) else [value]
        if not 0 < len(values) <= PROMPTS_LIMIT:
            self.fault(line, where, f"1 to {PROMPTS_LIMIT} prompts, not {len(values)}")
        return tuple(prompt for item in values[:PROMPTS_LIMIT] if (prompt := self._prompt(item, where)))

    def _prompt(self, value: yaml.Node, where: str) -> Prompt | None:
        try:
            if not isinstance(value, yaml.MappingNode):
                return parse_prompt(self.text(value, where))
            if [self.text(key, where) for key, _ in value.value] == ["spell"]:
                fields = self.mapping(value, where)
                return Prompt(spelled=self.value_name(fields, "spell", where))
            texts = [
                (self.language(language, line, where), plain_text(self.text(text, where)))
                for language, (line, text) in self.mapping(value, where).items()
            ]
            if not texts:
                raise ValueError("the prompt is missing")
            return Prompt(texts=tuple(texts))
        except ValueError as error:
            self.fault(line_of(value), where, str(error))
            return None


def line_of(value: yaml.Node) -> int:
    """The line of its file a node begins on, counted from 1."""
    return int(value.start_mark.line) + 1
