"""What a user installs: a wheel built from a source distribution built from this tree, tried where no checkout is near."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from attrs import frozen

HERE = Path(__file__).parent.parent
BUILD = "from setuptools import build_meta; print(build_meta.build_sdist('out'))"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


def run(*words: str | Path, cwd: Path, status: int = 0, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run a command that knows nothing of this checkout."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | changes
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=cwd, env=environment, check=False)
    assert ran.returncode == status, f"{words}:\n{ran.stdout}\n{ran.stderr}"
    return ran


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git has, or would have after ``git add``."""
    copy = tmp_path_factory.mktemp("tree")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=HERE).stdout
    for name in filter(None, listed.split("\0")):
        if (HERE / name).exists():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(HERE / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def sdist(tree: Path) -> Path:
    """The source distribution."""
    name = run(sys.executable, "-c", BUILD, cwd=tree).stdout.split()[-1]
    return tree / "out" / name


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the source distribution: what that lacks, the wheel lacks."""
    folder = tmp_path_factory.mktemp("wheel")
    run(*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", sdist, cwd=folder)
    [built] = folder.glob("*.whl")
    return built


@frozen
class Installed:
    """A virtual environment with our wheel in it."""

    folder: Path
    """Somewhere else, to run from."""
    python: Path

    @property
    def packages(self) -> Path:
        return Path(sysconfig.get_path("purelib", "venv", {"base": str(self.python.parent.parent)}))

    def twistd(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        code = "from twisted.scripts.twistd import run; run()"
        return run(self.python, "-c", code, *words, cwd=self.folder, status=status)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel, alone in an environment.

    What it needs comes from the environment of the tests, by a line in a ``.pth`` file.  Python does not read the ``.pth``
    files that lie *there*, so an editable installation of this checkout stays out of sight.
    """
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    ours = Installed(folder, folder / "venv/bin/python")
    run(*PIP, "--python", ours.python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    (ours.packages / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    found = run(ours.python, "-c", "import sys; print(*sys.path, sep='\\n')", cwd=folder).stdout.splitlines()
    assert str(HERE) not in found
    return ours


# What is in them


def files(tree: Path, *folders: str) -> set[str]:
    """The files of some folders of the tree."""
    return {str(path.relative_to(tree)) for folder in folders for path in (tree / folder).rglob("*") if path.is_file()}


def test_the_wheel_holds_the_package_the_plugin_and_etc_and_nothing_else(tree: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as opened:
        held = {name for name in opened.namelist() if ".dist-info/" not in name}
    package = {name for name in files(tree, "easycall", "twisted") if not name.endswith(".pyc")}
    assert held == package | {f"easycall/{name}" for name in files(tree, "etc")}
    for name in (
        "twisted/plugins/easycall_plugin.py",
        "easycall/etc/easycall.toml",
        "easycall/etc/easycall.service",
        "easycall/etc/asterisk/extensions.conf",
        "easycall/etc/flows/welcome.yaml",
        "easycall/lab/templates/a/pjsip.conf",
        "easycall/store/migrations/versions/r0001_contacts.py",
        "easycall/py.typed",
    ):
        assert name in held


def test_the_source_distribution_holds_what_building_needs(tree: Path, sdist: Path) -> None:
    with tarfile.open(sdist) as opened:
        held = {name.partition("/")[2] for name in opened.getnames()}
    needed = files(tree, "easycall", "twisted", "etc") | {"setup.py", "pyproject.toml", "README.rst", "LICENSE"}
    assert held >= needed


# What it says of itself


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as opened:
        [name] = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(opened.read(name).decode())


def normal(name: str) -> str:
    """A distribution's name in its one normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def needed(metadata: Message) -> dict[str, str]:
    """Distribution -> the versions wanted."""
    found = {}
    for line in metadata.get_all("Requires-Dist", []):
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?(.*)", line)
        assert match
        found[normal(match[1])] = match[2]
    return found


def test_metadata(metadata: Message, wheel: Path) -> None:
    assert metadata["Name"] == "easycall"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License"] == "MIT" or metadata["License-Expression"] == "MIT"
    assert metadata.get_payload().strip(), "the long description"
    with zipfile.ZipFile(wheel) as opened:
        [name] = [name for name in opened.namelist() if name.endswith("/entry_points.txt")]
        assert opened.read(name).decode().split("\n\n") == [
            "[console_scripts]\neasycall = easycall.cli.main:cli",
            "[easycall.strategies]\nhttps = easycall.acd.decision_service:DecisionService\n",
        ]
        assert any(name.endswith("LICENSE") for name in opened.namelist())


def imported() -> set[str]:
    """The top-level modules our code imports, without Python's own and ours."""
    found: set[str] = set()
    for path in [*(HERE / "easycall").rglob("*.py"), *(HERE / "twisted").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    return found - sys.stdlib_module_names - {"easycall"}


def providers() -> dict[str, set[str]]:
    """Module we import -> the distributions that provide it."""
    provided = packages_distributions()
    return {module: {normal(name) for name in provided[module]} - {"easycall"} for module in imported()}


def test_every_package_we_import_is_named_with_its_range(metadata: Message) -> None:
    wanted = needed(metadata)
    assert {module: by for module, by in providers().items() if not by & wanted.keys()} == {}
    assert [name for name, versions in wanted.items() if not versions.startswith(">=")] == []


def test_no_package_is_named_that_we_do_not_import(metadata: Message) -> None:
    assert needed(metadata).keys() - {"tzdata"} <= set().union(*providers().values())


# What it does


def test_twisted_finds_the_plugin_where_it_was_installed(installed: Installed) -> None:
    listed = run(installed.python, "-m", "twisted", "--help", cwd=installed.folder).stdout
    assert re.search(r"^ +easycall +A contact centre on top of Asterisk\.$", listed, re.MULTILINE)
    code = "import easycall, twisted.plugins.easycall_plugin as plugin; print(easycall.__file__, plugin.__file__)"
    places = run(installed.python, "-c", code, cwd=installed.folder).stdout.split()
    assert places == [
        f"{installed.packages}/easycall/__init__.py",
        f"{installed.packages}/twisted/plugins/easycall_plugin.py",
    ]


def test_the_command_is_there(installed: Installed) -> None:
    command = installed.python.with_name("easycall")
    about: dict[str, str] = {}
    exec((HERE / "easycall/__init__.py").read_text(), about)  # noqa: S102 - our own file
    assert about["__version__"] in run(command, "--version", cwd=installed.folder).stdout
    assert "Commands:" in run(command, "lab", "--help", cwd=installed.folder).stdout


def test_the_lab_finds_what_is_shipped(installed: Installed) -> None:
    code = "from easycall.lab.layout import shipped; print(shipped())"
    assert run(installed.python, "-c", code, cwd=installed.folder).stdout.strip() == f"{installed.packages}/easycall/etc"


def test_the_shipped_configuration_lacks_nothing_but_its_secret(installed: Installed) -> None:
    file = installed.packages / "easycall/etc/easycall.toml"
    told = installed.twistd("easycall", "--check", str(file), status=1)
    [line] = told.stderr.splitlines()
    assert line.startswith(f"{file}:")
    assert line.endswith(f"asterisk.main.secret_file: {file.parent}/ami.secret cannot be read: No such file or directory")
    secret = file.with_name("ami.secret")
    secret.touch(mode=0o600)
    secret.write_text("a long random word\n")
    assert installed.twistd("easycall", "--check", str(file)).stdout == f"{file}: all right\n"


def test_a_database_is_made_with_what_was_installed(installed: Installed) -> None:
    """Alembic reads the migrations as files."""
    code = "from easycall.store.migrations import upgrade_sqlite; upgrade_sqlite('made.db')"
    run(installed.python, "-c", code, cwd=installed.folder)
    assert (installed.folder / "made.db").stat().st_size


# The unit


UNIT = HERE / "etc/easycall.service"
HARDENED = {
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "PrivateTmp=yes",
    "CapabilityBoundingSet=",
    "SystemCallFilter=@system-service",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
    "UMask=0027",
}


def test_the_unit_is_hardened() -> None:
    assert set(UNIT.read_text().splitlines()) >= HARDENED


def test_systemd_finds_the_unit_right_and_hardly_exposed(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/easycall/bin/twistd", shutil.which("true") or ""))
    assert run("systemd-analyze", "verify", unit, cwd=tmp_path).stderr == ""
    run("systemd-analyze", "security", "--offline=yes", "--threshold=25", unit, cwd=tmp_path)
