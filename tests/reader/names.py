"""Names and paths (book: formats/names.md)."""

import base64
import hashlib
import re

from age_file import Bad

NAME = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
DEVICES = {"con", "prn", "aux", "nul"} | {f"{d}{n}" for d in ("com", "lpt") for n in range(10)}


def b32(data):
    return base64.b32encode(data).decode().rstrip("=").lower()


def encode_segment(segment, last):
    if not segment:
        return ",1"
    out = ",3" if segment.split(".")[0].lower() in DEVICES else ""
    ending = None
    if not last:
        ending = next((len(segment) - len(e) for e in (".toml", ".age") if segment.endswith(e)), None)
    for i, c in enumerate(segment):
        if "A" <= c <= "Z":
            out += "," + c.lower()
        elif c == "." and i in (0, len(segment) - 1, ending):
            out += ",2"
        else:
            out += c
    return out


def encode(name):
    """The path of a secret's metadata, below `secrets/`."""
    segments = name.split("/")
    parts = [encode_segment(s, i == len(segments) - 1) for i, s in enumerate(segments)]
    parts[-1] += ".toml"
    path = "/".join(parts)
    if max(map(len, parts)) > 100 or len(path) > 150:
        h = b32(hashlib.sha256(b"strongroom/v1/name\0" + name.encode()).digest())
        return f",4/{h[:2]}/{h[2:52]}.toml"
    return path


def decode_segment(part):
    if part == ",1":
        return ""
    out, rest = "", part.removeprefix(",3")
    while rest:
        if rest.startswith(",2"):
            out, rest = out + ".", rest[2:]
        elif re.match(",[a-z]", rest):
            out, rest = out + rest[1].upper(), rest[2:]
        elif re.match(r"[a-z0-9_+=.@-]", rest):
            out, rest = out + rest[0], rest[1:]
        else:
            raise Bad("a path that encodes no name")
    if not out:
        raise Bad("a path that encodes no name")
    return out


def decode(path):
    """The name of a metadata path; `None` where only the file can say it."""
    if not path.endswith(".toml"):
        raise Bad("metadata does not end in .toml")
    if path.startswith(",4/"):
        return None
    name = "/".join(decode_segment(p) for p in path.removesuffix(".toml").split("/"))
    if not NAME.fullmatch(name) or encode(name) != path:
        raise Bad("a path that is not the encoding of its own name")
    return name


def vkey(version):
    if re.fullmatch(r"[a-z0-9-]{32,64}", version):
        return version
    return "x" + b32(hashlib.sha256(version.encode()).digest())


def value_parts(path):
    """Stem, VKEY and CT8 of a value file's path."""
    found = re.fullmatch(r"(.+)\.([^./]+)\.([0-9a-f]{8})\.age", path)
    if not found:
        raise Bad("not the name of a value file")
    return found.groups()
