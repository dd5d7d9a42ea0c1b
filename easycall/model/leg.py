"""Nouns of legs: what each is for, and who of those who are joined hears and speaks."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Party", "Role", "Speaks", "SupervisionMode"]


class Role(StrEnum):
    """What a leg is for."""

    CALLER = "caller"
    """The customer's, whoever dialled whom."""
    AGENT = "agent"
    OUTSIDE = "outside"
    """Of somebody outside whom an agent asks, or to whom the customer was given."""
    SUPERVISOR = "supervisor"
    """It listens to other legs and is in no bridge."""


class Party(StrEnum):
    """Who is meant of those who are in a talk."""

    CUSTOMER = "customer"
    AGENT = "agent"
    """The agent who has the contact."""
    CONSULTED = "consulted"
    """One who was asked."""


class SupervisionMode(StrEnum):
    """What a supervisor does with a call."""

    LISTEN = "listen"
    WHISPER = "whisper"
    """The agent hears the supervisor, the customer does not."""
    BARGE = "barge"
    """All hear each other."""


class Speaks(StrEnum):
    """To whom a leg speaks that listens to another one."""

    NOBODY = "nobody"
    ONE = "one"
    """To the leg it listens to."""
    BOTH = "both"
    """To that leg and to the one in a bridge with it."""
