"""The section "A table that exists" of docs/deploy.md: a table is restored from a point in time, gets what it lacks, and the
clients that came back to life are deleted again. `run.py python restore.py deregisterctl` runs it against moto.

moto restores a table as it is now, so the deletion comes after the restoration.
"""

import json
import os
import subprocess
import sys
import tempfile

import boto3

os.environ.update(
    AWS_REGION="eu-central-1",
    AWS_DEFAULT_REGION="eu-central-1",
    AWS_ACCESS_KEY_ID="local",
    AWS_SECRET_ACCESS_KEY="local",
)
dynamodb = boto3.client("dynamodb", endpoint_url=os.environ["AWS_ENDPOINT_URL_DYNAMODB"])
OLD, NEW = "deregister-clients", "deregister-clients-restored"


def tool(table, *arguments):
    """Runs the tool, and returns the objects that it prints."""
    command = [sys.argv[1], "--json", "--table", table, *arguments]
    run = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    print("deregisterctl", *command[1:])
    return [json.loads(line) for line in run.stdout.splitlines()]


def is_live(table, client):
    item = dynamodb.get_item(TableName=table, Key={"pk": {"S": f"client#{client}"}}, ConsistentRead=True)["Item"]
    return "client" in item


tool(OLD, "table", "create")
for client in ["deleted-later", "stays"]:
    tool(OLD, "client", "create", "--app", "demo", "--id", client)
tool(OLD, "service", "create", "715948400")
tool(OLD, "client", "register", "--service", "715948400", "--id", "registered")
on = {"PointInTimeRecoveryEnabled": True}
dynamodb.update_continuous_backups(TableName=OLD, PointInTimeRecoverySpecification=on)

dynamodb.restore_table_to_point_in_time(SourceTableName=OLD, TargetTableName=NEW, UseLatestRestorableTime=True)
tool(OLD, "client", "delete", "deleted-later", "registered", "--yes")

restored = dynamodb.describe_table(TableName=NEW)["Table"]
time_to_live = dynamodb.describe_time_to_live(TableName=NEW)["TimeToLiveDescription"]["TimeToLiveStatus"]
assert [index["IndexName"] for index in restored["GlobalSecondaryIndexes"]] == ["idle"]
assert (time_to_live, "LatestStreamArn" in restored) == ("DISABLED", False), "a restored table has neither"

tool(NEW, "table", "create")
images = {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
dynamodb.update_table(TableName=NEW, StreamSpecification=images, DeletionProtectionEnabled=True)
dynamodb.update_continuous_backups(TableName=NEW, PointInTimeRecoverySpecification=on)
mended = dynamodb.describe_table(TableName=NEW)["Table"]
time_to_live = dynamodb.describe_time_to_live(TableName=NEW)["TimeToLiveDescription"]
assert (time_to_live["TimeToLiveStatus"], time_to_live["AttributeName"]) == ("ENABLED", "expires_at")
assert mended["LatestStreamArn"].startswith("arn:aws:dynamodb:"), mended
assert mended["StreamSpecification"] == images and mended["DeletionProtectionEnabled"]
assert tool(NEW, "table", "check") == []

assert is_live(NEW, "deleted-later"), "it came back to life"
deleted = [it["client_id"] for it in tool(OLD, "deletion", "list", "--since", "1d")]
with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
    file.write("".join(f"{client}\n" for client in deleted))
    file.flush()
    tool(NEW, "client", "delete", "--from", file.name, "--yes", "--by", "restore")
assert sorted(deleted) == ["deleted-later", "registered"]
assert [is_live(NEW, client) for client in ["deleted-later", "registered", "stays"]] == [False, False, True]
print("the restored table has what a table of the stack has, and the deletion was made again")
