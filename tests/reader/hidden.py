"""Names and texts that are hidden (book: formats/hidden.md)."""

import hashlib
import hmac
import re

import identity
from age_file import Bad, hkdf
from cryptography.exceptions import InvalidTag
from names import b32
from texts import need

PIECE = 98_304
NOT_HIDDEN = "it is not hidden, as every text of this vault is"


class Hidden:
    """The keys of what is hidden, and what they do."""

    def __init__(self, keyring, vault_id, padded):
        def key(purpose):
            return hkdf(keyring.encode(), b"strongroom/v1", f"{purpose}\0{vault_id}".encode())

        self.names, self.hide, self.nonces = key("names"), key("hide"), key("hide-nonce")
        self.padded = padded

    def encode(self, name):
        """The path of a secret's metadata, below `secrets/`."""
        h = b32(hmac.digest(self.names, b"strongroom/v1/name\0" + name.encode(), hashlib.sha256))
        return f",5/{h[:2]}/{h[2:]}.toml"

    def vkey(self, name, version):
        key = hmac.digest(self.names, b"strongroom/v1/versions\0" + name.encode(), hashlib.sha256)
        return "x" + b32(hmac.digest(key, version.encode(), hashlib.sha256))

    def decode(self, path):
        """That the path has the form of a hidden secret's metadata."""
        need(re.fullmatch(r",5/[a-z2-7]{2}/[a-z2-7]{50}\.toml", path), "a path that says a name")

    def piece(self, place, sealed):
        need(len(sealed) >= 40, "a piece that is cut short")
        nonce = sealed[:24]
        try:
            plain = identity.xopen(self.hide, nonce, sealed[24:], place.encode())
        except InvalidTag:
            raise Bad("a hidden text that was altered, moved, or made without the key") from None
        said = b"strongroom/v1/hide\0" + place.encode() + b"\0" + plain
        need(hmac.digest(self.nonces, said, hashlib.sha256)[:24] == nonce, "a nonce that is not its text's")
        text = plain.rstrip(b"\0")
        need(text.endswith(b"\x80") and len(plain) == self.padded(len(text)), "a hidden text's padding")
        return text[:-1]

    def open(self, path, data):
        """What a file says that lies at this path below the vault."""
        form = rb'format = 1\nhidden = \[\n((?:    "[A-Za-z0-9+/]+={0,2}",\n)+)\]\n'
        found = re.fullmatch(form, data)
        need(found, NOT_HIDDEN)
        pieces = [identity.base64_bytes(p.decode()) for p in re.findall(rb'"([^"]+)"', found[1])]
        places = [path]
        if len(pieces) > 1:
            places = [f"{path} {n}/{len(pieces)}" for n in range(1, len(pieces) + 1)]
        texts = [self.piece(place, piece) for place, piece in zip(places, pieces)]
        need(all(len(text) == PIECE for text in texts[:-1]), "a piece that is shorter than it can be")
        return b"".join(texts)
