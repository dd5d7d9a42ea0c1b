"""Prompts: texts become sound files once, and a call never fails for the want of one."""

from __future__ import annotations

import os
import sys
import wave
from pathlib import Path

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, globalLogPublisher

from easycall.config import PromptSettings
from easycall.ivr.prompt import Prompt, parse_prompt
from easycall.ivr.prompts import BEEP, CommandFailed, PromptError, Prompts, pipe

HELLO = Prompt(texts=(("en", "Hello."), ("zh", "您好。")))
BYE = parse_prompt("Goodbye.")


def python(program: str) -> tuple[str, ...]:
    return (sys.executable, "-c", program)


SPEAK = """
import os, sys
text = sys.stdin.buffer.read()
voice, log, most = sys.argv[1:]
with open(log, "ab") as file:
    file.write(voice.encode() + b" " + text + b"\\n")
sys.stdout.buffer.write(text * 200)
"""


def small(folder: Path) -> PromptSettings:
    """Settings with a speaker of our own that is quick and keeps a list of what it spoke."""
    return PromptSettings(
        directory=folder / "prompts",
        asterisk_directory="/mnt/sounds/",
        speak=(*python(SPEAK), "{voice}", str(folder / "spoken"), "2"),
        convert=python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"),
    )


def spoken(folder: Path) -> list[str]:
    return sorted((folder / "spoken").read_text(encoding="utf-8").splitlines())


def the_file(folder: Path, sounds: list[str]) -> Path:
    """The file that Asterisk would play, seen from here."""
    assert len(sounds) == 1
    assert sounds[0].startswith("/mnt/sounds/ec-")
    return folder / "prompts" / (sounds[0].removeprefix("/mnt/sounds/") + ".wav")


@pytest_twisted.ensureDeferred
async def test_every_text_is_spoken_once_in_the_voice_of_its_language(tmp_path: Path) -> None:
    prompts = Prompts(small(tmp_path), reactor)
    await prompts.prepare([HELLO, BYE, HELLO, parse_prompt("sound:beep")])
    assert spoken(tmp_path) == ["cmn 您好。", "en-us Goodbye.", "en-us Hello."]
    with wave.open(str(the_file(tmp_path, prompts.sounds(HELLO))), "rb") as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (8000, 1, 2)
        assert sound.readframes(1000) == b"Hello." * 200
    assert the_file(tmp_path, prompts.sounds(HELLO, "zh")).read_bytes().endswith("您好。".encode() * 200)
    assert prompts.sounds(HELLO, "en") == prompts.sounds(HELLO) != prompts.sounds(HELLO, "zh")
    assert prompts.sounds(BYE, "zh") == prompts.sounds(BYE)
    assert prompts.sounds(parse_prompt("sound:digits/1"), "zh") == ["digits/1"]
    assert len(list((tmp_path / "prompts").iterdir())) == 3, "nothing half-made is left"

    (tmp_path / "spoken").unlink()
    await Prompts(small(tmp_path), reactor).prepare([HELLO, BYE])
    assert not (tmp_path / "spoken").exists(), "an unchanged text is not spoken again"
    changed = Prompts(evolve(small(tmp_path), voices={"en": "en-gb", "zh": "cmn"}), reactor)
    await changed.prepare([HELLO, BYE])
    assert spoken(tmp_path) == ["en-gb Goodbye.", "en-gb Hello."]


@pytest_twisted.ensureDeferred
async def test_asterisk_may_read_what_we_write(tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        prompts = Prompts(small(tmp_path), reactor)
        await prompts.prepare([HELLO])
    finally:
        os.umask(old)
    assert (tmp_path / "prompts").stat().st_mode & 0o777 == 0o755
    assert the_file(tmp_path, prompts.sounds(HELLO)).stat().st_mode & 0o777 == 0o644


@pytest_twisted.ensureDeferred
async def test_a_missing_sound_is_a_beep_and_a_line_in_the_log(tmp_path: Path) -> None:
    prompts = Prompts(small(tmp_path), reactor)
    await prompts.prepare([HELLO])
    file = the_file(tmp_path, prompts.sounds(HELLO))
    file.unlink()
    logged: list[LogEvent] = []
    globalLogPublisher.addObserver(logged.append)
    try:
        assert prompts.sounds(HELLO) == [BEEP]
    finally:
        globalLogPublisher.removeObserver(logged.append)
    assert [event["file"] for event in logged] == [str(file)]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"speak": ("no-such-speaker", "{voice}")}, "no-such-speaker: there is no such command here; install it"),
        ({"speak": python("import sys; sys.exit('no voice for you')")}, "no voice for you"),
        ({"convert": python("pass")}, "gave no sound (with the voice 'cmn' of prompts.voices)"),
        ({"convert": python("import os, signal; os.kill(os.getpid(), signal.SIGTERM)")}, "signal 15"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_what_cannot_be_spoken_is_told_at_the_start(
    tmp_path: Path, change: dict[str, tuple[str, ...]], expected: str
) -> None:
    prompts = Prompts(evolve(small(tmp_path), **change), reactor)
    with pytest.raises(PromptError) as caught:
        await prompts.prepare([HELLO, BYE])
    assert expected in str(caught.value)
    assert prompts.sounds(HELLO) == [BEEP]


@pytest_twisted.ensureDeferred
async def test_each_reason_is_told_once(tmp_path: Path) -> None:
    settings = evolve(small(tmp_path), speak=("no-such-speaker",))
    with pytest.raises(PromptError) as caught:
        await Prompts(settings, reactor).prepare([HELLO, BYE])
    assert len(str(caught.value).splitlines()) == 1


@pytest_twisted.ensureDeferred
async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "prompts").touch()
    with pytest.raises(PromptError, match="prompts: File exists"):
        await Prompts(small(tmp_path), reactor).prepare([HELLO])


