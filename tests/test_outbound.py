"""The pure parts of calling out: numbers, what is allowed, trunks, caller ids, lines, outcomes."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from easycall.config import DialingSettings
from easycall.model import NUMBER, DialOutcome, OfferOutcome, Trunk
from easycall.outbound.lines import Line, Lines
from easycall.outbound.outcome import outcome_of
from easycall.outbound.rules import NotDialled, Rules, Why, normalised

GERMANY = DialingSettings(country="49", allow=("+49", "+1"), deny=("+49900", "+1900"))
AMERICA = DialingSettings(country="1", national_prefix="", international_prefix="011", allow=("+1",))
BERLIN = Trunk("berlin", "main", "PJSIP/{number}@berlin", 2, ("+4930",), ("+4930555", "+493055501"))
WORLD = Trunk("world", "main", "PJSIP/00{digits}@world", 1, ("+",), ("+493055502",))
FAR = Trunk("far", "far", "PJSIP/{number}@far", 1)


class TestNumbers:
    @pytest.mark.parametrize(
        ("typed", "number"),
        [
            ("+49 30 1234567", "+49301234567"),
            ("030 1234567", "+49301234567"),
            ("(030) 123-45.67", "+49301234567"),
            ("030/1234567", "+49301234567"),
            ("0049301234567", "+49301234567"),
            ("+49 (0)30 1234567", "+49301234567"),
            ("0049 (0)30 1234567", "+49301234567"),
            ("001 212 5551234", "+12125551234"),
        ],
    )
    def test_as_people_write_them(self, typed: str, number: str) -> None:
        assert normalised(typed, GERMANY) == number

    def test_where_there_is_no_national_prefix(self) -> None:
        assert normalised("(212) 555-1234", AMERICA) == "+12125551234"
        assert normalised("011 49 30 1234567", AMERICA) == "+49301234567"

    @pytest.mark.fault("A06")
    @pytest.mark.fault("A07")
    @pytest.mark.fault("A08")
    @pytest.mark.parametrize(
        "typed",
        [
            *("", "+", "0", "110", "112", "12345", "1234567", "+0301234567", "+" + "1" * 16, "4" * 40, "0" * 41),
            *(
                "100&Local/9@default",
                "Local/9@default",
                "100@other",
                "1,1,Tr",
                "^",
                "${SHELL(id)}",
                "/tmp",
                "PJSIP/x/sip:e@h",
            ),
            *(
                "+49301234567\r\nAction: Originate",
                "+49301234567\n",
                "+49301234567\x00",
                "+49３０1234567",
                "+49 30 x",
                "++49301234567",
            ),
        ],
    )
    def test_what_is_none(self, typed: str) -> None:
        with pytest.raises(NotDialled) as refused:
            normalised(typed, GERMANY)
        assert refused.value.why is Why.NOT_A_NUMBER
        assert "\r" not in str(refused.value)

    @given(st.text(max_size=60) | st.from_regex(r"[+(]?[0-9 ()./&@,^${}-]{0,45}", fullmatch=True))
    def test_whatever_is_typed(self, typed: str) -> None:
        """Digits only, in their order, or a refusal: nothing that is typed reaches a dial string."""
        for settings in (GERMANY, AMERICA, DialingSettings()):
            try:
                number = normalised(typed, settings)
            except NotDialled:
                continue
            assert NUMBER.fullmatch(number)
            assert re.sub("[^0-9]", "", typed).endswith(number[-6:])
            assert normalised(number, settings) == number
            assert BERLIN.dial_string(number) == f"PJSIP/{number}@berlin"
            assert WORLD.dial_string(number) == f"PJSIP/00{number[1:]}@world"

    @given(st.text(max_size=30))
    def test_a_trunk_takes_nothing_but_numbers(self, text: str) -> None:
        if NUMBER.fullmatch(text):
            return
        with pytest.raises(ValueError, match="must not be dialled"):
            BERLIN.dial_string(text)


prefixes = st.lists(st.from_regex(r"\+([1-9][0-9]{0,5})?", fullmatch=True), max_size=5, unique=True).map(tuple)
numbers = st.from_regex(NUMBER, fullmatch=True).filter(str.isprintable)


class TestAllowed:
    @pytest.mark.fault("A23")
    def test_nothing_is_by_default(self) -> None:
        with pytest.raises(NotDialled, match="does not allow"):
            Rules(DialingSettings()).allowed("+49301234567")

    @given(numbers, prefixes, prefixes)
    def test_the_longest_that_matches_counts(self, number: str, allow: tuple[str, ...], deny: tuple[str, ...]) -> None:
        rules = Rules(DialingSettings(allow=allow, deny=deny))
        matching = sorted(
            [(len(one), 1) for one in deny if number.startswith(one)]
            + [(len(one), 0) for one in allow if number.startswith(one)]
        )
        if matching and matching[-1][1] == 0:
            assert rules.allowed(number) == number
        else:
            with pytest.raises(NotDialled) as refused:
                rules.allowed(number)
            assert refused.value.why is Why.NOT_ALLOWED

    def test_our_own_numbers_are_a_loop(self) -> None:
        rules = Rules.of(GERMANY, (BERLIN,), ("030 5550", "95588", "+4930777777"))
        for own in ("+49305550", "+493055501", "030 777777"):
            with pytest.raises(NotDialled) as refused:
                rules.allowed(own)
            assert refused.value.why in (Why.OWN_NUMBER, Why.NOT_A_NUMBER)


class TestTrunks:
    RULES = Rules(GERMANY, (BERLIN, WORLD, FAR))

    def test_by_prefix_in_order(self) -> None:
        assert self.RULES.trunks_for("+49301234567") == (BERLIN, WORLD, FAR)
        assert self.RULES.trunks_for("+12125551234") == (WORLD, FAR)
        assert self.RULES.trunks_for("+49301234567", pbx="far") == (FAR,)
        with pytest.raises(NotDialled, match="there is no trunk on nowhere"):
            self.RULES.trunks_for("+49301234567", pbx="nowhere")

    def test_only_one_that_may_show_what_is_asked_for(self) -> None:
        assert self.RULES.trunks_for("+49301234567", "030 55502") == (WORLD,)
        with pytest.raises(NotDialled) as refused:
            self.RULES.trunks_for("+49301234567", "+49309999999")
        assert refused.value.why is Why.CALLER_ID

    def test_request_then_queue_then_trunk(self) -> None:
        rules = self.RULES
        assert rules.caller_id(BERLIN, "030 55501", "+4930555") == "+493055501"
        assert rules.caller_id(BERLIN, "", "+493055501") == "+493055501"
        assert rules.caller_id(WORLD, "", "+493055501") == "+493055502"
        assert rules.caller_id(FAR, "", "") == ""


class TestLines:
    @given(
        st.lists(
            st.tuples(st.sampled_from(["take", "occupy", "release"]), st.sampled_from(["berlin", "world"])), max_size=40
        )
    )
    def test_counted(self, steps: list[tuple[str, str]]) -> None:
        """Never more lines are given out than there are, and each comes back once, however often it is released."""
        lines, held = Lines((BERLIN, WORLD)), list[Line]()
        for step, trunk in steps:
            if step == "release":
                if held:
                    line = held.pop()
                    line.release()
                    line.release()
                continue
            free = lines.free(trunk)
            line = lines.take(trunk) if step == "take" else lines.occupy("main", f"PJSIP/{trunk}")
            assert (line is None) == (step == "take" and free == 0)
            if line is not None:
                held.append(line)
            for name, number in (("berlin", 2), ("world", 1)):
                used = sum(one.trunk == name for one in held)
                assert (lines.used(name), lines.free(name)) == (used, max(0, number - used))

    def test_whoever_waits_longest_is_told_of_a_line_that_is_given_back(self) -> None:
        lines, told = Lines((BERLIN, WORLD)), list[str]()

        def waits(name: str, since: float, *trunks: str) -> Callable[[], None]:
            return lines.wait(trunks, since, lambda: told.append(name))

        taken = [lines.occupy("main", f"PJSIP/{trunk}") for trunk in ("berlin", "berlin", "berlin", "world", "world")]
        berlin = [line for line in taken[:3] if line is not None]
        waits("late", 9.0, "berlin")
        waits("first", 1.0, "berlin", "world")
        waits("gone", 0.5, "berlin")()
        waits("abroad", 0.0, "world")
        berlin[0].release()
        assert told == []  # more calls came in than there are lines
        berlin[1].release()
        assert told == ["first"]
        berlin[2].release()
        assert told == ["first", "late"]

    def test_calls_from_elsewhere_have_none(self) -> None:
        lines = Lines((BERLIN, Trunk("odd", "main", "Local/{number}@x@y/n", 1)))
        assert lines.occupy("main", "PJSIP/2001") is None
        assert lines.occupy("far", "PJSIP/berlin") is None
        assert lines.occupy("main", "") is None

    def test_by_the_form_with_a_host(self) -> None:
        lines = Lines((Trunk("sbc", "main", "PJSIP/sbc/sip:{number}@198.51.100.7", 1),))
        assert lines.occupy("main", "PJSIP/sbc") is not None


class TestOutcomes:
    @pytest.mark.parametrize(
        ("refusal", "cause", "outcome"),
        [
            (OfferOutcome.DECLINED, 17, DialOutcome.BUSY),
            (OfferOutcome.DECLINED, 21, DialOutcome.DECLINED),
            (OfferOutcome.UNREACHABLE, 1, DialOutcome.UNALLOCATED),
            (OfferOutcome.UNREACHABLE, 34, DialOutcome.CONGESTION),
            (OfferOutcome.NO_ANSWER, 0, DialOutcome.NO_ANSWER),
            (OfferOutcome.UNREACHABLE, 0, DialOutcome.UNREACHABLE),
            (OfferOutcome.LOST, 16, DialOutcome.LOST),
        ],
    )
    def test_by_cause_else_by_what_the_switch_makes_of_it(
        self, refusal: OfferOutcome, cause: int, outcome: DialOutcome
    ) -> None:
        assert outcome_of(refusal, cause) is outcome

    @given(st.sampled_from(OfferOutcome), st.integers(-1, 300))
    def test_never_answered(self, refusal: OfferOutcome, cause: int) -> None:
        assert outcome_of(refusal, cause) is not DialOutcome.ANSWERED
