"""How routes are made: a class for each group of them, whose methods say where they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from klein import Klein

__all__ = ["add_routes", "route"]

F = TypeVar("F", bound=Callable[..., Any])


def route(verb: str, address: str) -> Callable[[F], F]:
    """The method answers ``verb`` at ``address``; what stands there as ``<name>`` is its argument of that name."""

    def mark(method: F) -> F:
        method.route = verb, address  # type: ignore[attr-defined] # it is a function
        return method

    return mark


def add_routes(app: Klein, *groups: object) -> None:
    """Let ``app`` answer with every method of the groups that says where."""
    for group in groups:
        for name, method in vars(type(group)).items():
            if found := getattr(method, "route", None):
                verb, address = found
                endpoint = f"{type(group).__name__}.{name}"
                app.route(address, methods=[verb], endpoint=endpoint)(getattr(group, name))
