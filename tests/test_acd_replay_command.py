"""``easycall acd replay``: a recorded database, another policy in a file, and what is said when either is wrong."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from easycall.acd.replay.recount import READ
from easycall.cli.main import cli
from easycall.config import ConfigError, load
from easycall.config.variant import Variant, read_variant
from easycall.events import AgentAssigned, AgentChanged, Answered, ContactArrived, ContactEnded, Event, Queued
from easycall.model import AgentState, EndedBy, Outcome
from easycall.policy import AgentOrder, Ring
from easycall.skills import parse
from easycall.stats.codec import encode
from easycall.store import past as past_module
from easycall.store.contacts import ADD_EVENT
from easycall.store.migrations import upgrade_sqlite
from easycall.store.past import Past, SqliteReader

from .postgres import Cluster

DAY = datetime(2026, 11, 20, tzinfo=UTC).astimezone().replace(hour=0)
"""A midnight of this machine's."""
MORNING = (DAY + timedelta(hours=9)).timestamp()

CONFIGURATION = """
[node]
data = "."
[asterisk.main]
secret = "of-a-test"
[queues.cards]
name = "Cards"
skills = "zh"
order = "highest_level"
prefers = "zh"
[[queues.cards.rings]]
after = 3000
lower = { zh = 1 }
[queues.loans]
name = "Loans"
[agents.ana]
name = "Ana"
[agents.ana.skills]
zh = 1
[agents.bo]
name = "Bo"
"""


def changed(at: float, agent: str, state: AgentState, contact: str = "") -> AgentChanged:
    return AgentChanged(at=at, agent=agent, contact=contact, state=state, queues=("cards",))


def contact(number: int) -> Iterator[Event]:
    """One a minute; each keeps Ana 100 s, so that each waits 40 s longer than the one before."""
    name, at = f"c{number:02}", MORNING + 60 * number
    given = MORNING + 100 * number
    yield ContactArrived(at=at, contact=name, pbx="main", leg="l", caller="", caller_name="", dialled="1")
    yield Queued(at=at, contact=name, queue="cards", position=1, since=at)
    yield changed(given, "ana", AgentState.RESERVED, name)
    yield changed(given + 2, "ana", AgentState.TALKING, name)
    yield Answered(at=given + 2, contact=name, agent="ana", queue="cards", waited=given + 2 - at)
    yield ContactEnded(at=given + 90, contact=name, outcome=Outcome.ANSWERED, ended_by=EndedBy.CALLER)
    yield changed(given + 90, "ana", AgentState.WRAP_UP, name)
    yield changed(given + 100, "ana", AgentState.READY)


def a_day() -> list[Event]:
    events: list[Event] = [
        AgentAssigned(at=MORNING - 90 * 86_400, agent="ana", queues=("cards",), serves=("cards",), skills={"zh": 2}),
        changed(MORNING - 3600, "ana", AgentState.READY),
        changed(MORNING - 3600, "bo", AgentState.READY),
    ]
    for number in range(10):
        events += contact(number)
    order = {id(event): number for number, event in enumerate(events)}
    return sorted(events, key=lambda event: (event.at, order[id(event)]))


