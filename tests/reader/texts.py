"""Text files under a mac, and the metadata's canonical form (book: formats/vault.md, metadata.md)."""

import hashlib
import re
import tomllib

import names
from age_file import Bad
from identity import check_time

SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}
CONTROL = "\x00-\x1f\x7f-\x9f"
DIRECTION = "\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
ESCAPED = re.compile(f'["\\\\{CONTROL}\u061c\u2028\u2029{DIRECTION}]')
HEX64 = re.compile("[0-9a-f]{64}")
REMOTE = re.compile("(?!local$)[a-z][a-z0-9_-]{0,63}")
OWN = ("kms_key", "policy", "replicas", "rotation")
FIELDS = ("label", "description", "tag", "lifecycle") + OWN
CLASSES = (
    "edit/edit create/create edit/delete edit/schedule schedule/edit restore/purged "
    "edit/recreate name/scheduled remote/remote rewound integrity clone/clone"
).split()


def quote(text):
    return '"' + ESCAPED.sub(lambda m: SHORT.get(m[0]) or f"\\u{ord(m[0]):04X}", text) + '"'


def open_text(data, mac, limit=None):
    """Checks size, conflict markers, format and mac; gives the text and its body."""
    if limit and len(data) > limit:
        raise Bad(f"more than {limit} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Bad("not UTF-8") from None
    lines = text.split("\n")
    if any(line.startswith(("<<<<<<<", "=======", ">>>>>>>", "|||||||")) for line in lines):
        raise Bad("git's conflict markers")
    found = re.fullmatch(r"format = (0|[1-9][0-9]*)", lines[0])
    if not found:
        raise Bad("no line `format = 1` at the top")
    if found[1] != "1":
        raise Bad(f"format {found[1]} needs a newer reader")
    body, end = text[:-87], text[-87:]
    if not re.fullmatch(r'\[mac\]\nhmac-sha256 = "[0-9a-f]{64}"\n', end):
        raise Bad("no mac at the end")
    if mac(body.encode()) != end[-66:-2]:
        raise Bad("the mac is wrong")
    if not body.endswith("\n\n"):
        raise Bad("no empty line before the mac")
    return body


def parse(body):
    try:
        return tomllib.loads(body)
    except tomllib.TOMLDecodeError as error:
        raise Bad(f"not TOML: {error}") from None


def need(condition, what):
    if not condition:
        raise Bad(what)


def string(table, key, optional=False):
    value = table.pop(key, None)
    if value is None and optional:
        return None
    need(isinstance(value, str), f"{key} is no text")
    return value


def table_of(table, key, kind=dict):
    value = table.pop(key, kind())
    need(isinstance(value, kind), f"{key} is no table")
    if kind is list:
        need(all(isinstance(v, dict) for v in value), f"{key} is no array of tables")
    return value


def empty(table, where):
    need(not table, f"unknown keys in {where}: {', '.join(table)}")


def version_id(text):
    need(32 <= len(text) <= 64, "a version id of a wrong length")
    return text


def line(key, value):
    return f"{key} = {quote(value)}\n" if value is not None else ""


def section(header, lines):
    return f"{header}\n{''.join(lines)}\n"


def mapping(header, table):
    """A table of texts, sorted, every key in quotes; nothing if it is empty."""
    need(all(isinstance(v, str) for v in table.values()), f"{header} holds something else than texts")
    rows = sorted(table.items(), key=lambda item: item[0].encode())
    return section(header, [f"{quote(k)} = {quote(v)}\n" for k, v in rows]) if rows else ""


def labels_of(table, key):
    labels = table_of(table, key)
    for label, version in labels.items():
        need(1 <= len(label) <= 256, "a label of a wrong length")
        if key != "intent" or version != "":
            version_id(version)
    return labels


def lifecycle(table):
    word, date = string(table, "lifecycle"), string(table, "delete_date", True)
    need(word in ("live", "scheduled", "tombstone"), f"unknown lifecycle {word}")
    if date is not None:
        need(word == "scheduled", "delete_date of what is not scheduled")
        check_time(date)
    return line("lifecycle", word) + line("delete_date", date)


def face(path, table):
    """A state in a base, and its canonical form."""
    if table is None:
        return None
    need(isinstance(table, dict), f"{path} is no table")
    tags, labels = table_of(table, "tags"), labels_of(table, "labels")
    head = lifecycle(table) + line("description", string(table, "description", True))
    empty(table, path)
    return (
        section(f"[{path}]", [head])
        + mapping(f"[{path}.tags]", tags)
        + mapping(f"[{path}.labels]", labels)
    )


def field_of(table):
    field, key = string(table, "field"), string(table, "key", True)
    need(field in FIELDS, f"unknown field {field}")
    need((key is not None) == (field in ("label", "tag")), f"key with {field}")
    return field, key


def field_order(field, key):
    return FIELDS.index(field), (key or "").encode()


def in_order(rows):
    """Whether keys are sorted and none is there twice."""
    return all(a < b for a, b in zip(rows, rows[1:]))


def remote(name, table):
    need(REMOTE.fullmatch(name) and isinstance(table, dict), f"remote {name}")
    path = f"remote.{name}"
    arn, changed = string(table, "arn", True), string(table, "changed", True)
    intent, seen = labels_of(table, "intent"), table_of(table, "seen", list)
    base, local = face(f"{path}.base", table.pop("base", None)), face(f"{path}.local", table.pop("local", None))
    need((arn is None) == (base is None), "arn without base, or base without arn")
    need(base or (changed is None and local is None), "changed or local without a base")
    need(local is None or local.replace(f"[{path}.local", f"[{path}.base") != base, "local is as base")
    if changed is not None:
        check_time(changed)
    own = table_of(table, "own", list)
    empty(table, path)
    need(base or intent or seen or own, f"{path} remembers nothing")
    out = section(f"[{path}]", [line("arn", arn), line("changed", changed)])
    out += mapping(f"[{path}.intent]", intent) + (base or "") + (local or "")
    order = []
    for saw in seen:
        field, key = field_of(saw)
        text = string(saw, "text", True)
        empty(saw, f"{path}.seen")
        order.append(field_order(field, key))
        out += section(f"[[{path}.seen]]", [line("field", field), line("key", key), line("text", text)])
    need(in_order(order), f"{path}.seen is not sorted")
    order = []
    for halves in own:
        field, here, there = string(halves, "field"), string(halves, "here", True), string(halves, "there")
        empty(halves, f"{path}.own")
        need(field in OWN, f"unknown field {field}")
        order.append(field.encode())
        out += section(f"[[{path}.own]]", [line("field", field), line("here", here), line("there", there)])
    need(in_order(order), f"{path}.own is not sorted")
    return out


def conflict_id(secret, remote_name, field, key, kind, sides):
    shown = re.sub(f"[{CONTROL}{DIRECTION}]", lambda m: f"\\u{{{ord(m[0]):x}}}", key or "")
    parts = [secret, remote_name, field if key is None else f"{field} {shown}", kind]
    parts += ["-" if side is None else "=" + side for side in sides]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part.encode()).to_bytes(8, "big") + part.encode())
    return digest.hexdigest()[:12]


