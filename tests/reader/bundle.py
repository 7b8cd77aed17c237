"""Reads a bundle for a vault's members (book: formats/bundle.md)."""

import hashlib
import hmac
import json
import re

import age_file
import identity
import names
import texts
from texts import need

UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
NUMBER = "(?:0|[1-9][0-9]*)"
HEX = "[0-9a-f]{64}"
KINDS = b"HSLAERKMVT"


def quoted(text):
    try:
        plain = json.loads(text)
    except ValueError:
        plain = None
    need(isinstance(plain, str), "a text of the header")
    need(json.dumps(plain, ensure_ascii=False) == text, "a text not in its one spelling")
    return plain


def header(payload):
    lines = payload.decode("utf-8").split("\n")
    need(lines[-2:] == ["", ""], "the header's end")
    need(lines[0] == "strongroom-bundle/1", "no bundle of this version")
    lines = lines[1:-2]
    got = {"prefix": [], "seen": []}
    form = (
        ("vault", UUID), ("bundle", UUID), ("sender", UUID), ("name", None),
        ("sequence", "[1-9][0-9]*"), ("created", None), ("keys", "vault|bundle"), ("keyring", HEX),
        ("prefix*", None), ("base", f"-|{HEX}"), ("head", HEX), ("seen*", f"{UUID} [1-9][0-9]* {UUID}"),
        ("secrets", NUMBER), ("values", NUMBER), ("frames", NUMBER), ("bytes", NUMBER),
    )  # fmt: skip
    for key, shape in form:
        many, key = key.endswith("*"), key.rstrip("*")
        while lines and lines[0].startswith(key + ": "):
            text = lines.pop(0)[len(key) + 2 :]
            need(shape is None or re.fullmatch(shape, text), f"the header's {key}")
            if not many:
                got[key] = text
                break
            got[key].append(quoted(text) if key == "prefix" else text)
        need(many or key in got, f"the header lacks {key}")
    need(not lines, "lines of the header that are not of the format")
    need(1 <= len(quoted(got["name"])) <= 128, "the sender's name")
    identity.check_time(got["created"])
    need(texts.in_order([p.encode() for p in got["prefix"]]), "prefixes are not sorted")
    senders = [s.split(" ")[0].encode() for s in got["seen"]]
    need(texts.in_order(senders) and len(senders) <= 256, "seen is not sorted")
    for key in ("secrets", "values", "frames", "bytes"):
        got[key] = int(got[key])
    need(got["bytes"] <= 1 << 32 and got["frames"] <= 1_000_000, "totals that no bundle has")
    return got


def frames(plain):
    at = 0
    while at < len(plain):
        need(plain[at] in KINDS, "a frame of another kind")
        length = int.from_bytes(plain[at + 1 : at + 5], "big")
        need(at + 5 <= len(plain) and length <= 262_144, "a frame's length")
        payload = plain[at + 5 : at + 5 + length]
        need(len(payload) == length, "the stream is cut off")
        yield chr(plain[at]), payload, at
        at += 5 + length


def outer(data, member, passphrase):
    intro = b"strongroom-bundle-passphrase/1\n"
    if data.startswith(intro):
        sealed, mark, data = data[len(intro) :].partition(b"\n\n")
        need(mark and len(sealed) < 4_096, "the sealed key")
        member = identity.read(sealed + b"\n", passphrase)
    return age_file.decrypt(data, member, header=8_192, x25519=None, file=1 << 32, plain=1 << 32)


def carried(plain):
    """The files that the sender's vault rests on, by path."""
    files, epochs = {}, 0
    for kind, payload, _ in frames(plain):
        if kind in "SLA":
            files[{"S": "strongroom.toml", "L": "keys/default.toml", "A": "keys/default.age"}[kind]] = payload
        elif kind == "E":
            epochs += 1
            files[f"keys/default.{epochs}.age"] = payload
        elif kind == "R":
            path = f"keys/default.{int.from_bytes(payload[:4], 'big')}.removed.toml"
            files[path] = files.get(path, b"") + payload[4:]
    return files


def keys_of(vault, head, plain, sender):
    """The keys that a bundle is under, and what is to be said of them."""
    if head["keyring"] == vault.commitment:
        return vault, ""
    if head["keyring"] in vault.past:
        return vault.past[head["keyring"]], "\nof a former epoch: compare the fingerprint"
    newer = sender(carried(plain))
    need(newer.id == vault.id and newer.commitment == head["keyring"], "a bundle under another key")
    need(vault.commitment in newer.past, "the keys of this vault do not vouch for the bundle's")
    return newer, f"\nnew keys: epoch {newer.epoch}"


def read(vault, member, data, passphrase, container, sender):
    """Checks a bundle for a member against an unlocked vault; says what it holds."""
    plain = outer(data, member, passphrase)
    stream = frames(plain)
    kind, payload, _ = next(stream, (None, b"", 0))
    need(kind == "H", "no header")
    head = header(payload)
    need(head["keys"] == "vault", "a bundle for a newcomer")
    need(head["vault"] == vault.id, "a bundle of another vault")
    keys, of_keys = keys_of(vault, head, plain, sender)
    order, secrets, values, count, size = "", {}, set(), 0, 0
    for kind, payload, at in stream:
        if kind == "T":
            need(len(payload) == 64, "the trailer's length")
            digest = hashlib.sha256(plain[:at]).digest()
            need(payload[:32] == digest, "the trailer's hash")
            mac = hmac.digest(keys.mac_key, b"strongroom/v1/bundle\0" + digest, hashlib.sha256)
            need(hmac.compare_digest(payload[32:], mac), "the trailer's mac")
            need(at + 69 == len(plain), "something follows the trailer")
            break
        order += kind
        count, size = count + 1, size + 5 + len(payload)
        if kind == "M":
            table = texts.parse(texts.open_text(payload, keys.mac("secret"), 1 << 20))
            path = names.encode(texts.string(table, "name"))
            name, _, versions = texts.metadata(payload, keys.mac("secret"), path)
            need(name not in secrets, f"{name} twice")
            secrets[name] = versions
        elif kind == "V":
            length = int.from_bytes(payload[:2], "big")
            version, file = payload[2 : 2 + length].decode("utf-8"), payload[2 + length :]
            need(secrets and version in versions, "a value of no version")
            need((name, version) not in values, "a version twice")
            got, content = container(age_file.decrypt(file, keys.keyring))
            need(got["vault"] == vault.id and got["name"] == name, "a value of another secret")
            need(got["version"] == version, "a value of another version")
            need(got["kind"] == versions[version]["kind"], "a value of another kind")
            keyed = got["kind"].encode() + b"\0" + content
            digest = hmac.digest(keys.digest_key, keyed, hashlib.sha256).hex()
            need(digest == versions[version]["digest"], "a value with another digest")
            values.add((name, version))
    else:
        raise age_file.Bad("no trailer")
    need(re.fullmatch("SLAE*R*(MV*)*", order), "frames out of order")
    totals = (len(secrets), len(values), count, size)
    need(totals == tuple(head[k] for k in ("secrets", "values", "frames", "bytes")), "the totals")
    key = hashlib.sha256(plain[: len(plain) - 69]).hexdigest()[:20]
    mark = "-".join(key[i : i + 4] for i in range(0, 20, 4))
    return f"ok: bundle {head['sequence']}, {len(secrets)} secrets, {len(values)} values\nfingerprint: {mark}{of_keys}"
