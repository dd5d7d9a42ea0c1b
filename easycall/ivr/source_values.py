"""The part of a flow file that is about values: the nodes ``collect``, ``seal``, ``post``, ``branch``, ``return`` and
``transaction``, and what makes a flow a function.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import islice, product

import yaml

from easycall.acd.asking import read_priority
from easycall.ivr.capture import (
    BranchNode,
    CallBackAt,
    CallbackNode,
    CaptureNode,
    CollectNode,
    PostNode,
    ReturnNode,
    SealNode,
    Transact,
    TransactionNode,
)
from easycall.ivr.function import KINDS, STATUS, Field, Function
from easycall.ivr.nodes import Asks
from easycall.ivr.reader import Fields, Reader, line_of
from easycall.ivr.values import GIVEN, NAME, Text
from easycall.model import AMOUNT, CURRENCY
from easycall.skills import parse

__all__ = ["VALUE_KINDS", "asks_of", "function_of"]

MOST_DIGITS = 40
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")
FIELDS_LIMIT = 20
REQUIRED = "required"
TRIED = ("a", "1")
"""What is put in for values, to see whether an expression can be one at all: the name of a skill, a level."""
TRIES = 64
TRANSACTION_LIMIT = 60
"""Characters of the name of a transaction."""


def function_of(reader: Reader, top: Fields) -> Function | None:
    """What the head of a flow says of parameters and result; None when it says nothing of them."""
    if "result" not in top:
        for key in ("parameters", "limit"):
            if key in top:
                reader.fault(top[key][0], key, "only a function has it: a flow with a result")
        return None
    line, value = top["result"]
    result = _fields(reader, value, "result", NAME)
    if result and not (STATUS in result and result[STATUS].allowed):
        reader.fault(line, "result", f"must have a field {STATUS!r} with a list of what it may be, such as [ok, refused]")
    return Function(_parameters(reader, top), result, reader.number(top, "limit", "limit", 5, 3600, 300), line)


def _parameters(reader: Reader, top: Fields) -> dict[str, str | None]:
    parameters: dict[str, str | None] = {}
    given = reader.mapping(top["parameters"][1], "parameters") if "parameters" in top else {}
    for name, (line, value) in given.items():
        if not NAME.fullmatch(name) or name in GIVEN:
            reader.fault(
                line, "parameters", f"{name[:40]!r} is no name of a parameter: a-z, 0-9 and _, none of {', '.join(GIVEN)}"
            )
        if isinstance(value, yaml.ScalarNode) and value.value == REQUIRED:
            parameters[name] = None
            continue
        where = f"parameters.{name[:40]}"
        fields = reader.fields(value, where, required=("default",)) if isinstance(value, yaml.MappingNode) else {}
        if not fields:
            reader.fault(line, where, "must be 'required', or '{default: …}'")
        parameters[name] = reader.text(fields["default"][1], where) if "default" in fields else ""
    return parameters


def _fields(reader: Reader, value: yaml.Node, where: str, names: re.Pattern[str]) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    given = reader.mapping(value, where)
    if not 0 < len(given) <= FIELDS_LIMIT:
        reader.fault(line_of(value), where, f"1 to {FIELDS_LIMIT} fields, not {len(given)}")
    for name, (line, shape) in given.items():
        if not names.fullmatch(name):
            reader.fault(line, where, f"{name[:40]!r} is no name of a field")
        if isinstance(shape, yaml.SequenceNode):
            allowed = tuple(reader.items(shape, f"{where}.{name[:40]}"))
            if not allowed or not all(0 < len(one) <= 40 and one.isprintable() for one in allowed):
                reader.fault(line, f"{where}.{name[:40]}", "must be a list of texts of 1 to 40 characters")
            fields[name] = Field(allowed=allowed)
            continue
        kind = reader.text(shape, f"{where}.{name[:40]}")
        if kind not in KINDS:
            reader.fault(line, f"{where}.{name[:40]}", f"{kind[:40]!r} is no kind: {', '.join(KINDS)}, or a list of values")
            kind = "text"
        fields[name] = Field(kind)
    return fields


def _templates(reader: Reader, fields: Fields, key: str, where: str, names: re.Pattern[str]) -> dict[str, Text]:
    texts: dict[str, Text] = {}
    given = reader.mapping(fields[key][1], f"{where}.{key}") if key in fields else {}
    if key in fields and not 0 < len(given) <= FIELDS_LIMIT:
        reader.fault(fields[key][0], f"{where}.{key}", f"1 to {FIELDS_LIMIT} fields, not {len(given)}")
    for name, (line, value) in given.items():
        if not names.fullmatch(name):
            reader.fault(line, f"{where}.{key}", f"{name[:40]!r} is no name of a field")
        texts[name] = reader.template(line, value, f"{where}.{key}.{name[:40]}")
    return texts


def _collect(reader: Reader, name: str, line: int, value: yaml.Node) -> CollectNode:
    fields = reader.fields(
        value,
        name,
        required=("collect", "name", "digits", "next", "otherwise"),
        optional=("invalid", "retries", "timeout", "check", "secret"),
    )
    least, most = _digits(reader, fields, name)
    return CollectNode(
        prompts=reader.prompts(fields, "collect", name),
        name=_new_name(reader, fields, "name", name),
        least=least,
        most=most,
        next=reader.name(fields, "next", name),
        otherwise=reader.name(fields, "otherwise", name),
        invalid=reader.prompts(fields, "invalid", name),
        retries=int(reader.number(fields, "retries", name, 0, 9, 2, whole=True)),
        timeout=reader.number(fields, "timeout", name, 1, 25, 5),
        check=_check(reader, fields, name),
        secret=_yes(reader, fields, "secret", name),
        line=line,
    )


def asks_of(reader: Reader, fields: Fields, where: str) -> Asks:
    """What a queue node asks for in the name of its callers."""
    asks = Asks(
        **{
            key: reader.template(fields[key][0], fields[key][1], f"{where}.{key}")
            for key in ("skills", "priority", "owner")
            if key in fields
        }
    )
    for key, read in (("skills", parse), ("priority", read_priority)):
        if fault := _unreadable(asks.texts[key], read):
            reader.fault(fields[key][0], f"{where}.{key}", fault)
    return asks


def _unreadable(text: Text, read: Callable[[str], object]) -> str:
    """Why a text cannot be read whatever its values are; ``""`` when it can be."""
    fault = ""
    for values in islice(product(TRIED, repeat=len(text.uses)), TRIES):
        following = iter(values)
        try:
            read("".join(part if isinstance(part, str) else next(following) for part in text.parts))
            return ""
        except ValueError as error:
            fault = fault or str(error)
    return fault


def _new_name(reader: Reader, fields: Fields, key: str, where: str) -> str:
    name = reader.value_name(fields, key, where)
    if name in GIVEN:
        reader.fault(fields[key][0], where, f"{key}: {name!r} is known to every flow: take another name")
    return name


def _digits(reader: Reader, fields: Fields, where: str) -> tuple[int, int]:
    if "digits" not in fields:
        return 1, 1
    line, value = fields["digits"]
    text = reader.text(value, where)
    found = re.fullmatch(r"([0-9]{1,2})(?:-([0-9]{1,2}))?", text)
    least, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= least <= most <= MOST_DIGITS:
        reader.fault(line, where, f"digits: {text[:40]!r} must be a number, or two as in 13-19, from 1 to {MOST_DIGITS}")
        return 1, 1
    return least, most


def _check(reader: Reader, fields: Fields, where: str) -> str:
    if "check" not in fields:
        return ""
    line, value = fields["check"]
    text = reader.text(value, where)
    if text == "luhn":
        return text
    pattern = re.fullmatch(r"/(.{1,200})/", text)
    try:
        if not pattern or re.search(r"[+*{}()|\\]", re.sub(r"\{[0-9,]{1,5}\}|\\d", "", pattern[1])):
            raise re.error("")
        re.compile(pattern[1])
        return pattern[1]
    except re.error:
        remedy = "must be luhn, or a pattern between slashes of digits, \\d, [0-9] and {n}, such as /4[0-9]{15}/"
        reader.fault(line, where, f"check: {text[:40]!r} {remedy}")
        return ""


def _yes(reader: Reader, fields: Fields, key: str, where: str) -> bool:
    if key not in fields:
        return False
    text = reader.text(fields[key][1], where)
    if text not in ("yes", "no"):
        reader.fault(fields[key][0], where, f"{key}: {text[:40]!r} must be yes or no")
    return text == "yes"


def _seal(reader: Reader, name: str, line: int, value: yaml.Node) -> SealNode:
    fields = reader.fields(value, name, required=("seal", "key", "name", "next"))
    return SealNode(
        reader.value_name(fields, "seal", name),
        reader.name(fields, "key", name),
        _new_name(reader, fields, "name", name),
        reader.name(fields, "next", name),
        line,
    )


def _post(reader: Reader, name: str, line: int, value: yaml.Node) -> PostNode:
    fields = reader.fields(value, name, required=("post", "send", "next", "otherwise"), optional=("take",))
    return PostNode(
        service=reader.name(fields, "post", name),
        send=_templates(reader, fields, "send", name, FIELD_NAME),
        take=_fields(reader, fields["take"][1], f"{name}.take", NAME) if "take" in fields else {},
        next=reader.name(fields, "next", name),
        otherwise=reader.name(fields, "otherwise", name),
        line=line,
    )


def _branch(reader: Reader, name: str, line: int, value: yaml.Node) -> BranchNode:
    fields = reader.fields(value, name, required=("branch", "cases", "otherwise"))
    cases = reader.mapping(fields["cases"][1], f"{name}.cases") if "cases" in fields else {}
    leads = {case: reader.name({"to": target}, "to", f"{name}.cases") for case, target in cases.items()}
    return BranchNode(reader.value_name(fields, "branch", name), leads, reader.name(fields, "otherwise", name), line)


def _return(reader: Reader, name: str, line: int, value: yaml.Node) -> ReturnNode:
    return ReturnNode(_templates(reader, reader.fields(value, name, required=("return",)), "return", name, NAME), line)


def _transaction(reader: Reader, name: str, line: int, value: yaml.Node) -> TransactionNode:
    optional = ("reference", "amount", "currency", "data")
    fields = reader.fields(value, name, required=("transaction", "outcome", "next"), optional=optional)
    what = reader.text(fields["transaction"][1], name) if "transaction" in fields else ""
    if not (0 < len(what) <= TRANSACTION_LIMIT and what.isprintable()):
        reader.fault(line, name, f"transaction: {what[:40]!r} must be a name of 1 to {TRANSACTION_LIMIT} characters")
    texts = {
        key: reader.template(*fields[key], f"{name}.{key}")
        for key in ("outcome", "reference", "amount", "currency")
        if key in fields
    }
    for key, shape, words in (("amount", AMOUNT, "a decimal number, such as 120.00"), ("currency", CURRENCY, "such as EUR")):
        plain = texts[key].plain if key in texts else None
        if plain is not None and not shape.fullmatch(plain):
            reader.fault(fields[key][0], name, f"{key}: {plain[:40]!r} must be {words}, or a value")
    if "currency" in texts and "amount" not in texts:
        reader.fault(fields["currency"][0], name, "currency: there is no amount")
    data = _templates(reader, fields, "data", name, FIELD_NAME)
    return TransactionNode(Transact(what, texts, data), reader.name(fields, "next", name), line)


def _callback(reader: Reader, name: str, line: int, value: yaml.Node) -> CallbackNode:
    fields = reader.fields(value, name, required=("callback", "next", "otherwise"), optional=("number",))
    number = reader.template(*fields["number"], f"{name}.number") if "number" in fields else None
    promise = CallBackAt(reader.name(fields, "callback", name), number)
    return CallbackNode(promise, reader.name(fields, "next", name), reader.name(fields, "otherwise", name), line)


VALUE_KINDS: Mapping[str, Callable[[Reader, str, int, yaml.Node], CaptureNode]] = {
    "collect": _collect,
    "seal": _seal,
    "post": _post,
    "branch": _branch,
    "return": _return,
    "transaction": _transaction,
    "callback": _callback,
}
"""The key that makes a node one of a kind -> how it is read."""
