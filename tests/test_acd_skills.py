"""Skill expressions: reading, fitting, relaxing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easycall.skills import ANYBODY, BadExpression, both, parse

NAMES = ["billing", "lang:zh", "vip-2", "tech_1"]
SKILLS = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 6))


def written(tree: Any) -> str:
    """A tree as somebody might write it, with more parentheses than needed."""
    match tree:
        case ("has", name, level):
            return f"{name}>={level}" if level > 1 else name
        case ("not", inner):
            return f"not ({written(inner)})"
        case (word, *parts):
            return f" {word} ".join(f"({written(part)})" for part in parts)
    raise AssertionError(tree)


def holds(tree: Any, skills: Mapping[str, int]) -> bool:
    """Brute force: what a tree says."""
    match tree:
        case ("has", name, level):
            return skills.get(name, 0) >= level
        case ("not", inner):
            return not holds(inner, skills)
        case ("and", *parts):
            return all(holds(part, skills) for part in parts)
        case (_, *parts):
            return any(holds(part, skills) for part in parts)
    raise AssertionError(tree)


def trees(*, negated: bool) -> st.SearchStrategy[Any]:
    leaf = st.tuples(st.just("has"), st.sampled_from(NAMES), st.integers(1, 5))

    def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        joined = st.builds(
            lambda word, parts: (word, *parts), st.sampled_from(["and", "or"]), st.lists(inner, min_size=1, max_size=3)
        )
        return joined | st.tuples(st.just("not"), inner) if negated else joined

    return st.recursive(leaf, grown, max_leaves=6)


@given(trees(negated=True), SKILLS)
def test_fits_is_what_the_tree_says(tree: Any, skills: dict[str, int]) -> None:
    requirement = parse(written(tree))
    assert requirement.fits(skills) == holds(tree, skills)
    assert (requirement.missing(skills) == ()) == requirement.fits(skills)


@given(trees(negated=True))
def test_the_canonical_form_is_read_as_itself(tree: Any) -> None:
    requirement = parse(written(tree))
    again = parse(str(requirement))
    assert again == requirement
    assert hash(again) == hash(requirement)
    assert str(again) == str(requirement)


@given(trees(negated=True), SKILLS, st.sampled_from(NAMES), st.integers(1, 5))
def test_relaxing_loses_nobody(tree: Any, skills: dict[str, int], skill: str, by: int) -> None:
    requirement = parse(written(tree))
    for relaxed in (requirement.without(skill), requirement.lowered(skill, by)):
        assert relaxed.fits(skills) or not requirement.fits(skills)
        assert parse(str(relaxed)) == relaxed
    assert skill not in requirement.without(skill).skills()


@given(trees(negated=False), SKILLS)
def test_who_fits_has_a_grade(tree: Any, skills: dict[str, int]) -> None:
    requirement = parse(written(tree))
    assert requirement.grade(skills) > 0 or not requirement.fits(skills)


@given(trees(negated=True), trees(negated=True), SKILLS)
def test_both(one: Any, other: Any, skills: dict[str, int]) -> None:
    first, second = parse(written(one)), parse(written(other))
    assert both(first, second).fits(skills) == (first.fits(skills) and second.fits(skills))
    assert both(first, second) == both(second, first)
    assert both(first, ANYBODY) == first


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("", ""),
        ("  billing>=3   AND lang:zh ", "billing >= 3 and lang:zh"),
        ("lang:zh and billing >= 3 and (lang:zh)", "billing >= 3 and lang:zh"),
        ("a or b and c", "a or b and c"),
        ("(a or b) and c", "(a or b) and c"),
        ("not (a or b >= 2)", "not a and not b >= 2"),
        ("not not a >= 1", "a"),
    ],
)
def test_canonical_form(text: str, canonical: str) -> None:
    assert str(parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("billing >= ", r'column 11: after ">=" a level from 1 to 100 is expected'),
        ("billing >= 0", "column 12: .* level from 1 to 100"),
        ("billing >= 101", "column 12: .* level from 1 to 100"),
        ("billing >= " + "9" * 900, "column 12: .* level from 1 to 100"),
        ("billing & zh", "column 9: '&' is not understood: write \"and\""),
        ("billing == 3", "column 9: '=' is not understood: write \">=\" and a level"),
        ("billing < 3", 'column 9: .*write "not skill >= level"'),
        ("billing zh", 'column 9: \'zh\' is one too many: write "and" or "or" before it'),
        ("(a or b", r'column 8: "\)" is missing for the "\(" of column 1'),
        ("a)", r'column 2: "\)" closes nothing'),
        ("a and", "column 6: a skill is expected, not the end"),
        ("and a", "column 1: a skill is expected, not 'and'"),
        ("3 and a", "column 1: a skill is expected, not '3'"),
        ("3x", "column 1: '3' is not understood: a skill is a letter, then"),
        ("ä", "column 1: 'ä' is not understood"),
        ("(" * 30, "column 21: more than 20 parts within each other"),
        ("a " * 600, "column 1001: more than 1000 characters"),
    ],
)
def test_faults_name_the_column_and_the_remedy(text: str, message: str) -> None:
    with pytest.raises(BadExpression, match=message):
        parse(text)


@given(st.text("ab&|()>=39 not and or:", max_size=40))
def test_nothing_but_bad_expression_is_raised(text: str) -> None:
    try:
        requirement = parse(text)
    except BadExpression as error:
        message = str(error)
    else:
        message = "column "
        assert parse(str(requirement)) == requirement
    assert message.startswith("column ")


def test_words_and_grades() -> None:
    need = parse("billing >= 3 and (lang:zh or lang:en >= 2) and not trainee")
    assert need.missing({"billing": 2, "lang:en": 1, "trainee": 1}) == (
        "skill billing 2 < 3",
        "skill lang:en 1 < 2 or no skill lang:zh",
        "skill trainee 1 is not wanted",
    )
    assert need.without("billing").lowered("lang:en", 1) == parse("(lang:zh or lang:en) and not trainee")
    assert need.lowered("lang:en", 2).without("trainee") == parse("billing >= 3")
    wish = parse("billing >= 2 and (lang:zh or lang:en)")
    assert wish.grade({"billing": 4, "lang:zh": 3, "lang:en": 5}) == 9
    assert wish.grade({"billing": 1, "lang:zh": 3}) == 3
