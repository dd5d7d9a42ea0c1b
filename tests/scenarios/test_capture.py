"""Secure capture: the customer keys a card number and a PIN; the agent gets the result, and nobody gets the digits."""

from __future__ import annotations

import json
import math
import shutil
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import define, field
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet import reactor
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from twisted.web.server import Site as WebSite

from easycall.asterisk.ami import Action
from easycall.client import Refused
from easycall.lab.certificates import Authority
from easycall.lab.layout import State

from ..web import Certified
from .callcentre import CallCentre
from .ground import up
from .people import SOON, Agent, Caller, hears, segments, talking
from .searched import Logs, Needles, Searched, files_below, keys_in, samples_of, tone_of
from .test_call_control import asks, connected
from .test_recording import recorded

log = Logger()

CARD = "4111111111111111"
PIN = "90716345"
EDGE = 0.5
"""Seconds that the clock of the recording may be from ours."""
LONG = "Please key it in now, digit by digit, and take all the time that you need for it."

LOG = "log of the daemon, every level, every value"
API = "API: GET contacts, contact, agents, queues"

FUNCTION = f"""
parameters:
  amount: required
result:
  status: [ok, refused, failed, none]
  card: masked
  sealed: text
  receipt: text
start: amount
nodes:
  amount: {{say: [You pay, {{spell: amount}}], next: card}}
  card:
    collect: {LONG}
    name: card
    digits: 16
    check: luhn
    secret: yes
    invalid: That is wrong.
    next: pin
    otherwise: nothing
  pin:
    collect: {LONG} Really.
    name: pin
    digits: 8
    secret: yes
    next: seal
    otherwise: nothing
  seal: {{seal: pin, key: vault, name: sealed, next: pay}}
  pay:
    post: payments
    send: {{amount: "{{amount}}", card: "{{card}}", pin: "{{pin}}"}}
    take: {{outcome: [approved, declined], receipt: text}}
    next: judge
    otherwise: failed
  judge:
    branch: outcome
    cases: {{approved: paid, declined: refused}}
    otherwise: failed
  paid:
    return: {{status: ok, card: "{{card.masked}}", sealed: "{{sealed}}", receipt: "{{receipt}}"}}
  refused: {{return: {{status: refused}}}}
  failed: {{return: {{status: failed}}}}
  nothing: {{return: {{status: none}}}}
"""


