"""The routes of the do-not-call list."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import msgspec

from easycall.api.auth import Right, allow
from easycall.api.calls import refused
from easycall.api.exchange import answer_json, limit_of, read_body, read_query
from easycall.api.problems import unknown
from easycall.api.routes import route
from easycall.api.schemas import Nothing, Text
from easycall.api.site import BoundedRequest
from easycall.outbound.donotcall import DoNotCall, Entry
from easycall.outbound.rules import NotDialled, Rules, normalised

__all__ = ["DoNotCallRoutes"]


class Listed(msgspec.Struct, forbid_unknown_fields=True):
    """Put a number on the do-not-call list."""

    reason: Text = ""


class DoNotCallRoutes:
    """What the routes below ``/api/v1/do-not-call`` answer."""

    def __init__(self, do_not_call: DoNotCall, rules: Rules) -> None:
        """``rules``: how numbers are written."""
        self._do_not_call = do_not_call
        self._rules = rules

    @route("GET", "/api/v1/do-not-call")
    def page(self, request: BoundedRequest) -> bytes:
        """The numbers that are not called, a page at a time: those behind ``after``."""
        allow(request, Right.READ)
        asked = read_query(request, "limit", "after")
        limit, numbers = limit_of(asked), sorted(self._do_not_call.entries)
        page = numbers[bisect_right(numbers, asked.get("after", "")) :][:limit]
        views = [_view(self._do_not_call.entries[number]) for number in page]
        return answer_json(request, {"numbers": views, "next": page[-1] if len(page) == limit else None})

    @route("GET", "/api/v1/do-not-call/<typed>")
    def one(self, request: BoundedRequest, typed: str) -> bytes:
        """One number of the list."""
        allow(request, Right.READ)
        entry = self._do_not_call.entries.get(self._number(typed))
        if entry is None:
            raise unknown("number on the do-not-call list:", typed)
        return answer_json(request, _view(entry))

    @route("PUT", "/api/v1/do-not-call/<typed>")
    async def add(self, request: BoundedRequest, typed: str) -> bytes:
        """Put a number on the list; 200 when it is stored."""
        allow(request, Right.ADMIN)
        body = read_body(request, Listed)
        entry = await self._do_not_call.add(self._number(typed), body.reason, request.token.name)
        return answer_json(request, _view(entry))

    @route("DELETE", "/api/v1/do-not-call/<typed>")
    async def remove(self, request: BoundedRequest, typed: str) -> bytes:
        """Take a number from the list."""
        allow(request, Right.ADMIN)
        read_body(request, Nothing)
        number = self._number(typed)
        if number not in self._do_not_call:
            raise unknown("number on the do-not-call list:", typed)
        await self._do_not_call.remove(number, request.token.name)
        return answer_json(request, {"number": number})

    def _number(self, typed: str) -> str:
        try:
            return normalised(typed, self._rules.settings)
        except NotDialled as why:
            raise refused(why) from None


def _view(entry: Entry) -> dict[str, Any]:
    """A number on the do-not-call list."""
    built: dict[str, Any] = msgspec.to_builtins(entry)
    return built
