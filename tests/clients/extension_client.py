"""A Lambda function's way to its secrets: the extension's HTTP form, by the standard
library alone. Nothing in it knows of strongroom."""

import base64
import json
import os
import urllib.error
import urllib.parse
import urllib.request

PORT = os.environ["PARAMETERS_SECRETS_EXTENSION_HTTP_PORT"]
# In a Lambda function the session token is the extension's token.
TOKEN = {"X-Aws-Parameters-Secrets-Token": os.environ["AWS_SESSION_TOKEN"]}
# A proxy is for the world outside.
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def get(path, headers):
    request = urllib.request.Request(f"http://localhost:{PORT}{path}", headers=headers)
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def secret(**asked):
    status, body = get("/secretsmanager/get?" + urllib.parse.urlencode(asked), TOKEN)
    assert status == 200, (status, body)
    return json.loads(body)


def refused(path, status, text, headers=TOKEN):
    assert get(path, headers) == (status, text), (path, get(path, headers))


one = secret(secretId="ext/db")
assert one["SecretString"] == "new & improved/\u00e9", one
assert one["Name"] == "ext/db" and one["VersionStages"] == ["AWSCURRENT"], one
assert "SecretBinary" not in one, one
# Seconds with a fraction, as text.
assert isinstance(one["CreatedDate"], str) and float(one["CreatedDate"]) > 1.6e9, one
assert secret(secretId=one["ARN"])["VersionId"] == one["VersionId"]
assert secret(secretId="ext/db", versionId=one["VersionId"])["SecretString"] == one["SecretString"]
assert secret(secretId="ext/db", versionStage="AWSPREVIOUS")["SecretString"] == "old"
assert secret(secretId="ext/db", refreshNow="True")["SecretString"] == one["SecretString"]
assert base64.b64decode(secret(secretId="ext/bytes")["SecretBinary"]) == b"\x00\xff"

# The agent's form of the same, with its other header and the token by its other name.
status, body = get("/v1/ext/db", {"X-Vault-Token": os.environ["AWS_TOKEN"]})
assert status == 200 and json.loads(body) == one, (status, body)

assert get("/ping", {}) == (200, "healthy")
refused("/secretsmanager/get?secretId=ext/db", 403, "Bad Token", {})
refused(
    "/secretsmanager/get?secretId=ext/db", 403, "Bad Token", {"X-Aws-Parameters-Secrets-Token": "x"}
)
refused("/secretsmanager/get?secretId=ext/db", 400, "Forwarded", {**TOKEN, "X-Forwarded-For": "1.2.3.4"})
refused("/secretsmanager/get", 400, "missing parameter secretId")
refused("/secretsmanager/get?secretId=ext/db&refreshNow=maybe", 400, "invalid refreshNow value")
refused("/secretsmanager/put", 404, "Not found")
refused(
    "/secretsmanager/get?secretId=nope",
    400,
    '{"__type":"ResourceNotFoundException", '
    '"message":"Secrets Manager can\'t find the specified secret."}',
)

print("done")
