"""``easycall.toml`` and ``conf.d/*.toml`` beside it -> a :class:`~easycall.config.settings.Config`.

A secret stands in the file, in a file of its own (``secret_file``), or in the environment: ``EASYCALL_`` and the dotted key
in capitals, dots and dashes as underscores (``asterisk.main.secret`` is ``EASYCALL_ASTERISK_MAIN_SECRET``).  The environment
comes first.  A file with a secret in it that others may read is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from itertools import combinations
from pathlib import Path
from shutil import which
from typing import Any

from attrs import evolve

from easycall.config.callback import callback_contradictions, read_callback
from easycall.config.kinds import client_host, server_port, there_are, tls_files
from easycall.config.outside import read_key, read_service
from easycall.config.queues import queue_contradictions, read_hours, read_queue, strategy_contradictions
from easycall.config.schema import ASTERISK_DIRECTORY, BOX, ID, SCHEMA, SECRET
from easycall.config.settings import (
    AgentSettings,
    AsteriskBox,
    Config,
    DialingSettings,
    FaxSettings,
    PromptSettings,
    RecordingSettings,
    RetentionSettings,
    Right,
    StaffSettings,
    Token,
    VoicemailSettings,
)
from easycall.config.strategies import read_strategy
from easycall.config.toml import Document, read_secret
from easycall.hours import Hours
from easycall.model import OWN_REASONS, CallbackRules, DispositionRule, Lifetime, Trunk

__all__ = ["load"]


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """The configuration in ``path``.  Raises ConfigError with every fault, and with the Config as far as it is right.

    Paths in it are relative to the folder of the file, the database's to ``node.data``.
    """
    document = Document.read(path, SCHEMA)
    node, flows = document.section("node"), document.section("flows")
    base = path.parent.absolute()
    data = base / node.get("data", "/var/lib/easycall")
    prompts = _prompts(document, base, data)
    hours = {name: read_hours(document, name) for name in document.names("hours", ID)}
    callback = read_callback(document, "callback", hours, CallbackRules())
    config = Config(
        node=node.get("name", "main"),
        watchdog_seconds=node.get("watchdog_seconds", 10.0),
        data=data,
        api_listen=document.section("api").get("listen", "tcp:8800:interface=127.0.0.1"),
        tokens=tuple(_token(token) for token in document.rows("api.tokens")),
        store_url=_store_url(document, data),
        store_password=_store_password(document, base, environ),
        asterisks=tuple(_asterisk(document, name, base, environ) for name in document.names("asterisk", BOX)),
        prompts=prompts,
        fax=_fax(document, base, data, prompts.voices),
        recordings=_recordings(document, base, data),
        flows_directory=base / flows.get("directory", "flows"),
        default_flow=flows.get("default", "welcome"),
        numbers=document.entries("numbers"),
        hours=hours,
        queues={name: read_queue(document, name, hours, callback) for name in document.names("queues", ID)},
        agents={name: AgentSettings(name, **document.section(f"agents.{name}")) for name in document.names("agents", ID)},
        staff=StaffSettings(**document.section("staff")),
        dialing=DialingSettings(**document.section("dialing")),
        trunks=_trunks(document),
        tell_agents=document.section("supervision").get("tell_agents", True),
        voicemail=_voicemail(document, base, data),
        lifetime=Lifetime(**document.section("calls")),
        park_seconds=document.section("parking").get("seconds", 90.0),
        journal_bytes=document.section("journal").get("max_bytes", 1 << 30),
        retention=_retention(document),
        transaction_hours=document.section("transactions").get("late_hours", 24.0),
        services={name: read_service(document, name, base) for name in document.names("services", ID)},
        strategies={
            name: strategy
            for name in document.names("strategies", ID)
            if (strategy := read_strategy(document, name, base)) is not None
        },
        keys={name: read_key(document, name, base / file) for name, file in document.entries("keys").items()},
    )
    known = document.names("strategies", ID)  # those that are wrong by themselves among them
    for key, allowed in (
        *_contradictions(config),
        *strategy_contradictions(config, known),
        *callback_contradictions(config, document.given),
        *_open_secrets(document),
    ):
        document.fault(key, allowed)
    document.check(config)
    return config


def _trunks(document: Document) -> tuple[Trunk, ...]:
    """The trunks; one that names no Asterisk is of the only one there is."""
    boxes = document.names("asterisk", BOX)
    usual = {"asterisk": boxes[0] if len(boxes) == 1 else ""}
    return tuple(Trunk(name, **{**usual, **document.section(f"trunks.{name}")}) for name in document.names("trunks", ID))


def _retention(document: Document) -> RetentionSettings:
    section = document.section("retention")
    usual = RetentionSettings().night
    night, zone = section.pop("night", usual.week[0]), section.pop("zone", usual.zone)
    return RetentionSettings(night=Hours("night", zone, dict.fromkeys(range(7), night)), **section)


def _token(row: Mapping[str, Any]) -> Token:
    rights = {"rights": frozenset(map(Right, row["rights"]))} if "rights" in row else {}
    return Token(**{**row, **rights})


def _store_url(document: Document, data: Path) -> str:
    url = str(document.section("store").get("url", "sqlite:///easycall.db"))
    file = url.removeprefix("sqlite:///")
    return url if file == url else f"sqlite:///{data / file}"


def _store_password(document: Document, base: Path, environ: Mapping[str, str]) -> str:
    """PostgreSQL's password; none is needed where the server knows its user otherwise."""
    file = document.section("store").get("password_file")
    given = environ.get("EASYCALL_STORE_PASSWORD")
    return _secret(document, "store.password", "", base / file if file else None, environ) if given or file else ""


