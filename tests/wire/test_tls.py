"""AMI over TLS, and both ways to log in: nobody on the line learns the secret, and no stranger is spoken to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from twisted.logger import LogEvent, formatEvent, globalLogPublisher

from easycall.asterisk.ami import Action
from easycall.asterisk.manager import LinkLost, LoginRefused
from easycall.lab.certificates import Authority
from easycall.lab.layout import State

from .stage import SOON, Link, Pbx, failed, until

Login = Literal["md5", "plain"]


@pytest.fixture
def tls(lab: State) -> str:
    """The endpoint of the lab's PBX."""
    return f"tls:localhost:{{port}}:trustRoots={lab.trusted}"


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What is logged about the link."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        if "AMI link" in (event.get("log_format") or ""):
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


async def never_up(link: Link, tries: int = 3) -> None:
    """It is tried again and again, and never logged in."""
    outcomes: list[object] = []
    link.first_login.addErrback(outcomes.append)
    await until(link.reactor, lambda: len(link.proxy.accepted) > tries, SOON, f"{tries} tries are over")
    assert (link.ups, link.downs, outcomes) == ([], [], [])


# Log-in


@pytest.mark.parametrize(("login", "times"), [("md5", 0), ("plain", 1)])
async def test_without_tls_only_the_md5_log_in_hides_the_secret(pbx: Pbx, login: Login, times: int) -> None:
    link = await pbx.link(login=login)
    assert (await link.manager.send(Action.of("Getvar", Variable="EASYCALL_PATIENCE"))).get("Value") == "2"
    assert link.sent(pbx.state.secrets["easycall"].encode()) == times


@pytest.mark.fault("A13")
@pytest.mark.parametrize("login", ["md5", "plain"])
async def test_with_tls_nobody_on_the_line_reads_anything(pbx: Pbx, tls: str, login: Login) -> None:
    link = await pbx.link(endpoint=tls, login=login)
    leg = await pbx.park()
    await until(pbx.reactor, lambda: leg in {event.get("Uniqueid") for event in link.heard}, SOON, "events come")
    items = await link.manager.collect(Action("Status"))
    assert {item.get("Uniqueid") for item in items} >= {leg}
    assert items[-1].name == "StatusComplete"
    for words in (pbx.state.secrets["easycall"], "Action: ", "Secret", "easycall"):
        assert link.sent(words.encode()) == 0
    heard = b"".join(connection.to_client.heard for connection in link.proxy.accepted)
    assert leg.encode() not in heard
    assert b"Asterisk Call Manager" not in heard


async def test_a_long_answer_over_tls(pbx: Pbx, tls: str) -> None:
    """Longer than one record of TLS, which is 16 KiB."""
    link = await pbx.link(account="lab", endpoint=tls, login="plain")
    answer = await link.manager.send(Action.of("Command", Command="core show help"))
    assert len(answer.block) > 16 * 1024
    assert answer.all("Output") == await pbx.command("core show help")


@pytest.mark.fault("F01")
async def test_a_cut_tls_link_is_repaired(pbx: Pbx, tls: str) -> None:
    link = await pbx.link(endpoint=tls)
    link.proxy.reset()
    await link.up(2)
    link.proxy.to_client.cut_at(100)
    pending = link.send("Getvar", Variable="EASYCALL_PATIENCE")
    await link.up(3)
    assert isinstance(failed(pending), LinkLost)
    assert all("was lost in a non-clean fashion" in reason for _, reason in link.downs), link.downs
    assert len(link.downs) == 2


@pytest.mark.fault("F21")
@pytest.mark.parametrize("encrypted", [True, False])
async def test_a_wrong_secret_sent_plain_is_refused_and_not_told(pbx: Pbx, tls: str, encrypted: bool) -> None:
    link = await pbx.connecting(account="nobody", login="plain", **({"endpoint": tls} if encrypted else {}))
    refused: list[object] = []
    link.first_login.addErrback(refused.append)
    await until(pbx.reactor, lambda: bool(refused), SOON, "the log-in is refused")
    assert isinstance(failed(refused), LoginRefused)
    assert str(failed(refused)) == "pbx: Asterisk refused the AMI user 'nobody': Authentication failed"


# Strangers


@pytest.mark.fault("A13")
async def test_a_certificate_of_a_ca_we_do_not_trust(pbx: Pbx, tmp_path: Path, said: list[str]) -> None:
    Authority("another").write(tmp_path / "ca.pem")
    await never_up(await pbx.connecting(endpoint=f"tls:localhost:{{port}}:trustRoots={tmp_path}", login="plain"))
    why = "TLS: the certificate of Asterisk is not signed by a CA we trust (trustRoots), or is not valid today"
    assert said == [f"AMI link to pbx: {why}; trying again"]


@pytest.mark.fault("A13")
async def test_a_certificate_for_another_host(pbx: Pbx, lab: State, said: list[str]) -> None:
    """Asterisk says it is localhost, we want pbx.example."""
    endpoint = f"tls:pbx.example:{{port}}:trustRoots={lab.trusted}:endpoint=tcp\\:127.0.0.1\\:{{port}}"
    await never_up(await pbx.connecting(endpoint=endpoint, login="plain"))
    assert said == [
        "AMI link to pbx: TLS: the certificate of Asterisk is for another host than the one we connect to; trying again"
    ]


async def test_tls_where_asterisk_speaks_none(pbx: Pbx, tls: str, said: list[str]) -> None:
    await never_up(await pbx.connecting(endpoint=tls, port=pbx.state.ports.a_ami))
    assert said == ["AMI link to pbx: TLS: wrong version number (is this the port of AMI over TLS?); trying again"]


async def test_no_tls_where_asterisk_wants_it(pbx: Pbx, said: list[str]) -> None:
    await never_up(await pbx.connecting(port=pbx.state.ports.a_ami_tls))
    assert said == ["AMI link to pbx: Connection was closed cleanly.; trying again"]


async def test_a_renewed_certificate_counts_after_a_touch_and_a_reload(pbx: Pbx, lab: State, tls: str) -> None:
    before = await pbx.link(endpoint=tls)
    renewed = Authority("renewed")
    renewed.write(lab.trusted / "renewed.pem")
    renewed.vouch(lab.folder / "tls/asterisk.pem", "localhost")
    (lab.folder / "a/etc/manager.conf").touch()
    await pbx.command("manager reload")
    (lab.trusted / "ca.pem").unlink()  # from here on nothing but the new one will do
    after = await pbx.link(endpoint=tls)
    assert (await after.manager.send(Action("Ping"))).ok
    assert before.downs == []
