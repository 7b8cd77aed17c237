"""Reads binary age v1 files (https://c2sp.org/age) for one X25519 identity."""

import base64
import hashlib
import hmac
import re

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
CHUNK = 64 * 1024
INTRO = b"age-encryption.org/v1"


class Bad(Exception):
    """Something that is not as the format says, with the reason."""


def hkdf(ikm, salt, info):
    return HKDF(algorithm=SHA256(), length=32, salt=salt, info=info).derive(ikm)


def polymod(values):
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> i & 1 else 0
    return check


def expand(hrp):
    return [ord(c) >> 5 for c in hrp] + [0] + [ord(c) & 31 for c in hrp]


def bech32(hrp, data):
    """Bech32 (BIP 173) of bytes, in lower case."""
    bits = int.from_bytes(data, "big") << (-len(data) * 8 % 5)
    count = -(-len(data) * 8 // 5)
    values = [bits >> 5 * (count - 1 - i) & 31 for i in range(count)]
    check = polymod(expand(hrp) + values + [0] * 6) ^ 1
    values += [check >> 5 * (5 - i) & 31 for i in range(6)]
    return hrp + "1" + "".join(CHARSET[v] for v in values)


def unbech32(hrp, text):
    """The 32 bytes of a key in lower case; anything but the canonical form is refused."""
    body = text[len(hrp) + 1 :]
    if not text.startswith(hrp + "1") or len(body) != 58 or any(c not in CHARSET for c in body):
        raise Bad(f"not an {hrp} key")
    bits = 0
    for c in body[:52]:
        bits = bits << 5 | CHARSET.index(c)
    data = (bits >> 4).to_bytes(32, "big")
    if bech32(hrp, data) != text:
        raise Bad(f"not a canonical {hrp} key")
    return data


class Identity:
    """A private key, from its canonical text."""

    def __init__(self, text):
        if text != text.upper():
            raise Bad("an identity is written in upper case")
        self.text = text
        self.key = X25519PrivateKey.from_private_bytes(unbech32("age-secret-key-", text.lower()))
        self.public = self.key.public_key().public_bytes_raw()
        self.recipient = bech32("age", self.public)

    def shared(self, public):
        try:
            return self.key.exchange(X25519PublicKey.from_public_bytes(public))
        except ValueError:
            raise Bad("a point of small order") from None


def check_recipient(text):
    """Refuses a public key that is not canonical or is of small order."""
    public = X25519PublicKey.from_public_bytes(unbech32("age", text))
    try:
        X25519PrivateKey.generate().exchange(public)
    except ValueError:
        raise Bad("a recipient of small order") from None


def check_plugin(text):
    """Refuses what is no recipient of an age plugin; what its data mean only that knows."""
    prefix, _, data = text.rpartition("1")
    if len(text) > 4096 or not re.fullmatch(r"age1[a-z0-9+._-]{1,64}", prefix):
        raise Bad("not a plugin's recipient")
    if any(c not in CHARSET for c in data) or len(data) < 6:
        raise Bad("not a plugin's recipient")
    if polymod(expand(prefix) + [CHARSET.index(c) for c in data]) != 1:
        raise Bad("a plugin's recipient whose checksum is wrong")


def raw64(text):
    """Canonical base64 without padding."""
    if not re.fullmatch(r"[A-Za-z0-9+/]*", text):
        raise Bad("not base64 without padding")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raise Bad("not base64 without padding") from None
    if base64.b64encode(data).decode().rstrip("=") != text:
        raise Bad("base64 that is not canonical")
    return data


def scan(data, *, header, x25519):
    """The limits that are checked before the file is parsed; gives the header's lines."""
    if data.startswith(b"-----BEGIN"):
        raise Bad("armor")
    lines, at = [], 0
    while not (lines and lines[-1].startswith("--- ")):
        end = data.find(b"\n", at, header)
        if end < 0:
            raise Bad(f"no end of the header within {header} bytes")
        try:
            lines.append(data[at:end].decode("ascii"))
        except UnicodeDecodeError:
            raise Bad("a header that is not ASCII") from None
        at = end + 1
    if lines[0] != INTRO.decode():
        raise Bad("not an age v1 file")
    stanzas = [line.split(" ")[1:] for line in lines if line.startswith("-> ")]
    kinds = [args[0] for args in stanzas]
    if len(kinds) > 256:
        raise Bad("more than 256 stanzas")
    if x25519 is not None and kinds.count("X25519") > x25519:
        raise Bad(f"more than {x25519} X25519 stanzas")
    if "scrypt" in kinds:
        raise Bad("a scrypt stanza")
    for line in lines[1:]:
        if not line.startswith(("-> ", "--- ")) and not re.fullmatch("[A-Za-z0-9+/]{0,64}", line):
            raise Bad("a header line that is none of age's")
    return lines, at


def stanzas(lines):
    """Arguments and body of each stanza."""
    found, at = [], 1
    while at < len(lines) - 1:
        args = lines[at].split(" ")
        if args[0] != "->" or len(args) < 2 or not all(args):
            raise Bad("a broken stanza")
        body, at = "", at + 1
        while True:
            if at == len(lines) - 1 or lines[at].startswith("->"):
                raise Bad("a stanza without an end")
            body += lines[at]
            at += 1
            if len(lines[at - 1]) < 64:
                break
        found.append((args[1:], raw64(body)))
    return found


def file_key(found, identity):
    for args, body in found:
        if args[0] != "X25519":
            continue
        share = raw64(args[1]) if len(args) == 2 else b""
        if len(share) != 32 or len(body) != 32:
            raise Bad("a broken X25519 stanza")
        secret = identity.shared(share)
        key = hkdf(secret, share + identity.public, b"age-encryption.org/v1/X25519")
        try:
            return ChaCha20Poly1305(key).decrypt(bytes(12), body, None)
        except InvalidTag:
            continue
    raise Bad("not encrypted to this identity")


def decrypt(data, identity, *, header=4096, x25519=1, file=163_840, plain=69_632):
    """The plaintext of a file within these limits (`x25519` of None: no limit)."""
    if len(data) > file:
        raise Bad(f"more than {file} bytes")
    lines, at = scan(data, header=header, x25519=x25519)
    key = file_key(stanzas(lines), identity)
    covered = data[: at - len(lines[-1]) - 1] + b"---"
    mac = hmac.digest(hkdf(key, b"", b"header"), covered, hashlib.sha256)
    if not hmac.compare_digest(raw64(lines[-1][4:]), mac):
        raise Bad("the header's mac is wrong")
    nonce, body = data[at : at + 16], data[at + 16 :]
    if len(nonce) != 16 or not body:
        raise Bad("the file is cut off")
    stream = ChaCha20Poly1305(hkdf(key, nonce, b"payload"))
    out, count = b"", -(-len(body) // (CHUNK + 16))
    for i in range(count):
        part = body[i * (CHUNK + 16) : (i + 1) * (CHUNK + 16)]
        counter = i.to_bytes(11, "big") + (b"\x01" if i == count - 1 else b"\x00")
        try:
            text = stream.decrypt(counter, part, None)
        except InvalidTag:
            raise Bad("the file was altered or cut off") from None
        if not text and i > 0:
            raise Bad("an empty last chunk")
        out += text
        if len(out) > plain:
            raise Bad(f"a plaintext of more than {plain} bytes")
    return out