def _asterisk(document: Document, name: str, base: Path, environ: Mapping[str, str]) -> AsteriskBox:
    section = document.section(f"asterisk.{name}")
    inline, file = section.pop("secret", ""), section.pop("secret_file", "")
    return AsteriskBox(
        name, _secret(document, f"asterisk.{name}.secret", inline, base / file if file else None, environ), **section
    )


def _secret(document: Document, key: str, inline: str, file: Path | None, environ: Mapping[str, str]) -> str:
    variable = "EASYCALL_" + key.upper().replace(".", "_").replace("-", "_")
    if inline and file:
        document.fault(key, f"stands beside {key}_file: give one of them")
    try:
        secret = environ.get(variable) or inline or (read_secret(file) if file else "")
        if not secret:
            document.fault(key, f"is missing: give it, or {key}_file, or the environment variable {variable}")
        elif not SECRET.fits(secret):
            document.fault(key, f"must be {SECRET.allowed}; {variable} is not")
        return secret
    except ValueError as error:
        document.fault(f"{key}_file", str(error))
        return ""


def _open_secrets(document: Document) -> Iterator[tuple[str, str]]:
    """Secrets in files that others than owner and group may read."""
    for file in document.files:
        boxes = file.values.get("asterisk")
        for name, box in boxes.items() if file.others and isinstance(boxes, dict) else ():
            if isinstance(box, dict) and "secret" in box:
                yield f"asterisk.{name}.secret", f"others may read or write {file.path}: chmod o-rw it"


def _prompts(document: Document, base: Path, data: Path) -> PromptSettings:
    section = document.section("prompts")
    directory = base / section.pop("directory") if "directory" in section else data / "prompts"
    seen = section.pop("asterisk_directory", str(directory))
    if voices := document.entries("prompts.voices"):
        section["voices"] = voices
    return PromptSettings(directory, seen, **section)


def _fax(document: Document, base: Path, data: Path, voices: Mapping[str, str]) -> FaxSettings:
    section = document.section("fax")
    directory = base / section.pop("directory") if "directory" in section else data / "fax"
    seen = section.pop("asterisk_directory", str(directory))
    for name in ("start", "detect", "queues"):
        if entries := document.entries(f"fax.{name}"):
            section[name] = entries
    fax = FaxSettings(directory, seen, **section)
    if "start" in section:
        return fax
    return evolve(fax, start={language: text for language, text in fax.start.items() if language in voices} or fax.start)


def _voicemail(document: Document, base: Path, data: Path) -> VoicemailSettings:
    section = document.section("voicemail")
    directory = base / section.pop("directory") if "directory" in section else data / "voicemail"
    seen = section.pop("asterisk_directory", str(directory))
    boxes, queues = document.entries("voicemail.boxes"), document.entries("voicemail.queues")
    return VoicemailSettings(directory, seen, boxes=boxes, queues=queues, **section)


def _recordings(document: Document, base: Path, data: Path) -> RecordingSettings:
    section = document.section("recordings")
    directory = base / section["directory"] if "directory" in section else data / "recordings"
    return RecordingSettings(directory, section.get("asterisk_directory", str(directory)))