def record(path: Path, events: Iterable[Event]) -> sqlite3.Connection:
    """Write them as the daemon does, and leave the database open as it does."""
    upgrade_sqlite(str(path))
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    with connection:
        rows = ((seq, one.at, one.kind, one.contact, one.agent, encode(one)) for seq, one in enumerate(events, 1))
        connection.executemany(ADD_EVENT, rows)
    return connection


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """A folder with a configuration and the database of a daemon that runs."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "welcome.yaml").touch()
    (tmp_path / "easycall.toml").write_text(CONFIGURATION, encoding="utf-8")
    (tmp_path / "easycall.toml").chmod(0o640)
    connection = record(tmp_path / "easycall.db", a_day())
    yield tmp_path
    connection.close()


def run(site: Path, *arguments: str, policy: str | None = None) -> Result:
    options = ["-c", str(site / "easycall.toml"), *(arguments or ("--day", f"{DAY:%Y-%m-%d}"))]
    if policy is not None:
        (site / "other.toml").write_text(policy, encoding="utf-8")
        options += ["--policy", str(site / "other.toml")]
    return CliRunner(env={"COLUMNS": "200"}).invoke(cli, ["acd", "replay", *options])


def answer(site: Path, *arguments: str, policy: str | None = None) -> dict[str, Any]:
    result = run(site, *(arguments or ("--day", f"{DAY:%Y-%m-%d}")), "--json", policy=policy)
    assert (result.exit_code, result.stderr) == (0, "")
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def complaint(site: Path, *arguments: str, policy: str | None = None) -> str:
    result = run(site, *arguments, policy=policy)
    assert result.exit_code in (1, 2)
    assert result.stdout == ""
    return result.stderr


ANYBODY = '[queues.cards]\nskills = ""\norder = "longest_idle"\nrings = []\n'


def test_a_day_three_times(site: Path) -> None:
    told = answer(site, policy=ANYBODY)
    was, same, other = told["accounts"]
    assert (was["name"], same["name"], other["name"]) == ("as it was", "as configured", "other.toml")
    assert {key: value for key, value in same.items() if key != "name"} == {
        key: value for key, value in was.items() if key != "name"
    }
    assert was["total"] == was["queues"]["cards"]
    assert (was["total"]["offered"], was["total"]["answered"], was["total"]["mean_wait"]) == (10, 10, 2 + 40 * 4.5)
    assert was["agents"]["ana"]["contacts"] == 10
    assert (other["total"]["mean_wait"], other["total"]["skilled"]) == (2.0, 0.5)
    assert {agent: one["contacts"] for agent, one in other["agents"].items()} == {"ana": 5, "bo": 5}
    assert told["formulas"]["service_level"] == "sl_offered_all: answered within 20 s / offered"
    assert (told["stays"], told["runs"], told["seconds"], told["notes"]) == (10, 1, 20.0, [])


def test_the_skills_of_an_agent_are_those_of_then(site: Path) -> None:
    """Ana was given a level of 2 three months before: the configuration still says 1."""
    _, same, two = answer(site, policy='[queues.cards]\nskills = "zh >= 2"\n')["accounts"]
    assert same["total"] == two["total"]
    _, _, taught = answer(site, policy='[agents.bo]\nqueues = ["cards"]\nskills = { zh = 3 }\n')["accounts"]
    assert (taught["total"]["mean_wait"], taught["total"]["skilled"]) == (2.0, 1.0)


def test_for_a_person(site: Path) -> None:
    result = run(site, policy=ANYBODY)
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.stdout.splitlines() if line.startswith("│")]
    names = ["as it was", "as configured", "other.toml"]
    assert [row[:2] for row in rows[:6]] == [
        [queue if number == 0 else "", name] for queue in ("cards", "all") for number, name in enumerate(names)
    ]
    assert rows[0][2:] == ["10", "10", "0", "10.0%", "182.0", "162.0", "322.0", "362.0", "0", "100.0%"]
    assert rows[2][2:] == ["10", "10", "0", "▲ 100.0%", "▼ 2.0", "▼ 2.0", "▼ 2.0", "▼ 2.0", "0", "▼ 50.0%"]
    assert "as configured the replay has +0.0 points of service level, +0.0 s of mean wait and +0 abandoned" in result.stdout
    assert "service level: sl_offered_all: answered within 20 s / offered" in result.stdout


def test_a_part_of_a_day(site: Path) -> None:
    begins = DAY + timedelta(hours=9, minutes=5)
    told = answer(site, "--from", f"{begins:%Y-%m-%dT%H:%M%z}", "--to", f"{begins + timedelta(minutes=3):%Y-%m-%d %H:%M}")
    was, same = told["accounts"]
    assert (told["from"], was["total"]["offered"]) == (begins.isoformat(), 3)
    assert was["total"] == same["total"]  # those before keep Ana busy as they did
    assert answer(site, "--day", f"{DAY:%Y-%m-%d}", "--seconds", "400")["accounts"][0]["total"]["service_level"] == 1.0
    assert answer(site, "--day", f"{DAY:%Y-%m-%d}", "--runs", "3")["runs"] == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say which time: either --day 2026-11-20, or --from and --to"),
        (("--day", "2026-11-20", "--from", "2026-11-20"), "say which time"),
        (("--from", "2026-11-20"), "--from and --to belong together: give both"),
        (("--from", "2026-11-20", "--to", "2026-11-20"), "must be later than --from"),
        (("--from", "2026-11-01", "--to", "2026-11-20"), "that is more than 7 days"),
        (("--day", "yesterday"), "'yesterday' does not match the format '%Y-%m-%d'"),
    ],
)
def test_a_time_that_makes_no_sense(site: Path, arguments: tuple[str, ...], said: str) -> None:
    result = CliRunner().invoke(cli, ["acd", "replay", "-c", str(site / "easycall.toml"), *arguments])
    assert (result.exit_code, said in result.stderr) == (2, True)


def test_a_day_of_which_nothing_is_known(site: Path) -> None:
    told = complaint(site, "--day", "2026-10-01")
    assert "no contact came to a queue from 2026-10-01 00:00 to 2026-10-02 00:00; it has events from " in told
    assert f" to {DAY:%Y-%m-%d} 09:16: see --day, --from and --to" in told


def test_a_database_without_events(site: Path) -> None:
    with sqlite3.connect(site / "easycall.db") as connection:
        connection.execute("DELETE FROM events")
    assert "it has no events at all" in complaint(site)


def test_a_database_that_is_none(site: Path) -> None:
    file = site / "easycall.db"
    for wal in site.glob("easycall.db-*"):
        wal.unlink()
    file.unlink()
    assert f"there is no database {file}: the daemon makes it when it starts first" in complaint(site)
    file.write_text("not a database", encoding="utf-8")
    assert f"{file} is no database of easycall (file is not a database)" in complaint(site)
    file.unlink()
    sqlite3.connect(file).close()
    assert f"{file} is no database of easycall (no such table: alembic_version)" in complaint(site)
    file.unlink()
    file.mkdir()
    assert f"database {file} cannot be read (" in complaint(site)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("9999", "its schema is version 9999, this easycall knows versions up to "),
        ("0001", "its schema is version 0001, this easycall reads version "),
    ],
)
def test_a_database_of_another_version(site: Path, version: str, said: str) -> None:
    with sqlite3.connect(site / "easycall.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
    told = complaint(site)
    assert f"database {site / 'easycall.db'}: {said}" in told
    assert ("run the easycall that wrote it" if version == "9999" else "start the daemon of this version once") in told


def test_the_database_is_only_read(site: Path) -> None:
    """The daemon is just writing: neither waits for the other."""
    writing = sqlite3.connect(site / "easycall.db")
    writing.execute("BEGIN IMMEDIATE")
    writing.execute("DELETE FROM events")
    try:
        assert answer(site)["stays"] == 10
    finally:
        writing.rollback()
        writing.close()


def test_a_day_that_is_in_postgresql(site: Path, postgresql: Cluster) -> None:
    """It was moved there, and the accounts are the same; the daemon has it open meanwhile."""
    said = answer(site, policy=ANYBODY)
    assert CliRunner().invoke(cli, ["db", "-c", str(site / "easycall.toml"), "export", str(site / "out")]).exit_code == 0
    name = postgresql.create("template0")
    at = postgresql.address(name)
    (site / "easycall.toml").write_text(CONFIGURATION + f'[store]\nurl = "{at.url}"\n', encoding="utf-8")
    assert "is no database of easycall" in complaint(site)
    assert CliRunner().invoke(cli, ["db", "-c", str(site / "easycall.toml"), "import", str(site / "out")]).exit_code == 0
    (site / "easycall.db").unlink()
    daemon = at.connect()
    with daemon.cursor() as cursor:
        cursor.execute("DELETE FROM events")
        assert answer(site, policy=ANYBODY) == said
    daemon.close()
    postgresql.sql("UPDATE alembic_version SET version_num = '9999'", name)
    assert "its schema is version 9999" in complaint(site)
    postgresql.drop(name)
    assert f'database "{name}" does not exist' in complaint(site)


@pytest.mark.parametrize("page", [1, 7, 5_000])
def test_the_first_event_from_a_moment_on(site: Path, page: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past_module, "PAGE", page)
    events = a_day()
    with Past(SqliteReader(site / "easycall.db")) as past:
        assert past.extent() == (events[0].at, events[-1].at)
        for at in {event.at + shift for event in events for shift in (-0.5, 0.0, 0.5)}:
            assert list(past.events(at, at + 120, READ)) == [event for event in events if at <= event.at < at + 120]
        assert list(past.events(0, MORNING + 120, (Queued,))) == [
            event for event in events if isinstance(event, Queued) and event.at < MORNING + 120
        ]
        assert past.assigned_before(MORNING) == [events[0]]
        assert past.assigned_before(events[0].at) == []


# Another policy


def variant(site: Path, text: str) -> Variant:
    (site / "other.toml").write_text(text, encoding="utf-8")
    return read_variant(site / "other.toml", load(site / "easycall.toml", {}))


def test_what_is_not_in_the_file_is_as_configured(site: Path) -> None:
    cards = load(site / "easycall.toml", {}).queues["cards"].routing
    assert variant(site, "").queues == {}
    assert variant(site, "[queues.cards]\n").queues == {"cards": cards}
    [other] = variant(site, "[queues.cards]\npriority_seconds = 60\nmax_talks = 3\n").queues.values()
    assert (other.offset, other.cap, other.rings, other.requires) == (60.0, 3, cards.rings, cards.requires)


def test_another_order_comes_without_what_went_with_the_one_before(site: Path) -> None:
    [other] = variant(site, '[queues.cards]\norder = "fixed"\nfirst_agents = ["bo"]\n').queues.values()
    assert (other.agent_order, other.fixed_order, other.prefers.text) == (AgentOrder.FIXED, ("bo",), "")
    [other] = variant(site, '[queues.cards]\nprefers = "zh and en"\n').queues.values()
    assert (other.agent_order, other.prefers) == (AgentOrder.HIGHEST_LEVEL, parse("zh and en"))


def test_rings_take_the_place_of_those_before(site: Path) -> None:
    [other] = variant(site, '[[queues.cards.rings]]\nafter = 20\ndrop = ["zh"]\nqueues = ["loans"]\n').queues.values()
    assert other.rings == (Ring(20.0, ("zh",), {}, ("loans",)),)
    [other] = variant(site, "[queues.cards]\nrings = []\n").queues.values()
    assert other.rings == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[queues.carts]\nskills = "zh"', "other.toml:1: queues.carts: is not in the configuration; there are cards, loans"),
        ("[agents.eve]\nqueues = []", "other.toml:1: agents.eve: is not in the configuration; there are ana, bo"),
        ("[queues.cards]\nskill = 1", "other.toml:2: queues.cards.skill: is unknown; did you mean 'skills'?"),
        ("[queues.cards]\nwrap_up_seconds = 5", "other.toml:2: queues.cards.wrap_up_seconds: is unknown; "),
        ("[node]\nname = 'x'", "node: is unknown; known here: agents, queues"),
        ('[queues.cards]\nskills = "zh >"', "other.toml:2: queues.cards.skills: "),
        ('[queues.cards]\norder = "fixed"', 'queues.cards.first_agents: goes with order = "fixed": give both, or none'),
        (
            '[queues.cards]\norder = "fixed"\nfirst_agents = ["eve"]',
            "first_agents: there is no agent 'eve'; there are ana, bo",
        ),
        ('[[queues.cards.rings]]\nafter = 9\nqueues = ["carts"]', "rings[1].queues: there is no queue 'carts'"),
        (
            '[agents.bo]\nqueues = ["carts"]',
            "other.toml:2: agents.bo.queues: there is no queue 'carts'; there are cards, loans",
        ),
        ("[agents.bo]\nskills = { zh = 0 }", "other.toml:2: agents.bo.skills = "),
        ("queues = ", "other.toml: cannot be read as TOML: "),
    ],
)
def test_what_is_wrong_with_it_is_named(site: Path, text: str, said: str) -> None:
    assert said in complaint(site, policy=text).replace(f"{site}/", "")


def test_every_fault_is_told(site: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        variant(site, '[queues.carts]\n[agents.bo]\nqueues = ["carts"]\n[queues.cards]\nmax_talks = -1\n')
    assert len(caught.value.faults) == 3


def test_a_configuration_that_is_wrong(site: Path) -> None:
    (site / "easycall.toml").write_text("[queues.cards]\n", encoding="utf-8")
    assert "queues.cards.name: is missing" in complaint(site)
    assert "does not exist" in complaint(site, "--day", "2026-11-20", "--policy", "nowhere.toml")
