// Opens one value of a vault with age's TypeScript implementation, from the book's format
// pages alone: the keyring with the member's key, then the value with the keyring's.
// node open_vault.mjs IDENTITY VAULT VALUE_FILE

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Decrypter } from "age-encryption";

const [identityFile, vault, valueFile] = process.argv.slice(2);

// An identity file has one line that is the key.
const keyOf = (text) => {
  const keys = text.split(/\r?\n/).filter((line) => line !== "" && !line.startsWith("#"));
  assert.equal(keys.length, 1);
  assert.match(keys[0], /^AGE-SECRET-KEY-1/);
  return keys[0];
};
const open = (file, key) => {
  const age = new Decrypter();
  age.addIdentity(key);
  return age.decrypt(readFileSync(file));
};

const keyring = await open(join(vault, "keys/default.age"), keyOf(readFileSync(identityFile, "utf8")));
const key = keyOf(new TextDecoder().decode(keyring));
const plain = await open(valueFile, key);

const end = Buffer.from(plain).indexOf("\n\n");
const header = new TextDecoder().decode(plain.subarray(0, end)).split("\n");
const size = Number(header.find((line) => line.startsWith("size: ")).slice("size: ".length));
const padding = plain.subarray(end + 2 + size);
assert.ok(padding.every((byte) => byte === 0));
process.stdout.write(plain.subarray(end + 2, end + 2 + size));
