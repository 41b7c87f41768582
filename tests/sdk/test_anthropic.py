"""Anthropic's official SDK, over a provider of its own format and over OpenAI's."""

import anthropic
import pytest

PROTOCOLS = ["anthropic", "openai"]
QUESTION = [{"role": "user", "content": "which way is north"}]
EXPECTED = "Simulated answer to: which way is north"
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}


@pytest.fixture
def client(server):
    # Newer majors of the SDK send the key as a bearer token, older ones as x-api-key.
    with anthropic.Anthropic(api_key=server.key, base_url=server.url, max_retries=0) as client:
        yield client


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_messages(client, configurations, protocol):
    raw = client.messages.with_raw_response.create(
        model=configurations[protocol], max_tokens=100, messages=QUESTION, system="be brief"
    )
    answer = raw.parse()
    assert [block.text for block in answer.content] == [EXPECTED]
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens == len(EXPECTED.split())
    assert raw.headers["x-quartermaster-provider"] == protocol


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_stream(client, configurations, protocol):
    with client.messages.stream(
        model=configurations[protocol], max_tokens=100, messages=QUESTION
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == EXPECTED
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == len(EXPECTED.split())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tools(client, configurations, protocol):
    messages = list(QUESTION)
    asked = client.messages.create(
        model=configurations[protocol], max_tokens=100, messages=messages, tools=[WEATHER]
    )
    assert asked.stop_reason == "tool_use"
    call = asked.content[-1]
    assert (call.type, call.name, set(call.input)) == ("tool_use", "weather", {"city", "days"})
    messages += [
        {"role": "assistant", "content": asked.content},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}],
        },
    ]
    answered = client.messages.create(
        model=configurations[protocol], max_tokens=100, messages=messages, tools=[WEATHER]
    )
    assert answered.content[0].text.endswith("sunny")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_streamed_tools(client, configurations, protocol):
    with client.messages.stream(
        model=configurations[protocol], max_tokens=100, messages=QUESTION, tools=[WEATHER]
    ) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    assert set(final.content[-1].input) == {"city", "days"}


def test_models(client, configurations):
    assert set(configurations.values()) <= {model.id for model in client.models.list()}


def test_errors_are_the_types_that_the_sdk_knows(client, server, fault):
    def call(model):
        return client.messages.create(model=model, max_tokens=10, messages=QUESTION)

    with pytest.raises(anthropic.NotFoundError) as unknown:
        call("nobody")
    assert unknown.value.body["type"] == "error"
    assert "nobody" in unknown.value.body["error"]["message"]
    with pytest.raises(anthropic.BadRequestError):
        call(fault("anthropic", "fault:400"))
    with pytest.raises(anthropic.RateLimitError):
        call(fault("anthropic", "fault:429"))
    with pytest.raises(anthropic.InternalServerError) as refused:
        call(fault("anthropic", "fault:401:echo-key"))
    assert refused.value.status_code == 502
    assert "sk-test-fault" not in refused.value.response.text
    stranger = anthropic.Anthropic(api_key="s" * 40, base_url=server.url, max_retries=0)
    with pytest.raises(anthropic.AuthenticationError):
        stranger.messages.create(model="nobody", max_tokens=10, messages=QUESTION)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("what", ["reset=5", "error-event=5"])
def test_a_stream_that_breaks_is_an_error(client, fault, protocol, what):
    with pytest.raises(anthropic.APIError):
        with client.messages.stream(
            model=fault(protocol, f"fault:{what}"), max_tokens=100, messages=QUESTION
        ) as stream:
            stream.get_final_message()
