from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypergraph.errors import CorruptPayload, PayloadError, UntrustedPayload
from hypergraph.values.sign import Signer

SECRET = b"correct horse battery staple"
signer = Signer(SECRET)
contexts = st.lists(st.text() | st.integers(), max_size=5)


@given(st.text(), contexts, st.binary())
def test_what_was_sealed_opens(kind: str, context: list[str | int], payload: bytes) -> None:
    sealed = signer.seal(kind, context, payload)

    assert signer.open(kind, context, sealed) == payload
    assert Signer(SECRET).open(kind, tuple(context), sealed) == payload


@given(st.binary(max_size=50), st.data())
def test_any_flipped_bit_is_refused(payload: bytes, data: st.DataObject) -> None:
    sealed = bytearray(signer.seal("task", ["ns", "run", 1], payload))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(UntrustedPayload):
        signer.open("task", ["ns", "run", 1], bytes(sealed))


@given(st.binary(max_size=50), st.data())
def test_anything_cut_off_or_added_is_refused(payload: bytes, data: st.DataObject) -> None:
    sealed = signer.seal("task", ["run"], payload)
    cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]

    with pytest.raises(PayloadError):
        signer.open("task", ["run"], cut)
    with pytest.raises(UntrustedPayload):
        signer.open("task", ["run"], sealed + b"\0")


@given(st.text(), contexts, st.text(), contexts)
def test_another_kind_or_context_is_refused(
    kind: str, context: list[str | int], other_kind: str, other: list[str | int]
) -> None:
    sealed = signer.seal(kind, context, b"payload")
    if (kind, context) == (other_kind, other):
        return

    with pytest.raises(UntrustedPayload):
        signer.open(other_kind, other, sealed)


@pytest.mark.parametrize(
    ("sealed_for", "opened_for"),
    [
        pytest.param(["a", "b"], ["ab"], id="joined"),
        pytest.param(["a", "b"], ["b", "a"], id="swapped"),
        pytest.param(["1"], [1], id="a number and its digits"),
        pytest.param(["a', 'b"], ["a", "b"], id="quotes inside"),
        pytest.param(["a", ""], ["a"], id="an empty end"),
        pytest.param(["run", 1], ["run", 2], id="a later epoch"),
    ],
)
def test_contexts_that_look_alike_differ(
    sealed_for: list[str | int], opened_for: list[str | int]
) -> None:
    sealed = signer.seal("task", sealed_for, b"")

    with pytest.raises(UntrustedPayload):
        signer.open("task", opened_for, sealed)


def test_bytes_of_the_payload_do_not_count_as_context() -> None:
    about = repr(("k", "b"))
    sealed = signer.seal("k", [], about.encode() + b"x")

    with pytest.raises(UntrustedPayload):
        signer.open("k", ["b"], sealed)


@pytest.mark.parametrize("secret", [b"k", b"k" * 63, b"k" * 64, b"k" * 65, b"k" * 300])
def test_the_signature_is_hmac_sha256(secret: bytes) -> None:
    sealed = Signer(secret).seal("task", ["run", 7], b"payload")
    about = b"('task', 'run', 7)"

    message = len(about).to_bytes(4, "big") + about + b"payload"
    assert sealed[5:37] == hmac.digest(secret, message, "sha256")
    assert sealed[37:] == b"payload"


def test_too_short_for_a_seal_is_corrupt() -> None:
    with pytest.raises(CorruptPayload, match="task/run/1"):
        signer.open("task", ["run", 1], b"\x01short")


def test_another_secret_is_refused_and_said_to_be_another() -> None:
    sealed = Signer(b"other").seal("task", [], b"")

    with pytest.raises(UntrustedPayload, match="another secret"):
        signer.open("task", [], sealed)


def test_a_previous_secret_opens_and_no_longer_seals() -> None:
    old, new = Signer(b"old"), Signer(b"new", previous=[b"old"])

    assert new.open("task", [], old.seal("task", [], b"x")) == b"x"
    with pytest.raises(UntrustedPayload):
        old.open("task", [], new.seal("task", [], b"x"))


def test_a_secret_that_is_also_a_previous_one_seals() -> None:
    assert Signer(b"a", previous=[b"a"]).open("k", [], Signer(b"a").seal("k", [], b"x")) == b"x"


def test_no_secret_shows_in_text() -> None:
    assert SECRET.decode() not in repr(signer)


def test_an_empty_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        Signer(b"")
    with pytest.raises(ValueError, match="must not be empty"):
        Signer(b"x", previous=[b""])