@pytest_twisted.ensureDeferred
async def test_no_more_than_two_are_spoken_at_a_time(tmp_path: Path) -> None:
    """Each speaker counts the speakers running: a file each, there while it runs."""
    count = (
        "import os, sys, time; d = sys.argv[1]; me = f'{d}/{os.getpid()}'; open(me, 'w').close(); n = len(os.listdir(d))\n"
    )
    count += "time.sleep(0.1); n = max(n, len(os.listdir(d))); os.unlink(me); sys.stdout.write(chr(48 + n) * 1000)"
    (tmp_path / "running").mkdir()
    settings = evolve(small(tmp_path), speak=(*python(count), str(tmp_path / "running")))
    prompts = Prompts(settings, reactor)
    texts = [parse_prompt(f"Text {number}.") for number in range(6)]
    await prompts.prepare(texts)
    seen = {the_file(tmp_path, prompts.sounds(text)).read_bytes()[-1:] for text in texts}
    assert b"2" in seen
    assert seen <= {b"1", b"2"}


# Commands


@pytest_twisted.ensureDeferred
async def test_a_command_is_not_read_by_a_shell_and_does_not_see_our_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EASYCALL_ASTERISK_MAIN_SECRET", "plant")
    tell = "import os, sys; print(sys.argv[1:], 'EASYCALL_ASTERISK_MAIN_SECRET' in os.environ, sys.stdin.read())"
    assert await pipe((*python(tell), "$HOME; `id`"), b"text", reactor) == b"['$HOME; `id`'] False text\n"


@pytest_twisted.ensureDeferred
async def test_a_command_has_a_time_limit_and_is_ended_by_it(tmp_path: Path) -> None:
    hang = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    with pytest.raises(CommandFailed, match=r"not done within 0\.5 s"):
        await pipe(python(hang), b"", reactor, seconds=0.5)
    await gone(int((tmp_path / "pid").read_text()))


@pytest_twisted.ensureDeferred
async def test_a_command_ends_with_the_work_it_was_for(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    hang = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    work = Deferred.fromCoroutine(pipe(python(hang), b"", reactor))
    for _ in range(200):
        if pid.exists() and pid.read_text():
            break
        await deferLater(reactor, 0.02)  # type: ignore[arg-type]
    work.cancel()
    with pytest.raises(CancelledError):
        await work
    await gone(int(pid.read_text()))


async def gone(pid: int) -> None:
    """Wait until a process has ended and was reaped."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        await deferLater(reactor, 0.02)  # type: ignore[arg-type]
    pytest.fail("the process is still there")


@pytest_twisted.ensureDeferred
async def test_a_command_that_never_stops_giving_is_ended() -> None:
    with pytest.raises(CommandFailed, match="gave more than"):
        await pipe(python("import sys\nwhile True: sys.stdout.write('x' * 65536)"), b"", reactor)


@pytest_twisted.ensureDeferred
async def test_a_command_that_does_not_read_is_no_harm() -> None:
    assert await pipe(python("print('done')"), b"x" * 1_000_000, reactor) == b"done\n"


# The real ones


@pytest_twisted.ensureDeferred
async def test_espeak_and_sox_speak_english_and_chinese(tmp_path: Path) -> None:
    prompts = Prompts(PromptSettings(tmp_path, "/mnt/sounds"), reactor)
    await prompts.prepare([HELLO])
    for language in ("en", "zh"):
        with wave.open(f"{tmp_path}/{prompts.sounds(HELLO, language)[0].removeprefix('/mnt/sounds/')}.wav", "rb") as sound:
            seconds = sound.getnframes() / sound.getframerate()
            samples = memoryview(sound.readframes(sound.getnframes())).cast("h")
        assert 0.3 < seconds < 3
        assert max(samples) > 3000, "it is heard"
