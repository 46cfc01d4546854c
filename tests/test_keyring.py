"""The keyring file, and what is derived from it."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyauthority.domain.errors import KeyAuthorityError, Reason
from keyauthority.keyring import FileKeyring, KeyringError

PEPPER = bytes(range(32))
OTHER = bytes(range(1, 33))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


def written(path: Path, **peppers: bytes) -> FileKeyring:
    """The keyring read from a file with these peppers; `v1` is version 1."""
    encoded = {name[1:]: base64.b64encode(pepper).decode() for name, pepper in peppers.items()}
    path.write_text(json.dumps({"peppers": encoded}))
    path.chmod(0o600)
    return FileKeyring.load(path)


def in_memory(**peppers: bytes) -> FileKeyring:
    return FileKeyring(Path("nowhere"), {int(name[1:]): one for name, one in peppers.items()})


def refusal(path: Path) -> str:
    with pytest.raises(KeyringError) as caught:
        FileKeyring.load(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"the keyring {path} ")
    assert "\n" not in sentence
    # An exception behind it would show the file in a traceback.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return sentence.removeprefix(f"the keyring {path} ")


def test_a_new_keyring(path: Path) -> None:
    """It holds one version, only its owner may read it, and it reads back the same."""
    made = FileKeyring.create(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made.versions() == (1,)
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    again = FileKeyring.load(path)
    assert again.digest(1, "key_1", "secret") == made.digest(1, "key_1", "secret")


def test_two_new_keyrings_differ(tmp_path: Path) -> None:
    """Peppers come from the operating system, not from the path or the time."""
    first, second = (FileKeyring.create(tmp_path / name) for name in ("a", "b"))

    assert first.fingerprint(1) != second.fingerprint(1)


def test_a_lax_umask_opens_nothing(path: Path) -> None:
    """The mode is 0600 whatever the process's mask is."""
    before = os.umask(0)
    try:
        FileKeyring.create(path)
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_missing_file(path: Path) -> None:
    """The sentence says which one to put back."""
    assert refusal(path) == "is missing: put back the one this database was made with"


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o602, 0o620, 0o601])
def test_a_file_open_to_others(path: Path, mode: int) -> None:
    """Any right for group or others is refused, and the sentence says what to do."""
    written(path, v1=PEPPER)
    path.chmod(mode)

    assert refusal(path) == "is open to others: chmod 600 it, and consider who has read it"


def test_a_directory(path: Path) -> None:
    """A directory in its place is named as such."""
    path.mkdir()

    assert refusal(path) == "can't be read: Is a directory"


@pytest.mark.parametrize("length", [0, 1, 16, 31])
def test_a_pepper_too_short(path: Path, length: int) -> None:
    """One that could be guessed is refused; the sentence gives its length and nothing of it."""
    encoded = base64.b64encode(PEPPER[:length]).decode()
    path.write_text(json.dumps({"peppers": {"3": encoded}}))
    path.chmod(0o600)

    assert refusal(path) == f"is too short: pepper version 3 has {length} bytes, not 32"


VISIBLE = "Zm9yZXZlcg"


@pytest.mark.parametrize(
    "content",
    [
        "",
        VISIBLE,
        "{",
        "[]",
        "{}",
        "null",
        '"peppers"',
        f'{{"peppers": "{VISIBLE}"}}',
        '{"peppers": {}}',
        '{"peppers": []}',
        f'{{"peppers": ["{VISIBLE}"]}}',
        f'{{"peppers": {{"one": "{VISIBLE}"}}}}',
        f'{{"peppers": {{"0": "{base64.b64encode(PEPPER).decode()}"}}}}',
        f'{{"peppers": {{"-1": "{base64.b64encode(PEPPER).decode()}"}}}}',
        f'{{"peppers": {{"4294967296": "{base64.b64encode(PEPPER).decode()}"}}}}',
        f'{{"peppers": {{"{"9" * 5_000}": "{VISIBLE}"}}}}',
        f'{{"peppers": {{"1": "{VISIBLE}"}}}}',
        '{"peppers": {"1": "not base64!"}}',
        '{"peppers": {"1": "ÿÿÿÿ"}}',
        '{"peppers": {"1": 7}}',
        '{"peppers": {"1": null}}',
        f'{{"peppers": {{"1": ["{VISIBLE}"]}}}}',
        "[" * 100_000,
    ],
)
def test_a_damaged_file(path: Path, content: str) -> None:
    """Whatever else the file holds, one sentence says that it is no keyring and shows none of it."""
    path.write_text(content)
    path.chmod(0o600)

    assert refusal(path) == "is damaged: it is not a keyring of this authority"


