"""What is known of a customer over HTTP and on the command line: told and erased, by whoever may."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
import pytest_twisted
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from easycall.model import Callback, CallbackSource, Message
from easycall.privacy.holdings import Erased, Holding
from easycall.verbs import NotNow

from .fakes_api import ANA, BO, NOTHING, Running, command, pause, running
from .test_record import STORY, C


class Notes:
    """Customers that are only noted: what is erased comes in three pieces."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.left = [Erased(contacts=2, recordings=1), Erased(contacts=1), Erased(done=True, voicemails=1)]
        self.refusal: Exception | None = None

    async def holding(self, number: str, after: str, limit: int) -> Holding:
        message = Message("v1", "sales", C, number, "Eva", 1.0, 2.0)
        callback = Callback("b1", "sales", number, CallbackSource.ASKED, 1.0, 2.0, 3.0)
        return Holding(1, [C] if not after else [], [message], [], [callback])

    async def erase(self, number: str, by: str, seconds: float) -> Erased:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((number, by))
        return self.left.pop(0)


class Office:
    """The API with these customers."""

    def __init__(self, site: Running, customers: Notes) -> None:
        self.site, self.customers = site, customers
        for event in STORY:
            site.journal.record(event)

    async def command(self, *words: str, typed: str = "") -> tuple[str, str, int]:
        """What a command prints, what it complains of, and its exit code."""
        return await command(self.site, *words, typed=typed)


@pytest_twisted.async_yield_fixture
async def office() -> AsyncIterator[Office]:
    notes = Notes()
    async with running(customers=notes) as site:
        yield Office(site, notes)


@pytest_twisted.ensureDeferred
async def test_all_that_is_known_is_told(office: Office) -> None:
    code, body, _ = await office.site.ask("GET", "/api/v1/customers/+493012345?limit=1")
    assert code == 200
    assert (body["number"], body["contacts_in_all"], body["next"]) == ("+493012345", 1, C)
    [contact] = body["contacts"]
    assert contact["id"] == C
    assert contact["caller"] == "0301"
    assert len(contact["journey"]) == len(STORY)
    assert [one["id"] for one in body["voicemails"]] == ["v1"]
    assert [(one["id"], one["state"]) for one in body["callbacks"]] == [("b1", "scheduled")]


@pytest_twisted.ensureDeferred
async def test_it_is_erased_piece_by_piece(office: Office) -> None:
    answers = [await office.site.ask("DELETE", "/api/v1/customers/0301234567", json={}) for _ in range(3)]
    assert [code for code, _, _ in answers] == [202, 202, 200]
    assert answers[0][1] == {
        "done": False,
        "contacts": 2,
        "recordings": 1,
        "voicemails": 0,
        "faxes": 0,
        "requests": 0,
        "callbacks": 0,
    }
    assert office.customers.asked == [("0301234567", "crm")] * 3


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("verb", ["GET", "DELETE"])
async def test_who_may(office: Office, verb: str) -> None:
    """The right admin, and no token of an agent, whatever its rights."""
    for token in (NOTHING, BO, ANA):
        assert (await office.site.ask(verb, "/api/v1/customers/0301234567", token))[0] == 403
    assert (await office.site.ask(verb, "/api/v1/customers/0301234567", None))[0] == 401
    assert office.customers.asked == []


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    ("refusal", "code", "words"),
    [
        (NotNow("the customer is on the line, or waits, in contact c9"), 409, "on the line"),
        (ValueError("'x' is no telephone number"), 422, "is no telephone number"),
        (PermissionError(13, "Permission denied", "/secret/path"), 503, "a file cannot be read or removed"),
    ],
)
async def test_what_is_in_the_way_is_said(office: Office, refusal: Exception, code: int, words: str) -> None:
    office.customers.refusal = refusal
    found, body, _ = await office.site.ask("DELETE", "/api/v1/customers/x")
    assert found == code
    assert words in body["detail"]
    assert "/secret" not in body["detail"]


@pytest_twisted.ensureDeferred
async def test_the_command_says_what_there_is_and_erases_nothing(office: Office) -> None:
    out, err, status = await office.command("erase", "0301234567", "--dry-run")
    assert (err, status) == ("", 0)
    assert out.splitlines()[0] == "0301234567: 1 records of contacts, 0 recordings, 1 voice mails, 0 faxes, 1 callbacks"
    assert office.customers.asked == []


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("typed", ["", "n\n"])
async def test_the_command_asks_first(office: Office, typed: str) -> None:
    out, err, status = await office.command("erase", "0301234567", typed=typed)
    assert "Erase all of it? It cannot be taken back." in out
    assert out.endswith("nothing was erased\n")
    assert (err, status) == ("", 1)
    assert office.customers.asked == []


@pytest_twisted.ensureDeferred
async def test_the_command_erases_what_it_was_told_to(office: Office) -> None:
    out, _, status = await office.command("erase", "0301234567", typed="y\n")
    assert status == 0
    assert "erased: 3 records" in out


@pytest_twisted.ensureDeferred
async def test_the_command_erases_to_the_end(office: Office) -> None:
    out, err, status = await office.command("erase", "0301234567", "--yes")
    assert (err, status) == ("", 0)
    wanted = "erased: 3 records of contacts, 1 recordings, 1 voice mails, 0 faxes, 0 requests, 0 callbacks"
    assert out.splitlines()[-1] == wanted
    assert len(office.customers.asked) == 3


@pytest_twisted.ensureDeferred
async def test_the_command_says_why_not(office: Office) -> None:
    office.customers.refusal = NotNow("the customer is on the line, or waits, in contact c9")
    _, err, status = await office.command("erase", "0301234567", "--yes")
    assert status == 1
    assert "the customer is on the line" in err


@pytest_twisted.ensureDeferred
async def test_the_command_prints_all_that_is_known(office: Office) -> None:
    out, err, status = await office.command("customer", "0301234567")
    assert (err, status) == ("", 0)
    assert [one["id"] for one in json.loads(out)["contacts"]] == [C]


@pytest_twisted.ensureDeferred
async def test_the_log_does_not_say_whose_it_was(office: Office) -> None:
    lines: list[str] = []

    def hear(event: LogEvent) -> None:
        lines.append(formatEvent(event))

    globalLogPublisher.addObserver(hear)
    try:
        await office.site.ask("DELETE", "/api/v1/customers/%2B49301234567")
        await pause()
    finally:
        globalLogPublisher.removeObserver(hear)
    assert any("crm: DELETE /api/v1/customers/… -> 202" in line for line in lines), lines
    assert not any("49301234567" in line for line in lines)
