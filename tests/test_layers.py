"""Imports point one way (docs/architecture.rst): nouns <- decisions <- conduct and edges <- api <- tap."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "easycall"

NOUNS = {"model", "hours", "policy", "skills", "events", "verbs", "config", "ports", "secure.secret"}
DECISIONS = {
    "acd.agent",
    "acd.agent_order",
    "acd.asking",
    "acd.attendance",
    "acd.classes",
    "acd.courses",
    "acd.decisions",
    "acd.expectation",
    "acd.item",
    "acd.matching",
    "acd.numbers",
    "acd.ordered",
    "acd.overflow",
    "acd.presence",
    "acd.ranking",
    "acd.redials",
    "acd.replay.comparison",
    "acd.replay.day",
    "acd.replay.desk",
    "acd.replay.figures",
    "acd.replay.patience",
    "acd.replay.recount",
    "acd.replay.rerun",
    "acd.replay.rota",
    "acd.routing",
    "acd.seating",
    "acd.waiting",
    "acd.waiting_room",
    "acd.why",
    "acd.wrapup",
    "asterisk.agi",
    "asterisk.ami",
    "asterisk.causes",
    "asterisk.devices",
    "doctor.answers",
    "doctor.findings",
    "doctor.judgement",
    "doctor.logging",
    "doctor.phones",
    "fax.tiff",
    "ivr.capture",
    "ivr.flow",
    "ivr.function",
    "ivr.lint",
    "ivr.lint_values",
    "ivr.prompt",
    "ivr.reader",
    "ivr.source",
    "ivr.source_values",
    "ivr.values",
    "lab.day.figures",
    "lab.day.plan",
    "lab.day.result",
    "lab.evidence",
    "lab.fairness",
    "lab.invariants",
    "outbound.caps",
    "outbound.lines",
    "outbound.outcome",
    "outbound.rules",
    "stats.codec",
    "stats.framing",
    "stats.journey",
    "stats.metrics",
    "stats.record",
    "stats.recordings",
    "supervision.scene",
}
EDGES = ("asterisk", "store", "simulator")
CONDUCT = {
    "acd.decision_service",
    "acd.desk_work",
    "acd.desktops",
    "acd.distributor",
    "acd.offers",
    "acd.last_agents",
    "acd.profiles",
    "acd.queue_edits",
    "acd.staff",
    "acd.strategies",
    "acd.waits",
    "acd.wrapping_up",
    "audience",
    "company",
    "contacts",
    "fax.callers",
    "fax.desk",
    "health.figures",
    "health.pulse",
    "health.vitals",
    "ivr.runner",
    "joining",
    "offering",
    "outbound.call",
    "outbound.dialling",
    "outbound.donotcall",
    "outbound.outsider",
    "outbound.transfer",
    "overflow",
    "recording",
    "stats.archive",
    "stats.journal",
    "stats.log_file",
    "stats.projection",
    "supervision.supervisions",
    "supervision.watch",
    "visit",
    "work.call_me",
    "work.errand",
    "work.line",
    "work.requests",
}
REACTOR = {"tap", "starpy.running"}
ONLY_IN = {"klein": "api", "prometheus_client": "health", "txpostgres": "store.postgres", "alembic": "store"}


def modules() -> dict[str, Path]:
    """Every module of ours: dotted name below easycall -> file."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__"): path
        for path in PACKAGE.rglob("*.py")
    }


def imports(path: Path) -> set[str]:
    """Every module a file imports at run time, dotted and absolute."""
    names: set[str] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    guarded = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in guarded:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def ours(path: Path) -> set[str]:
    """Our modules among a file's imports, without the leading ``easycall.``."""
    known = modules()
    return {name.removeprefix("easycall.") for name in imports(path) if name.startswith("easycall.")} & set(known)


def below(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


ALL = modules()


def test_the_lists_name_modules_that_exist() -> None:
    assert set(ALL) >= NOUNS | DECISIONS | CONDUCT


@pytest.mark.parametrize("name", sorted(NOUNS))
def test_nouns_import_nothing_of_ours_but_nouns(name: str) -> None:
    assert not {other for other in ours(ALL[name]) if not below(other, *NOUNS)}


@pytest.mark.parametrize("name", sorted(DECISIONS))
def test_decisions_are_pure(name: str) -> None:
    package = name.rpartition(".")[0]
    strangers = {other for other in ours(ALL[name]) - DECISIONS if not below(other, package, *NOUNS)}
    assert not strangers
    impure = {lib for lib in imports(ALL[name]) if below(lib, "twisted", "time", "random", "klein")}
    assert not impure


@pytest.mark.parametrize("name", sorted(name for name in ALL if below(name, *EDGES)))
def test_edges_know_no_conduct_and_not_each_other(name: str) -> None:
    edge = name.split(".")[0]
    others = [other for other in EDGES if other != edge]
    assert not {other for other in ours(ALL[name]) if below(other, "acd", "ivr", "api", "contacts", "visit", *others)}


@pytest.mark.parametrize("name", sorted(name for name in ALL if below(name, "simulator")))
def test_the_simulator_knows_nothing_of_the_daemon(name: str) -> None:
    """It is held against a real Asterisk, not against our idea of one."""
    assert not {other for other in ours(ALL[name]) if not below(other, "simulator", *NOUNS)}


@pytest.mark.parametrize("name", sorted(name for name in ALL if not below(name, "simulator", "lab", "cli")))
def test_only_the_lab_joins_simulator_and_daemon(name: str) -> None:
    assert not {other for other in ours(ALL[name]) if below(other, "simulator", "lab")}


@pytest.mark.parametrize("name", sorted(CONDUCT))
def test_conduct_speaks_to_ports(name: str) -> None:
    assert not {other for other in ours(ALL[name]) if below(other, "api", *(edge for edge in EDGES if edge != "store"))}


@pytest.mark.parametrize("name", sorted(name for name in ALL if below(name, "api")))
def test_the_api_asks_conduct_and_never_carries(name: str) -> None:
    assert not {other for other in ours(ALL[name]) if below(other, *EDGES, "tap")}


@pytest.mark.parametrize("name", sorted(ALL))
def test_libraries_stay_in_their_room(name: str) -> None:
    for library, room in ONLY_IN.items():
        if not below(name, room):
            assert not {lib for lib in imports(ALL[name]) if below(lib, library)}, f"{library} belongs in easycall.{room}"


@pytest.mark.parametrize("name", sorted(set(ALL) - REACTOR))
def test_only_tap_sees_the_global_reactor(name: str) -> None:
    assert "twisted.internet.reactor" not in imports(ALL[name])
