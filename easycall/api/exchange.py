"""Reading a request and writing its answer, in one way for all routes."""
# mypy: allow-untyped-calls
# (what is inherited from twisted.web has no annotations)

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qs

import msgspec

from easycall.api.problems import CONTENT_TYPE, Problem
from easycall.api.schemas import decode
from easycall.api.site import BoundedRequest

__all__ = ["answer", "answer_json", "limit_of", "read_body", "read_query", "refuse"]

T = TypeVar("T")

PAGE = 50
LONGEST_PAGE = 200
"""Things in one answer."""


def answer_json(request: BoundedRequest, value: Any) -> bytes:
    """Write a JSON body."""
    return answer(request, msgspec.json.encode(value), "application/json")


def refuse(request: BoundedRequest, problem: Problem) -> bytes:
    """Write an error."""
    request.setResponseCode(problem.status, problem.status.phrase.encode())
    for name, value in problem.headers.items():
        request.setHeader(name, value)
    return answer(request, problem.body(), CONTENT_TYPE)


def answer(request: BoundedRequest, body: bytes, content_type: str) -> bytes:
    """Write a body."""
    request.setHeader("Content-Type", content_type)
    request.setHeader("Content-Length", str(len(body)))
    return body


def read_body(request: BoundedRequest, shape: type[T]) -> T:
    """The body in its shape.  Raises Problem: 415 when it is something else than JSON, 400, 422."""
    body = request.content.read() if request.content else b""
    kind = (request.getHeader("Content-Type") or "").partition(";")[0].strip().lower()
    if kind != "application/json" and (body or kind):
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body as application/json")
    return decode(body, shape)


def read_query(request: BoundedRequest, *allowed: str) -> dict[str, str]:
    """The query of the address.  Raises Problem (400) for an unknown or doubled name."""
    try:
        asked = parse_qs(request.uri.partition(b"?")[2].decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise Problem(HTTPStatus.BAD_REQUEST, "the query is not plain UTF-8 text") from None
    for name, values in asked.items():
        if name not in allowed or len(values) > 1:
            raise Problem(HTTPStatus.BAD_REQUEST, f"allowed in the query, once each: {', '.join(allowed)}", field=name[:100])
    return {name: value for name, [value] in asked.items()}


def limit_of(asked: Mapping[str, str]) -> int:
    """How many are asked for in a query.  Raises Problem (422)."""
    text = asked.get("limit", str(PAGE))
    if not (text.isascii() and text.isdigit() and len(text) < 5 and 1 <= int(text) <= LONGEST_PAGE):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"limit is a number from 1 to {LONGEST_PAGE}", field="limit")
    return int(text)
