"""Opens a member's identity, sealed or plain (book: formats/identity.md)."""

import base64
import hmac
import re
import struct
import unicodedata
from datetime import datetime

from age_file import Bad, Identity
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
NUMBER = r"(?:0|[1-9][0-9]{0,9})"


def check_time(text):
    try:
        if not TIME.fullmatch(text):
            raise ValueError
        datetime.fromisoformat(text[:-1])
    except ValueError:
        raise Bad(f"not a time: {text!r}") from None


def base64_bytes(text):
    """base64 with padding, in its canonical form."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        raise Bad("not base64") from None
    if base64.b64encode(data).decode() != text:
        raise Bad("base64 that is not canonical")
    return data


def hchacha20(key, nonce):
    """The subkey of XChaCha20 (draft-irtf-cfrg-xchacha section 2.2)."""
    x = list(struct.unpack("<16L", b"expand 32-byte k" + key + nonce))

    def quarter(a, b, c, d):
        for p, q, r, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[p] = (x[p] + x[q]) & 0xFFFFFFFF
            x[r] ^= x[p]
            x[r] = (x[r] << n | x[r] >> (32 - n)) & 0xFFFFFFFF

    for _ in range(10):
        for i in range(4):
            quarter(i, i + 4, i + 8, i + 12)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<8L", *x[:4], *x[12:])


def xopen(key, nonce, sealed, header):
    subkey = hchacha20(key, nonce[:16])
    return ChaCha20Poly1305(subkey).decrypt(bytes(4) + nonce[16:], sealed, header)


def plain(data, limit=4096):
    """Exactly one key among comments and empty lines."""
    if len(data) > limit:
        raise Bad(f"an identity of more than {limit} bytes")
    try:
        lines = [line.removesuffix("\r") for line in data.decode("utf-8").split("\n")]
    except UnicodeDecodeError:
        raise Bad("an identity that is not text") from None
    keys = [line for line in lines if line and not line.startswith("#")]
    if len(keys) != 1:
        raise Bad(f"{len(keys)} keys in an identity instead of one")
    return Identity(keys[0])


def sealed(data, passphrase):
    if len(data) > 4096:
        raise Bad("a sealed identity of more than 4096 bytes")
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise Bad("a sealed identity that is not ASCII") from None
    head, mark, body = text.partition("\n---\n")
    lines = head.split("\n")
    if not re.fullmatch(r"strongroom-identity/1", lines[0]):
        raise Bad("another version of the identity: needs a newer reader")
    keys = ("kdf: ", "kcv: ", "aead: ", "public: ", "created: ")
    if not mark or [line[: len(k)] for line, k in zip(lines[1:], keys)] != list(keys) or len(lines) != 6:
        raise Bad("the lines of a sealed identity")
    kdf, kcv, aead, public, created = (line[len(k) :] for line, k in zip(lines[1:], keys))
    found = re.fullmatch(
        rf"argon2id v=19 m=({NUMBER}) t=({NUMBER}) p=({NUMBER}) salt=([A-Za-z0-9+/=]+)", kdf
    )
    nonce = re.fullmatch(r"xchacha20poly1305 nonce=([A-Za-z0-9+/=]+)", aead)
    if not found or not nonce:
        raise Bad("the kdf or aead line of a sealed identity")
    m, t, p = (int(n) for n in found.groups()[:3])
    salt, nonce, kcv = base64_bytes(found[4]), base64_bytes(nonce[1]), base64_bytes(kcv)
    if not (19_456 <= m <= 1_048_576 and 1 <= t <= 16 and m * t <= 4_194_304 and 1 <= p <= 16):
        raise Bad("Argon2id cost out of bounds")
    if not 16 <= len(salt) <= 32 or len(nonce) != 24 or len(kcv) != 32:
        raise Bad("lengths in a sealed identity")
    check_time(created)
    rows = body.split("\n")
    if rows.pop() or not rows or any(len(r) != 64 for r in rows[:-1]) or not 1 <= len(rows[-1]) <= 64:
        raise Bad("the lines of a sealed identity's body")
    secret = unicodedata.normalize("NFC", passphrase).encode()
    key = hash_secret_raw(secret, salt, t, m, p, 64, Type.ID, version=19)
    if not hmac.compare_digest(key[32:], kcv):
        raise Bad("another passphrase, or an altered identity")
    try:
        opened = xopen(key[:32], nonce, base64_bytes("".join(rows)), (head + mark).encode())
    except InvalidTag:
        raise Bad("the identity was altered: its passphrase is right") from None
    identity = Identity(opened.decode("ascii"))
    if identity.recipient != public:
        raise Bad("the identity's public line belongs to another key")
    return identity


def read(data, passphrase):
    """An identity from a file's bytes; `passphrase` is called only if it is sealed."""
    if data.startswith(b"strongroom-identity/"):
        return sealed(data, passphrase())
    return plain(data)
