"""The official SDKs over Amazon Bedrock's formats, and AWS's own SDK against the stand-in."""

import json

import anthropic
import boto3
import httpx
import openai
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

QUESTION = [{"role": "user", "content": "which way is north"}]
EXPECTED = "Simulated answer to: which way is north"
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
WEATHER = {"name": "weather", "description": "The weather of a city."}
KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret0123456789EXAMPLE"}

# A model that streams everything, one that streams no tool calls, and Claude by itself.
ROWS = {
    "converse": ("bedrock_converse", "anthropic.claude-sonnet-4-5-simulated"),
    "no-tool-stream": ("bedrock_converse", "meta.llama3-3-simulated"),
    "invoke": ("anthropic_bedrock", "anthropic.claude-simulated"),
}


@pytest.fixture(scope="session")
def names(server, simulator):
    """Names of configurations, by what they show."""
    with server.api() as api:
        for name, (provider, model) in ROWS.items():
            row = {
                "name": f"bedrock-{name}",
                "provider": provider,
                "model": model,
                "api_key": json.dumps(KEYS),
                "additional_params": {"endpoint_url": simulator, "region_name": "eu-west-1"},
            }
            answer = api.post("/v1/model-configurations", json=row)
            assert answer.status_code == 201, answer.text
    return {name: f"bedrock-{name}" for name in ROWS}


@pytest.fixture
def openai_client(server):
    url = f"{server.url}/v1"
    with openai.OpenAI(api_key=server.key, base_url=url, max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(server):
    with anthropic.Anthropic(api_key=server.key, base_url=server.url, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("name", ROWS)
def test_openai_chat_stream_and_tools(openai_client, names, name):
    create = openai_client.chat.completions.create
    answer = create(model=names[name], messages=QUESTION)
    assert answer.choices[0].message.content == EXPECTED
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == len(EXPECTED.split())
    options = {"include_usage": True}
    pieces = list(create(model=names[name], messages=QUESTION, stream=True, stream_options=options))
    said = [piece.choices[0].delta.content or "" for piece in pieces if piece.choices]
    assert "".join(said) == EXPECTED
    assert pieces[-1].usage.completion_tokens == len(EXPECTED.split())

    tools = [{"type": "function", "function": {**WEATHER, "parameters": PARAMETERS}}]
    messages = list(QUESTION)
    asked = create(model=names[name], messages=messages, tools=tools).choices[0]
    assert asked.finish_reason == "tool_calls"
    [call] = asked.message.tool_calls
    assert call.function.name == "weather"
    assert set(json.loads(call.function.arguments)) == {"city", "days"}
    messages += [asked.message, {"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    answered = create(model=names[name], messages=messages, tools=tools)
    assert answered.choices[0].message.content.endswith("sunny")


@pytest.mark.parametrize("name", ROWS)
def test_openai_streamed_tools(openai_client, names, name):
    tools = [{"type": "function", "function": {**WEATHER, "parameters": PARAMETERS}}]
    with openai_client.chat.completions.stream(
        model=names[name], messages=QUESTION, tools=tools
    ) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.finish_reason == "tool_calls"
    [call] = final.message.tool_calls
    assert set(json.loads(call.function.arguments)) == {"city", "days"}


@pytest.mark.parametrize("name", ROWS)
def test_anthropic_messages_stream_and_tools(anthropic_client, names, name):
    create = anthropic_client.messages.create
    answer = create(model=names[name], max_tokens=100, messages=QUESTION, system="be brief")
    assert [block.text for block in answer.content] == [EXPECTED]
    assert answer.stop_reason == "end_turn"
    with anthropic_client.messages.stream(
        model=names[name], max_tokens=100, messages=QUESTION
    ) as stream:
        assert "".join(stream.text_stream) == EXPECTED
        assert stream.get_final_message().usage.output_tokens == len(EXPECTED.split())

    tools = [{**WEATHER, "input_schema": PARAMETERS}]
    messages = list(QUESTION)
    with anthropic_client.messages.stream(
        model=names[name], max_tokens=100, messages=messages, tools=tools
    ) as stream:
        asked = stream.get_final_message()
    assert asked.stop_reason == "tool_use"
    call = asked.content[-1]
    assert set(call.input) == {"city", "days"}
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    messages += [
        {"role": "assistant", "content": asked.content},
        {"role": "user", "content": [result]},
    ]
    answered = create(model=names[name], max_tokens=100, messages=messages, tools=tools)
    assert answered.content[0].text.endswith("sunny")


def test_requests_are_signed_and_name_the_model_in_their_path(openai_client, names, simulator):
    httpx.delete(f"{simulator}/simulator/ledger")
    openai_client.chat.completions.create(model=names["converse"], messages=QUESTION)
    [received] = httpx.get(f"{simulator}/simulator/ledger").json()["requests"]
    assert "x-amz-date" in received["headers"]
    assert received["path"] == f"/model/{ROWS['converse'][1]}/converse"


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