def test_a_file_that_is_no_text(path: Path) -> None:
    """Bytes that are no UTF-8 are damage as well."""
    path.write_bytes(b"\xff\xfe\x00" * 100)
    path.chmod(0o600)

    assert refusal(path) == "is damaged: it is not a keyring of this authority"


def test_an_added_pepper(path: Path) -> None:
    """It is in the file when `add` returns, beside the old one, which did not change."""
    keyring = FileKeyring.create(path)
    before = keyring.digest(1, "key_1", "secret")

    keyring.add(2)

    loaded = FileKeyring.load(path)
    assert loaded.versions() == keyring.versions() == (1, 2)
    assert loaded.digest(1, "key_1", "secret") == keyring.digest(1, "key_1", "secret") == before
    assert loaded.digest(2, "key_1", "secret") == keyring.digest(2, "key_1", "secret") != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_pepper_that_cannot_be_kept(
    path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the file can't be written, file and keyring are as before and no litter is left."""
    keyring = FileKeyring.create(path)
    before = path.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path if call == "replace" else os, call, full)
        with pytest.raises(KeyAuthorityError) as refused:
            keyring.add(2)

    assert refused.value.reason is Reason.KEYRING_UNWRITABLE
    assert refused.value.message == "the keyring can't be written: No space left on device"
    assert keyring.versions() == (1,)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_keyring_in_a_place_that_is_gone(path: Path) -> None:
    """A first start where no file can be made is told so in one sentence."""
    with pytest.raises(KeyringError, match=r"can't be written: No such file or directory$"):
        FileKeyring.create(path / "no" / "such" / "place")


# Made by hand from pepper 000102…1f with RFC 5869 spelled out over HMAC, not taken from this code.
# If one of these changes, every digest in every database stops matching.
def test_digests_by_hand() -> None:
    """The digest of a record and a secret never changes from one release to the next."""
    keyring = in_memory(v1=PEPPER)

    assert keyring.digest(1, "key_0123456789abcdef", "sk-optk-secret").hex() == (
        "bf3143d62caf8b2871402e0c87872b24b83589dce3758a82b8672ecd2be9c91f"
    )
    assert keyring.digest_foreign(1, "somebodys-secret").hex() == (
        "738cbf983636953a6ce7235e732f0d0321b90561ad5d8efa2ede54bb16d5e59e"
    )
    assert keyring.fingerprint(1).hex() == "cd8296a80b3ccd97ddfc47e1ffb581a0"


def test_what_was_sealed_before() -> None:
    """What an earlier release sealed can be unsealed."""
    sealed = bytes.fromhex(
        "00000001000102030405060708090a0bb03314fc476f355c5fe8817a14ab7b9bfe2b6447f78f5724ae"
    )

    assert in_memory(v1=PEPPER).unseal(sealed, b"context") == b"plaintext"


def test_digests_differ() -> None:
    """Another version, record or secret gives another digest; nothing shifts between the two."""
    keyring = in_memory(v1=PEPPER, v2=OTHER)
    digests = {
        keyring.digest(version, record_id, secret)
        for version in (1, 2)
        for record_id, secret in [("key_1", "a"), ("key_2", "a"), ("key_1", "b"), ("key_1a", "")]
    }
    digests |= {keyring.digest_foreign(version, one) for version in (1, 2) for one in ("a", "b")}

    assert len(digests) == 12
    assert {len(digest) for digest in digests} == {32}


def test_a_fingerprint_is_good_for_nothing_else() -> None:
    """It tells peppers apart and is no part of the pepper or of any digest made with it."""
    keyring = in_memory(v1=PEPPER, v2=OTHER)

    assert keyring.fingerprint(1) != keyring.fingerprint(2)
    assert len(keyring.fingerprint(1)) == 16
    assert keyring.fingerprint(1) not in PEPPER
    assert keyring.fingerprint(1) not in keyring.digest(1, "", "")


