"""A second reader of strongroom's vaults, format 1, written from the book's pages alone.

    strongroom_reader.py verify VAULT --identity FILE [--passphrase-fd N]
    strongroom_reader.py get VAULT NAME [--version ID] --identity FILE [--passphrase-fd N]
    strongroom_reader.py bundle VAULT FILE --identity FILE [--passphrase-fd N]

It shares no code with strongroom. Exit code 1 and a reason on any mismatch.
"""

import argparse
import hashlib
import hmac
import json
import os
import re
import stat
import sys

sys.dont_write_bytecode = True

import age_file  # noqa: E402
import bundle  # noqa: E402
import hidden  # noqa: E402
import identity  # noqa: E402
import names  # noqa: E402
import texts  # noqa: E402
from age_file import Bad  # noqa: E402
from texts import need  # noqa: E402

UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TEMPORARY = re.compile(r"\.strongroom-.*\.tmp")


def padded(n):
    if n <= 512:
        return 512
    e = n.bit_length() - 1
    s = e.bit_length()
    mask = (1 << (e - s)) - 1
    return (n + mask) & ~mask


def container(plain):
    """Header fields and payload of a value."""
    head, mark, rest = plain.partition(b"\n\n")
    try:
        lines = head.decode("utf-8").split("\n")
    except UnicodeDecodeError:
        raise Bad("a container's header that is not text") from None
    if re.fullmatch(r"strongroom-value/(0|[1-9][0-9]*)", lines[0]) and lines[0] != "strongroom-value/1":
        raise Bad("another version of the container: needs a newer reader")
    keys = ("vault", "name", "version", "kind", "created", "salt", "size")
    need(mark and lines[0] == "strongroom-value/1" and len(lines) == 8, "no container of a value")
    got = {}
    for key, line in zip(keys, lines[1:]):
        need(line.startswith(key + ": "), f"a container without {key}")
        got[key] = line[len(key) + 2 :]
    need(UUID.fullmatch(got["vault"]), "a container's vault")
    need(names.NAME.fullmatch(got["name"]), "a container's name")
    try:
        version = json.loads(got["version"])
    except ValueError:
        version = None
    need(isinstance(version, str), "a container's version")
    need(json.dumps(version, ensure_ascii=False) == got["version"], "a version not in its one spelling")
    texts.version_id(version)
    need(got["kind"] in ("string", "binary"), "a container's kind")
    if got["created"] != "-":
        identity.check_time(got["created"])
    need(len(identity.base64_bytes(got["salt"])) == 16, "a container's salt")
    need(re.fullmatch("0|[1-9][0-9]{0,4}", got["size"]) and int(got["size"]) <= 65_536, "a container's size")
    size, used = int(got["size"]), len(head) + 2 + int(got["size"])
    payload, padding = rest[:size], rest[size:]
    need(len(payload) == size, "a container shorter than its size")
    need(len(plain) == padded(used) and not any(padding), "a container's padding")
    if got["kind"] == "string":
        try:
            payload.decode("utf-8")
        except UnicodeDecodeError:
            raise Bad("a string that is not UTF-8") from None
    got["version"] = version
    return got, payload


def check_member(key):
    """An age recipient, a plugin's, or an ssh-ed25519 key without a comment."""
    if not key.startswith("ssh-"):
        is_plugin = key.startswith("age1") and "1" in key[4:]
        return age_file.check_plugin(key) if is_plugin else age_file.check_recipient(key)
    kind, _, text = key.partition(" ")
    blob = identity.base64_bytes(text)
    right = b"\0\0\0\x0bssh-ed25519\0\0\0\x20"
    need(kind == "ssh-ed25519" and len(blob) == 51 and blob.startswith(right), "an ssh key")


def mac_of(key, domain):
    prefix = f"strongroom/v1/{domain}\0".encode()
    return lambda body: hmac.digest(key, prefix + body, hashlib.sha256).hex()


class Former:
    """The keys of an epoch that has ended."""

    def __init__(self, keyring, mac_key, digest_key):
        self.keyring, self.mac_key, self.digest_key = keyring, mac_key, digest_key

    def mac(self, domain):
        return mac_of(self.mac_key, domain)