def conflict(secret, table):
    """A conflict's place in the order, and its canonical form."""
    given, remote_name = string(table, "id"), string(table, "remote")
    field, key = field_of(table)
    kind = string(table, "class")
    need(kind in CLASSES, f"unknown class {kind}")
    sides = [string(table, side, True) for side in ("base", "ours", "theirs")]
    empty(table, "conflict")
    need(REMOTE.fullmatch(remote_name), "a conflict's remote")
    need(given == conflict_id(secret, remote_name, field, key, kind, sides), "a conflict's id is wrong")
    rows = [line("id", given), line("remote", remote_name), line("field", field), line("key", key)]
    rows += [line("class", kind)] + [line(k, v) for k, v in zip(("base", "ours", "theirs"), sides)]
    place = (remote_name.encode(), field_order(field, key), CLASSES.index(kind))
    place += tuple((side is not None, (side or "").encode()) for side in sides)
    return place, section("[[conflict]]", rows)


def version(table):
    out = {key: string(table, key, True) for key in ("id", "created", "kind", "digest", "parent", "origin")}
    empty(table, "version")
    need(out["id"] is not None and out["kind"] in ("string", "binary", "placeholder"), "a version's kind")
    for key in ("id", "parent"):
        if out[key] is not None:
            version_id(out[key])
    if out["created"] is not None:
        check_time(out["created"])
    need((out["digest"] is None) == (out["kind"] == "placeholder"), "a version's digest")
    need(out["digest"] is None or HEX64.fullmatch(out["digest"]), "a version's digest")
    need(out["origin"] == "local" or REMOTE.fullmatch(out["origin"] or ""), "a version's origin")
    return out


