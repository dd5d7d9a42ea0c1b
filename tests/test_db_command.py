"""``easycall db``: versions of the schema, copies, and a site that moves between SQLite and PostgreSQL."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest
import pytest_twisted
from attrs import define, evolve
from click.testing import CliRunner, Result
from twisted.internet import reactor

from easycall.callback.shelf import Taken
from easycall.cli.main import cli
from easycall.events import Event, NumberListed, NumberUnlisted
from easycall.model import Callback, CallbackSource, CallbackState
from easycall.ports import StoreUnusable
from easycall.stats.codec import encode
from easycall.stats.framing import Frame, frame
from easycall.stats.journal import Entry
from easycall.stats.record import fold
from easycall.store import migrations
from easycall.store.callbacks import CallbackShelf
from easycall.store.contacts import ContactArchive
from easycall.store.journal_folder import JournalFolder
from easycall.store.postgres import PostgreSQL
from easycall.store.sqlite import SQLite, take

from .postgres import Cluster
from .test_record import STORY, C

pytestmark = pytest.mark.requirement("A3")

HEAD = migrations.head()
NUMBERS = [(f"+4930{number}", "Ü 100% \\ '", 1.5 + number / 3, "crm") for number in range(1_234)]
PASSWORD = "store-password"


@define
class Site:
    """A configuration, and the command with it."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "easycall.db"

    def use(self, url: str) -> None:
        """Choose the database."""
        (self.folder / "easycall.toml").write_text(
            f'[node]\ndata = "."\n[store]\nurl = "{url}"\n[asterisk.main]\nsecret_file = "ami.secret"\n'
            '[queues.sales]\nname = "Sales"\n[flows]\ndirectory = "flows"\n'
        )

    def run(self, *words: str, says: str = "", status: int = 0, typed: str = "") -> Result:
        """Run ``easycall db`` and look at what it says."""
        result = CliRunner().invoke(cli, ["db", "-c", str(self.folder / "easycall.toml"), *words], input=typed)
        assert result.exit_code == status, result.output + repr(result.exception)
        assert says in result.output
        assert "Traceback" not in result.output
        return result


@pytest.fixture
def site(tmp_path: Path) -> Site:
    folder = tmp_path / "site"
    (folder / "flows").mkdir(parents=True)
    (folder / "flows" / "welcome.yaml").touch()
    (folder / "ami.secret").write_text("not-told")
    (folder / "ami.secret").chmod(0o600)
    site = Site(folder)
    site.use("sqlite:///easycall.db")
    return site


@pytest.fixture
def empty(postgresql: Cluster) -> Iterator[str]:
    """The name of a database with nothing in it."""
    name = postgresql.create("template0")
    yield name
    postgresql.drop(name)


OPEN = Callback("b2", "cards", "+49301", CallbackSource.ASKED, 9.0, 10.0, 99.0, data={"Ä": '"'})
CALLBACKS = (OPEN, evolve(OPEN, id="b1", state=CallbackState.REACHED, created=1.0, ended=5.5))


async def filled(database: SQLite | PostgreSQL) -> None:
    """Give it a record, events, and numbers that are not called."""
    await database.open()
    record = fold("c1", STORY)
    assert record is not None
    events = [Entry(seq, event, encode(event)) for seq, event in enumerate(STORY, 1)]
    await ContactArchive(database).append(events, [record])
    await database.transact(("INSERT INTO do_not_call VALUES (?, ?, ?, ?)", NUMBERS))
    for callback in CALLBACKS:
        await CallbackShelf(database).put(callback)
    await database.close()