def _contradictions(config: Config) -> Iterator[tuple[str, str]]:
    """What is right by itself and wrong together: the key, and what is the matter."""
    if not config.asterisks:
        yield "asterisk", "there must be at least one, such as [asterisk.main]"
    for agent in config.agents.values():
        for queue in set(agent.queues) - config.queues.keys():
            yield f"agents.{agent.id}.queues", f"there is no queue {queue!r}; {there_are(config.queues)}"
        for queue in set(agent.supervises) - config.queues.keys() - {"*"}:
            yield f"agents.{agent.id}.supervises", f"there is no queue {queue!r}; {there_are(config.queues)}"
    yield from _staff_contradictions(config)
    names = [token.name for token in config.tokens]
    for index, name in enumerate(names, 1):
        if name in names[: index - 1]:
            yield f"api.tokens[{index}].name", f"{name!r} is the name of another token already"
    for index, token in enumerate(config.tokens, 1):
        if token.agent and token.agent not in config.agents:
            yield f"api.tokens[{index}].agent", f"there is no agent {token.agent!r}; {there_are(config.agents)}"
    for box in config.asterisks:
        yield from _ami_contradictions(box)
    yield from _dialing_contradictions(config)
    yield from _port_contradictions(config)
    yield from _speech_contradictions(config.prompts)
    yield from _fax_contradictions(config.fax, config.prompts)
    if config.voicemail.boxes and not ASTERISK_DIRECTORY.fits(config.voicemail.asterisk_directory):
        yield "voicemail.asterisk_directory", f"is missing: must be {ASTERISK_DIRECTORY.allowed}"
    yield from _work_contradictions(config)
    yield from _recording_contradictions(config)
    yield from _retention_contradictions(config)
    yield from queue_contradictions(config)
    yield from _flow_contradictions(config)


def _staff_contradictions(config: Config) -> Iterator[tuple[str, str]]:
    for reason in sorted(OWN_REASONS.intersection(config.staff.reasons)):
        yield "staff.reasons", f"{reason!r} is what the daemon itself says: leave it out"
    for queue in config.queues.values():
        if queue.dispositions and queue.disposition is DispositionRule.OFF:
            yield f"queues.{queue.id}.dispositions", 'are never asked for: set disposition to "optional" or "required"'
        elif not queue.dispositions and queue.disposition is not DispositionRule.OFF:
            yield f"queues.{queue.id}.disposition", "there are none: list them in dispositions"


def _work_contradictions(config: Config) -> Iterator[tuple[str, str]]:
    """Boxes whose messages and faxes become work of a queue."""
    for section, queues in (("voicemail", config.voicemail.queues), ("fax", config.fax.queues)):
        for box, queue in queues.items():
            if queue not in config.queues:
                yield f"{section}.queues.{box}", f"there is no queue {queue!r}; {there_are(config.queues)}"
    for box in config.voicemail.queues.keys() - config.voicemail.boxes.keys():
        yield f"voicemail.queues.{box}", f"there is no such box in [voicemail.boxes]; {there_are(config.voicemail.boxes)}"


def _retention_contradictions(config: Config) -> Iterator[tuple[str, str]]:
    days = config.retention.contact_days
    if config.retention.any and not config.retention.night.week[0]:
        yield "retention.night", "is empty: nothing would ever be removed"
    for queue in config.queues.values():
        if queue.last_agent_seconds and 0 < days < queue.last_agent_days:
            needed = f"{queue.last_agent_days:g} days, or lower queues.{queue.id}.last_agent_days"
            yield "retention.contact_days", f"queue {queue.id} looks for the last agent further back: at least {needed}"


def _dialing_contradictions(config: Config) -> Iterator[tuple[str, str]]:
    boxes = [box.name for box in config.asterisks]
    for trunk in config.trunks:
        if trunk.asterisk not in boxes:
            wrong = f"there is no Asterisk {trunk.asterisk!r}" if trunk.asterisk else "is missing"
            yield f"trunks.{trunk.name}.asterisk", f"{wrong}; {there_are(boxes)}"
    if config.dialing.allow and not config.trunks:
        yield "dialing.allow", "nothing can be dialled: there is no [trunks.NAME]"
    for prefix in set(config.dialing.allow) & set(config.dialing.deny):
        yield "dialing.deny", f"{prefix!r} stands in dialing.allow too"
    shown = {number for trunk in config.trunks for number in trunk.caller_ids}
    for queue in config.queues.values():
        if queue.caller_id and queue.caller_id not in shown:
            yield f"queues.{queue.id}.caller_id", f"{queue.caller_id} is in no caller_ids of a trunk; {there_are(shown)}"


