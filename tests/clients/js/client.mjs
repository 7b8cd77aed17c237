// An ordinary program for AWS with the JavaScript SDK v3; nothing in it knows of
// strongroom.

import assert from "node:assert/strict";
import {
  BatchGetSecretValueCommand,
  CreateSecretCommand,
  DeleteSecretCommand,
  DescribeSecretCommand,
  GetSecretValueCommand,
  InvalidRequestException,
  PutSecretValueCommand,
  ResourceExistsException,
  ResourceNotFoundException,
  SecretsManagerClient,
  SecretsManagerServiceException,
  TagResourceCommand,
  UpdateSecretVersionStageCommand,
  paginateListSecrets,
} from "@aws-sdk/client-secrets-manager";

const sm = new SecretsManagerClient();
const get = (more) => sm.send(new GetSecretValueCommand({ SecretId: "js/db", ...more }));

const made = await sm.send(new CreateSecretCommand({ Name: "js/db", SecretString: "one" }));
assert.match(made.ARN, /:secret:js\/db-[A-Za-z0-9]{6}$/);
assert.equal(made.$metadata.httpStatusCode, 200);
assert.ok(made.$metadata.requestId);
const put = await sm.send(new PutSecretValueCommand({ SecretId: "js/db", SecretString: "two" }));
assert.deepEqual(put.VersionStages, ["AWSCURRENT"]);

const read = await get();
assert.equal(read.SecretString, "two");
assert.equal(read.VersionId, put.VersionId);
assert.ok(read.CreatedDate instanceof Date && Math.abs(Date.now() - read.CreatedDate) < 300e3);
assert.equal((await get({ VersionStage: "AWSPREVIOUS" })).SecretString, "one");
assert.equal((await get({ SecretId: made.ARN, VersionId: made.VersionId })).SecretString, "one");

const bytes = Uint8Array.from({ length: 256 }, (_, n) => n);
await sm.send(new CreateSecretCommand({ Name: "js/bytes", SecretBinary: bytes }));
const binary = await get({ SecretId: "js/bytes" });
assert.deepEqual(Uint8Array.from(binary.SecretBinary), bytes);
assert.equal(binary.SecretString, undefined);

await sm.send(
  new UpdateSecretVersionStageCommand({
    SecretId: "js/db",
    VersionStage: "AWSCURRENT",
    RemoveFromVersionId: put.VersionId,
    MoveToVersionId: made.VersionId,
  }),
);
await sm.send(new TagResourceCommand({ SecretId: "js/db", Tags: [{ Key: "k", Value: "v" }] }));
const described = await sm.send(new DescribeSecretCommand({ SecretId: "js/db" }));
assert.deepEqual(described.VersionIdsToStages, {
  [made.VersionId]: ["AWSCURRENT"],
  [put.VersionId]: ["AWSPREVIOUS"],
});
assert.deepEqual(described.Tags, [{ Key: "k", Value: "v" }]);
assert.ok(described.LastAccessedDate instanceof Date);
assert.equal(described.DeletedDate, undefined);

const names = [];
let pages = 0;
for await (const page of paginateListSecrets({ client: sm, pageSize: 1 }, {})) {
  pages += 1;
  names.push(...(page.SecretList ?? []).map((secret) => secret.Name));
}
assert.deepEqual(names, ["js/db", "js/bytes"]);
assert.ok(pages >= 2);
const many = await sm.send(new BatchGetSecretValueCommand({ SecretIdList: ["js/db", "nope"] }));
assert.deepEqual(many.SecretValues.map((value) => value.SecretString), ["one"]);
assert.equal(many.Errors[0].ErrorCode, "ResourceNotFoundException");

// Errors are the SDK's own classes.
const refused = async (command, kind, name, message) => {
  const error = await sm.send(command).then(
    () => assert.fail(`${name} was expected`),
    (error) => error,
  );
  assert.ok(error instanceof kind, String(error));
  assert.equal(error.name, name);
  assert.match(error.message, message);
  assert.equal(error.$metadata.httpStatusCode, 400);
};
await refused(
  new GetSecretValueCommand({ SecretId: "nope" }),
  ResourceNotFoundException,
  "ResourceNotFoundException",
  /^Secrets Manager can't find the specified secret\.$/,
);
await refused(
  new CreateSecretCommand({ Name: "js/db", SecretString: "x" }),
  ResourceExistsException,
  "ResourceExistsException",
  /^The operation failed because the secret js\/db already exists\.$/,
);
// Not in the service's model, so a plain one with its name.
await refused(
  new GetSecretValueCommand({ SecretId: "a b" }),
  SecretsManagerServiceException,
  "ValidationException",
  /^Invalid name\./,
);
await sm.send(new DeleteSecretCommand({ SecretId: "js/bytes", RecoveryWindowInDays: 7 }));
await refused(
  new GetSecretValueCommand({ SecretId: "js/bytes" }),
  InvalidRequestException,
  "InvalidRequestException",
  /marked for deletion/,
);

console.log("done");
