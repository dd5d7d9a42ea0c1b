"""Business done with a contact: reported by a flow, or over the API, shown in the record; never anything secret."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue

from easycall.events import ContactArrived, ContactEnded, TransactionReported
from easycall.ivr.lint import lint
from easycall.ivr.nodes import Flow, FlowError
from easycall.ivr.source import parse
from easycall.model import EndedBy, Outcome
from easycall.ports import Database
from easycall.stats.codec import encode
from easycall.stats.journal import Entry
from easycall.stats.record import Record, Transaction, fold
from easycall.store.contacts import ContactArchive

from .fakes_api import ANA, BO, NOTHING, Running, running
from .test_capture import CARD, Till
from .test_record import STORY, C

SOURCE = """
parameters: {amount: required}
result: {status: [ok, none]}
start: card
nodes:
  card:
    collect: Your card, please
    name: card
    digits: 12-19
    check: luhn
    secret: yes
    next: pay
    otherwise: none
  pay:
    post: payments
    send: {card: "{card}"}
    take: {outcome: [approved, declined], token: text}
    next: paid
    otherwise: none
  paid:
    transaction: payment
    outcome: "{outcome}"
    reference: "{token}"
    amount: "{amount}"
    currency: EUR
    data: {card: "{card.masked}", by: ivr}
    next: done
  done:
    return: {status: ok}
  none:
    return: {status: none}
"""
FLOW = parse(SOURCE, "pay")


def faults(flow: Flow) -> list[str]:
    return [str(fault) for fault in lint(flow, (), ("en",), ("payments",), ())]


def reported(till: Till) -> list[TransactionReported]:
    return [event for event in till.told if isinstance(event, TransactionReported)]


class TestFlows:
    def test_the_node_is_right(self) -> None:
        assert faults(FLOW) == []

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            (
                ('"{card.masked}"', '"{card}"'),
                "paid: data.card: the value 'card' is secret: write {card.masked}, or seal it",
            ),
            (('"{outcome}"', '"{outcom}"'), "paid: there is no value 'outcom'; known: amount, "),
            (("next: done", "next: gone"), "paid: next: there is no node 'gone'"),
        ],
    )
    def test_what_cannot_be_is_found_before_anybody_calls(self, change: tuple[str, str], fault: str) -> None:
        found = faults(parse(SOURCE.replace(*change), "pay"))
        assert any(fault in one for one in found), found

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            (("transaction: payment", 'transaction: ""'), "must be a name of 1 to 60 characters"),
            (
                ('amount: "{amount}"', 'amount: "12,50"'),
                "amount: '12,50' must be a decimal number, such as 120.00, or a value",
            ),
            (("currency: EUR", "currency: Euro"), "currency: 'Euro' must be such as EUR, or a value"),
            (('    amount: "{amount}"\n', ""), "currency: there is no amount"),
            (('    outcome: "{outcome}"\n', ""), "'outcome' is missing"),
            (("    reference:", "    referenz:"), "'referenz' is unknown; did you mean 'reference'?"),
        ],
    )
    def test_what_cannot_be_read_is_told_with_its_line(self, change: tuple[str, str], fault: str) -> None:
        with pytest.raises(FlowError) as told:
            parse(SOURCE.replace(*change), "pay")
        assert fault in str(told.value)
        assert str(told.value).startswith("pay.yaml:")

    @pytest_twisted.ensureDeferred
    async def test_it_is_told_when_the_flow_comes_there(self) -> None:
        till = Till(CARD)
        await till.walk(FLOW, amount="19.90")
        [event] = reported(till)
        assert (event.name, event.outcome, event.reference) == ("payment", "approved", "T1")
        assert (event.amount, event.currency, event.node, event.by) == ("19.90", "EUR", "pay:paid", "")
        assert event.data == {"card": "************1111", "by": "ivr"}
        assert CARD not in encode(event)

    @pytest_twisted.ensureDeferred
    async def test_who_is_not_served_has_none(self) -> None:
        till = Till("", "", "")
        await till.walk(FLOW, amount="19.90")
        assert reported(till) == []

    @pytest_twisted.ensureDeferred
    async def test_an_amount_that_is_none_is_left_out(self) -> None:
        till = Till(CARD)
        await till.walk(FLOW, amount="much")
        [event] = reported(till)
        assert (event.outcome, event.amount, event.currency) == ("approved", "", "")

    @pytest_twisted.ensureDeferred
    async def test_a_service_that_answers_with_the_secret_brings_it_nowhere(self) -> None:
        till = Till(CARD, answer={"outcome": "approved", "token": CARD})
        await till.walk(FLOW, amount="1")
        assert CARD not in f"{till.told}"

    @pytest_twisted.ensureDeferred
    async def test_a_parameter_that_is_the_secret_is_not_reported(self) -> None:
        """The agent's desktop gave as the amount what the customer keyed then."""
        till = Till(CARD)
        await till.walk(FLOW, amount=f"{CARD[:4]} {CARD[4:]}")
        assert reported(till) == []