class Payments(Resource):
    """The service: keeps what it was told."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, str]] = []
        self.silent = False

    def render_POST(self, request: Any) -> bytes | int:
        self.asked.append(json.loads(request.content.read()))
        if self.silent:
            return NOT_DONE_YET
        return json.dumps({"outcome": "approved", "receipt": "R-17"}).encode()


@define
class Till:
    """A call centre with a service for payments over TLS and a key."""

    centre: CallCentre
    payments: Payments
    key: rsa.RSAPrivateKey
    logs: Logs = field(factory=Logs)


@pytest_twisted.async_yield_fixture
async def till(request: pytest.FixtureRequest, pbx: State | Path, tmp_path: Path) -> AsyncIterator[Till]:
    """See Till."""
    flows, secret = tmp_path / "flows", tmp_path / "till"
    shutil.copytree(Path(__file__).parent / "flows", flows)
    (flows / "card.yaml").write_text(FUNCTION, encoding="utf-8")
    secret.mkdir()
    authority = Authority("till")
    authority.write(secret / "ca.pem")
    authority.vouch(secret / "server.pem", "localhost")
    key = rsa.generate_private_key(65537, 2048)
    (secret / "vault.pem").write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    payments = Payments()
    context = Certified(secret / "server.pem")
    port = reactor.listenSSL(0, WebSite(payments), context, interface="127.0.0.1")  # type: ignore[attr-defined]
    more = (
        f'[services.payments]\nurl = "https://localhost:{port.getHost().port}/pay"\nca = "{secret}/ca.pem"\n'
        f'[keys]\nvault = "{secret}/vault.pem"\n'
    )
    async with up(pbx) as (state, worlds):
        centre = CallCentre(state, worlds, tmp_path / "site", reactor)
        stage = Till(centre, payments, key)
        with stage.logs:
            await centre.open(noise=not isinstance(pbx, State), flows=flows, more=more, record="always")
            yield stage
            try:
                if getattr(request.node, "failed", True):
                    await centre.abandon()
                else:
                    await centre.close()
            finally:
                await maybeDeferred(port.stopListening)


async def keys(carl: Caller, node: str, digits: str) -> None:
    """Wait until the function asks, and key."""
    await carl.reaches(node, 15)
    await hears(carl, "speech")
    carl.tell("keys what is asked for")
    await carl.leg.press(digits)


async def lent(till: Till) -> tuple[Caller, Agent]:
    """A customer who is asked for the card number."""
    carl, ana = await connected(till.centre)
    await asks(carl, "lend", flow="card", parameters={"amount": "19.90"})
    return carl, ana


async def variables(centre: CallCentre, searched: Searched) -> None:
    """What Asterisk knows of all channels now."""
    answer = await centre.listed(Action.of("Status", AllVariables="true"))
    lines = ([f"{name}: {value}" for name, value in one.headers()] for one in answer)
    searched.add("Asterisk: Status, all variables", *lines)


async def listen(till: Till, searched: Searched, carl: Caller, ended: float) -> None:
    """The recording has the talk before and behind the loan, of the loan nothing but silence, and nowhere a key."""
    lent_at = (await till.centre.feed.wait("loan.started", SOON, contact=await carl.contact()))["at"]
    recording, _ = await recorded(till.centre, carl)
    wav = await till.centre.client.get(f"/api/v1/recordings/{recording['id']}/audio")
    samples = samples_of(wav)
    first, last = (round((at - recording["started"]) * 8000) for at in (lent_at + EDGE, ended - EDGE))
    during = samples[max(0, first) : last]
    searched.add("recording: wav file", wav)
    print(f"\nrecording: {len(samples) / 8000:.1f} s, loan {len(during) / 8000:.1f} s, keys heard {keys_in(samples)!r}")  # noqa: T201
    assert len(during) > 8000
    assert max(map(abs, during)) <= 8, "the loan is silent in the recording, to the noise of its code"
    assert max(map(abs, samples)) > 100, "the talk is in it"
    assert keys_in(during) == ""


def test_the_ear_for_keys_hears_them() -> None:
    """The search in recordings can fail: keys that were recorded are found."""
    gap = [0] * 800
    assert keys_in([*gap, *(sample for key in CARD[:5] + "0*#" for sample in (*tone_of(key), *gap))]) == CARD[:5] + "0*#"
    assert keys_in([round(3000 * math.sin(2 * math.pi * 440 * n / 8000)) for n in range(8000)]) == ""


async def look(till: Till, searched: Searched) -> None:
    """Everything that is written down, when every contact has ended and is stored."""
    centre = till.centre
    contacts = [await caller.contact() for caller in centre.callers]

    async def stored() -> bool:
        ended = (await centre.client.get("/api/v1/contacts?state=ended"))["contacts"]
        return {one["id"] for one in ended} >= set(contacts)

    await centre.until(stored, SOON, "every contact is stored")
    for way, name in ((centre.ami.to_server, "said"), (centre.ami.to_client, "heard")):
        pipes = [getattr(one, "to_server" if name == "said" else "to_client") for one in centre.ami.accepted]
        searched.add(f"AMI, what the daemon {name}", *(bytes(pipe.heard) for pipe in pipes))
        assert way.passed
    searched.add("live feed", list(centre.feed.heard))
    for path in ("contacts", "contacts?state=ended", "agents", "queues", *(f"contacts/{one}" for one in contacts)):
        searched.add(API, await centre.client.get(f"/api/v1/{path}"))
    searched.add(LOG, *till.logs.lines)
    for name, data in files_below(centre.folder).items():
        searched.add(f"daemon: {name}", data)
    asterisk = centre.state.folder / "a"
    written = files_below(asterisk, but=("etc", "run", "keys", "sounds", "static-http", "phoneprov", "firmware")).items()
    for name, data in written:
        kind = name if name.endswith((".log", ".sqlite3", ".csv", "-wal")) else "a: its other files"
        searched.add(f"Asterisk: {kind}", data)


@pytest.mark.requirement("F3")
@pytest.mark.requirement("P1")
@pytest.mark.requirement("B5")
@pytest.mark.fault("A83")
@pytest.mark.seconds(90)
async def test_nobody_gets_the_digits(till: Till) -> None:
    centre = till.centre
    searched = Searched(Needles((CARD, PIN)))
    carl, ana = await lent(till)
    await hears(ana, "music")
    await keys(carl, "card", CARD)
    await carl.reaches("pin", 15)
    await variables(centre, searched)
    await keys(carl, "pin", PIN)
    back = await centre.feed.wait("loan.ended", 15, agent="ana")
    await variables(centre, searched)
    await talking(carl, ana)

    result = back["result"]
    assert (back["how"], result["status"], result["card"], result["receipt"]) == ("done", "ok", "************1111", "R-17")
    assert till.key.decrypt(b64decode(result["sealed"]), OAEP(MGF1(SHA256()), SHA256(), None)).decode() == PIN
    assert till.payments.asked == [{"amount": "19.90", "card": CARD, "pin": PIN}]
    [live] = (await centre.client.get("/api/v1/contacts"))["contacts"]
    assert (live["loan"]["result"], live["data"]["card.status"]) == (result, "ok")

    carl.hangs_up()
    assert "loan" in segments(await carl.record())
    await listen(till, searched, carl, back["at"])
    await look(till, searched)
    print(f"\n{searched.table()}")  # noqa: T201 - the report
    assert sum(searched.hits().values()) == 0, searched.table()
    said = b"".join(data for place, data in searched.places.items() if place.startswith("AMI"))
    assert b"Events: system,call\r\n" in said
    assert not [line for line in till.logs.lines if "cannot be played" in line], "what was spelled was heard"
    assert not [name for name in (b"Event: DTMF", b"Event: AGIExec", b"Event: VarSet") if name in said]

    # The digits did pass: FastAGI, which is told them, is where they are; and what is not secret is found where it lies.
    wire = Searched(searched.needles)
    wire.add("FastAGI, what Asterisk answers", *(bytes(one.to_server.heard) for one in centre.agi.accepted))
    await plant(till)
    control = Searched(searched.needles)
    await look(till, control)
    print(f"\nthe wire that must have them\n{wire.table()}\n\nplanted where they are not secret\n{control.table()}")  # noqa: T201
    assert wire.hits()["FastAGI, what Asterisk answers"] >= 2
    found = {place for place, hits in control.hits().items() if hits}
    assert {"live feed", LOG, API} <= found
    assert any(place.startswith("daemon: ") and ".db" in place for place in found), found
    assert not isinstance(centre.state.root, Path) or any(place.startswith("Asterisk: ") for place in found), found


async def plant(till: Till) -> None:
    """The digits where nobody promised to keep them: attached by a program, logged, and an endpoint's name."""
    centre = till.centre
    dora = await centre.caller("dora").dials()
    await dora.chooses("1", "sales")
    await centre.agent("ana").becomes("ready")
    await centre.agent("ana").answers()
    await talking(dora, centre.agent("ana"))
    await asks(dora, "data", data={"note": CARD})
    log.debug("planted {digits}", digits=PIN)
    endpoint = {"Channel": f"PJSIP/{PIN}", "Context": "easycall", "Exten": "s", "Priority": "1", "Async": "true"}
    await centre.on_pbx(Action.of("Originate", **endpoint))
    dora.hangs_up()
    await dora.record()