def times(table, keys):
    out = ""
    for key in keys:
        at = string(table, key, True)
        if at is not None:
            check_time(at)
        out += line(key, at)
    return out


def rotation(table):
    enabled, days = table.pop("enabled", None), table.pop("after_days", None)
    need(isinstance(enabled, bool), "a rotation's enabled")
    need(days is None or (type(days) is int and 0 <= days < 65536), "a rotation's after_days")
    out = [f"enabled = {str(enabled).lower()}\n", line("function", string(table, "function", True))]
    out += [f"after_days = {days}\n"] if days is not None else []
    out += [line(key, string(table, key, True)) for key in ("schedule", "duration")]
    out += [times(table, ["rotated"])]
    empty(table, "rotation")
    return section("[details.rotation]", out)


def details(table):
    """What AWS keeps besides, in its canonical form; nothing if there is none."""
    if table is None:
        return ""
    need(isinstance(table, dict), "details is no table")
    head = times(table, ["created", "changed", "deleted"])
    head += "".join(line(key, string(table, key, True)) for key in ("kms_key", "policy"))
    untagged = table.pop("untagged", None)
    need(untagged in (None, True), "untagged is no true")
    head += "untagged = true\n" if untagged else ""
    turned, replicas = table.pop("rotation", None), table_of(table, "replica", list)
    empty(table, "details")
    need(head or turned or replicas, "details hold nothing")
    out = section("[details]", [head]) + (rotation(turned) if turned is not None else "")
    regions = []
    for replica in replicas:
        region, key = string(replica, "region"), string(replica, "kms_key", True)
        empty(replica, "replica")
        regions.append(region.encode())
        out += section("[[details.replica]]", [line("region", region), line("kms_key", key)])
    need(in_order(regions), "replicas are not sorted")
    return out


def metadata(data, mac, path, place=names.encode):
    """A secret's metadata, with every check of the page: name, labels and versions by id."""
    body = open_text(data, mac, 1 << 20)
    table = parse(body)
    need(table.pop("format") == 1, "format")
    name = string(table, "name")
    need(names.NAME.fullmatch(name), "a name that AWS would refuse")
    out = "format = 1\n" + line("name", name) + lifecycle(table)
    out += line("description", string(table, "description", True)) + "\n"
    out += mapping("[tags]", table_of(table, "tags"))
    labels = labels_of(table, "labels")
    out += mapping("[labels]", labels)
    out += details(table.pop("details", None))
    versions = [version(v) for v in table_of(table, "version", list)]
    need(in_order([v["id"].encode() for v in versions]), "versions are not sorted")
    for v in versions:
        out += section("[[version]]", [line(k, t) for k, t in v.items()])
    versions = {v["id"]: v for v in versions}
    need(all(v in versions for v in labels.values()), "a label on a version that is not there")
    for remote_name, remembered in sorted(table_of(table, "remote").items()):
        out += remote(remote_name, remembered)
    conflicts = [conflict(name, c) for c in table_of(table, "conflict", list)]
    need(in_order([place for place, _ in conflicts]), "conflicts are not sorted")
    out += "".join(text for _, text in conflicts)
    empty(table, "the file")
    need(out == body, "not in the canonical form")
    need(place(name) == path, f"lies at another path than that of {name}")
    return name, labels, versions
