"""What the doctor says of an Asterisk, by what it answered; the whole command runs in tests/conformance/test_doctor.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from click.testing import CliRunner

from easycall.cli.main import cli
from easycall.config.settings import AsteriskBox
from easycall.doctor.answers import Answers, Phone
from easycall.doctor.findings import Finding, Level
from easycall.doctor.judgement import FALLBACK, NEEDED, RECORDING, UNWANTED, home_of, judge
from easycall.lab.layout import shipped

HOME = home_of((shipped() / "asterisk/extensions.conf").read_text())
BOX = AsteriskBox("main", "secret")
PHONES = (Phone("ana", "PJSIP/2001"), Phone("bo", "PJSIP/2002@desk"))
DENIED = "Permission denied"
REFUSED = {**dict.fromkeys(NEEDED, ""), "Bridge": "Missing channel parameter in request", **dict.fromkeys(UNWANTED, DENIED)}
VARIABLES = {
    "EASYCALL_AGI": "",
    "AST_CONFIG(logger.conf,logfiles,console)": "notice,warning,error",
    **{f"PJSIP_ENDPOINT({one},aors)": one for one in ("2001", "desk")},
    **{f"PJSIP_ENDPOINT({one},direct_media)": "false" for one in ("2001", "desk")},
    **{f"PJSIP_ENDPOINT({one},rtp_timeout)": "30" for one in ("2001", "desk")},
    **{f"PJSIP_ENDPOINT({one},allow_transfer)": "false" for one in ("2001", "desk")},
    **{f"PJSIP_AOR({one},qualify_frequency)": "2" for one in ("2001", "desk")},
    **{f"PJSIP_AOR({one},contact)": f"{one}@@1" for one in ("2001", "desk")},
    **{f"PJSIP_CONTACT({one}@@1,status)": "Reachable" for one in ("2001", "desk")},
}
GOOD = Answers(
    fastagi="",
    greeting="Asterisk Call Manager/11.0.0",
    uptime=7,
    settings={"AsteriskVersion": "22.10.1"},
    tried={**REFUSED, "ShowDialPlan": ""},
    told=True,
    dialplan={"easycall": HOME, FALLBACK: [("Hangup", "")]},
    variables=VARIABLES,
)


def found(answers: Answers = GOOD, box: AsteriskBox = BOX, phones: tuple[Phone, ...] = PHONES) -> list[Finding]:
    return judge(box, phones, HOME, answers)


def worst(findings: list[Finding]) -> list[tuple[str, str]]:
    """What is not all right."""
    bad = (Level.FAULT, Level.WARNING)
    return [(finding.level.value, finding.place) for finding in findings if finding.level in bad]


def without(*names: str, **changed: str) -> dict[str, str]:
    """The variables, some of them not known."""
    return {**{name: value for name, value in VARIABLES.items() if name not in names}, **changed}


def test_an_asterisk_as_it_should_be() -> None:
    findings = found()
    assert worst(findings) == []
    assert all(finding.remedy for finding in findings if finding.level is not Level.OK)
    unseen = [finding.place for finding in findings if finding.level is Level.UNSEEN]
    account = ["manager.conf: [easycall] read", "manager.conf: [easycall] writetimeout"]
    assert unseen == [*account, "agi set debug", "pjsip.conf: trunks"]


def test_our_home_is_read_whole() -> None:
    assert len(HOME) == 20
    assert HOME[3] == ("AGI", "${EASYCALL_AGI},${EC_DNIS},${EC_ROLE}")
    assert HOME[-1] == ("Hangup", "")
    assert home_of("[other]\nexten => s,1,Hangup()\n") == []


WRITE = "manager.conf: [easycall] write"
TRIED = GOOD.tried
CASES: list[tuple[dict[str, Any], tuple[str, str]]] = [
    (
        {"tried": {**TRIED, RECORDING: "Invalid/unknown command: MixMonitorMute."}},
        ("warning", "modules.conf: app_mixmonitor.so"),
    ),
    ({"settings": {"AsteriskVersion": "20.5.2"}}, ("warning", "asterisk.main.ami")),
    ({"settings": {"AsteriskVersion": "GIT-master-2f4"}}, ("warning", "asterisk.main.ami")),
    ({"settings": {}}, ("warning", "asterisk.main.ami")),
    ({"uptime": None}, ("fault", "manager.conf: read")),
    ({"skew": -3.0}, ("warning", "asterisk.main.ami")),
    ({"skew": 2.5}, ("warning", "asterisk.main.ami")),
    *(({"tried": {**TRIED, action: DENIED}}, ("fault", WRITE)) for action in ("Bridge", "CoreSettings")),
    *(({"tried": {**TRIED, action: "Something is missing"}}, ("warning", WRITE)) for action in UNWANTED),
    ({"tried": {**TRIED, "ModuleCheck": ""}}, ("warning", WRITE)),
    ({"told": False}, ("fault", "manager.conf: [easycall] read")),
    ({"dialplan": {FALLBACK: HOME}}, ("fault", "extensions.conf: [easycall]")),
    ({"tried": {**TRIED, "Originate": "Extension does not exist."}}, ("fault", "extensions.conf: [easycall]")),
    ({"dialplan": {"easycall": HOME[:-1], FALLBACK: HOME}}, ("warning", "extensions.conf: [easycall]")),
    ({"dialplan": {"easycall": HOME}}, ("warning", "extensions.conf: [easycall-fallback]")),
    *(
        ({"variables": without(EASYCALL_AGI=said)}, ("fault", "extensions.conf: EASYCALL_AGI"))
        for said in ("agi://127.0.0.1:4574/leg", "hagi://127.0.0.1/leg", "agi://10.0.0.1:4573/leg", "leg.py")
    ),
    ({"variables": without("PJSIP_ENDPOINT(2001,aors)")}, ("fault", "agents.ana.phone")),
    ({"variables": {**VARIABLES, "PJSIP_AOR(desk,qualify_frequency)": "0"}}, ("warning", "pjsip.conf: aor [desk]")),
    ({"variables": {**VARIABLES, "PJSIP_AOR(desk,contact)": ""}}, ("warning", "pjsip.conf: aor [desk]")),
    ({"variables": {**VARIABLES, "PJSIP_CONTACT(desk@@1,status)": "Unreachable"}}, ("warning", "pjsip.conf: aor [desk]")),
    ({"variables": {**VARIABLES, "PJSIP_ENDPOINT(desk,direct_media)": "true"}}, ("warning", "pjsip.conf: [desk]")),
    ({"variables": {**VARIABLES, "PJSIP_ENDPOINT(desk,rtp_timeout)": "0"}}, ("warning", "pjsip.conf: [desk]")),
    *(
        (
            {"variables": {**VARIABLES, f"AST_CONFIG(logger.conf,logfiles,{file})": said}},
            ("warning", "logger.conf: [logfiles]"),
        )
        for file, said in (("console", "notice, dtmf"), ("full", "*"), ("full.log", "notice,dtmf,error"))
    ),
    ({"variables": {**VARIABLES, "PJSIP_ENDPOINT(desk,allow_transfer)": "true"}}, ("warning", "pjsip.conf: [desk]")),
    ({"tried": {**TRIED, "DeviceStateList": "Invalid/unknown command: DeviceStateList."}}, ("warning", "modules.conf")),
    ({"fastagi": "refused"}, ("warning", "asterisk.main.fastagi")),
]


@pytest.mark.parametrize(("changed", "expected"), CASES)
def test_one_thing_is_wrong(changed: dict[str, Any], expected: tuple[str, str]) -> None:
    assert worst(found(evolve(GOOD, **changed))) == [expected]


def test_it_says_where_the_dialplan_differs() -> None:
    other = [*HOME[:4], ("GotoIf", "$[1]?end"), *HOME[5:]]
    texts = [str(finding) for finding in found(evolve(GOOD, dialplan={"easycall": other, FALLBACK: HOME}))]
    assert any("priority 5 differs" in text for text in texts)


@pytest.mark.parametrize(
    ("answers", "place"),
    [
        (Answers(unreachable="it cannot be reached", fastagi=""), "asterisk.main.ami"),
        (Answers(refused="Authentication failed", fastagi=""), "asterisk.main.secret"),
    ],
)
def test_what_cannot_be_asked_is_not_judged(answers: Answers, place: str) -> None:
    assert worst(found(answers)) == [("fault", place)]
    assert len(found(answers)) == 2  # the other is our own port


BOXES: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"ami": "tcp:192.0.2.10:5038", "peers": ("192.0.2.10",)}, [("warning", "asterisk.main.ami")]),
    ({"ami": "tls:pbx.example.com:5039"}, [("warning", "asterisk.main.peers")]),
    ({"ami": "unix:/run/ami"}, []),
    ({"fastagi": "tcp:4573"}, [("warning", "asterisk.main.fastagi")]),
    ({"fastagi": "systemd:domain=INET:index=0"}, []),
    ({"context": "home"}, [("fault", "extensions.conf: [home]")]),
]


@pytest.mark.parametrize(("options", "expected"), BOXES)
def test_our_own_configuration(options: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert worst(found(box=AsteriskBox("main", "secret", **options))) == expected


def test_what_cannot_be_seen_is_said_to_be_unseen() -> None:
    hidden = evolve(GOOD, tried={**TRIED, "ShowDialPlan": DENIED}, dialplan={}, fastagi=None)
    variables = without(*(f"PJSIP_AOR({one},qualify_frequency)" for one in ("2001", "desk")))
    findings = found(evolve(hidden, variables=variables), phones=(*PHONES, Phone("chen", "SIP/2003")))
    assert worst(findings) == []
    unseen = {finding.place for finding in findings if finding.level is Level.UNSEEN}
    assert unseen >= {
        *("extensions.conf: [easycall]", "asterisk.main.fastagi"),
        *("pjsip.conf: aor [2001]", "pjsip.conf: aor [desk]", "agents.chen.phone"),
    }
    assert [finding.place for finding in found(phones=()) if finding.level is Level.UNSEEN][-2] == "agents"


@pytest.mark.parametrize(
    ("dialled", "endpoint"),
    [("PJSIP/2001", "2001"), ("PJSIP/2001@desk", "desk"), ("PJSIP/desk/sip:2001@192.0.2.1", "desk"), ("SIP/2001", "")],
)
def test_the_endpoint_of_a_phone(dialled: str, endpoint: str) -> None:
    assert Phone("ana", dialled).endpoint == endpoint


def test_a_finding_is_one_line() -> None:
    assert all("\n" not in str(finding) for finding in found(evolve(GOOD, skew=9, uptime=None, dialplan={})))
    assert json.dumps([finding.level.value for finding in found()])


def test_a_wrong_configuration_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "easycall.toml"
    file.write_text("[asterisk.main]\nport = 5038\n")
    result = CliRunner().invoke(cli, ["doctor", "-c", str(file)])
    assert result.exit_code == 1
    assert "asterisk.main.port" in result.output