def _ami_contradictions(box: AsteriskBox) -> Iterator[tuple[str, str]]:
    kind, host = client_host(box.ami)
    if box.login == "plain" and kind == "tcp" and not _is_loopback(host):
        yield (
            f"asterisk.{box.name}.login",
            f"'plain' would send the secret in clear to {host!r}: use 'md5', or tls in asterisk.{box.name}.ami",
        )
    for name, file in tls_files(box.ami).items():
        if trouble := _trouble(name, Path(file)):
            yield f"asterisk.{box.name}.ami", f"{name} = {file!r}: {trouble}"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _trouble(name: str, path: Path) -> str:
    """Why Twisted could not use what a TLS endpoint names; ``""`` when it can."""
    if not path.is_absolute():
        return "must be an absolute path"
    try:
        if name != "trustRoots":
            path.open("rb").close()
        elif not any(file.suffix.lower() == ".pem" for file in path.iterdir()):
            return "there is no CA certificate (*.pem) in that folder"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def _flow_contradictions(config: Config) -> Iterator[tuple[str, str]]:
    if not config.flows_directory.is_dir():
        yield "flows.directory", f"there is no folder {config.flows_directory}"
        return
    flows = [file.stem for file in config.flows_directory.glob("*.yaml")]
    for key, flow in config.entered.items():
        if flow not in flows:
            yield key, f"there is no flow {flow!r} in {config.flows_directory}; {there_are(flows)}"


def _port_contradictions(config: Config) -> Iterator[tuple[str, str]]:
    listening = {"api.listen": config.api_listen} | {f"asterisk.{box.name}.fastagi": box.fastagi for box in config.asterisks}
    for (first, one), (second, other) in combinations(listening.items(), 2):
        (port, interface), (other_port, other_interface) = server_port(one), server_port(other)
        if port and port == other_port and (interface == other_interface or not interface or not other_interface):
            yield second, f"{other!r} is in the way of {first} = {one!r}: give it a port of its own"


def _speech_contradictions(prompts: PromptSettings) -> Iterator[tuple[str, str]]:
    if prompts.language not in prompts.voices:
        yield "prompts.language", f"{prompts.language!r} has no voice; {there_are(prompts.voices)}"
    if not any("{voice}" in argument for argument in prompts.speak):
        yield "prompts.speak", "one of the arguments must hold {voice}"
    if not ASTERISK_DIRECTORY.fits(prompts.asterisk_directory):
        yield "prompts.asterisk_directory", f"is missing: must be {ASTERISK_DIRECTORY.allowed}"


def _fax_contradictions(fax: FaxSettings, prompts: PromptSettings) -> Iterator[tuple[str, str]]:
    if not fax.lines:
        return
    for command in fax.commands:
        if which(command) is None:
            yield "fax.lines", f"fax needs the command {command!r}: apt-get install ghostscript libtiff-tools"
    for name, words in (("render", fax.render), ("to_pdf", fax.to_pdf)):
        if not {"{input}", "{output}"} <= set(re.findall(r"\{\w+\}", " ".join(words))):
            yield f"fax.{name}", "the arguments must hold {input} and {output}"
    if not ASTERISK_DIRECTORY.fits(fax.asterisk_directory):
        yield "fax.asterisk_directory", f"is missing: must be {ASTERISK_DIRECTORY.allowed}"
    for language in sorted(fax.start.keys() - prompts.voices.keys()):
        wrong = f"no voice speaks {language!r}: give a text in another one"
        yield f"fax.start.{language}", f"{wrong}; {there_are(prompts.voices)}"


def _recording_contradictions(config: Config) -> Iterator[tuple[str, str]]:
    settings = config.recordings
    if not config.records:
        return
    if not ASTERISK_DIRECTORY.fits(settings.asterisk_directory):
        yield "recordings.asterisk_directory", f"is missing: must be {ASTERISK_DIRECTORY.allowed}"
    if settings.directory == config.prompts.directory:
        yield "recordings.directory", "is that of prompts, which everybody may read: give it a folder of its own"
    if settings.directory.exists() and not settings.directory.is_dir():
        yield "recordings.directory", f"{settings.directory} is no folder"
    elif settings.directory.is_dir() and not os.access(settings.directory, os.R_OK | os.X_OK):
        yield "recordings.directory", f"{settings.directory} cannot be read by this user; docs/recording.rst has the rights"
