"""What Kinesis answers: recorded from LocalStack's (kinesis-local 0.4.13), and errors as AWS's API reference has them.

https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html, .../API_GetShardIterator.html
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

# ListShards after a split of the first shard and a merge of its children. The end of a closed shard is no number of a
# record, and that a merged shard begins before its parents is kinesis-local's own.
LISTED: list[dict[str, Any]] = [
    {
        "ShardId": "shardId-000000000000",
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "170141183460469231731687303715884105726"},
        "SequenceNumberRange": {
            "StartingSequenceNumber": "49680417557257061466945226487926023576463007645672931330",
            "EndingSequenceNumber": "9223372036854775807",
        },
    },
    {
        "ShardId": "shardId-000000000001",
        "HashKeyRange": {
            "StartingHashKey": "170141183460469231731687303715884105727",
            "EndingHashKey": "340282366920938463463374607431768211455",
        },
        "SequenceNumberRange": {"StartingSequenceNumber": "49680417557279362212143757111067559294735656007178911762"},
    },
    {
        "ShardId": "shardId-000000000002",
        "ParentShardId": "shardId-000000000000",
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "85070591730234615865843651857942052862"},
        "SequenceNumberRange": {
            "StartingSequenceNumber": "49680417557658474880518777704473666505370678221500055586",
            "EndingSequenceNumber": "9223372036854775807",
        },
    },
    {
        "ShardId": "shardId-000000000003",
        "ParentShardId": "shardId-000000000000",
        "HashKeyRange": {
            "StartingHashKey": "85070591730234615865843651857942052863",
            "EndingHashKey": "170141183460469231731687303715884105726",
        },
        "SequenceNumberRange": {
            "StartingSequenceNumber": "49680417557680775625717308327615202223643326583006036018",
            "EndingSequenceNumber": "9223372036854775807",
        },
    },
    {
        "ShardId": "shardId-000000000004",
        "ParentShardId": "shardId-000000000002",
        "AdjacentParentShardId": "shardId-000000000003",
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "170141183460469231731687303715884105726"},
        "SequenceNumberRange": {"StartingSequenceNumber": "49680417557658474880518777704473666505370678221500055586"},
    },
]

# One of GetRecords' records.
RECORD: dict[str, Any] = {
    "SequenceNumber": "49680417557257061466945226487926023576463007714392408066",
    "ApproximateArrivalTimestamp": datetime(2026, 11, 21, 3, 36, 29, 137000, UTC),
    "Data": b"x0",
    "PartitionKey": "k0",
    "EncryptionType": "NONE",
}

# Code, words and HTTP status of errors. kinesis-local:
MISSING_STREAM = (
    "ResourceNotFoundException",
    "Stream arn arn:aws:kinesis:us-east-1:000000000000:stream/{} not found",
    400,
)
MISSING_SHARD = ("ResourceNotFoundException", "Could not find shardId {} in stream {}", 400)
MISSING_RECORD = (
    "ResourceNotFoundException",
    "Unable to find record with provided SequenceNumber SequenceNumber({}) in stream Some({})",
    400,
)
BROKEN = ("500", "Internal Server Error", 500)
# AWS:
EXPIRED = (
    "ExpiredIteratorException",
    "Iterator expired. The iterator was created at time Sat Nov 21 03:30:00 UTC 2026 while right now it is Sat Nov 21 "
    "03:36:00 UTC 2026 which is further in the future than the tolerated delay of 300000 milliseconds.",
    400,
)
THROTTLED = (
    "ProvisionedThroughputExceededException",
    "Rate exceeded for shard shardId-000000000000 in stream s under account 123456789012.",
    400,
)
TOO_MANY_CALLS = ("LimitExceededException", "Rate exceeded for Stream s under account 123456789012.", 400)
OUT_OF_RANGE = (
    "InvalidArgumentException",
    "StartingSequenceNumber 4968 used in GetShardIterator on shard shardId-000000000000 in stream s under account "
    "123456789012 is invalid.",
    400,
)
WRONG_KEY = ("UnrecognizedClientException", "The security token included in the request is invalid.", 400)
