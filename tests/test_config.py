"""The configuration: what is read, and that every fault is told at once with its place, its value and what is allowed."""

from __future__ import annotations

import re
import tomllib
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from easycall.config import (
    AsteriskBox,
    Config,
    ConfigError,
    Fault,
    PromptSettings,
    Right,
    ServiceSettings,
    StaffSettings,
    StrategySettings,
    load,
)
from easycall.config.schema import SCHEMA
from easycall.config.toml import Entries
from easycall.lab.certificates import Authority
from easycall.model import DELAYS, CallbackRules, DispositionRule, Queue, RecordRule
from easycall.stats.service_level import TARGETS

SHIPPED = Path(__file__).parent.parent / "etc" / "easycall.toml"
SECRET = "plant-7c1f"
ENVIRON = {"EASYCALL_ASTERISK_MAIN_SECRET": SECRET}

SMALL = """
[asterisk.main]
[queues.sales]
name = "Sales"
[agents.ana]
name = "Ana"
queues = ["sales"]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for a configuration, with the flow that every one needs."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "welcome.yaml").touch()
    return tmp_path


def write(folder: Path, text: str, name: str = "easycall.toml", mode: int = 0o640) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def read(folder: Path, text: str, environ: dict[str, str] = ENVIRON) -> Config:
    return load(write(folder, text), environ)


def faults(folder: Path, text: str, environ: dict[str, str] = ENVIRON) -> str:
    with pytest.raises(ConfigError) as caught:
        read(folder, text, environ)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_what_is_not_given_has_its_default(folder: Path) -> None:
    config = read(folder, SMALL)
    assert config.node == "main"
    assert config.api_listen == "tcp:8800:interface=127.0.0.1"
    assert config.store_url == "sqlite:////var/lib/easycall/easycall.db"
    assert config.asterisks == (AsteriskBox("main", SECRET),)
    assert config.prompts == PromptSettings(Path("/var/lib/easycall/prompts"), "/var/lib/easycall/prompts")
    assert config.queues == {"sales": Queue("sales", "Sales")}
    assert config.flows_directory == folder / "flows"
    assert config.flow("95588") == "welcome"
    assert config.tokens == ()


def test_what_is_given_is_taken(folder: Path) -> None:
    (folder / "flows" / "night.yaml").touch()
    config = read(
        folder,
        f"""
        node = {{name = "b2", data = "state"}}
        [[api.tokens]]
        name = "crm"
        sha256 = "{"0f" * 32}"
        [store]
        url = "sqlite:///sub/calls.db"
        [asterisk.main]
        ami = "tls:pbx.example:5039"
        peers = ["10.0.0.5", "::1"]
        dial = "PJSIP/{{phone}}@sbc"
        [prompts]
        language = "fr"
        directory = "sounds"
        asterisk_directory = "/mnt/sounds"
        [prompts.voices]
        fr = "fr"
        [numbers]
        "+33140" = "night"
        [queues.q1]
        name = "Queue one"
        ring_seconds = 5
        [agents.1001]
        name = "陈"
        phone = "p1001"
        """,
    )
    assert (config.node, config.data) == ("b2", folder / "state")
    assert config.tokens[0].sha256 == "0f" * 32
    assert config.store_url == f"sqlite:///{folder}/state/sub/calls.db"
    assert config.store_path == folder / "state" / "sub" / "calls.db"
    assert config.asterisks[0].peers == ("10.0.0.5", "::1")
    assert config.asterisks[0].dial == "PJSIP/{phone}@sbc"
    assert config.prompts.voices == {"fr": "fr"}
    assert (config.prompts.directory, config.prompts.asterisk_directory) == (folder / "sounds", "/mnt/sounds")
    assert (config.flow("+33140"), config.flow("1")) == ("night", "welcome")
    assert config.queues["q1"].ring_seconds == 5.0
    assert (config.agents["1001"].name, config.agents["1001"].phone, config.agents["1001"].queues) == ("陈", "p1001", ())


RECORDED = SMALL.replace('name = "Sales"', 'name = "Sales"\nrecord = "always"')


def test_recordings(folder: Path) -> None:
    usual = read(folder, SMALL)
    assert (usual.records, usual.queues["sales"].record) == (False, RecordRule.NEVER)
    assert usual.recordings.directory == Path("/var/lib/easycall/recordings")
    config = read(folder, RECORDED + '[recordings]\ndirectory = "talks"\nasterisk_directory = "/mnt/talks"')
    assert (config.records, config.queues["sales"].record) == (True, RecordRule.ALWAYS)
    assert (config.recordings.directory, config.recordings.asterisk_directory) == (folder / "talks", "/mnt/talks")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ('[recordings]\ndirectory = "easycall.toml"', "easycall.toml is no folder"),
        ('[recordings]\ndirectory = "a b"', "recordings.asterisk_directory: is missing: must be an absolute path"),
        (
            '[recordings]\nasterisk_directory = "/a/../b"',
            "recordings.asterisk_directory = '/a/../b': must be an absolute path",
        ),
        ('[prompts]\ndirectory = "x"\n[recordings]\ndirectory = "x"', "recordings.directory: is that of prompts"),
        ('[queues.other]\nname = "O"\nrecord = "sometimes"', "record = 'sometimes': must be never, on_demand or always"),
    ],
)
def test_what_is_wrong_about_recordings(folder: Path, more: str, expected: str) -> None:
    assert expected in faults(folder, f"{RECORDED}\n{more}")


def test_how_long_it_is_kept(folder: Path) -> None:
    usual = read(folder, SMALL)
    assert not usual.retention.any
    assert usual.transaction_hours == 24
    more = '[retention]\ncontact_days = 365\nrecording_days = 0\nnight = ["23:00-01:00"]\nzone = "Europe/Berlin"'
    config = read(folder, f"{SMALL}{more}\n[transactions]\nlate_hours = 0\n[fax]\nreceived_days = 0")
    kept = config.retention
    assert (kept.contact_days, kept.recording_days, kept.voicemail_days, kept.any) == (365, 0, 0, True)
    assert (config.transaction_hours, config.fax.received_days) == (0, 0)
    half_past_eleven = datetime(2026, 6, 1, 23, 30, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    assert [kept.night.is_open(half_past_eleven + hours * 3600) for hours in (-1, 0, 1, 2)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            "[retention]\ncontact_days = 1",
            "retention.contact_days = 1: must be 0 for ever, or a number of days from 2 to 36500",
        ),
        ("[retention]\ncontact_days = false", "retention.contact_days = False: must be 0 for ever, or"),
        ("[retention]\nvoicemail_days = 9\nnight = []", "retention.night: is empty: nothing would ever be removed"),
        ('[retention]\nzone = "Europe/Bielefeld"', "retention.zone = 'Europe/Bielefeld': must be a time zone"),
        (
            '[retention]\ncontact_days = 20\n[queues.loans]\nname = "L"\nlast_agent_seconds = 20\nlast_agent_days = 30',
            "retention.contact_days: queue loans looks for the last agent further back: at least 30 days, or lower "
            "queues.loans.last_agent_days",
        ),
        ("[transactions]\nlate_hours = -1", "transactions.late_hours = -1: must be a number of hours from 0 to 8760"),
    ],
)
def test_what_is_wrong_about_how_long_it_is_kept(folder: Path, more: str, expected: str) -> None:
    assert expected in faults(folder, f"{SMALL}\n{more}")


def test_every_fault_is_told_at_once_with_place_value_and_what_is_allowed(folder: Path) -> None:
    told = faults(
        folder,
        """
        [node]
        name = "no spaces"
        [api]
        listen = "tcp:99999"
        lisen = "x"
        [asterisk.main]
        peers = ["localhost"]
        [queues.sales]
        ring_seconds = 900
        [agents.ana]
        name = "Ana"
        queues = ["salez"]
        [numbers]
        1 = "nowhere"
        """,
    ).splitlines()
    file = folder / "easycall.toml"
    assert len(told) == 8
    assert told[0] == f"{file}:3: node.name = 'no spaces': must be 1 to 32 letters, digits and -"
    assert told[1].startswith(f"{file}:5: api.listen = 'tcp:99999': must be a Twisted server endpoint")
    assert told[2] == f"{file}:6: api.lisen: is unknown; did you mean 'listen'?"
    assert told[3].startswith(f"{file}:8: asterisk.main.peers = ['localhost']: must be a list, each of an IP address")
    assert told[4] == f"{file}:9: queues.sales.name: is missing: must be 1 to 100 printable characters"
    assert told[5] == f"{file}:10: queues.sales.ring_seconds = 900: must be a number of seconds from 1 to 120"
    assert told[6] == f"{file}:13: agents.ana.queues: there is no queue 'salez'; there are sales"
    assert told[7] == f"{file}:15: numbers.1: there is no flow 'nowhere' in {folder}/flows; there are welcome"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("colour = 1", "colour: is unknown"),
        ("[agent.ana]", "agent: is unknown; did you mean 'agents'?"),
        ("[node]\napi = 1", "node.api: is unknown"),
        ("queues = 3", "queues: must be a section"),
        ("agents.ana = 3", "agents.ana: must be a section"),
        ('[agents."a b"]\nname = "A"', "agents.a b = 'a b': must be 1 to 64 letters"),
        ("[api]\ntokens = 3", "api.tokens: must be a list of tables"),
        ('[[api.tokens]]\nname = "a"\nsha256 = "ec_raw"', "api.tokens[1].sha256 = ***: must be 64 hexadecimal digits"),
        ('[[api.tokens]]\nname = "a"\ntoken = "ec_raw"', "api.tokens[1].token: is unknown"),
        ('[store]\nurl = "sqlite://"', "store.url = ***: must be sqlite:///FILE or postgresql://USER@HOST"),
        ('[store]\nurl = "postgres://u@h/d"', "store.url = ***: must be sqlite:///FILE or postgresql://USER@HOST"),
        ('[store]\nurl = "postgresql://u:pw-in-url@h/d"', "store.url = ***: must be"),
        ('[store]\nurl = "postgresql://u@h/d?password=x"', "store.url = ***: must be"),
        ('[store]\nurl = "postgresql://u@h1,h2/d"', "store.url = ***: must be"),
        ('[store]\nurl = "postgresql://u@h"', "store.url = ***: must be"),
        ('[store]\npassword_file = "absent"', "store.password_file: "),
        ('[asterisk.main]\nami = "tcp:host"', "asterisk.main.ami = 'tcp:host': must be a Twisted client endpoint"),
        ('[asterisk.main]\nami = "tcp:host:0"', "asterisk.main.ami"),
        ('[asterisk.main]\nfastagi = "unix:/x"', "asterisk.main.fastagi"),
        ('[asterisk.main]\nfastagi = "tcp:4573:interfce=127.0.0.1"', "asterisk.main.fastagi"),
        ('[asterisk.main]\ndial = "PJSIP/x"', "asterisk.main.dial"),
        ('[asterisk.main]\ndial = "PJSIP/{phone}&PJSIP/boss"', "asterisk.main.dial"),
        ('[asterisk.main]\ndial = "PJSIP/{phone.__class__}"', "asterisk.main.dial"),
        ('[asterisk.main]\nusername = "a\\r\\nAction: x"', "asterisk.main.username = 'a\\r\\nAction: x'"),
        ('[prompts]\nspeak = "espeak-ng"', "prompts.speak = 'espeak-ng': must be a command"),
        ('[prompts]\nspeak = ["say"]', "prompts.speak: one of the arguments must hold {voice}"),
        ('[prompts]\nlanguage = "fr"', "prompts.language: 'fr' has no voice; there are en, zh"),
        ('[prompts]\nasterisk_directory = "/a/../b"', "prompts.asterisk_directory"),
        ('[prompts]\ndirectory = "/a b"', "prompts.asterisk_directory: is missing"),
        ("[fax]\nlines = 1.5", "fax.lines = 1.5: must be a whole number of lines from 0 to 500"),
        ('[fax]\nstation = "Bank"', "fax.station = 'Bank': must be 0 to 20 digits, spaces and +"),
        (
            '[fax]\nlines = 1\nrender = ["no-such-gs", "{input}", "{output}"]',
            "fax needs the command 'no-such-gs': apt-get install",
        ),
        ('[fax]\nlines = 1\nto_pdf = ["true"]', "fax.to_pdf: the arguments must hold {input} and {output}"),
        ('[fax]\nlines = 1\n[fax.start]\nfr = "Bonjour"', "fax.start.fr: no voice speaks 'fr'"),
        ('[fax]\nlines = 1\ndirectory = "/a b"', "fax.asterisk_directory: is missing"),
        ('[flows]\ndirectory = "nowhere"', "flows.directory: there is no folder"),
        ("[queues.q]\nname = 3\nring_seconds = true", "queues.q.ring_seconds = True: must be a number"),
        ("[queues.q]\nring_seconds = nan", "queues.q.ring_seconds = nan"),
        ('[agents.a]\nqueues = ["sales", "sales"]', "none twice"),
        ('[agents.a]\nname = "A"\nsupervises = ["salez"]', "agents.a.supervises: there is no queue 'salez'"),
        ('[agents.a]\nname = "A"\nskills = {billing = 0}', "agents.a.skills = a table: must be a table, each line the name"),
        ('[agents.a]\nname = "A"\nskills = {"1st" = 3}', "= a level from 1 to 100"),
        ('[agents.a]\nname = "A"\nskills = {billing = true}', "agents.a.skills"),
        (
            '[queues.q]\nname = "Q"\ndisposition = "required"',
            "queues.q.disposition: there are none: list them",
        ),
        ('[queues.q]\nname = "Q"\ndispositions = ["sold"]', "queues.q.dispositions: are never asked for"),
        (
            '[queues.q]\nname = "Q"\ndisposition = "maybe"',
            "queues.q.disposition = 'maybe': must be off, optional or req",
        ),
        ('[staff]\nreasons = ["lunch", "missed"]', "staff.reasons: 'missed' is what the daemon itself says"),
        ('[staff]\nreasons = ["lunch", "lunch"]', "staff.reasons"),
        ("[staff]\ndesktop_seconds = 1", "staff.desktop_seconds = 1: must be a number of seconds from 5 to 3600"),
        ("[supervision]\ntell_agents = 1", "supervision.tell_agents = 1: must be true or false"),
        ('[asterisk.main]\n[asterisk.b]\nsecret = "x"', "is in the way of asterisk.main.fastagi"),
        ('[api]\nlisten = "tcp:4573"', "asterisk.main.fastagi: 'tcp:4573:interface=127.0.0.1' is in the way of api.listen"),
        ("[node", "cannot be read as TOML: "),
    ],
)
def test_a_wrong_value_is_told(folder: Path, text: str, expected: str) -> None:
    told = faults(folder, text if "[asterisk.main]" in text else f"{text}\n[asterisk.main]\n")
    assert expected in told
    assert "ec_raw" not in told


def test_what_agents_can_and_say(folder: Path) -> None:
    config = read(
        folder,
        SMALL
        + """
        [staff]
        reasons = ["lunch", "training"]
        [queues.support]
        name = "Support"
        disposition = "required"
        dispositions = ["solved", "passed on"]
        [agents.bo]
        name = "Bo"
        skills = {billing = 3, "lang:zh" = 1}
        """,
    )
    assert config.staff == StaffSettings(("lunch", "training"))
    support = config.queues["support"]
    assert (support.disposition, support.dispositions) == (DispositionRule.REQUIRED, ("solved", "passed on"))
    assert config.agents["bo"].skills == {"billing": 3, "lang:zh": 1}


def test_a_fault_in_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file"):
        load(tmp_path / "nowhere.toml", {})


def test_without_fax_its_commands_are_not_needed(folder: Path) -> None:
    config = read(folder, SMALL + '[fax]\nrender = ["no-such-gs", "{input}", "{output}"]')
    assert config.fax.lines == 0


def test_fax(folder: Path) -> None:
    config = read(
        folder,
        SMALL + '[fax]\nlines = 2\ndirectory = "faxes"\n[fax.detect]\n95588 = "office"\n[prompts.voices]\nen = "en-us"',
    )
    assert config.fax.directory == folder / "faxes"
    assert config.fax.asterisk_directory == str(folder / "faxes")
    assert config.fax.detect == {"95588": "office"}
    assert set(config.fax.start) == {"en"}, "there is no voice for the other"


def test_an_asterisk_is_needed(folder: Path) -> None:
    assert "there must be at least one, such as [asterisk.main]" in faults(folder, "")


def test_rights_of_a_token(folder: Path) -> None:
    token = f'[[api.tokens]]\nname = "crm"\nsha256 = "{"0f" * 32}"\n'
    assert read(folder, f"{token}{SMALL}").tokens[0].rights == {Right.READ, Right.CONTROL, Right.DIAL}
    wall = read(folder, f'{token}rights = ["read"]\n{SMALL}').tokens[0]
    assert (wall.rights, wall.agent) == ({Right.READ}, "")
    assert "api.tokens[1].rights" in faults(folder, f'{token}rights = ["everything"]\n{SMALL}')
    assert "api.tokens[1].agent: there is no agent 'nobody'" in faults(folder, f'{token}agent = "nobody"\n{SMALL}')


def test_two_tokens_of_one_name(folder: Path) -> None:
    token = f'[[api.tokens]]\nname = "crm"\nsha256 = "{"0f" * 32}"\n'
    assert "easycall.toml:6: api.tokens[2].name: 'crm' is the name of another token already" in faults(
        folder, token + "\n" + token + SMALL
    )


def test_conf_d_is_merged_in_the_order_of_its_names(folder: Path) -> None:
    write(folder, '[queues.sales]\nmusic = "jazz"\nring_seconds = 7', "conf.d/20-b.toml")
    write(folder, '[queues.sales]\nmusic = "rock"\n[queues.extra]\nname = "Extra"', "conf.d/10-a.toml")
    config = read(folder, SMALL)
    assert config.queues["sales"] == Queue("sales", "Sales", music="jazz", ring_seconds=7.0)
    assert config.queues["extra"].name == "Extra"
    write(folder, "[queues.extra]\n\nring_seconds = 0", "conf.d/30-c.toml")
    assert "conf.d/30-c.toml:3: queues.extra.ring_seconds = 0" in faults(folder, SMALL)


def with_secret(line: str) -> str:
    return SMALL.replace("[asterisk.main]", f"[asterisk.main]\n{line}")


def test_a_secret_comes_from_the_file_a_file_of_its_own_or_the_environment(folder: Path) -> None:
    write(folder, f"{SECRET}-own\n", "ami.secret")
    assert read(folder, with_secret(f'secret = "{SECRET}"'), {}).asterisks[0].secret == SECRET
    assert read(folder, with_secret('secret_file = "ami.secret"'), {}).asterisks[0].secret == f"{SECRET}-own"
    assert read(folder, with_secret('secret_file = "absent"'), ENVIRON).asterisks[0].secret == SECRET


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "",
            "asterisk.main.secret: is missing: give it, or asterisk.main.secret_file, or the environment variable EASYCALL_",
        ),
        (f'secret = "{SECRET}"\nsecret_file = "ami.secret"', "stands beside asterisk.main.secret_file"),
        (f'secret = "{SECRET}\\n"', "asterisk.main.secret = ***: must be 1 to 256 printable characters"),
        (f'secert = "{SECRET}"', "asterisk.main.secert: is unknown; did you mean 'secret'?"),
        (f'secret = ["{SECRET}"]', "asterisk.main.secret = ***"),
        (f'username = {{secret = "{SECRET}"}}', "asterisk.main.username = a table"),
        ('secret_file = "absent"', "absent cannot be read: No such file"),
        ('secret_file = "two"', "must hold 1 to 256 printable characters on one line"),
        ('secret_file = "open"', "others may read or write"),
    ],
)
def test_a_wrong_secret_is_told_and_not_shown(folder: Path, line: str, expected: str) -> None:
    write(folder, SECRET, "ami.secret")
    write(folder, f"{SECRET}\n{SECRET}\n", "two")
    write(folder, SECRET, "open", mode=0o644)
    assert expected in faults(folder, with_secret(line), {})


def test_a_section_that_is_only_a_secret_is_not_shown(folder: Path) -> None:
    assert "asterisk.main: must be a section" in faults(folder, f'asterisk.main = "{SECRET}"', {})


@pytest.mark.parametrize("mode", [0o644, 0o642, 0o666])
@pytest.mark.parametrize("name", ["easycall.toml", "conf.d/1.toml"])
def test_a_file_with_a_secret_that_others_may_read_is_refused(folder: Path, name: str, mode: int) -> None:
    main = write(folder, SMALL)
    write(folder, with_secret(f'secret = "{SECRET}"'), name, mode=mode)
    with pytest.raises(ConfigError, match=rf"others may read or write .*{name}: chmod o-rw it"):
        load(main, {})
    (folder / name).chmod(0o640)
    assert load(main, {}).asterisks[0].secret == SECRET


def test_secrets_are_not_in_repr(folder: Path) -> None:
    config = read(folder, f'[[api.tokens]]\nname = "crm"\nsha256 = "{"0f" * 32}"\n{SMALL}')
    assert SECRET not in repr(config)
    assert "0f0f" not in repr(config)


# How to reach and log in to an Asterisk


def with_ami(ami: str, login: str = "md5") -> str:
    return with_secret(f"ami = '{ami}'\nlogin = \"{login}\"")


@pytest.mark.parametrize(
    "ami",
    [
        *(
            "tcp:127.0.0.1:5038",
            "tcp:127.8.9.10:5038",
            "tcp:localhost:5038",
            r"tcp:\:\:1:5038",
            "tcp:host=127.0.0.1:port=5038",
        ),
        *("tls:pbx.example:5039", "unix:/run/ami.socket", r"tls:pbx.example:5039:endpoint=tcp\:10.0.0.5\:5039"),
    ],
)
def test_a_plain_log_in_where_nobody_listens(folder: Path, ami: str) -> None:
    assert read(folder, with_ami(ami, "plain")).asterisks[0].login == "plain"


@pytest.mark.parametrize(
    ("ami", "host"),
    [
        ("tcp:pbx.example:5038", "pbx.example"),
        ("tcp:10.0.0.5:5038", "10.0.0.5"),
        (r"tcp:2001\:db8\:\:1:5038", "2001:db8::1"),
        ("tcp:host=128.0.0.1:port=5038", "128.0.0.1"),
        ("tcp:port=5038:127.0.0.1.example", "127.0.0.1.example"),
        ("tcp:localhost.example:5038", "localhost.example"),
    ],
)
def test_a_plain_log_in_over_a_network_is_refused(folder: Path, ami: str, host: str) -> None:
    assert read(folder, with_ami(ami)).asterisks[0].login == "md5"
    assert faults(folder, with_ami(ami, "plain")) == (
        f"{folder}/easycall.toml:4: asterisk.main.login: 'plain' would send the secret in clear to {host!r}: "
        "use 'md5', or tls in asterisk.main.ami"
    )


def test_there_is_no_third_way_to_log_in(folder: Path) -> None:
    assert "asterisk.main.login = 'MD5': must be md5 or plain" in faults(folder, with_secret('login = "MD5"'))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ("trustRoots=ca", "trustRoots = 'ca': must be an absolute path"),
        ("trustRoots={folder}/none", "trustRoots = '{folder}/none': cannot be read: No such file or directory"),
        ("trustRoots={folder}/ami.pem", "trustRoots = '{folder}/ami.pem': cannot be read: Not a directory"),
        ("trustRoots={folder}/flows", "trustRoots = '{folder}/flows': there is no CA certificate (*.pem) in that folder"),
        ("trustRoots={folder}:certificate=my.pem", "certificate = 'my.pem': must be an absolute path"),
        ("certificate={folder}/ami.pem:privateKey={folder}/none", "privateKey = '{folder}/none': cannot be read: No such"),
    ],
)
def test_what_tls_cannot_read_is_told(folder: Path, files: str, expected: str) -> None:
    (folder / "ami.pem").touch()
    told = faults(folder, with_ami(f"tls:pbx.example:5039:{files}".format(folder=folder)))
    assert f"easycall.toml:3: asterisk.main.ami: {expected.format(folder=folder)}" in told
    assert len(told.splitlines()) == 1


def test_what_tls_can_read_is_taken(folder: Path) -> None:
    (folder / "CA.PEM").touch()
    ami = f"tls:pbx.example:5039:trustRoots={folder}:certificate={folder}/CA.PEM:timeout=3"
    assert read(folder, with_ami(ami)).asterisks[0].ami == ami


@pytest.mark.parametrize(
    "ami",
    [
        *("tls:pbx.example:5039:trustroots=/x", "tcp:127.0.0.1:5038:trustRoots=/x", "tcp:127.0.0.1:5038:timeout=soon"),
        *(r"tls:pbx:5039:endpoint=tls\:pbx\:5039", r"tls:pbx:5039:endpoint=tcp\:pbx", "tls:pbx:0"),
    ],
)
def test_an_endpoint_twisted_would_stumble_over(folder: Path, ami: str) -> None:
    assert "must be a Twisted client endpoint" in faults(folder, with_ami(ami))


# The file we ship


def test_the_shipped_file_loads() -> None:
    config = load(SHIPPED, ENVIRON)
    assert set(config.queues) == {"sales", "support"}
    assert set(config.agents) == {"ana", "bo", "chen"}


def uncommented() -> str:
    return re.sub(r"^#(?=[a-z\[])", "", SHIPPED.read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_shipped_file_shows_the_defaults() -> None:
    """Each option that is commented out loads when it is not, and changes nothing."""
    path = SHIPPED.parent / "easycall.toml"
    shown = tomllib.loads(uncommented())
    shown["api"].pop("tokens")
    for name in ("detect", "queues"):  # whose numbers and boxes are the operator's own
        shown["fax"].pop(name)
    shown["voicemail"].pop("queues")
    shown["agents"]["ana"].pop("phone")
    for name in ("caller_id", "callback", "dispositions", "hours", "overflow", "rings", "strategy"):
        shown["queues"]["sales"].pop(name)
    routing = {
        "skills": "",
        "order": "longest_idle",
        "prefers": "",
        "first_agents": [],
        "priority_seconds": 0,
        "max_talks": 0,
        "ring_all_agents": 5,
    }
    assert {name: shown["queues"]["sales"].pop(name) for name in routing} == routing, "what QueuePolicy begins with"
    assert shown["queues"]["sales"].pop("service_level") == TARGETS
    shown["callback"].pop("hours")
    shown["callback"].pop("most")
    expires, delays = shown["callback"].pop("expires_hours") * 3600, shown["callback"].pop("delays")
    of = frozenset(shown["callback"].pop("of"))
    assert CallbackRules(**shown["callback"], of=of, expires_seconds=expires) == CallbackRules()
    assert delays == DELAYS
    config = load(path, ENVIRON)
    assert shown["staff"]["desktop_seconds"] == config.staff.desktop_seconds
    box = {key: getattr(config.asterisks[0], key) for key in ("ami", "username", "login", "fastagi", "dial", "context")}
    assert {key: shown["asterisk"]["main"][key] for key in box} == box
    assert tuple(shown["asterisk"]["main"]["peers"]) == config.asterisks[0].peers
    assert (tuple(shown["prompts"]["speak"]), tuple(shown["prompts"]["convert"])) == (
        config.prompts.speak,
        config.prompts.convert,
    )
    assert (shown["prompts"]["language"], shown["prompts"]["voices"]) == (config.prompts.language, config.prompts.voices)
    assert (shown["prompts"]["directory"], shown["prompts"]["asterisk_directory"]) == (
        str(config.prompts.directory),
        config.prompts.asterisk_directory,
    )
    assert Queue("sales", **shown["queues"]["sales"]) == config.queues["sales"]
    usual = StrategySettings("crm", None)  # type: ignore[arg-type] # what it begins with
    numbers = ("seconds", "candidates", "failures", "rest_seconds")
    assert [shown["strategies"]["crm"][name] for name in numbers] == [getattr(usual, name) for name in numbers]
    assert (shown["node"]["name"], shown["node"]["data"]) == (config.node, str(config.data))
    assert shown["api"]["listen"] == config.api_listen
    assert shown["store"]["url"] == "sqlite:///easycall.db"
    assert (shown["flows"]["directory"], shown["flows"]["default"]) == (config.flows_directory.name, config.default_flow)


def test_the_shipped_file_mentions_every_option() -> None:
    shown = tomllib.loads(uncommented())
    names = {
        "asterisk": "main",
        "queues": "sales",
        "agents": "ana",
        "services": "payments",
        "strategies": "crm",
        "trunks": "carrier",
        "hours": "office",
    }
    for section, options in SCHEMA.items():
        table = shown
        family = section.partition(".")[0]
        for part in (*section.split("."), *(["*"] if section in names else [])):
            table = table[names[family] if part == "*" else part]
        if isinstance(table, list):
            table = table[0]
        assert table, section
        if not isinstance(options, Entries) and section != "queues.*.callback":  # the same as in callback
            assert options.keys() - {"secret"} <= table.keys(), section
    assert 'secret = "' in SHIPPED.read_text(encoding="utf-8")


# The database


@pytest.mark.requirement("A3")
@pytest.mark.parametrize(
    "url",
    [
        "postgresql://easycall@db.example.com/easycall",
        "postgresql://10.0.0.7:6432/calls",
        "postgresql://easycall@[2001:db8::1]:5432/easycall?sslmode=verify-full&sslrootcert=/etc/easycall/ca.pem",
        "postgresql:///easycall?host=/var/run/postgresql&port=5433",
    ],
)
def test_a_postgresql_database_is_taken_as_given(folder: Path, url: str) -> None:
    config = read(folder, SMALL + f'\n[store]\nurl = "{url}"')
    assert (config.store_url, config.store_path, config.store_password) == (url, None, "")


@pytest.mark.requirement("A3")
def test_the_password_of_the_database_comes_from_its_file_or_the_environment(folder: Path) -> None:
    (folder / "store.password").write_text("hush-hush\n")
    (folder / "store.password").chmod(0o640)
    text = SMALL + '\n[store]\nurl = "postgresql://u@h/d"\npassword_file = "store.password"'
    config = read(folder, text)
    assert config.store_password == "hush-hush"
    assert "hush-hush" not in repr(config)
    assert read(folder, text, {**ENVIRON, "EASYCALL_STORE_PASSWORD": "sshh"}).store_password == "sshh"
    (folder / "store.password").chmod(0o644)
    assert "others may read or write" in faults(folder, text)


# Services and keys


def public(bits: int = 2048) -> bytes:
    key = rsa.generate_private_key(65537, bits)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_services_and_keys_are_read(folder: Path) -> None:
    Authority("tests").write(folder / "ca.pem")
    write(folder, "t0ken", "payments.token")
    pem = public()
    (folder / "vault.pem").write_bytes(pem)
    text = """