@pytest_twisted.async_yield_fixture
async def site() -> AsyncIterator[Running]:
    async with running() as started:
        yield started


ORDER = {"name": "order", "outcome": "placed", "reference": "4711"}
PAID = {**ORDER, "name": "payment", "outcome": "ok", "amount": "120.00", "currency": "EUR", "data": {"method": "card"}}


def begun(site: Running, *, live: bool = True, ended_before: float = 0.0) -> None:
    now = reactor.seconds()  # type: ignore[attr-defined]
    arrived = now - ended_before - 10
    site.journal.record(
        ContactArrived(at=arrived, contact="c1", pbx="main", leg="l", caller="0301", caller_name="", dialled="1")
    )
    if live:
        site.contacts.add("c1", agent="ana")
    else:
        ended = ContactEnded(at=now - ended_before, contact="c1", outcome=Outcome.ANSWERED, ended_by=EndedBy.CALLER)
        site.journal.record(ended)


class TestApi:
    @pytest_twisted.ensureDeferred
    async def test_it_is_on_the_record_of_a_live_contact(self, site: Running) -> None:
        begun(site)
        code, body, _ = await site.ask("POST", "/api/v1/contacts/c1/transactions", json=PAID)
        assert (code, body["contact"], body["amount"], body["by"], body["agent"]) == (201, "c1", "120.00", "crm", "ana")
        record = (await site.ask("GET", "/api/v1/contacts/c1"))[1]
        [shown] = record["transactions"]
        assert {**PAID, "agent": "ana", "by": "crm", "node": "", "at": shown["at"]} == shown
        assert record["journey"][-1]["text"] == "payment 120.00 EUR (4711): ok, says crm"

    @pytest_twisted.ensureDeferred
    async def test_of_the_same_name_and_reference_the_latest_counts(self, site: Running) -> None:
        begun(site)
        for outcome in ("pending", "ok", "ok"):
            assert (await site.ask("POST", "/api/v1/contacts/c1/transactions", json={**PAID, "outcome": outcome}))[0] == 201
        await site.ask("POST", "/api/v1/contacts/c1/transactions", json=ORDER)
        shown = (await site.ask("GET", "/api/v1/contacts/c1"))[1]["transactions"]
        assert [(one["name"], one["outcome"]) for one in shown] == [("payment", "ok"), ("order", "placed")]

    @pytest_twisted.ensureDeferred
    async def test_for_a_while_also_when_it_has_ended(self, site: Running) -> None:
        begun(site, live=False, ended_before=3590.0)
        assert (await site.ask("POST", "/api/v1/contacts/c1/transactions", json=PAID))[0] == 201

    @pytest_twisted.ensureDeferred
    async def test_but_not_for_ever(self, site: Running) -> None:
        begun(site, live=False, ended_before=3610.0)
        code, body, _ = await site.ask("POST", "/api/v1/contacts/c1/transactions", json=PAID)
        assert code == 409
        assert "more than 1 h ago (transactions.late_hours)" in body["detail"]

    @pytest_twisted.ensureDeferred
    async def test_of_one_that_was_erased_nothing_is_taken(self, site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        begun(site, live=False)
        found = await site.journal.record_of("c1")
        assert found is not None

        async def erased(contact: str) -> Any:
            return evolve(found[0], erased=True), found[1]

        monkeypatch.setattr(site.journal, "record_of", erased)
        code, body, _ = await site.ask("POST", "/api/v1/contacts/c1/transactions", json=PAID)
        assert (code, "has been erased" in body["detail"]) == (409, True)

    @pytest_twisted.ensureDeferred
    async def test_a_contact_has_so_many_and_no_more(self, site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("easycall.transactions.MOST", 3)
        begun(site)
        codes = [
            (await site.ask("POST", "/api/v1/contacts/c1/transactions", json={**ORDER, "reference": str(number)}))[0]
            for number in range(4)
        ]
        assert codes == [201, 201, 201, 409]

    @pytest_twisted.ensureDeferred
    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"name": ""}, "name"),
            ({"outcome": "a\nb"}, "outcome"),
            ({"amount": "12,50"}, "amount"),
            ({"amount": 12.5}, "amount"),
            ({"amount": "1e9"}, "amount"),
            ({"currency": "eur"}, "currency"),
            ({"amount": ""}, "currency"),
            ({"data": {"a": 1}}, None),
            ({"more": 1}, None),
        ],
    )
    async def test_what_is_none(self, site: Running, change: dict[str, Any], field: str | None) -> None:
        begun(site)
        code, body, _ = await site.ask("POST", "/api/v1/contacts/c1/transactions", json={**PAID, **change})
        assert code == 422
        assert field is None or body["field"] == field
        assert not any(isinstance(event, TransactionReported) for event in site.journal.events)

    @pytest_twisted.ensureDeferred
    async def test_who_may_report(self, site: Running) -> None:
        begun(site)
        path = "/api/v1/contacts/c1/transactions"
        assert (await site.ask("POST", path, NOTHING, json=PAID))[0] == 403
        assert (await site.ask("POST", path, BO, json=PAID))[0] == 404
        assert (await site.ask("POST", path, ANA, json=PAID))[0] == 201
        assert (await site.ask("POST", "/api/v1/contacts/nobody/transactions", json=PAID))[0] == 404
        site.journal.away = True
        assert (await site.ask("POST", path, json=PAID))[0] == 503


