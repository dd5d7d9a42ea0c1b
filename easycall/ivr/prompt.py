"""What a caller hears.  Pure."""

from __future__ import annotations

import re

from attrs import frozen

__all__ = ["Prompt", "parse_prompt", "plain_text", "spell"]

SOUND_PREFIX = "sound:"
SOUND_NAME = re.compile(r"[a-z0-9_/-]{1,64}")
"""No dots, so that no name climbs out of Asterisk's sounds folder or is two names; see :func:`parse_prompt`."""
TEXT_LIMIT = 1000
SPELLED_LIMIT = 40
SIGNS = {".": "letters/dot", "-": "letters/dash", "+": "letters/plus", "/": "letters/slash", "@": "letters/at"}


@frozen
class Prompt:
    """Something a caller hears: a sound file of Asterisk, a text in one or more languages, or a value that is spelled."""

    sound: str = ""
    texts: tuple[tuple[str, str], ...] = ()
    """(language, text); the language ``""`` is the site's own."""
    spelled: str = ""
    """The name of a value that is read out character by character."""

    def spoken(self, language: str, default: str) -> tuple[str, str]:
        """The text for a caller of that language (``""``: of the site's own, ``default``): language and text.

        A caller whose language the prompt does not have hears the first one it has.
        """
        texts = [(spoken or default, text) for spoken, text in self.texts]
        return next((text for text in texts if text[0] == (language or default)), texts[0])


def parse_prompt(text: str) -> Prompt:
    """``sound:NAME`` is a sound of Asterisk, anything else is a text in the site's language.

    Raises ValueError.  Line breaks and runs of spaces in a text count as one space.
    """
    if text.startswith(SOUND_PREFIX):
        sound = text.removeprefix(SOUND_PREFIX)
        if not SOUND_NAME.fullmatch(sound):
            raise ValueError(f"{sound!r} is no sound name: 1 to 64 of a-z 0-9 _ - / without extension")
        return Prompt(sound=sound)
    return Prompt(texts=(("", plain_text(text)),))


def plain_text(text: str) -> str:
    """The text to be spoken, on one line.  Raises ValueError."""
    text = " ".join(text.split())
    if not text:
        raise ValueError("the text is empty")
    if len(text) > TEXT_LIMIT:
        raise ValueError(f"{len(text)} characters is too long to be spoken: {TEXT_LIMIT} at most")
    if not text.isprintable():
        raise ValueError(f"{text[:40]!r} holds a character that cannot be spoken")
    return text


def spell(text: str) -> list[str]:
    """The sounds of Asterisk that read a text out character by character; what has no sound is passed over."""
    sounds = []
    for character in text.lower()[:SPELLED_LIMIT]:
        if character.isascii() and character.isdigit():
            sounds.append(f"digits/{character}")
        elif character.isascii() and character.isalpha():
            sounds.append(f"letters/{character}")
        elif character in SIGNS:
            sounds.append(SIGNS[character])
    return sounds