async def test_what_a_function_is_not_given(till: Till) -> None:
    carl, ana = await connected(till.centre)
    with pytest.raises(Refused, match="the parameter 'amount' is missing"):
        await asks(carl, "lend", flow="card")
    with pytest.raises(Refused, match="there is no parameter 'amonut'; did you mean 'amount'"):
        await asks(carl, "lend", flow="card", parameters={"amonut": "1"})
    with pytest.raises(Refused, match="takes no parameters"):
        await asks(carl, "lend", flow="welcome", parameters={"amount": "1"})
    with pytest.raises(Refused, match="is a function"):
        await asks(carl, "transfer", flow="card")
    await talking(carl, ana)
    carl.hangs_up()


@pytest.mark.requirement("F3")
@pytest.mark.seconds(60)
async def test_the_agents_phone_dies_and_the_next_agent_has_the_result(till: Till) -> None:
    carl, ana = await lent(till)
    await keys(carl, "card", CARD)
    ana.hangs_up()
    await ana.is_("wrap_up")
    bo = await till.centre.agent("bo").works()
    await keys(carl, "pin", PIN)
    await bo.answers(15)
    await talking(carl, bo)
    pop = await bo.sees_pop(carl)
    assert (pop["data"]["card.status"], pop["data"]["card.card"]) == ("ok", "************1111")
    carl.hangs_up()


@pytest.mark.requirement("F3")
async def test_the_agent_takes_the_customer_back_in_the_middle(till: Till) -> None:
    carl, ana = await lent(till)
    await keys(carl, "card", CARD[:6])
    with pytest.raises(Refused, match="Lend is not possible while the contact is lent"):
        await asks(carl, "lend", flow="card", parameters={"amount": "1"})
    await asks(carl, "cancel")
    await talking(carl, ana)
    ended = await till.centre.feed.wait("loan.ended", SOON, agent="ana")
    assert (ended["how"], ended["result"]) == ("cancelled", {})
    assert not till.payments.asked
    carl.hangs_up()


@pytest.mark.requirement("F3")
@pytest.mark.seconds(60)
async def test_the_agent_need_not_wait_for_a_service_that_does_not_answer(till: Till) -> None:
    till.payments.silent = True
    carl, ana = await lent(till)
    await keys(carl, "card", CARD)
    await keys(carl, "pin", PIN)
    await hears(carl, "music")

    async def asked() -> bool:
        return bool(till.payments.asked)

    await till.centre.until(asked, SOON, "the service is asked")
    await asks(carl, "retrieve")
    await talking(carl, ana)
    ended = await till.centre.feed.wait("loan.ended", SOON, agent="ana")
    assert (ended["how"], ended["result"]) == ("cancelled", {})
    assert (await till.centre.feed.wait("ivr.service", SOON))["outcome"] == "cancelled"
    assert len(till.payments.asked) == 1
    carl.hangs_up()