async def command(site: Running, *words: str) -> tuple[str, int]:
    code = "from easycall.cli.main import cli; cli()"
    out, err, status = await getProcessOutputAndValue(
        sys.executable,
        ["-c", code, *words, "--port", str(site.port)],
        env={**os.environ, "EASYCALL_TOKEN": "ec_0123456789"},
    )
    return (out + err).decode(), status


@pytest_twisted.ensureDeferred
async def test_the_trace_shows_it(site: Running) -> None:
    begun(site)
    await site.ask("POST", "/api/v1/contacts/c1/transactions", json=PAID)
    said, status = await command(site, "contact", "c1")
    assert status == 0
    assert "  transaction: payment 120.00 EUR (4711): ok" in said.splitlines()
    assert json.loads((await command(site, "contact", "c1", "--json"))[0])["transactions"][0]["reference"] == "4711"


# Stored


def event(number: int, name: str, reference: str) -> TransactionReported:
    return TransactionReported(at=150.0 + number, contact=C, name=name, outcome=f"o{number}", reference=reference)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["", "1", "2"])), max_size=8))
def test_the_latest_of_each_counts(told: list[tuple[str, str]]) -> None:
    events = [event(number, *one) for number, one in enumerate(told)]
    record = fold(C, [*STORY, *events, *events])
    assert record is not None
    found = [(one.name, one.reference, one.outcome) for one in record.transactions]
    wanted = [
        (name, reference, f"o{number}")
        for number, (name, reference) in enumerate(told)
        if not reference or (name, reference) not in told[number + 1 :]
    ]
    assert found == wanted


@pytest_twisted.ensureDeferred
async def test_in_time_and_late_it_is_stored_once(store: Database) -> None:
    archive = ContactArchive(store)
    early, late = event(1, "payment", "1"), evolve(event(2, "payment", "1"), at=900.0, data={"method": "card"})
    record = fold(C, [*STORY, early])
    assert record is not None
    entries = [Entry(seq, one, encode(one)) for seq, one in enumerate([*STORY, early], 1)]
    await archive.append(entries, [record])
    assert await archive.record(C) == record
    added = [Entry(len(entries) + 1, late, encode(late))]
    for _ in range(2):
        await archive.append(added, [])
    found = await archive.record(C)
    assert found is not None
    assert found.transactions == (Transaction(900.0, "payment", "o2", "1", data={"method": "card"}),)
    whole: Record | None = fold(C, [*STORY, early, late])
    assert whole is not None
    assert found.transactions == whole.transactions
