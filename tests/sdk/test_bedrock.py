"""Amazon Bedrock: signed requests, and AWS's own SDK against the stand-in."""

import json

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

import dialects
import protocols

QUESTION = [{"role": "user", "content": "which way is north"}]
EXPECTED = "Simulated answer to: which way is north"


def test_requests_are_signed_and_name_the_model_in_their_path(server, create, simulator, received):
    talk = dialects.OpenAIChat(server, create("bedrock_converse"))
    httpx.delete(f"{simulator}/simulator/ledger")
    talk.say(QUESTION[0]["content"])
    talk.answer()
    [sent] = received()
    assert "x-amz-date" in sent["headers"]
    assert sent["path"] == f"/model/{protocols.CLAUDE}/converse"


@pytest.fixture
def aws(simulator):
    config = Config(retries={"max_attempts": 0})
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=simulator,
        region_name="us-east-1",
        aws_access_key_id="AKIDEXAMPLE",
        aws_secret_access_key="secret",
        config=config,
    )


CONVERSATION = [{"role": "user", "content": [{"text": "which way is north"}]}]


def test_aws_reads_the_stand_in(aws):
    whole = aws.converse(modelId="simulated-chat", messages=CONVERSATION)
    assert whole["output"]["message"]["content"] == [{"text": EXPECTED}]
    stream = aws.converse_stream(modelId="simulated-chat", messages=CONVERSATION)["stream"]
    events = list(stream)
    deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    assert "".join(delta["delta"]["text"] for delta in deltas) == EXPECTED
    assert events[-1]["metadata"]["usage"]["outputTokens"] == len(EXPECTED.split())
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 50,
        "messages": QUESTION,
    }
    body = json.dumps(body)
    chunks = aws.invoke_model_with_response_stream(modelId="simulated-chat", body=body)["body"]
    events = [json.loads(event["chunk"]["bytes"]) for event in chunks]
    assert [event["type"] for event in events][0] == "message_start"
    assert events[-1]["type"] == "message_stop"


def test_aws_reads_the_stand_ins_failures(aws):
    with pytest.raises(ClientError) as failure:
        aws.converse(modelId="fault:429", messages=CONVERSATION)
    assert failure.value.response["Error"]["Code"] == "ThrottlingException"
    broken = aws.converse_stream(modelId="fault:error-event=3", messages=CONVERSATION)
    with pytest.raises(EventStreamError):
        list(broken["stream"])
