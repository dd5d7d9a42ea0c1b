"""Imports point one way (docs/architecture.rst): nouns <- decisions <- conduct and edges <- api <- tap."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from functools import cache
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
    "acd.lessons",
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
    "callback.around",
    "callback.broken_off",
    "callback.calling_hours",
    "callback.lifecycle",
    "callback.pacing",
    "callback.past",
    "callback.shelf",
    "callback.sources",
    "callback.wish",
    "asterisk.agi",
    "asterisk.ami",
    "asterisk.causes",
    "asterisk.devices",
    "asterisk.dialplan",
    "doctor.answers",
    "doctor.findings",
    "doctor.judgement",
    "doctor.logging",
    "doctor.phones",
    "fax.tiff",
    "ivr.capture",
    "ivr.flow",
    "ivr.function",
    "ivr.instructions",
    "ivr.lint",
    "ivr.lint_values",
    "ivr.nodes",
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
    "privacy.anonymous",
    "privacy.rules",
    "recovery.left_off",
    "recovery.left_off.kept",
    "recovery.left_off.line",
    "recovery.left_off.outside",
    "recovery.left_off.state",
    "recovery.left_off.talk",
    "stats.attempts",
    "stats.carrying",
    "stats.codec",
    "stats.days",
    "stats.framing",
    "stats.journey",
    "stats.losses",
    "stats.lost_contacts",
    "stats.metrics",
    "stats.particulars",
    "stats.record",
    "stats.recordings",
    "stats.recovery",
    "stats.service_level",
    "stats.standing",
    "stats.time_line",
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
    "callback.asking",
    "callback.book",
    "callback.call_back",
    "callback.callbacks",
    "callback.circumstances",
    "callback.desk",
    "callback.dial_ahead",
    "callback.progress",
    "callback.promises",
    "callback.resuming",
    "callback.telling",
    "callback.timetable",
    "company",
    "contacts",
    "fax.callers",
    "fax.desk",
    "health.figures",
    "health.pulse",
    "health.vitals",
    "in_line",
    "ivr.runner",
    "joining",
    "offering",
    "outbound.call",
    "outbound.dialling",
    "outbound.donotcall",
    "outbound.outsider",
    "outbound.transfer",
    "overflow",
    "privacy.customers",
    "privacy.retention",
    "recording",
    "recovery.agents",
    "recovery.entry",
    "recovery.restart",
    "stats.archive",
    "stats.history",
    "stats.journal",
    "stats.left",
    "stats.crash_point",
    "stats.kept_segments",
    "stats.log_file",
    "stats.log_reader",
    "stats.projection",
    "stats.segments",
    "supervision.supervisions",
    "supervision.watch",
    "transactions",
    "visit",
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


@cache
def imports(path: Path) -> frozenset[str]:
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
    return frozenset(names)


def ours(path: Path) -> set[str]:
    """Our modules among a file's imports, without the leading ``easycall.``."""
    return {name.removeprefix("easycall.") for name in imports(path) if name.startswith("easycall.")} & set(ALL)


def below(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


ALL = modules()


def test_the_lists_name_modules_that_exist() -> None:
    assert set(ALL) >= NOUNS | DECISIONS | CONDUCT


Strangers = dict[str, set[str]]
"""Module -> what it imports and must not."""


def among(names: Iterable[str], strange: Callable[[str], Iterable[str]]) -> Strangers:
    """Those of the modules that import something strange."""
    found = {name: set(strange(name)) for name in names}
    return {name: strangers for name, strangers in found.items() if strangers}


def test_nouns_import_nothing_of_ours_but_nouns() -> None:
    nouns = [name for name in ALL if below(name, *NOUNS)]
    assert among(nouns, lambda name: {other for other in ours(ALL[name]) if not below(other, *NOUNS)}) == {}


def test_decisions_are_pure() -> None:
    def strangers(name: str) -> set[str]:
        package = name.rpartition(".")[0]
        return {other for other in ours(ALL[name]) - DECISIONS if not below(other, package, *NOUNS)}

    assert among(DECISIONS, strangers) == {}
    impure = "twisted", "time", "random", "klein"
    assert among(DECISIONS, lambda name: {lib for lib in imports(ALL[name]) if below(lib, *impure)}) == {}


@pytest.mark.parametrize("edge", EDGES)
def test_edges_know_no_conduct_and_not_each_other(edge: str) -> None:
    strange = "acd", "ivr", "api", "contacts", "visit", *(other for other in EDGES if other != edge)
    of_edge = [name for name in ALL if below(name, edge)]
    assert among(of_edge, lambda name: {other for other in ours(ALL[name]) if below(other, *strange)}) == {}


def test_the_simulator_knows_nothing_of_the_daemon() -> None:
    """It is held against a real Asterisk, not against our idea of one."""
    simulator = [name for name in ALL if below(name, "simulator")]
    assert among(simulator, lambda name: {other for other in ours(ALL[name]) if not below(other, "simulator", *NOUNS)}) == {}


def test_only_the_lab_joins_simulator_and_daemon() -> None:
    others = [name for name in ALL if not below(name, "simulator", "lab", "cli")]
    assert among(others, lambda name: {other for other in ours(ALL[name]) if below(other, "simulator", "lab")}) == {}


def test_conduct_speaks_to_ports() -> None:
    strange = "api", *(edge for edge in EDGES if edge != "store")
    assert among(CONDUCT, lambda name: {other for other in ours(ALL[name]) if below(other, *strange)}) == {}


def test_the_api_asks_conduct_and_never_carries() -> None:
    api = [name for name in ALL if below(name, "api")]
    assert among(api, lambda name: {other for other in ours(ALL[name]) if below(other, *EDGES, "tap")}) == {}


@pytest.mark.parametrize(("library", "room"), ONLY_IN.items())
def test_libraries_stay_in_their_room(library: str, room: str) -> None:
    others = [name for name in ALL if not below(name, room)]
    assert among(others, lambda name: {lib for lib in imports(ALL[name]) if below(lib, library)}) == {}


def test_only_tap_sees_the_global_reactor() -> None:
    others = set(ALL) - REACTOR
    assert among(others, lambda name: imports(ALL[name]) & {"twisted.internet.reactor"}) == {}
