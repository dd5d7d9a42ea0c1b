"""Kinds of values: what is allowed, in words for people, and how a value is read.  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from ipaddress import ip_address
from typing import Any

from attrs import frozen

__all__ = [
    "Kind",
    "addresses",
    "client_endpoint",
    "client_host",
    "command",
    "levels",
    "lists",
    "matching",
    "number",
    "server_endpoint",
    "server_port",
    "switch",
    "text",
    "there_are",
    "tls_files",
    "web_address",
    "whole",
]


@frozen
class Kind:
    """A kind of value: what is allowed, in words, and how it is read (raising ValueError)."""

    allowed: str
    read: Callable[[Any], Any]

    def fits(self, value: Any) -> bool:
        """Whether ``value`` is of this kind."""
        try:
            self.read(value)
        except (ValueError, TypeError):
            return False
        return True


def there_are(names: Collection[str]) -> str:
    """What there is, in words for people who named something else."""
    return f"there are {', '.join(sorted(names))}" if names else "there is none"


def matching(allowed: str, pattern: str) -> Kind:
    """Text that matches ``pattern`` as a whole."""
    return Kind(allowed, lambda value: _sure(value, isinstance(value, str) and re.fullmatch(pattern, value)))


def text(low: int, high: int) -> Kind:
    """Text of ``low`` to ``high`` printable characters."""
    return Kind(
        f"{low} to {high} printable characters",
        lambda value: _sure(value, isinstance(value, str) and low <= len(value) <= high and value.isprintable()),
    )


def number(unit: str, low: float, high: float) -> Kind:
    """A number of ``unit`` from ``low`` to ``high``."""

    def read(value: Any) -> float:
        return float(_sure(value, isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high))

    return Kind(f"a number of {unit} from {low:g} to {high:g}", read)


def whole(unit: str, low: int, high: int) -> Kind:
    """A whole number of ``unit`` from ``low`` to ``high``."""

    def read(value: Any) -> int:
        return int(_sure(value, isinstance(value, int) and not isinstance(value, bool) and low <= value <= high))

    return Kind(f"a whole number of {unit} from {low} to {high}", read)


def lists(kind: Kind) -> Kind:
    """A list of values of a kind, none of them twice."""

    def read(value: Any) -> tuple[Any, ...]:
        items = tuple(kind.read(item) for item in _sure(value, isinstance(value, list)))
        _sure(value, len(set(items)) == len(items))
        return items

    return Kind(f"a list, each of {kind.allowed}, none twice", read)


def levels(name: Kind, low: int, high: int) -> Kind:
    """A table of names, each with a whole number."""

    def read(value: Any) -> dict[str, int]:
        level = whole("", low, high)
        return {name.read(key): level.read(number) for key, number in _sure(value, isinstance(value, dict)).items()}

    return Kind(f"a table, each line {name.allowed} = a level from {low} to {high}", read)


switch = Kind("true or false", lambda value: _sure(value, isinstance(value, bool)) is True)
"""Yes or no."""

addresses = lists(Kind("an IP address", lambda value: str(ip_address(_sure(value, isinstance(value, str))))))
"""A list of IP addresses."""

command = Kind(
    'a command and its arguments as a list of texts, such as ["sox", "-"]',
    lambda value: tuple(
        _sure(value, isinstance(value, list) and value and all(isinstance(arg, str) and arg.isprintable() for arg in value))
    ),
)
"""A command, run without a shell."""


web_address = matching(
    "an address https://…; http:// only for this machine (127.0.0.1, [::1], localhost)",
    r"(https://[A-Za-z0-9.-]{1,253}|https?://(127\.0\.0\.1|\[::1\]|localhost))(:[0-9]{1,5})?(/[A-Za-z0-9._~/?=&%:@,+-]{0,500})?",
)
"""The address of a service outside."""


def server_endpoint(*kinds: str) -> Kind:
    """A Twisted server endpoint of one of ``kinds``."""

    def read(value: Any) -> str:
        kind, given, named = _endpoint(value)
        _sure(value, kind in kinds)
        if kind in ("tcp", "tcp6"):
            _sure(value, len(given) + ("port" in named) == 1 and named.keys() <= {"port", "interface", "backlog"})
            _sure(value, 0 <= int(named.get("port", *given)) <= 65535)
        return str(value)

    return Kind(f"a Twisted server endpoint ({', '.join(kinds)}), such as tcp:8800:interface=127.0.0.1", read)


_TCP_OPTIONS = frozenset({"host", "port", "timeout", "bindAddress"})
_TLS_FILES = ("trustRoots", "certificate", "privateKey")


def client_endpoint(*kinds: str) -> Kind:
    """A Twisted client endpoint of one of ``kinds``."""

    def read(value: Any) -> str:
        kind, given, named = _endpoint(value)
        _sure(value, kind in kinds)
        if kind in ("tcp", "tls"):
            host, port = (*given, *(named[key] for key in ("host", "port") if key in named))
            _sure(value, host and 1 <= int(port) <= 65535 and int(named.get("timeout", 1)) > 0)
            _sure(value, named.keys() <= _TCP_OPTIONS | ({*_TLS_FILES, "endpoint"} if kind == "tls" else set()))
            if "endpoint" in named:
                client_endpoint("tcp", "unix").read(named["endpoint"])
        return str(value)

    return Kind(f"a Twisted client endpoint ({', '.join(kinds)}), such as tcp:127.0.0.1:5038", read)


def server_port(endpoint: str) -> tuple[int, str]:
    """Port and interface of a server endpoint; port 0 (any) for one that is not TCP."""
    kind, given, named = _endpoint(endpoint)
    return (int(named.get("port", *given)) if kind in ("tcp", "tcp6") else 0), named.get("interface", "")


def client_host(endpoint: str) -> tuple[str, str]:
    """Kind and host of a client endpoint; no host for one that is neither TCP nor TLS."""
    kind, given, named = _endpoint(endpoint)
    return kind, (named.get("host") or given[0] if kind in ("tcp", "tls") else "")


def tls_files(endpoint: str) -> dict[str, str]:
    """What a TLS client endpoint reads: the folder ``trustRoots``, the files ``certificate`` and ``privateKey``."""
    kind, _, named = _endpoint(endpoint)
    return {name: named[name] for name in _TLS_FILES if name in named} if kind == "tls" else {}


def _endpoint(value: Any) -> tuple[str, list[str], dict[str, str]]:
    """The kind, the arguments by place and those by name, as twisted.internet.endpoints splits them."""
    _sure(value, isinstance(value, str) and value.isprintable())
    kind, *parts = (part.replace("\\:", ":") for part in re.split(r"(?<!\\):", value))
    return kind, [part for part in parts if "=" not in part], dict(part.split("=", 1) for part in parts if "=" in part)


def _sure(value: Any, right: object) -> Any:
    if not right:
        raise ValueError(value)
    return value
