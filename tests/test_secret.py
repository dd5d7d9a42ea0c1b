"""What must stay secret: the type, the masks, the values of a flow, sealing."""

from __future__ import annotations

import copy
import json
import pickle
from base64 import b64decode
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from easycall.ivr.values import Text, Use, Values, parse_text
from easycall.secure.sealing import Seal
from easycall.secure.secret import Forgotten, Secret, luhn, mask

digits = st.text("0123456789", min_size=1, max_size=40)
keyed = st.text("0123456789", min_size=4, max_size=40)


@pytest.mark.fault("A83")
@given(keyed)
def test_a_secret_prints_as_stars(text: str) -> None:
    secret = Secret(text)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>30}", f"{secret!r}", "%s %r" % (secret, secret)]  # noqa: UP031
    shown += [repr([secret]), repr({"a": secret}), repr(Values({}))]
    assert not any(text in one for one in shown)
    assert secret.reveal() == text


@pytest.mark.fault("A83")
@pytest.mark.parametrize(
    "write",
    [
        json.dumps,
        msgspec.json.encode,
        msgspec.to_builtins,
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        lambda secret: secret.__getstate__(),
        vars,
        len,
        list,
        bytes,
    ],
)
def test_a_secret_is_not_written_or_copied(write: Any) -> None:
    with pytest.raises(TypeError) as caught:
        write(Secret("4111111111111111"))
    assert "4111" not in str(caught.value)


def test_a_secret_is_forgotten() -> None:
    secret = Secret("1234")
    secret.forget()
    with pytest.raises(Forgotten):
        secret.reveal()
    one = Secret("1")
    assert one != Secret("1")
    assert len({one, one}) == 1


@given(digits)
def test_a_mask_shows_four_digits_at_most(text: str) -> None:
    shown = mask(text)
    seen = [character for character in shown if character != "*"]
    assert len(seen) <= 4
    assert len(seen) <= len(text) / 3
    assert text.endswith("".join(seen))
    assert len(text) >= 8 or shown == "****", "of a PIN nothing is seen, not even its length"


@given(digits)
def test_the_check_digit(text: str) -> None:
    """Of ten numbers that differ in the last digit exactly one has the right one; and one wrong digit is noticed."""
    right = [digit for digit in "0123456789" if luhn(text + digit)]
    assert len(right) == 1
    number = text + right[0]
    changed = str((int(number[0]) + 1) % 10) + number[1:]
    assert not luhn(changed)


@pytest.mark.parametrize("text", ["", "0", "12 34", "41111111x1111111", "４１１１１１１１１１１１１１１１"])
def test_what_has_no_check_digit(text: str) -> None:
    assert not luhn(text)
    assert luhn("4111111111111111")


# Values


def test_texts_with_values() -> None:
    assert parse_text("Paid {amount} by {card.masked}.") == Text(
        ("Paid ", Use("amount"), " by ", Use("card", "masked"), ".")
    )
    assert parse_text("plain").plain == "plain"
    assert parse_text("{a}").alone == Use("a")
    assert parse_text("{a}{b}").alone is None
    for wrong in ("{", "}", "{}", "{A}", "{a.b}", "{a.}", "{a", "{{a}}", "{a.masked.luhn}", "x" * 1001, "\x00"):
        with pytest.raises(ValueError, match=r"value|brace|printable"):
            parse_text(wrong)


@pytest.mark.fault("A83")
@given(st.text("0123456789", min_size=8, max_size=30), st.text("0123456789", min_size=4, max_size=7))
def test_what_is_shown_of_values(card: str, pin: str) -> None:
    values = Values({"amount": "19.90"})
    values.put("card", Secret(card))
    values.put("pin", Secret(pin))
    text = parse_text("{amount} {card.masked} {card.luhn} {pin.masked} {card} {pin} {nothing}")
    shown = values.shown(text)
    assert card not in shown
    assert shown.startswith("19.90 ***")
    assert shown.endswith(" *** *** ")
    assert card not in repr(values)
    assert values.plain("card") == ""
    assert values.revealed(parse_text("{card}/{pin}")) == f"{card}/{pin}"
    grouped = "-".join(card[at : at + 4] for at in range(0, len(card), 4))
    assert values.holds_secret(f"your card {grouped} is charged")
    assert not values.holds_secret("your card is charged")
    secret = Secret(pin)
    values.put("again", secret)
    values.forget()
    with pytest.raises(Forgotten):
        secret.reveal()
    assert values.revealed(parse_text("{card}{amount}")) == ""


# Sealing


def test_who_has_the_private_key_opens_it() -> None:
    key = rsa.generate_private_key(65537, 2048)
    seal = Seal(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    tokens = [seal("1234"), seal("1234")]
    assert tokens[0] != tokens[1]
    for token in tokens:
        assert key.decrypt(b64decode(token), OAEP(MGF1(SHA256()), SHA256(), None)) == b"1234"
    with pytest.raises(ValueError, match="no RSA key"):
        Seal(
            ec.generate_private_key(ec.SECP256R1())
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