class Vault:
    """A vault whose keyring, member list and settings are verified."""

    def __init__(self, root, member):
        self.root = root
        plain = age_file.decrypt(
            self.read("keys/default.age"), member, header=65_536, x25519=None, plain=4_096
        )
        self.keyring = self.at("keys/default.age", identity.plain, plain)
        settings = self.read("strongroom.toml")
        found = re.search(rb'^vault_id = "([0-9a-f-]{36})"$', settings, re.M)
        need(found and UUID.fullmatch(found[1].decode()), "strongroom.toml: no vault_id")
        self.id = found[1].decode()
        self.mac_key, self.digest_key, commitment = self.derive(self.keyring)
        self.commitment = commitment.hex()
        self.past, self.epoch = {}, 0
        # Believed once the settings' mac is.
        self.hidden = None
        if re.search(rb"^hidden_names = true$", settings, re.M):
            self.hidden = hidden.Hidden(self.keyring.text, self.id, padded)
        self.at("keys/default.toml", self.members)
        self.at("strongroom.toml", self.settings, settings)

    def mac(self, domain):
        return mac_of(self.mac_key, domain)

    def derive(self, keyring):
        return (
            age_file.hkdf(keyring.text.encode(), b"strongroom/v1", f"{p}\0{self.id}".encode())
            for p in ("mac", "digest", "commitment")
        )

    def at(self, path, check, *args):
        try:
            return check(*args)
        except Bad as reason:
            raise Bad(f"{path}: {reason}") from None

    def read(self, path):
        full = self.root
        for part in path.split("/"):
            full = os.path.join(full, part)
            mode = os.lstat(full).st_mode
            need(not stat.S_ISLNK(mode), f"{path}: a symbolic link")
        need(stat.S_ISREG(mode), f"{path}: not a regular file")
        with open(full, "rb") as file:
            return file.read()

    def reveal(self, path):
        """What a file says that names secrets."""
        data = self.read(path)
        return self.hidden.open(path, data) if self.hidden else data

    def encode(self, name):
        return self.hidden.encode(name) if self.hidden else names.encode(name)

    def vkey(self, name, version):
        return self.hidden.vkey(name, version) if self.hidden else names.vkey(version)

    def members(self):
        body = texts.open_text(self.read("keys/default.toml"), self.mac("keyring"))
        table = texts.parse(body)
        need(table.pop("format") == 1 and table.pop("name", None) == "default", "its name")
        epoch = table.pop("epoch", None)
        need(type(epoch) is int and epoch >= 1, "its epoch")
        recipient, commitment = texts.string(table, "recipient"), texts.string(table, "commitment")
        self.epoch = epoch
        need(recipient == self.keyring.recipient, "the recipient is not that of the keyring")
        need(commitment == self.commitment, "the commitment is not that of the keyring")
        need(table.pop("prefixes", None) == [""], "its prefixes")
        members = texts.table_of(table, "member", list)
        past = texts.table_of(table, "past", list)
        texts.empty(table, "the file")
        out = f'format = 1\nname = "default"\nepoch = {epoch}\n'
        out += texts.line("recipient", recipient) + texts.line("commitment", commitment)
        out += 'prefixes = [""]\n\n'
        for member in members:
            name, key = texts.string(member, "name"), texts.string(member, "recipient")
            texts.empty(member, "member")
            check_member(key)
            out += texts.section("[[member]]", [texts.line("name", name), texts.line("recipient", key)])
        chain, removals = [], []
        for ended in past:
            number, seen = ended.pop("epoch", None), texts.string(ended, "commitment")
            need(type(number) is int and re.fullmatch("[0-9a-f]{64}", seen), "a past epoch")
            removed, vouch = ended.pop("removed", []), texts.string(ended, "vouch")
            need(isinstance(removed, list) and all(isinstance(n, str) for n in removed), "removed")
            texts.empty(ended, "past")
            chain.append((number, seen, vouch))
            if removed:
                removals.append((number + 1, removed))
            names_of = "removed = [" + ", ".join(texts.quote(n) for n in removed) + "]\n"
            out += texts.section(
                "[[past]]",
                [f"epoch = {number}\n", texts.line("commitment", seen)]
                + [names_of] * bool(removed)
                + [texts.line("vouch", vouch)],
            )
        need(body == out, "not in the canonical form")
        need([number for number, *_ in chain] in ([], list(range(1, epoch))), "a gap in the epochs")
        self.vouched(chain, epoch, recipient, commitment)
        for number, removed in removals:
            path = f"keys/default.{number}.removed.toml"
            self.at(path, self.ledger, self.reveal(path), number, removed)

    def vouched(self, chain, epoch, recipient, commitment):
        """Goes back from the present keys to the first ones, each vouched for by those before."""
        keys = self.keyring
        for number, seen, vouch in reversed(chain):
            path = f"keys/default.{number}.age"
            plain = age_file.decrypt(self.read(path), keys, header=65_536, x25519=1, plain=4_096)
            keys = self.at(path, identity.plain, plain)
            mac_key, digest_key, found = self.derive(keys)
            need(found.hex() == seen, f"{path}: another keyring than the list says")
            text = 'name = "default"\n' + f"epoch = {epoch}\n"
            text += texts.line("recipient", recipient) + texts.line("commitment", commitment)
            right = hmac.digest(mac_key, b"strongroom/v1/epoch\0" + text.encode(), hashlib.sha256)
            need(right.hex() == vouch, f"epoch {number} does not vouch for the next")
            self.past[seen] = Former(keys, mac_key, digest_key)
            epoch, recipient, commitment = number, keys.recipient, seen

    def ledger(self, data, epoch, removed):
        body = texts.open_text(data, self.mac("ledger"))
        table = texts.parse(body)
        need(table.pop("format") == 1 and table.pop("keyring", None) == "default", "its keyring")
        need(table.pop("epoch", None) == epoch, "its epoch")
        when = texts.string(table, "removed")
        identity.check_time(when)
        out = f'format = 1\nkeyring = "default"\nepoch = {epoch}\n' + texts.line("removed", when) + "\n"
        members, secrets = texts.table_of(table, "member", list), texts.table_of(table, "secret", list)
        texts.empty(table, "the file")
        for member in members:
            name, key = texts.string(member, "name"), texts.string(member, "recipient")
            need(name in removed, "a member who was not removed")
            out += texts.section("[[member]]", [texts.line("name", name), texts.line("recipient", key)])
        for secret in secrets:
            name, current = texts.string(secret, "name"), texts.string(secret, "current", True)
            lines = [texts.line("name", name)] + [texts.line("current", current)] * (current is not None)
            out += texts.section("[[secret]]", lines)
        need(body == out, "not in the canonical form")

    def settings(self, data):
        table = texts.parse(texts.open_text(data, self.mac("vault")))
        need(table.pop("format") == 1 and table.pop("vault_id", None) == self.id, "its vault_id")
        days = table.pop("recovery_window", 30)
        need(type(days) is int and 7 <= days <= 30, "recovery_window")
        need(table.pop("hidden_names", False) is bool(self.hidden), "hidden_names")
        git, guard = texts.table_of(table, "git"), texts.table_of(table, "max_delete")
        need(type(git.pop("commit", True)) is bool, "git.commit")
        count, percent = guard.pop("count", 10), guard.pop("percent", 10)
        need(type(count) is int and count >= 0, "max_delete.count")
        need(type(percent) is int and 0 <= percent <= 100, "max_delete.percent")
        for name, remote in texts.table_of(table, "remote").items():
            need(texts.REMOTE.fullmatch(name) and isinstance(remote, dict), f"remote {name}")
            texts.string(remote, "region")
            need(re.fullmatch("[0-9]{12}", texts.string(remote, "account", True) or "0" * 12), "account")
            texts.string(remote, "profile", True), texts.string(remote, "role_arn", True)
            endpoint = texts.string(remote, "endpoint", True)
            need(endpoint is None or endpoint.startswith(("http://", "https://")), "endpoint")
            need(remote.pop("direction", "two-way") in ("two-way", "pull", "push"), "direction")
            for key in ("details", "push_kms", "push_policy", "push_replicas"):
                need(remote.pop(key, True) is True, key)
            names_map = texts.table_of(remote, "map")
            if names_map:
                texts.string(names_map, "local"), texts.string(names_map, "remote")
            texts.empty(names_map, "map")
            for key in ("include", "exclude"):
                prefixes = remote.pop(key, [])
                need(isinstance(prefixes, list) and all(isinstance(p, str) for p in prefixes), key)
            texts.empty(remote, f"remote {name}")
        for rest, where in ((git, "git"), (guard, "max_delete"), (table, "the file")):
            texts.empty(rest, where)

    def secret(self, path):
        """Name, labels and versions of the metadata at this path below `secrets/`."""
        self.hidden.decode(path) if self.hidden else names.decode(path)
        return texts.metadata(self.reveal(f"secrets/{path}"), self.mac("secret"), path, self.encode)

    def value(self, path, name, versions):
        """The version and payload of a value file, all checks made."""
        data = self.read(f"secrets/{path}")
        stem, vkey, ct8 = names.value_parts(path)
        need(hashlib.sha256(data).hexdigest()[:8] == ct8, "its hash is not the one in its name")
        got, payload = container(age_file.decrypt(data, self.keyring))
        need(got["vault"] == self.id, "a value of another vault")
        need(got["name"] == name and f"{stem}.toml" == self.encode(name), "a value of another secret")
        need(self.vkey(name, got["version"]) == vkey and got["version"] in versions, "a value of another version")
        version = versions[got["version"]]
        need(got["kind"] == version["kind"], "a value of another kind")
        digest = hmac.digest(self.digest_key, got["kind"].encode() + b"\0" + payload, hashlib.sha256)
        need(digest.hex() == version["digest"], "a value with another digest")
        return got["version"], payload

    def files(self):
        """The files below `secrets/`: metadata paths, value paths, and how many are not the vault's."""
        metadata, values, strangers = [], [], 0
        top = os.path.join(self.root, "secrets")
        for folder, folders, files in os.walk(top, onerror=fail):
            for entry in folders + files:
                path = os.path.relpath(os.path.join(folder, entry), top)
                mode = os.lstat(os.path.join(folder, entry)).st_mode
                good = stat.S_ISDIR(mode) if entry in folders else stat.S_ISREG(mode)
                need(good, f"secrets/{path}: neither a file nor a directory")
                if entry in folders or TEMPORARY.fullmatch(entry):
                    continue
                if entry.endswith(".toml"):
                    metadata.append(path)
                elif entry.endswith(".age"):
                    values.append(path)
                else:
                    strangers += 1
        return sorted(metadata), sorted(values), strangers


