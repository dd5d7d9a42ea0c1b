"""The folder of flow files: every ``*.yaml`` in it is a flow of that name."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from easycall.acd.expectation import BEYOND, RANGES
from easycall.config import Config
from easycall.ivr.announcement import LANGUAGES, Announcements
from easycall.ivr.lint import lint
from easycall.ivr.nodes import Fault, Flow, FlowError
from easycall.ivr.prompt import Prompt, parse_prompt
from easycall.ivr.source import FILE_LIMIT, parse
from easycall.model import Queue

__all__ = ["every_prompt", "flows_of", "load"]

SUFFIX = ".yaml"


def load(
    directory: Path,
    queues: Mapping[str, Queue],
    languages: Iterable[str],
    services: Collection[str] = (),
    keys: Collection[str] = (),
    entered: Mapping[str, str] | None = None,
    boxes: Mapping[str, str] | None = None,
    hours: Collection[str] = (),
) -> dict[str, Flow]:
    """Every flow in ``directory``, by name.  ``languages`` are those that have a voice.

    ``services`` and ``keys`` are the names flows may use; ``entered``: option of the configuration -> flow that callers
    begin with; ``boxes``: of voice mail, with their greetings; ``hours``: the names of opening hours.  Raises FlowError
    with every fault of every file, and of the prompts of the queues and boxes.
    """
    flows: dict[str, Flow] = {}
    spoken = frozenset(languages)
    faults = [*_queue_faults(queues, spoken), *_box_faults(boxes or {})]
    try:
        files = sorted(path for path in directory.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise FlowError([Fault(str(directory), 0, "", f"cannot be read: {error.strerror}")]) from error
    for path in files:
        try:
            flow = flows[path.stem] = _read(path)
            faults += lint(flow, queues, spoken, services, keys, boxes or {}, hours)
        except FlowError as error:
            faults += error.faults
    for option, name in (entered or {}).items():
        if name in flows and flows[name].function is not None:
            faults.append(Fault(option, 0, "", f"the flow {name!r} is a function: agents lend customers to it"))
    if not files:
        faults.append(Fault(str(directory), 0, "", f"there is no flow: no file *{SUFFIX}"))
    if faults:
        raise FlowError(faults)
    return flows


def flows_of(config: Config) -> dict[str, Flow]:
    """Every flow of a configuration.  Raises FlowError."""
    names = config.services, config.keys, config.entered
    return load(config.flows_directory, config.queues, config.prompts.voices, *names, config.voicemail.boxes, config.hours)


def every_prompt(
    flows: Mapping[str, Flow],
    queues: Mapping[str, Queue],
    boxes: Mapping[str, str] | None = None,
    announcements: Announcements | None = None,
) -> Iterator[Prompt]:
    """Everything callers may hear, for rendering it before they call; ``announcements``: needed for queues that have any."""
    if announcements is not None and any(queue.announces for queue in queues.values()):
        yield from announcements.every([*RANGES, BEYOND])
    for flow in flows.values():
        yield from flow.prompts()
    for queue in queues.values():
        for _, text in _texts(queue):
            yield parse_prompt(text)
    for greeting in filter(None, (boxes or {}).values()):
        yield parse_prompt(greeting)


def _read(path: Path) -> Flow:
    try:
        if path.suffix != SUFFIX or not path.is_file():
            raise ValueError(f"is no flow: flows are files *{SUFFIX}")
        with path.open("rb") as file:
            text = file.read(FILE_LIMIT + 1)
        if len(text) > FILE_LIMIT:
            raise ValueError(f"is too large: {FILE_LIMIT // 1024} KiB at most")
        return parse(text.decode(), path.stem)
    except OSError as error:
        raise FlowError([Fault(path.name, 0, "", f"cannot be read: {error.strerror}")]) from error
    except ValueError as error:  # among them a text that is not UTF-8
        raise FlowError([Fault(path.name, 0, "", str(error))]) from error


def _box_faults(boxes: Mapping[str, str]) -> Iterator[Fault]:
    for box, greeting in boxes.items():
        try:
            if greeting:
                parse_prompt(greeting)
        except ValueError as error:
            yield Fault("voicemail.boxes", 0, box, str(error))


def _queue_faults(queues: Mapping[str, Queue], languages: Collection[str]) -> Iterator[Fault]:
    for queue in queues.values():
        if queue.announces and not LANGUAGES & set(languages):
            known = ", ".join(sorted(languages))
            wanted = " or ".join(sorted(LANGUAGES))
            yield Fault(f"queues.{queue.id}", 0, "announce", f"needs a voice for {wanted}; those with a voice: {known}")
        for option, text in _texts(queue):
            try:
                parse_prompt(text)
            except ValueError as error:
                yield Fault(f"queues.{queue.id}", 0, option, str(error))


def _texts(queue: Queue) -> Iterator[tuple[str, str]]:
    """What callers of a queue, and those who are called back for it, may hear: option, and what stands there."""
    says = ((f"overflow[{number}].say", rule.say) for number, rule in enumerate(queue.overflow, 1))
    own = (("busy_prompt", queue.busy_prompt), ("max_wait_prompt", queue.max_wait_prompt))
    callback = (("callback.greeting", queue.callback.greeting), ("callback.accept", queue.callback.accept))
    for option, text in (*own, *callback, *says):
        if text:
            yield option, text
