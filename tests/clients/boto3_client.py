"""An ordinary program for AWS with boto3; nothing in it knows of strongroom."""

import datetime
import uuid

import boto3
from botocore.exceptions import ClientError

sm = boto3.client("secretsmanager")
NOT_FOUND = "Secrets Manager can't find the specified secret."


def refused(code, call, **args):
    """Makes a call that must fail with this code; gives the exception."""
    try:
        call(**args)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error.response
        return error
    raise AssertionError(f"{call.__name__} {args} was not refused")


# A secret, a second version, and the roll back.
first, second = str(uuid.uuid4()), str(uuid.uuid4())
made = sm.create_secret(Name="py/db", SecretString="one", ClientRequestToken=first)
assert made["VersionId"] == first
assert made["ResponseMetadata"]["RequestId"], made
put = sm.put_secret_value(SecretId="py/db", SecretString="two", ClientRequestToken=second)
assert put["VersionStages"] == ["AWSCURRENT"], put
read = sm.get_secret_value(SecretId="py/db")
assert (read["SecretString"], read["VersionId"]) == ("two", second)
assert isinstance(read["CreatedDate"], datetime.datetime), read
age = datetime.datetime.now(datetime.timezone.utc) - read["CreatedDate"]
assert abs(age) < datetime.timedelta(minutes=5), age
moved = sm.update_secret_version_stage(
    SecretId="py/db", VersionStage="AWSCURRENT", RemoveFromVersionId=second, MoveToVersionId=first
)
assert moved["Name"] == "py/db"
assert sm.get_secret_value(SecretId="py/db")["SecretString"] == "one"
stages = sm.describe_secret(SecretId="py/db")["VersionIdsToStages"]
assert stages == {first: ["AWSCURRENT"], second: ["AWSPREVIOUS"]}, stages

# What a rotation function does: a pending version, tried, then made current.
pending = str(uuid.uuid4())
sm.put_secret_value(
    SecretId="py/db", SecretString="three", ClientRequestToken=pending, VersionStages=["AWSPENDING"]
)
tried = sm.get_secret_value(SecretId="py/db", VersionId=pending, VersionStage="AWSPENDING")
assert tried["SecretString"] == "three"
sm.update_secret_version_stage(
    SecretId="py/db", VersionStage="AWSCURRENT", RemoveFromVersionId=first, MoveToVersionId=pending
)
stages = sm.describe_secret(SecretId="py/db")["VersionIdsToStages"]
assert stages == {first: ["AWSPREVIOUS"], pending: ["AWSCURRENT", "AWSPENDING"]}, stages

# Bytes are bytes, and text is text, whatever is in it.
for value in (bytes(range(256)), b"\x00"):
    name = f"py/bytes-{len(value)}"
    sm.create_secret(Name=name, SecretBinary=value)
    read = sm.get_secret_value(SecretId=name)
    assert read["SecretBinary"] == value and "SecretString" not in read
text = "\u0000\n\"\\\u00e9\u6f22\U0001f980" + "x" * 65000
sm.create_secret(Name="py/text", SecretString=text)
assert sm.get_secret_value(SecretId="py/text")["SecretString"] == text

# The paginator.
for n in range(7):
    sm.create_secret(Name=f"many/{n}", SecretString=str(n), Tags=[{"Key": "n", "Value": str(n)}])
pages = list(
    sm.get_paginator("list_secrets").paginate(
        Filters=[{"Key": "name", "Values": ["many/"]}], PaginationConfig={"PageSize": 3}
    )
)
assert [len(p["SecretList"]) for p in pages] == [3, 3, 1], pages
assert "NextToken" not in pages[-1]
names = [s["Name"] for p in pages for s in p["SecretList"]]
assert names == [f"many/{n}" for n in range(7)], names
many = sm.batch_get_secret_value(SecretIdList=["many/1", "nope"])
assert [v["SecretString"] for v in many["SecretValues"]] == ["1"]
assert many["Errors"][0]["ErrorCode"] == "ResourceNotFoundException", many

# No output is no output.
tagged = sm.tag_resource(SecretId="py/db", Tags=[{"Key": "k", "Value": "v"}])
assert list(tagged) == ["ResponseMetadata"], tagged

# A modelled exception has its text twice, in Error and at the top.
try:
    sm.get_secret_value(SecretId="nope")
    raise AssertionError("it is not there")
except sm.exceptions.ResourceNotFoundException as error:
    assert error.response["Error"] == {"Message": NOT_FOUND, "Code": "ResourceNotFoundException"}
    assert error.response["Message"] == NOT_FOUND, error.response
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error.response
    assert str(error).endswith(f"when calling the GetSecretValue operation: {NOT_FOUND}")
try:
    sm.create_secret(Name="py/db", SecretString="x")
    raise AssertionError("it is there already")
except sm.exceptions.ResourceExistsException as error:
    said = "The operation failed because the secret py/db already exists."
    assert error.response["Message"] == error.response["Error"]["Message"] == said
# One that is not modelled has it in Error alone.
error = refused("ValidationException", sm.get_secret_value, SecretId="a b")
assert "Message" not in error.response, error.response
assert error.response["Error"]["Message"].startswith("Invalid name."), error.response

# What came to the API later is answered as what is unknown.
arn = "arn:aws:secretsmanager:us-east-1:111122223333:secret:a-AbCdEf"
both = {"SecretId": "py/db", "CrossAccountReplicaARN": arn}
refused("UnknownOperationException", sm.associate_cross_account_replica, **both)
refused("UnknownOperationException", sm.disassociate_cross_account_replica, **both)
refused("UnknownOperationException", sm.list_resource_policies, SecretId="py/db")

gone = sm.delete_secret(SecretId="py/text")
window = gone["DeletionDate"] - datetime.datetime.now(datetime.timezone.utc)
assert datetime.timedelta(days=29) < window <= datetime.timedelta(days=30), gone
try:
    sm.get_secret_value(SecretId="py/text")
    raise AssertionError("it is scheduled")
except sm.exceptions.InvalidRequestException as error:
    assert "marked for deletion" in error.response["Message"], error.response
assert sm.restore_secret(SecretId="py/text")["ARN"] == gone["ARN"]

print("done")