def fail(error):
    raise error


def verify(vault):
    metadata, values, strangers = vault.files()
    secrets, wanted = {}, set()
    for path in metadata:
        name, _, versions = vault.at(f"secrets/{path}", vault.secret, path)
        secrets[path.removesuffix(".toml")] = name, versions
        wanted |= {(name, v["id"]) for v in versions.values() if v["kind"] != "placeholder"}
    found, orphans = set(), 0
    for path in values:
        stem, vkey, _ = vault.at(f"secrets/{path}", names.value_parts, path)
        name, versions = secrets.get(stem, (None, {}))
        if vkey not in (vault.vkey(name, version) for version in versions):
            # A crash before the metadata was written leaves such a file. It means nothing.
            orphans += 1
            continue
        version, _ = vault.at(f"secrets/{path}", vault.value, path, name, versions)
        found.add((name, version))
    for name, version in sorted(wanted - found):
        raise Bad(f"{name}: no value file of version {version}")
    print(f"ok: {len(secrets)} secrets, {len(found)} versions, {len(values) - orphans} value files")
    if orphans:
        print(f"{orphans} value files belong to no version")
    if strangers:
        print(f"{strangers} files are not the vault's")
    key = vault.commitment[:20]
    print("key: " + "-".join(key[i : i + 4] for i in range(0, 20, 4)))


