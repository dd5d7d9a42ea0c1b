"""Judges whether Asterisk writes down what callers key.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from easycall.doctor.findings import Finding, ok, unseen, warning

__all__ = ["LOG_FILES", "judge_logging", "log_variable"]

LOG_FILES = ("console", "messages.log", "messages", "full.log", "full", "debug.log", "debug", "verbose")
"""How log files are usually called in logger.conf; the first is asked for first, and when it is not known no other."""


def log_variable(file: str) -> str:
    """What is to be asked about a log file: the levels that are written to it."""
    return f"AST_CONFIG(logger.conf,logfiles,{file})"


def judge_logging(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Whether keys are logged: each caller's card numbers and PINs would be."""
    place = "logger.conf: [logfiles]"
    levels = {file: variables.get(log_variable(file), "") for file in LOG_FILES}
    keyed = [file for file, said in levels.items() if {"dtmf", "*"} & {one.strip() for one in said.split(",")}]
    if keyed:
        remedy = "take dtmf out of its levels; logger reload; and delete what was written"
        yield warning(place, f"{', '.join(keyed)} is written every key that callers press", remedy)
    elif any(levels.values()):
        yield ok(place, "keys that callers press are not logged")
    else:
        remedy = "dtmf must not be among its levels (Asterisk lacks func_config.so)"
        yield unseen(place, "whether keys that callers press are logged", remedy)
    remedy = "agi set debug off: it writes the numbers that callers key, a card number on one line"
    yield unseen("agi set debug", "whether it is on", remedy)