@pytest.mark.parametrize(
    "use",
    [
        lambda keyring: keyring.digest(7, "key_1", "secret"),
        lambda keyring: keyring.digest_foreign(7, "secret"),
        lambda keyring: keyring.fingerprint(7),
        lambda keyring: keyring.seal(7, b"plaintext", b"context"),
    ],
)
def test_a_version_not_at_hand(use: Callable[[FileKeyring], object]) -> None:
    """The operator is told which version the keyring lacks."""
    with pytest.raises(KeyAuthorityError) as refused:
        use(in_memory(v1=PEPPER))

    assert refused.value.reason is Reason.KEYRING_MISMATCH
    assert refused.value.metadata == {"version": "7"}


@given(st.binary(max_size=200), st.binary(max_size=50))
def test_sealed_and_unsealed(plaintext: bytes, context: bytes) -> None:
    """What is sealed can't be read, is never the same twice, and opens in its context only."""
    keyring = in_memory(v1=PEPPER, v2=OTHER)
    sealed = keyring.seal(2, plaintext, context)

    assert keyring.unseal(sealed, context) == plaintext
    assert keyring.unseal(sealed, context + b"x") is None
    assert sealed != keyring.seal(2, plaintext, context)
    assert in_memory(v1=PEPPER).unseal(sealed, context) is None
    assert in_memory(v2=PEPPER).unseal(sealed, context) is None
    if len(plaintext) > 3:
        assert plaintext not in sealed


def test_tampered_with() -> None:
    """Any bit flipped, any end cut off and anything appended is noticed."""
    keyring = in_memory(v1=PEPPER)
    sealed = keyring.seal(1, b"plaintext", b"context")

    for place in range(len(sealed)):
        for bit in range(8):
            flipped = bytearray(sealed)
            flipped[place] ^= 1 << bit
            assert keyring.unseal(bytes(flipped), b"context") is None
        assert keyring.unseal(sealed[:place], b"context") is None
    assert keyring.unseal(sealed + b"x", b"context") is None


@given(st.binary(max_size=100))
def test_what_was_never_sealed(sealed: bytes) -> None:
    """Bytes from anywhere else are not unsealed, and raise nothing."""
    assert in_memory(v1=PEPPER).unseal(sealed, b"context") is None
    assert in_memory(v1=PEPPER).unseal(b"\0\0\0\1" + sealed, b"context") is None


def test_a_keyring_does_not_show_itself() -> None:
    """Its `repr` holds none of it."""
    assert repr(PEPPER)[2:20] not in repr(in_memory(v1=PEPPER))


def test_a_seal(path: Path) -> None:
    """It is the version's own, of this statement, and the keyring's."""
    keyring = in_memory(v1=PEPPER, v2=OTHER)
    first, second = (keyring.attest(version, b"statement") for version in (1, 2))

    assert first[:4] == b"\0\0\0\1"
    assert first[4:] != second[4:]
    assert all(keyring.attested(b"statement", seal) for seal in (first, second))
    for seal in (None, b"", b"\0\0\0\1", first[:-1], first + b"x", b"\0\0\0\3" + first[4:]):
        assert not keyring.attested(b"statement", seal)
    assert not keyring.attested(b"another", first)
    assert not in_memory(v1=OTHER).attested(b"statement", first)
    assert not in_memory(v2=OTHER).attested(b"statement", first)
    with pytest.raises(KeyAuthorityError):
        keyring.attest(7, b"statement")


def test_a_keyring_says_that_it_seals(path: Path) -> None:
    """A new one from the start, an old one from when it was told to; a new version changes nothing."""
    assert FileKeyring.create(path).sealing
    old = written(path, v1=PEPPER)
    assert not old.sealing
    old.add(2)
    assert not FileKeyring.load(path).sealing

    other = FileKeyring.load(path)
    other.add(3)
    old.begin_sealing()

    assert old.sealing
    assert FileKeyring.load(path).sealing
    # Nor is lost what another process has added meanwhile.
    assert FileKeyring.load(path).versions() == (1, 2, 3)