def get(vault, name, version):
    need(names.NAME.fullmatch(name), f"{name}: not a name")
    path = vault.encode(name)
    _, labels, versions = vault.at(f"secrets/{path}", vault.secret, path)
    version = version or labels.get("AWSCURRENT")
    need(version in versions, f"{name}: no such version")
    stem = path.removesuffix(".toml")
    folder = os.path.join(vault.root, "secrets", os.path.dirname(path))
    for entry in sorted(os.listdir(folder)):
        candidate = os.path.join(os.path.dirname(path), entry)
        if not entry.endswith(".age") or TEMPORARY.fullmatch(entry):
            continue
        if vault.at(f"secrets/{candidate}", names.value_parts, candidate)[:2] != (stem, vault.vkey(name, version)):
            continue
        held, payload = vault.at(f"secrets/{candidate}", vault.value, candidate, name, versions)
        if held == version:
            return sys.stdout.buffer.write(payload)
    raise Bad(f"{name}: no value file of version {version}")


class Carried(Vault):
    """What a bundle brings of the vault it was made of, without its secrets."""

    def __init__(self, files, member):
        self.files = files
        super().__init__("the bundle", member)

    def read(self, path):
        need(path in self.files, f"{path}: not in the bundle")
        return self.files[path]


def main():
    parser = argparse.ArgumentParser(description="A second reader of strongroom's vaults, format 1.")
    parser.add_argument("command", choices=("verify", "get", "bundle"))
    parser.add_argument("vault")
    parser.add_argument("name", nargs="?")
    parser.add_argument("--version")
    parser.add_argument("--identity", required=True)
    parser.add_argument("--passphrase-fd", type=int)
    args = parser.parse_args()
    if (args.command != "verify") != (args.name is not None):
        parser.error("`get` takes the name of a secret, `bundle` a file, `verify` neither")

    def passphrase():
        need(args.passphrase_fd is not None, "the identity is sealed: give --passphrase-fd")
        with open(args.passphrase_fd, "rb") as file:
            return file.read().decode().removesuffix("\n")

    try:
        with open(args.identity, "rb") as file:
            member = identity.read(file.read(), passphrase)
        vault = Vault(args.vault, member)
        if args.command == "verify":
            verify(vault)
        elif args.command == "bundle":
            with open(args.name, "rb") as file:
                print(bundle.read(vault, member, file.read(), passphrase, container, lambda f: Carried(f, member)))
        else:
            get(vault, args.name, args.version)
    except (Bad, OSError, UnicodeDecodeError) as reason:
        print(f"strongroom_reader: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
