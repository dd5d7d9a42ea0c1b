"""How each step of the matrix is done, on the stage of one cell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ..pages import two_pages
from .callcentre import after
from .matrix import At
from .offices import number_of
from .people import SOON, Called, Caller, hears
from .stage import Call
from .test_fax import upload

WHISTLE_SECONDS = 1.0
"""By then the machines are at it."""
PAGE_SECONDS = 10.0
PARKED_SECONDS = 5.0
"""How long a customer is parked who comes back."""


def verb(name: str, **what: Any) -> Callable[[Call], Awaitable[None]]:
    """A step that is a verb of the API; ``{n}`` in what it says is the number of the cell."""

    async def ask(call: Call) -> None:
        said = {key: one.format(n=call.number) if isinstance(one, str) else one for key, one in what.items()}
        await call.asks(name, **said)

    return ask


async def dials(call: Call) -> None:
    assert isinstance(call.customer, Caller)
    speaks = any(step.place.customer is At.MAIL for step in call.cell.steps)
    await call.customer.dials(number_of("sales", call.number), speaks=speaks)
    await call.told("queue.entered", queue=f"sales{call.number}")


async def one_is_ready(call: Call) -> None:
    await call.one.becomes("ready")
    await call.one.rings()


async def one_answers(call: Call) -> None:
    await call.one.answers()
    await call.told("talk.started", agent=call.one.name)


async def two_is_asked(call: Call) -> None:
    await call.asks("consult", agent=call.two.name)
    await call.two.rings()


async def two_is_sent(call: Call) -> None:
    await call.asks("transfer", agent=call.two.name)
    await call.two.rings()


async def two_answers_one(call: Call) -> None:
    await call.two.answers()
    await call.told("consult.answered", to=call.two.name)


async def two_answers(call: Call) -> None:
    await call.two.answers()
    await call.told("talk.started", agent=call.two.name)


async def to_group(call: Call) -> None:
    await call.asks("transfer", queue=f"group{call.number}")
    call.line = "group"
    await call.told("queue.entered", queue=f"group{call.number}")


async def to_group_now(call: Call) -> None:
    await call.asks("transfer", queue=f"group{call.number}", wait=False)
    call.line = "group"
    await call.two.rings()


async def two_is_ready(call: Call) -> None:
    await call.two.becomes("ready")
    await call.two.rings()


async def to_function(call: Call) -> None:
    await call.asks("lend", flow="pin")
    call.keys = "1234"
    await call.told("ivr.step", node="pin")


async def keys(call: Call) -> None:
    await call.keys_what_is_asked_for()


async def keys_the_pin(call: Call) -> None:
    await keys(call)
    await call.told("loan.ended")


async def comes_back(call: Call) -> None:
    await chooses(call)
    await call.told("loan.ended")


async def chooses(call: Call) -> None:
    await call.told("ivr.step", node="menu")
    await keys(call)


async def chooses_group(call: Call) -> None:
    await chooses(call)
    call.line = "group"
    await call.told("queue.entered", queue=f"group{call.number}")


async def two_listens(call: Call) -> None:
    whom = {"supervisor": call.two.name, "contact": await call.customer.contact()}
    call.supervision = (await call.centre.client.post("/api/v1/supervisions", mode="listen", **whom))["id"]
    await call.two.answers()
    await call.centre.feed.wait("supervision.moved", SOON, supervision=call.supervision, hears=True)


async def two_takes_over(call: Call) -> None:
    await call.centre.client.post(f"/api/v1/supervisions/{call.supervision}/take-over")


def is_called(first: str) -> Callable[[Call], Awaitable[None]]:
    """A step in which agent 1 has a customer called, and one of the two is rung first."""

    async def call_out(call: Call) -> None:
        assert isinstance(call.customer, Called)
        await call.one.becomes("ready")
        whom = {"agent": call.one.name, "number": call.customer.number, "queue": f"sales{call.number}", "first": first}
        call.customer.called_as = (await call.centre.client.post("/api/v1/calls", **whom))["id"]
        await (call.one if first == "agent" else call.customer).rings()

    return call_out


async def customer_answers_first(call: Call) -> None:
    await call.outsider_answers()
    await call.one.rings()


async def one_answers_first(call: Call) -> None:
    await call.one.answers()
    await call.outsider.rings()


async def customer_answers(call: Call) -> None:
    await call.outsider_answers()
    await call.told("talk.started", agent=call.one.name)


async def outside_is_asked(call: Call) -> None:
    await call.asks("consult", number=call.outsider.number)
    await call.outsider.rings()


async def outside_is_sent(call: Call) -> None:
    await call.asks("transfer", number=call.outsider.number)
    await call.outsider.rings()


async def outside_answers_one(call: Call) -> None:
    await call.outsider_answers()
    await call.told("consult.answered", to=call.outsider.number)


async def outside_answers(call: Call) -> None:
    await call.outsider_answers()
    await call.told("outside.started")


async def two_picks(call: Call) -> None:
    await call.asks("pick", agent=call.two.name)
    await call.two.rings()


async def one_picks(call: Call) -> None:
    await call.one.becomes("ready")
    await call.asks("pick", agent=call.one.name)
    await call.one.rings()


async def one_answers_again(call: Call) -> None:
    await call.one.answers()
    await call.one.is_("talking")


async def one_is_rung_again(call: Call) -> None:
    await call.one.becomes("ready")
    await call.told("park.ended", 2 * PARKED_SECONDS, agent=call.one.name)
    await call.one.rings()


async def to_mail(call: Call) -> None:
    await call.asks("transfer", voicemail="sales")
    await call.told("voicemail.started", box="sales")
    await hears(call.customer, "speech")


async def to_fax(call: Call) -> None:
    document = await upload(call.centre, two_pages(1))
    await call.asks("fax", document=document["id"])
    await hears(call.customer, "speech")


async def machine_starts(call: Call) -> None:
    await call.starts_machine()
    await after(call.centre.reactor, WHISTLE_SECONDS)


async def fax_is_over(call: Call) -> None:
    await call.faxes()
    await call.one.is_("talking")
