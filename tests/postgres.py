"""A PostgreSQL server of the tests' own: a cluster in a folder, reached by a socket in it and by a port on loopback.

PostgreSQL does not run as root: tests that do start it as the user ``postgres``.  That it is missing is a failure.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import MappingProxyType

import psycopg2
from attrs import define, field

from easycall.store import migrations
from easycall.store.postgres.address import Address

PASSWORD = "of the tests: ü %@:/"
USER = "easycall"
SECONDS = 20.0
SETTINGS = {"fsync": "off", "synchronous_commit": "off", "shared_buffers": "16MB", "max_connections": "60"}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "shared_buffers": "128MB", "min_wal_size": "1GB"}
"""As a site has it: for who measures."""


@define
class Cluster:
    """One server, which a test may stop, kill, freeze and start again."""

    folder: Path
    binaries: Path
    user: str
    port: int
    settings: Mapping[str, str] = field(factory=dict)
    """Others than those of tests."""
    _names: Iterator[int] = field(factory=count)

    def address(self, name: str, *, tcp: bool = False) -> Address:
        """Of a database: by the socket, or by the port with a password."""
        if tcp:
            return Address(f"postgresql://{USER}@127.0.0.1:{self.port}/{name}", PASSWORD)
        return Address(f"postgresql://{USER}@/{name}?host={self.folder}&port={self.port}")

    def sql(self, statement: str, name: str = "postgres") -> list[tuple[object, ...]]:
        """Run a statement as the operator would."""
        connection = psycopg2.connect(self.address(name).url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def create(self, template: str = "migrated") -> str:
        """A new database, with our schema in it or, of ``template0``, with nothing."""
        name = f"t{next(self._names)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8'")
        return name

    def drop(self, name: str) -> None:
        self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    # What operators, and the world, do to it

    def start(self) -> None:
        subprocess.run([*self._as(), self.binaries / "pg_ctl", "-D", self._data, "-l", self.folder / "log", "-w", "start"],
                       check=True, stdout=subprocess.DEVNULL, cwd=self.folder)  # fmt: skip

    def stop(self, how: str = "immediate") -> None:
        subprocess.run([*self._as(), self.binaries / "pg_ctl", "-D", self._data, "-m", how, "-w", "stop"],
                       check=True, stdout=subprocess.DEVNULL, cwd=self.folder)  # fmt: skip

    def make(self) -> None:
        password = self.folder / "password"
        password.write_text(PASSWORD, encoding="utf-8")
        if self.user:
            shutil.chown(self.folder, self.user)
            shutil.chown(password, self.user)
        initdb = [self.binaries / "initdb", "-D", self._data, "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
                  "--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={password}"]  # fmt: skip
        subprocess.run([*self._as(), *initdb], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)
        settings = {**SETTINGS, **self.settings, "listen_addresses": "'127.0.0.1'", "port": str(self.port)}
        settings["unix_socket_directories"] = f"'{self.folder}'"
        with (self._data / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = {value}\n" for name, value in settings.items())

    @property
    def processes(self) -> list[int]:
        """The server and its children, it first."""
        first = int((self._data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
        return [first, *map(int, children)]

    def freeze(self) -> None:
        """Stop every process of it, as a machine that hangs does: the kernel still takes connections."""
        for process in self.processes:
            os.kill(process, signal.SIGSTOP)

    def thaw(self) -> None:
        for process in reversed(self.processes):
            os.kill(process, signal.SIGCONT)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _as(self) -> list[str]:
        return ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"] if self.user else []


@contextmanager
def running(settings: Mapping[str, str] = MappingProxyType({}), folder: Path | None = None) -> Iterator[Cluster]:
    """A cluster, with the database ``migrated`` in it; ``folder``: where, with a short path, as it holds a socket."""
    with tempfile.TemporaryDirectory(prefix="easycall-pg-", dir=folder) as name:
        cluster = Cluster(Path(name), _binaries(), "postgres" if os.getuid() == 0 else "", _free_port(), settings)
        if cluster.user:
            pwd.getpwnam(cluster.user)
        cluster.make()
        cluster.start()
        try:
            cluster.sql("CREATE DATABASE migrated TEMPLATE template0 ENCODING 'UTF8'")
            migrations.upgrade_postgresql(cluster.address("migrated").connect)
            yield cluster
        finally:
            cluster.stop()


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4].partition(".")[0]))
    elsewhere = shutil.which("initdb")
    assert found or elsewhere, "PostgreSQL is missing: .ci/setup installs it"
    return found[-1].parent if found else Path(str(elsewhere)).parent


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