def old(file: Path, version: str = "0008") -> None:
    """A database as an older easycall left it, with one contact in it."""
    with migrations.engine_of_sqlite(str(file)).begin() as connection:
        migrations.move(connection, version)
    with closing(sqlite3.connect(file)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(contacts)")]
        names, marks = ", ".join(columns), ", ".join("?" for _ in columns)
        row = [1.0 if name in ("arrived", "ended", "waited", "talked") else "c" for name in columns]
        connection.execute(f"INSERT INTO contacts ({names}) VALUES ({marks})", row)  # noqa: S608


def versions(file: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchall()


# Versions


def test_check_says_what_is_to_be_done(site: Site) -> None:
    site.run("check", says="it is not there", status=1)
    old(site.file)
    site.run("check", says=f"version 0008, this easycall reads version {HEAD}: start the daemon", status=1)
    site.run("upgrade", says=f"version {HEAD}, was 0008")
    site.run("check", says=f"version {HEAD}, as this easycall wants it")
    site.run("upgrade", says=f"version {HEAD} already")


def test_a_damaged_file_is_found(site: Site) -> None:
    migrations.upgrade_sqlite(str(site.file))
    with closing(sqlite3.connect(site.file)) as connection, connection:
        connection.executemany("INSERT INTO do_not_call VALUES (?, ?, ?, ?)", NUMBERS)
    with site.file.open("r+b") as file:
        file.seek(-3 * 4096, os.SEEK_END)
        file.write(b"\xff" * 8192)
    site.run("check", says="damaged", status=1)


def test_an_sqlite_file_is_copied_before_it_is_changed(site: Site) -> None:
    old(site.file)
    site.run("upgrade", says=f"it was copied before: {site.file}.0008.backup")
    site.run("downgrade", "0008", "--yes", says="version 0008, was")
    site.run("upgrade", says=f"{site.file}.0008-2.backup")
    copies = sorted(path.name for path in site.folder.glob("*.backup*"))
    assert copies == sorted([f"easycall.db.{HEAD}.backup", "easycall.db.0008.backup", "easycall.db.0008-2.backup"])
    copy = site.folder / "easycall.db.0008.backup"
    assert versions(copy) == [("0008",)]
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT count(*) FROM contacts").fetchall() == [(1,)]


@pytest_twisted.ensureDeferred
async def test_the_daemon_copies_an_older_file_before_it_upgrades_it(site: Site) -> None:
    old(site.file)
    for _ in range(2):
        database = SQLite(str(site.file), reactor)
        await database.open()
        await database.close()
    assert [path.name for path in site.folder.glob("*.backup*")] == ["easycall.db.0008.backup"]
    assert versions(site.file) == [(HEAD,)]


@pytest.mark.fault("F85")
def test_no_room_for_the_copy_is_no_upgrade(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page limit of SQLite gives the error of a full disk (SQLITE_FULL) without one."""
    old(site.file)
    connect = sqlite3.connect

    def full(path: str | Path, **options: object) -> sqlite3.Connection:
        connection = connect(path, **options)  # type: ignore[call-overload]
        if str(path).endswith(".partial"):
            connection.execute("PRAGMA max_page_count=2")
        return connection  # type: ignore[no-any-return]

    monkeypatch.setattr(migrations.sqlite3, "connect", full)
    site.run("upgrade", says="full", status=1)
    monkeypatch.undo()
    assert versions(site.file) == [("0008",)]
    assert list(site.folder.glob("*.backup*")) == []


def test_downgrade_asks_and_knows_its_versions(site: Site) -> None:
    migrations.upgrade_sqlite(str(site.file))
    site.run("downgrade", "0008", says="Go on?", status=1, typed="n\n")
    assert versions(site.file) == [(HEAD,)]
    site.run("downgrade", "0008", says="version 0008, was", typed="y\n")
    site.run("downgrade", "77", "--yes", says="there is no version 77: this easycall knows 0001, 0002", status=1)


def test_nothing_is_changed_under_a_daemon(site: Site) -> None:
    old(site.file)
    lock = take(str(site.file))
    site.run("upgrade", says="another easycall uses it", status=1)
    os.close(lock)
    assert versions(site.file) == [("0008",)]


@pytest_twisted.ensureDeferred
async def test_nothing_is_changed_under_a_daemon_on_postgresql(site: Site, postgresql: Cluster, empty: str) -> None:
    database = PostgreSQL(postgresql.address(empty), reactor)
    await database.open()
    site.use(postgresql.address(empty).url)
    site.run("downgrade", "0008", "--yes", says="another easycall uses it: stop the daemon first", status=1)
    site.run("check", says=f"version {HEAD}")
    await database.close()


def test_every_step_goes_back_and_forth_on_both_databases(site: Site, postgresql: Cluster, empty: str) -> None:
    migrations.upgrade_sqlite(str(site.file))
    for url in ("sqlite:///easycall.db", postgresql.address(empty).url):
        site.use(url)
        site.run("upgrade", says=f"version {HEAD}")
        for number in range(int(HEAD) - 1, 0, -1):
            site.run("downgrade", f"{number:04}", "--yes", says=f"version {number:04}, was {number + 1:04}")
        site.run("upgrade", says=f"version {HEAD}, was 0001")


def test_a_newer_database_is_left_alone(site: Site, postgresql: Cluster, empty: str) -> None:
    site.use(postgresql.address(empty).url)
    site.run("upgrade", says="was empty")
    postgresql.sql("UPDATE alembic_version SET version_num = '9999'", empty)
    for words in (["check"], ["upgrade"], ["downgrade", "0008", "--yes"], ["export", str(site.folder / "x")]):
        site.run(*words, says="its schema is version 9999", status=1)


def test_a_server_that_refuses_is_told_without_the_password(site: Site, postgresql: Cluster, empty: str) -> None:
    at = postgresql.address(empty, tcp=True)
    site.use(at.url)
    for secret, says in ((PASSWORD, "password authentication failed"), ("", "no password supplied")):
        os.environ["EASYCALL_STORE_PASSWORD"] = secret
        try:
            result = site.run("check", says=says, status=1)
        finally:
            del os.environ["EASYCALL_STORE_PASSWORD"]
        assert PASSWORD not in result.output


# A site that moves


def contents(ask: Callable[[str], list[tuple[object, ...]]]) -> dict[str, list[tuple[object, ...]]]:
    tables = ("events", "contacts", "segments", "do_not_call", "recordings", "requests", "callbacks")
    return {table: sorted(map(tuple, ask(f"SELECT * FROM {table}")), key=repr) for table in tables}  # noqa: S608


def in_file(file: Path) -> dict[str, list[tuple[object, ...]]]:
    with closing(sqlite3.connect(file)) as connection:
        return contents(lambda sql: connection.execute(sql).fetchall())


@pytest_twisted.ensureDeferred
async def test_a_site_moves_to_postgresql_and_back(site: Site, postgresql: Cluster, empty: str) -> None:
    await filled(SQLite(str(site.file), reactor))
    there = site.folder / "there.gz"
    site.run("export", str(there), says="1,234 do_not_call")
    assert there.stat().st_mode & 0o777 == 0o600
    site.use(postgresql.address(empty).url)
    site.run("import", str(there), says=f"rows from {there} into database postgresql://")
    moved = contents(lambda sql: postgresql.sql(sql, empty))
    assert moved == in_file(site.file)
    assert len(moved["do_not_call"]) == len(NUMBERS)
    assert len(moved["callbacks"]) == len(CALLBACKS)
    site.run("import", str(there), says="it is not empty (", status=1)
    assert contents(lambda sql: postgresql.sql(sql, empty)) == moved
    database = PostgreSQL(postgresql.address(empty), reactor)
    await database.open()
    assert await ContactArchive(database).last() == len(STORY)
    assert await CallbackShelf(database).open() == [OPEN]
    with pytest.raises(Taken):
        await CallbackShelf(database).put(evolve(CALLBACKS[1], ended=0.0))
    back = site.folder / "back.gz"
    site.run("export", str(back), says="1,234 do_not_call")  # beside a daemon
    await database.close()
    site.use("sqlite:///again.db")
    site.run("import", str(back))
    assert in_file(site.folder / "again.db") == moved
    assert (site.folder / "again.db").stat().st_mode & 0o777 == 0o600


def test_an_export_of_an_older_version_is_brought_up_to_date(site: Site) -> None:
    """It is read at its own version, and upgraded then."""
    migrations.upgrade_sqlite(str(site.file))
    lines = [
        {"file": "easycall database 1", "version": "0001", "rows": {"events": 1, "contacts": 0, "segments": 0}},
        {"table": "events", "columns": ["seq", "at", "kind", "contact", "agent", "body"]},
        [1, 2.5, "k", "", "", "{}"],
        {"table": "contacts", "columns": columns("contacts")},
        {"table": "segments", "columns": columns("segments")},
        {"table": "end"},
    ]
    site.run("import", str(written(site, lines)), says="1 events")
    assert in_file(site.file)["events"] == [(1, 2.5, "k", "", "", "{}")]
    assert versions(site.file) == [(HEAD,)]


def columns(table: str) -> list[str]:
    from easycall.store.migrations.versions import r0001_contacts

    created = next(sql for sql in r0001_contacts.UP if f"CREATE TABLE {table} " in sql)
    names = [line.split()[0] for line in created.splitlines()[2:-2] if line.strip()]
    return [name for name in names if name.islower()]


def written(site: Site, lines: list[object]) -> Path:
    file = site.folder / "written.gz"
    with gzip.open(file, "wt") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)
    return file


class TestWhatIsNoExport:
    """Each is refused with its reason, and leaves the database as it was: empty."""

    @pytest.fixture
    def lines(self, site: Site) -> list[object]:
        with closing(sqlite3.connect(":memory:")):
            migrations.upgrade_sqlite(str(site.file))
        with closing(sqlite3.connect(site.file)) as connection, connection:
            connection.executemany("INSERT INTO do_not_call VALUES (?, ?, ?, ?)", NUMBERS[:3])
        site.run("export", str(site.folder / "whole.gz"))
        site.use("sqlite:///new.db")
        with gzip.open(site.folder / "whole.gz", "rt") as file:
            return [json.loads(line) for line in file]

    def refused(self, site: Site, file: Path, says: str) -> None:
        site.run("import", str(file), says=says, status=1)
        if (site.folder / "new.db").exists():
            with closing(sqlite3.connect(site.folder / "new.db")) as connection:
                assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []

    def test_what_is_something_else(self, site: Site, lines: list[object]) -> None:
        other = site.folder / "other"
        other.write_bytes(b"something else")
        self.refused(site, other, "is no export of easycall")
        self.refused(site, written(site, [{"a": 1}]), "its first line does not say so")
        self.refused(site, written(site, []), "its end is missing")

    def test_what_is_cut_off(self, site: Site, lines: list[object]) -> None:
        whole = (site.folder / "whole.gz").read_bytes()
        cut = site.folder / "cut.gz"
        cut.write_bytes(whole[: len(whole) // 2])
        self.refused(site, cut, "not a whole one")
        cut.write_bytes(whole[:-12] + bytes(12))
        self.refused(site, cut, "not a whole one")
        self.refused(site, written(site, lines[:-1]), "its end is missing")

    def test_what_lacks_a_row_or_a_table(self, site: Site, lines: list[object]) -> None:
        rows = [line for line in lines if isinstance(line, list)]
        self.refused(site, written(site, [line for line in lines if line != rows[0]]), "and should have 3")
        tables = [line for line in lines if not (isinstance(line, dict) and line.get("table") == "requests")]
        self.refused(site, written(site, tables), "requests is missing")
        wide = [line if line != rows[0] else [*rows[0], 1] for line in lines]
        self.refused(site, written(site, wide), "a row of do_not_call is not one")
        odd = [line if line != rows[0] else [{"a": 1}, *rows[0][1:]] for line in lines]
        self.refused(site, written(site, odd), "a row of do_not_call is not one")

    def test_what_a_newer_easycall_wrote(self, site: Site, lines: list[object]) -> None:
        newer = [{**lines[0], "version": "9999"}, *lines[1:]]  # type: ignore[dict-item]
        self.refused(site, written(site, newer), "written by a newer easycall: its schema is version 9999")

    def test_a_file_that_is_there_is_not_overwritten(self, site: Site, lines: list[object]) -> None:
        site.use("sqlite:///easycall.db")
        site.run("export", str(site.folder / "whole.gz"), says="is there already", status=1)
        site.run("export", str(site.folder / "absent" / "x.gz"), says="cannot be written: No such file", status=1)

    def test_a_full_disk_leaves_no_half_of_an_export(self, site: Site, lines: list[object]) -> None:
        site.use("sqlite:///easycall.db")
        full = Path("/dev/full")
        half = site.folder / "half.gz"
        half.with_name("half.gz.partial").symlink_to(full)
        site.run("export", str(half), says="cannot be written: No space left on device", status=1)
        assert not half.exists()
        assert not half.with_name("half.gz.partial").is_symlink()


# The journal's files of a daemon that was stopped while its database was away


def waits_in_files(site: Site, first: int = 1, story: Sequence[Event] = STORY) -> None:
    """Events that no database has."""
    folder = site.folder / "journal"
    folder.mkdir(exist_ok=True)
    frames = [Frame(seq, event.at, event.kind, encode(event)) for seq, event in enumerate(story, first)]
    (folder / f"{first:020}.log").write_bytes(b"".join(map(frame, frames)))


def told(site: Site, table: str = "events") -> int:
    with closing(sqlite3.connect(site.file)) as connection:
        [(count,)] = connection.execute(f"SELECT count(*) FROM {table}")  # noqa: S608
    return int(count)


CARRIED = f"{len(STORY)} events and 1 records were carried over from the journal's files"


@pytest.mark.parametrize("kind", ["SQLite", "PostgreSQL"])
def test_an_upgrade_carries_over_what_only_the_files_have(site: Site, postgresql: Cluster, empty: str, kind: str) -> None:
    if kind == "PostgreSQL":
        site.use(postgresql.address(empty).url)
        site.run("upgrade", says="was empty")
    else:
        old(site.file)
    waits_in_files(site)
    site.run("upgrade", says=CARRIED)
    assert CARRIED not in site.run("upgrade", says="already").output
    if kind == "SQLite":
        assert (told(site), told(site, "contacts")) == (len(STORY), 2)
    else:
        assert postgresql.sql("SELECT id FROM contacts", empty) == [(C,)]


def test_a_downgrade_carries_over_before_and_refuses_what_it_cannot(site: Site) -> None:
    migrations.upgrade_sqlite(str(site.file))
    waits_in_files(site)
    site.run("downgrade", "0008", "--yes", says=CARRIED)
    waits_in_files(site, len(STORY) + 1)
    said = f"has {len(STORY)} events that the database does not have, whose schema is version 0008: run easycall db upgrade"
    site.run("downgrade", "0007", "--yes", says=said, status=1)
    assert versions(site.file) == [("0008",)]
    site.run("upgrade", says=f"{len(STORY)} events")


def test_nothing_is_carried_under_a_daemon(site: Site) -> None:
    migrations.upgrade_sqlite(str(site.file))
    waits_in_files(site)
    daemon = JournalFolder(site.folder / "journal")
    daemon.open()
    site.run("upgrade", says="journal: another easycall uses it: stop the daemon first", status=1)
    daemon.close()


@pytest_twisted.ensureDeferred
async def test_an_import_carries_over_what_came_after_the_export(site: Site, tmp_path: Path) -> None:
    await filled(SQLite(str(site.file), reactor))
    site.run("export", str(tmp_path / "out"))
    site.file.unlink()
    waits_in_files(site, len(STORY) + 1, [evolve(event, contact="c2") for event in STORY])
    site.run("import", str(tmp_path / "out"), says=CARRIED)
    assert (told(site), told(site, "contacts")) == (2 * len(STORY), 2)


@pytest_twisted.ensureDeferred
async def test_an_import_beside_the_files_of_another_site_is_refused(site: Site, tmp_path: Path) -> None:
    await filled(SQLite(str(site.file), reactor))
    site.run("export", str(tmp_path / "out"))
    site.file.unlink()
    waits_in_files(site, 1, [evolve(event, at=event.at + 5) for event in STORY])
    site.run("import", str(tmp_path / "out"), says="they are of different sites or times", status=1)
    assert not site.file.exists() or told(site, "sqlite_master") == 0


# A damaged file


def damage(file: Path, *pages: int) -> None:
    with file.open("r+b") as opened:
        for page in pages:
            opened.seek(4096 * page)
            opened.write(b"\xa5" * 4096)


@pytest.mark.fault("F89")
@pytest.mark.parametrize("page", [0, 3, 20])
@pytest_twisted.ensureDeferred
async def test_a_damaged_file_is_refused_at_once_and_left_alone(site: Site, page: int) -> None:
    await filled(SQLite(str(site.file), reactor))
    damage(site.file, page)
    before, began = site.file.read_bytes(), time.monotonic()
    with pytest.raises(StoreUnusable, match=r"damaged \(.*run easycall db rebuild, which keeps it"):
        await SQLite(str(site.file), reactor).open()
    assert time.monotonic() - began < 1.0
    assert site.file.read_bytes() == before
    site.run("check", says="", status=1)


@pytest.mark.fault("F89")
@pytest.mark.seconds(120)
@pytest_twisted.ensureDeferred
async def test_a_damaged_file_is_rebuilt_of_what_can_be_read_and_of_the_journals_files(site: Site) -> None:
    await filled(SQLite(str(site.file), reactor))
    whole, pages = site.file.read_bytes(), site.file.stat().st_size // 4096
    waits_in_files(site)
    for page in range(1, pages):
        for path in site.folder.glob("easycall.db*"):
            path.unlink()
        site.file.write_bytes(whole)
        damage(site.file, page)
        said = site.run("rebuild", says="rebuilt").output
        assert (site.folder / "easycall.db.damaged").read_bytes() != whole
        site.run("check", says=f"version {HEAD}")
        assert told(site) == len(STORY), "from the journal's files"
        assert told(site, "contacts") in (1, 2), "and the record that can be made of them"
        rows = told(site, "do_not_call")
        assert rows == len(NUMBERS) or "lost: do_not_call" in said
        assert rows >= len(NUMBERS) - 120 or "everything behind row 0 " in said, said
        assert told(site, "callbacks") == len(CALLBACKS) or "lost: callbacks" in said
        database = SQLite(str(site.file), reactor)
        await database.open()
        await database.close()


@pytest.mark.fault("F89")
def test_a_number_that_was_on_the_do_not_call_list_is_on_it_again(site: Site) -> None:
    migrations.upgrade_sqlite(str(site.file))
    damage(site.file, *range(5))
    on = [NumberListed(at=float(seq), number=f"+4930{seq}", reason="asked us", by="crm") for seq in range(3)]
    waits_in_files(site, 1, [*on, NumberUnlisted(at=9.0, number="+49301", by="crm")])
    site.run("rebuild", says="2 numbers are on the do-not-call list again")
    with closing(sqlite3.connect(site.file)) as connection:
        kept = connection.execute("SELECT * FROM do_not_call ORDER BY number").fetchall()
    assert kept == [("+49300", "asked us", 0.0, "crm"), ("+49302", "asked us", 2.0, "crm")]


@pytest.mark.fault("F89")
def test_a_file_that_is_no_database_any_more_is_rebuilt_of_the_journals_files_alone(site: Site) -> None:
    migrations.upgrade_sqlite(str(site.file))
    damage(site.file, *range(5))
    waits_in_files(site)
    output = site.run("rebuild", says="rebuilt, with losses").output
    assert "lost: do_not_call: everything" in output
    assert CARRIED in output
    assert (told(site), told(site, "contacts")) == (len(STORY), 1)