[services.payments]
url = "https://payments.example.com:8443/charge?a=1"
ca = "ca.pem"
token_file = "payments.token"
timeout = 4
[services.local]
url = "http://127.0.0.1:9000/"
[keys]
vault = "vault.pem"
"""
    config = read(folder, SMALL + text)
    ca = (folder / "ca.pem").read_bytes()
    assert config.services == {
        "payments": ServiceSettings("https://payments.example.com:8443/charge?a=1", 4.0, ca, "t0ken"),
        "local": ServiceSettings("http://127.0.0.1:9000/"),
    }
    assert config.keys == {"vault": pem}
    assert "t0ken" not in repr(config)


@pytest.mark.fault("A64")
@pytest.mark.parametrize(
    "url",
    [
        *("http://payments.example.com/", "http://169.254.169.254/", "file:///etc/passwd", "gopher://127.0.0.1/", ""),
        *("https://user:word@example.com/", "https://example.com/#x", "http://127.0.0.1.example.com/", "https:///x"),
        *("http://localhost@example.com/", "https://example.com/\\u000a", "https://exa mple.com/"),
    ],
)
def test_a_service_is_reached_over_tls_or_on_this_machine(folder: Path, url: str) -> None:
    told = faults(folder, SMALL + f'[services.payments]\nurl = "{url}"\n')
    assert "services.payments.url" in told
    assert "must be an address https://…; http:// only for this machine" in told


def test_files_of_services_and_keys(folder: Path) -> None:
    write(folder, "t0ken", "open.token", mode=0o644)
    (folder / "none.pem").write_text("nothing")
    (folder / "small.pem").write_bytes(public(1024))
    private = rsa.generate_private_key(65537, 2048)
    (folder / "private.pem").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    told = faults(
        folder,
        SMALL
        + """
