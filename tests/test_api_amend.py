"""What a contact that waits asks for, changed over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted

from easycall.model import Agent, Stage
from easycall.skills import ANYBODY, parse
from easycall.verbs import Amend, Answer, NotNow

from .fakes_api import ANA, BO, SUE, Running, running


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[Running]:
    async with running() as started:
        started.contacts.add("c1")
        started.contacts.live["c1"].stage = Stage.WAITING
        started.contacts.live["c1"].queue = "cards"
        yield started


@pytest.mark.parametrize(
    ("body", "verb"),
    [
        ({"priority": 120}, Amend(120.0, None, "crm")),
        ({"skills": "billing >= 2"}, Amend(None, parse("billing >= 2"), "crm")),
        ({"priority": -5.5, "skills": ""}, Amend(-5.5, ANYBODY, "crm")),
    ],
)
async def test_it_is_asked_of_the_contact(site: Running, body: dict[str, Any], verb: Amend) -> None:
    code, answer, _ = await site.ask("PATCH", "/api/v1/contacts/c1", json=body)
    assert (code, answer["id"], answer["priority"], answer["skills"]) == (200, "c1", 0.0, None)
    assert site.contacts.asked == [("c1", verb)]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "priority"),
        ({"priority": 86_401}, "priority"),
        ({"priority": "1"}, "priority"),
        ({"skills": "billing >"}, "skills"),
        ({"skills": "x" * 501}, "skills"),
        ({"queue": "sales"}, "queue"),
    ],
)
async def test_what_is_refused(site: Running, body: dict[str, Any], field: str) -> None:
    code, answer, _ = await site.ask("PATCH", "/api/v1/contacts/c1", json=body)
    assert (code, answer["field"]) == (422, field)
    assert not site.contacts.asked


async def test_who_may(site: Running) -> None:
    """Supervisors of the queue, and programs with that right."""
    wish = {"priority": 1}
    assert (await site.ask("PATCH", "/api/v1/contacts/c1", BO, json=wish))[0] == 403
    assert (await site.ask("PATCH", "/api/v1/contacts/c1", SUE, json=wish))[0] == 404
    site.desk.agents["sue"] = sue = Agent("sue", "Sue", (), supervises=("loans",))
    assert (await site.ask("PATCH", "/api/v1/contacts/c1", SUE, json=wish))[0] == 404
    sue.supervises = ("cards",)
    assert (await site.ask("PATCH", "/api/v1/contacts/c1", SUE, json=wish))[0] == 200
    assert site.contacts.asked == [("c1", Amend(1.0, None, "chief"))]
    assert (await site.ask("PATCH", "/api/v1/contacts/nobody", json=wish))[0] == 404


async def test_a_contact_that_does_not_wait_is_told_so(site: Running) -> None:
    site.contacts.answer = NotNow("the contact waits in no queue: it is ivr")
    code, answer, _ = await site.ask("PATCH", "/api/v1/contacts/c1", json={"priority": 1})
    assert (code, answer["detail"]) == (409, "the contact waits in no queue: it is ivr")


async def test_whose_phone_answers(site: Running) -> None:
    """The agent of the token, who may be one of several that are rung; a program says it."""
    site.contacts.live["c1"].agent, site.contacts.live["c1"].rung = "bo", ("ana",)
    assert (await site.ask("POST", "/api/v1/contacts/c1/answer", ANA))[0] == 200
    assert (await site.ask("POST", "/api/v1/contacts/c1/answer", json={"agent": "bo"}))[0] == 200
    assert [verb for _, verb in site.contacts.asked] == [Answer("ana"), Answer("bo")]
    _, board, _ = await site.ask("GET", "/api/v1/contacts", ANA)
    assert [(one["agent"], one["rung"]) for one in board["contacts"]] == [("bo", ["ana"])]
