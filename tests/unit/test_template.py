"""localstack/template.yaml has what the contract asks of AWS, read as text: no service runs."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from foundation.profile import ROOT
from services.localstack.cloudformation import with_new_deployment

TEXT = (ROOT / "localstack" / "template.yaml").read_text(encoding="utf-8")


class _Loader(yaml.SafeLoader):
    """Reads !Sub x as {"Sub": x}, and so on."""


def _intrinsic(loader: yaml.SafeLoader, name: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    assert isinstance(node, yaml.SequenceNode)
    return {name: loader.construct_sequence(node, deep=True)}


_Loader.add_multi_constructor("!", _intrinsic)
TEMPLATE: dict[str, Any] = yaml.load(TEXT, _Loader)
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
PATHS: dict[str, Any] = RESOURCES["Api"]["Properties"]["Body"]["paths"]
KINESIS = {
    ("/streams", "get"): "ListStreams",
    ("/streams/{stream-name}", "post"): "CreateStream",
    ("/streams/{stream-name}", "get"): "DescribeStream",
    ("/streams/{stream-name}", "delete"): "DeleteStream",
    ("/streams/{stream-name}/record", "put"): "PutRecord",
    ("/streams/{stream-name}/records", "put"): "PutRecords",
}


def integration(path: str, verb: str) -> dict[str, Any]:
    found: dict[str, Any] = PATHS[path][verb]["x-amazon-apigateway-integration"]
    return found


def test_it_is_small_enough_for_one_call_and_has_no_aliases() -> None:
    assert len(TEXT.encode()) < 51_200  # CloudFormation's limit for TemplateBody
    assert not re.search(r":\s+[&*]\w", TEXT)


def test_data_outlives_the_stack() -> None:
    kinds = ("AWS::S3::Bucket", "AWS::Kinesis::Stream", "AWS::MSK::Topic")
    data = [r for r in RESOURCES.values() if r["Type"] in kinds]
    assert len(data) == 8
    assert {(r["DeletionPolicy"], r["UpdateReplacePolicy"]) for r in data} == {("RetainExceptOnCreate", "Retain")}


def test_buckets_are_private_and_encrypted() -> None:
    for name in ("Bucket", "DagBucket"):
        properties = RESOURCES[name]["Properties"]
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert properties["BucketEncryption"]


def test_three_streams_on_demand_or_with_the_given_number_of_shards() -> None:
    streams = [r["Properties"] for r in RESOURCES.values() if r["Type"] == "AWS::Kinesis::Stream"]
    assert [s["Name"]["Sub"] for s in streams] == [f"streaming-${{UserId}}-{t}" for t in ("pin", "geo", "user")]
    for stream in streams:
        assert stream["StreamModeDetails"] == {"StreamMode": {"If": ["ShardsAreCounted", "PROVISIONED", "ON_DEMAND"]}}
        assert stream["ShardCount"] == {"If": ["ShardsAreCounted", {"Ref": "ShardCount"}, {"Ref": "AWS::NoValue"}]}
    assert TEMPLATE["Parameters"]["ShardCount"]["Default"] == "0"
    assert TEMPLATE["Conditions"]["ShardsAreCounted"] == {"Not": [{"Equals": [{"Ref": "ShardCount"}, "0"]}]}


def test_topics_only_in_a_cluster_that_is_named() -> None:
    topics = [r for r in RESOURCES.values() if r["Type"] == "AWS::MSK::Topic"]
    assert {topic["Condition"] for topic in topics} == {"TopicsAreNew"}
    assert {topic["Properties"]["PartitionCount"]["Ref"] for topic in topics} == {"PartitionCount"}
    assert TEMPLATE["Parameters"]["MskClusterArn"]["Default"] == ""
    assert TEMPLATE["Parameters"]["PartitionCount"]["Default"] == 1
    assert TEMPLATE["Conditions"]["TopicsAreNew"] == {"Not": [{"Equals": [{"Ref": "MskClusterArn"}, ""]}]}


def test_the_role_is_for_api_gateway_and_may_make_the_apis_calls_only() -> None:
    role = RESOURCES["KinesisRole"]["Properties"]
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"Service": "apigateway.amazonaws.com"}
    streams, listing = role["Policies"][0]["PolicyDocument"]["Statement"]
    assert {*streams["Action"], listing["Action"]} == {f"kinesis:{action}" for action in KINESIS.values()}
    assert streams["Resource"]["Sub"].endswith(":stream/streaming-${UserId}-*")


def test_the_api_has_these_methods_and_no_others() -> None:
    methods = {(path, verb) for path, verbs in PATHS.items() for verb in verbs}
    proxy = {("/{proxy+}", "x-amazon-apigateway-any-method")}
    assert methods == set(KINESIS) | proxy | {(path, "options") for path in PATHS}


def test_the_proxy_hands_everything_on() -> None:
    proxy = integration("/{proxy+}", "x-amazon-apigateway-any-method")
    assert (proxy["type"], proxy["httpMethod"], proxy["uri"]) == (
        "http_proxy",
        "ANY",
        {"Sub": "${RestProxyUrl}/{proxy}"},
    )
    assert proxy["requestParameters"]["integration.request.path.proxy"] == "method.request.path.proxy"


@pytest.mark.parametrize(("method", "action"), KINESIS.items(), ids=KINESIS.values())
def test_kinesis_methods_are_integrated_alike(method: tuple[str, str], action: str) -> None:
    call = integration(*method)
    assert (call["type"], call["httpMethod"], call["passthroughBehavior"]) == ("aws", "POST", "never")
    assert call["uri"]["Sub"].endswith(f":kinesis:action/{action}")
    assert call["requestParameters"] == {"integration.request.header.Content-Type": "'application/x-amz-json-1.1'"}
    answers = {pattern: answer["statusCode"] for pattern, answer in call["responses"].items()}
    assert answers == {"default": "200", r"4\d{2}": "400", r"5\d{2}": "500"}


def test_every_method_but_options_asks_for_what_the_parameters_say() -> None:
    for path, verbs in PATHS.items():
        for verb, operation in verbs.items():
            asked = [one["If"][:2] for one in operation.get("security", [])]
            wanted = [["SignatureIsAsked", {"sigv4": []}], ["KeyIsAsked", {"api_key": []}]]
            assert asked == ([] if verb == "options" else wanted), (path, verb)
    schemes = RESOURCES["Api"]["Properties"]["Body"]["components"]["securitySchemes"]
    assert schemes["sigv4"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    assert schemes["api_key"] == {"type": "apiKey", "name": "x-api-key", "in": "header"}


def test_the_api_key_is_no_echo_and_in_no_logical_id() -> None:
    assert TEMPLATE["Parameters"]["ApiKeyValue"]["NoEcho"] is True
    one, same, none = (with_new_deployment(TEXT, {"ApiKeyValue": key}) for key in ("k" * 20, "l" * 20, ""))
    assert one == same != none


def test_the_stage_is_throttled_and_logs_no_body() -> None:
    stage = RESOURCES["Stage"]["Properties"]
    (settings,) = stage["MethodSettings"]
    assert (settings["ResourcePath"], settings["HttpMethod"]) == ("/*", "*")
    assert {"ThrottlingRateLimit", "ThrottlingBurstLimit"} <= set(settings)
    format_ = stage["AccessLogSetting"]["If"][1]["Format"]
    assert set(json.loads(format_)) == {"time", "id", "ip", "method", "path", "status", "ms", "error"}
    assert RESOURCES["LogsAccount"]["DependsOn"] == "Api"
    assert "LogsAccount" in str(stage["Description"])  # made before
    assert RESOURCES["AccessLogGroup"]["Properties"]["RetentionInDays"] == 30
    assert not re.search("body|apiKey|querystring|Authorization", format_)


def test_every_operation_has_an_id_of_its_own() -> None:
    ids = [
        operation["operationId"]
        for verbs in PATHS.values()
        for operation in verbs.values()
        if "operationId" in operation
    ]
    assert sorted(ids) == sorted(KINESIS.values())


def test_the_stage_is_dev_and_a_changed_api_gets_a_new_deployment() -> None:
    assert RESOURCES["Stage"]["Properties"]["StageName"] == "dev"
    first, same, other = (
        with_new_deployment(TEXT, {"RestProxyUrl": url}) for url in ("http://a:1", "http://a:1", "http://b:1")
    )
    assert first == same != other
    (name,) = set(re.findall(r"ApiDeployment\w+", first))
    assert first.count(name) == TEXT.count("ApiDeployment") == 2


def test_outputs_name_what_people_need() -> None:
    assert {"InvokeUrl", "BucketName", "DagBucketName", "PinStreamName", "KinesisRoleArn"} <= set(TEMPLATE["Outputs"])
