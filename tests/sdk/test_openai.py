"""OpenAI's official SDK, over a provider of its own format and over Anthropic's."""

import json

import openai
import pytest

PROTOCOLS = ["openai", "anthropic"]
QUESTION = [{"role": "user", "content": "which way is north"}]
EXPECTED = "Simulated answer to: which way is north"
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}


@pytest.fixture
def client(server):
    with openai.OpenAI(api_key=server.key, base_url=f"{server.url}/v1", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_chat(client, configurations, protocol):
    raw = client.chat.completions.with_raw_response.create(
        model=configurations[protocol], messages=QUESTION
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == EXPECTED
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 4
    assert answer.usage.completion_tokens == len(EXPECTED.split())
    assert raw.headers["x-quartermaster-provider"] == protocol
    assert raw.headers["x-quartermaster-attempts"] == "1"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_stream(client, configurations, protocol):
    pieces = list(
        client.chat.completions.create(
            model=configurations[protocol],
            messages=QUESTION,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(
        choice.delta.content or "" for piece in pieces for choice in piece.choices
    )
    assert text == EXPECTED
    reasons = [choice.finish_reason for piece in pieces for choice in piece.choices]
    assert reasons.count("stop") == 1
    assert pieces[-1].usage.completion_tokens == len(EXPECTED.split())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_shows_usage_only_to_those_who_ask(client, configurations, protocol):
    pieces = client.chat.completions.create(
        model=configurations[protocol], messages=QUESTION, stream=True
    )
    assert all(piece.usage is None and piece.choices for piece in pieces)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tools(client, configurations, protocol):
    messages = list(QUESTION)
    asked = client.chat.completions.create(
        model=configurations[protocol], messages=messages, tools=[WEATHER]
    )
    choice = asked.choices[0]
    assert choice.finish_reason == "tool_calls"
    [call] = choice.message.tool_calls
    assert call.function.name == "weather"
    assert set(json.loads(call.function.arguments)) == {"city", "days"}

    messages += [
        choice.message,
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    answered = client.chat.completions.create(
        model=configurations[protocol], messages=messages, tools=[WEATHER]
    )
    assert answered.choices[0].message.content.endswith("sunny")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_streamed_tools(client, configurations, protocol):
    with client.chat.completions.stream(
        model=configurations[protocol], messages=QUESTION, tools=[WEATHER]
    ) as stream:
        final = stream.get_final_completion()
    [call] = final.choices[0].message.tool_calls
    assert set(json.loads(call.function.arguments)) == {"city", "days"}
    assert final.choices[0].finish_reason == "tool_calls"


def test_an_image_reaches_both(client, configurations):
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    content = [
        {"type": "text", "text": "what is this"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}"}},
    ]
    for protocol in PROTOCOLS:
        answer = client.chat.completions.create(
            model=configurations[protocol], messages=[{"role": "user", "content": content}]
        )
        assert answer.choices[0].message.content.endswith("what is this")


def test_models(client, configurations):
    listed = {model.id for model in client.models.list()}
    assert set(configurations.values()) <= listed


def test_selection_by_id(client, server, configurations):
    with server.api() as api:
        rows = api.get("/v1/model-configurations").json()
    row = next(row for row in rows if row["name"] == configurations["openai"])
    raw = client.chat.completions.with_raw_response.create(model=row["id"], messages=QUESTION)
    assert raw.headers["x-quartermaster-model-configuration"] == row["id"]


def test_the_simulated_default_needs_no_key(client, server):
    with server.api() as api:
        default = next(
            row for row in api.get("/v1/model-configurations").json() if row["is_system_default"]
        )
    answer = client.chat.completions.create(model=default["name"], messages=QUESTION)
    assert answer.choices[0].message.content == EXPECTED


def test_errors_are_the_types_that_the_sdk_knows(client, server, fault):
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nobody", messages=QUESTION)
    assert unknown.value.code and "nobody" in unknown.value.message
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model=fault("openai", "fault:400"), messages=QUESTION)
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(
            model=fault("openai", "fault:429:retry-after=7"), messages=QUESTION
        )
    assert limited.value.response.headers["retry-after"] == "7"
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model=fault("openai", "fault:401:echo-key"), messages=QUESTION)
    assert refused.value.status_code == 502
    assert refused.value.code == "provider_authentication"
    assert "sk-test-fault" not in refused.value.response.text
    stranger = openai.OpenAI(api_key="s" * 40, base_url=f"{server.url}/v1", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        stranger.chat.completions.create(model="nobody", messages=QUESTION)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_retries_are_invisible(client, fault, protocol):
    model = fault(protocol, f"fault:529:times=1:id=openai-sdk-{protocol}", max_retries=2)
    raw = client.chat.completions.with_raw_response.create(model=model, messages=QUESTION)
    assert raw.parse().choices[0].message.content == EXPECTED
    assert raw.headers["x-quartermaster-attempts"] == "2"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("what", ["reset=5", "truncate=5", "error-event=5"])
def test_a_stream_that_breaks_is_an_error(client, fault, protocol, what):
    stream = client.chat.completions.create(
        model=fault(protocol, f"fault:{what}"), messages=QUESTION, stream=True
    )
    with pytest.raises(openai.APIError):
        for _ in stream:
            pass
