"""What every request passes before its route."""
# mypy: allow-untyped-calls
# (what is inherited from twisted.web has no annotations)

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from klein import Klein
from twisted.logger import Logger
from twisted.web.resource import Resource

from easycall.api.auth import Right, Tokens
from easycall.api.exchange import refuse
from easycall.api.problems import Problem
from easycall.api.site import BoundedRequest

__all__ = ["Gate"]

log = Logger()

SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Server": "easycall",
    "X-Content-Type-Options": "nosniff",
}


PUBLIC = frozenset({b"/healthz", b"/readyz"})
"""The addresses that need no token, letter by letter; everything else needs one, also what is not there."""


class Gate(Resource):
    """What every request passes before its route: a plain address, a known token, a body we can read."""

    isLeaf = True

    def __init__(self, app: Klein, tokens: Tokens) -> None:
        super().__init__()
        self._app = app
        self._routes = app.resource()
        self._tokens = tokens

    def knows(self, authorization: str | None) -> bool:
        """Whether an Authorization header has a token that may change something."""
        try:
            return Right.CONTROL in self._tokens.of(authorization).rights
        except Problem:
            return False

    def render(self, request: BoundedRequest) -> Any:
        """Let the request through, or refuse it."""
        for name, value in SECURITY_HEADERS.items():
            request.setHeader(name, value)
        try:
            self._check(request)
        except Problem as problem:
            return refuse(request, problem)
        return self._routes.render(request)

    def _check(self, request: BoundedRequest) -> None:
        path = b"/" + b"/".join(request.postpath or [])
        if not _is_plain(path):
            raise Problem(HTTPStatus.BAD_REQUEST, "the address is not plain UTF-8 text")
        if request.method != request.method.upper() or not request.method.isalpha():
            allowed = ", ".join(sorted(self._app.url_map.bind("").allowed_methods(path.decode())))
            raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, f"allowed here: {allowed}", headers={"Allow": allowed})
        if {b"token", b"access_token"} & set(request.args):
            raise Problem(HTTPStatus.BAD_REQUEST, "a token belongs in the Authorization header, never in an address")
        if path not in PUBLIC:
            request.token = self._tokens.of(request.getHeader("Authorization"))
        if b"//" in path:  # the router would take //x for /x
            raise Problem(HTTPStatus.NOT_FOUND, "there is nothing at this address")
        if request.getHeader("Content-Encoding") not in (None, "identity"):
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body as it is, without Content-Encoding")
        if request.method not in (b"GET", b"HEAD"):
            request.notifyFinish().addCallbacks(_log_change, lambda _: None, callbackArgs=(request,))


CUSTOMERS = "/api/v1/customers/"
"""Behind it stands whose data is erased, which must not be in the log then."""


def _is_plain(raw: bytes) -> bool:
    try:
        return raw.decode().isprintable()
    except UnicodeDecodeError:
        return False


def _log_change(_: object, request: BoundedRequest) -> None:
    path = request.path.decode("ascii", "backslashreplace")
    if path.startswith(CUSTOMERS):
        path = f"{CUSTOMERS}…"
    log.info(
        "{token}: {verb} {path} -> {code}",
        token=request.token.name,
        verb=request.method.decode(),
        path=path,
        code=request.code,
    )
