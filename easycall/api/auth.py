"""Who may ask for what: bearer tokens (RFC 6750), known only by their SHA-256, and the rights they are configured with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Protocol

from easycall.api.problems import Problem
from easycall.config import Right, Token
from easycall.model import Contact, Request
from easycall.stats.record import Record

__all__ = ["Right", "Tokens", "allow", "allow_agent", "concerns", "has_at_desk", "took_part"]

LONGEST = 512
"""Characters of an Authorization header we look at."""


class Asked(Protocol):
    """What is looked at of a request."""

    token: Token


class Tokens:
    """The tokens of the configuration."""

    def __init__(self, tokens: Iterable[Token]) -> None:
        # A digest tells nothing about its token, so looking it up in a dict gives nothing away by its time.
        self._tokens = {token.sha256.lower(): token for token in tokens}

    def of(self, authorization: str | None) -> Token:
        """The token in an Authorization header.  Raises Problem (401), always in the same words."""
        scheme, _, secret = (authorization or "")[:LONGEST].partition(" ")
        token = self._tokens.get(hashlib.sha256(secret.strip().encode()).hexdigest())
        if scheme.lower() != "bearer" or token is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "send a valid token in the header: Authorization: Bearer TOKEN",
                headers={"WWW-Authenticate": 'Bearer realm="easycall"'},
            )
        return token


def allow(request: Asked, *rights: Right) -> None:
    """Let the request pass if its token has one of the rights; raises Problem (403).  The first line of every route."""
    if request.token.rights.isdisjoint(rights):
        lacks = " or ".join(repr(right.value) for right in rights)
        raise Problem(HTTPStatus.FORBIDDEN, f"the token {request.token.name!r} lacks the right {lacks}")


def allow_agent(request: Asked, agent: str) -> None:
    """Let the request act for that agent, unless its token is another agent's; raises Problem (403)."""
    if request.token.agent not in ("", agent):
        raise Problem(HTTPStatus.FORBIDDEN, f"the token {request.token.name!r} is of agent {request.token.agent!r} only")


def concerns(request: Asked, contact: Contact) -> bool:
    """Whether the asker may see and change the contact: a token of an agent is confined to the agent's own."""
    return request.token.agent in ("", contact.agent, contact.consulted, *contact.conference, *contact.rung)


def has_at_desk(request: Asked, requests: Mapping[str, Request], live: Mapping[str, Contact], about: str) -> bool:
    """Whether the asker is an agent who is offered, or has, the work about that voice mail or fax."""
    agent = request.token.agent
    mine = {contact.id for contact in live.values() if agent and contact.agent == agent}
    return any(one.about == about and one.id in mine for one in requests.values())


def took_part(request: Asked, record: Record) -> bool:
    """Whether the asker may see what became of the contact: a token of an agent is confined to where the agent was."""
    return request.token.agent in ("", *(segment.agent for segment in record.segments))