[services.payments]
url = "https://payments.example.com/"
ca = "none.pem"
token_file = "open.token"
[keys]
away = "nowhere.pem"
none = "none.pem"
small = "small.pem"
private = "private.pem"
""",
    )
    assert "services.payments.ca: must be a file of CA certificates (PEM)" in told
    assert "services.payments.token_file: others may read or write" in told
    assert "keys.away: must be a file with a public RSA key (PEM)" in told
    assert "nowhere.pem cannot be read: No such file" in told
    assert "keys.none: must be a file with a public RSA key" in told
    assert "keys.small: must be a file with a public RSA key (PEM): is no RSA key of 2048 bits or more" in told
    assert "keys.private: must be a file with a public RSA key (PEM): is a private key" in told


# Whatever stands in the file


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def toml(value: object) -> str:
    """A value as TOML writes it, by way of inline tables."""
    match value:
        case None:
            return '""'
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(char):08x}" for char in value) + '"'
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case dict():
            return "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
    return str(value)


keys = sorted({key for options in SCHEMA.values() if not isinstance(options, Entries) for key in options})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted({name.split(".")[0] for name in SCHEMA})),
        values
        | st.dictionaries(st.sampled_from(keys) | st.text(max_size=8), values, max_size=4)
        | st.dictionaries(st.just("main"), st.dictionaries(st.sampled_from(keys), values, max_size=5)),
    )
)
def test_any_file_is_a_configuration_or_a_list_of_faults(folder: Path, document: dict[str, object]) -> None:
    text = "\n".join(f"{key} = {toml(value)}" for key, value in document.items())
    told: tuple[Fault, ...] = ()
    try:
        read(folder, text, {})
    except ConfigError as error:
        told = error.faults
    assert told, "none of these has a secret, or an Asterisk at all"
    assert all(len(str(fault).splitlines()) == 1 and str(fault).isprintable() for fault in told)
