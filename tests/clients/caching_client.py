"""A program with AWS's caching library for Python; nothing in it knows of strongroom."""

import botocore.session
from aws_secretsmanager_caching import (
    InjectKeywordedSecretString,
    InjectSecretString,
    SecretCache,
    SecretCacheConfig,
)

calls = []


def counted(client):
    client.meta.events.register(
        "before-call.secrets-manager", lambda model, **_: calls.append(model.name)
    )
    return client


sm = counted(botocore.session.get_session().create_client("secretsmanager"))
cache = SecretCache(config=SecretCacheConfig(), client=sm)

assert cache.get_secret_string("cache/db") == '{"user": "ann", "password": "one"}'
assert calls == ["DescribeSecret", "GetSecretValue"], calls
assert cache.get_secret_string("cache/db") == '{"user": "ann", "password": "one"}'
assert len(calls) == 2, "the second one is from the cache"

# Another writer: the cache keeps what it has until it is told.
sm.put_secret_value(SecretId="cache/db", SecretString='{"user": "ann", "password": "two"}')
assert '"one"' in cache.get_secret_string("cache/db")
assert cache.refresh_secret_now("cache/db")
assert '"two"' in cache.get_secret_string("cache/db")
assert '"one"' in cache.get_secret_string("cache/db", version_stage="AWSPREVIOUS")

sm.create_secret(Name="cache/bytes", SecretBinary=b"\x00\xff")
assert cache.get_secret_binary("cache/bytes") == b"\x00\xff"
arn = sm.describe_secret(SecretId="cache/bytes")["ARN"]
assert cache.get_secret_binary(arn) == b"\x00\xff"

# A label that is nowhere is None; a secret that is nowhere is the SDK's exception.
assert cache.get_secret_string("cache/db", version_stage="AWSPENDING") is None
try:
    cache.get_secret_string("cache/nope")
    raise AssertionError("it is not there")
except sm.exceptions.ResourceNotFoundException as error:
    assert error.response["Error"]["Code"] == "ResourceNotFoundException"


@InjectSecretString("cache/db", cache)
def whole(secret):
    return secret


@InjectKeywordedSecretString(secret_id="cache/db", cache=cache, user="user", password="password")
def parts(user, password):
    return user, password


assert '"two"' in whole()
assert parts() == ("ann", "two")

# A client that the library makes for itself finds the endpoint as well.
assert '"two"' in SecretCache().get_secret_string("cache/db")

print("done")
