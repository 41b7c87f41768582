"""The official OpenAI and Anthropic SDKs over Google's generateContent."""

import json

import anthropic
import httpx
import openai
import pytest

QUESTION = [{"role": "user", "content": "which way is north"}]
EXPECTED = "Simulated answer to: which way is north"
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
}
OPENAI_WEATHER = {
    "type": "function",
    "function": {"name": "weather", "description": "The weather.", "parameters": SCHEMA},
}
ANTHROPIC_WEATHER = {"name": "weather", "description": "The weather.", "input_schema": SCHEMA}


@pytest.fixture(scope="module", params=["google_genai", "google_vertexai"])
def gemini(request, server, simulator):
    """The name of a configuration that leads to the stand-in by Google's format."""
    row = {
        "name": f"through-{request.param}",
        "provider": request.param,
        "model": "simulated-chat",
        "api_key": "AIza-test-0123456789abcdef",
        "additional_params": {"base_url": simulator},
    }
    if request.param == "google_vertexai":
        row["additional_params"]["project"] = "my-project"
    with server.api() as api:
        answer = api.post("/v1/model-configurations", json=row)
    assert answer.status_code == 201, answer.text
    return row["name"]


@pytest.fixture
def openai_client(server):
    with openai.OpenAI(api_key=server.key, base_url=f"{server.url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(server):
    with anthropic.Anthropic(api_key=server.key, base_url=server.url, max_retries=0) as client:
        yield client


def last_request(simulator) -> dict:
    return httpx.get(f"{simulator}/simulator/ledger").json()["requests"][-1]


def test_openai_chat(openai_client, gemini, simulator):
    answer = openai_client.chat.completions.create(
        model=gemini, messages=[{"role": "system", "content": "be brief"}, *QUESTION]
    )
    assert answer.choices[0].message.content == EXPECTED
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 6
    assert answer.usage.completion_tokens == len(EXPECTED.split())
    sent = last_request(simulator)
    assert sent["path"].split("?")[0].endswith("models/simulated-chat:generateContent")
    assert sent["body"]["systemInstruction"]["parts"] == [{"text": "be brief"}]


def test_openai_tools(openai_client, gemini, simulator):
    messages = list(QUESTION)
    asked = openai_client.chat.completions.create(
        model=gemini, messages=messages, tools=[OPENAI_WEATHER]
    )
    assert asked.choices[0].finish_reason == "tool_calls"
    call = asked.choices[0].message.tool_calls[0]
    assert call.function.name == "weather"
    assert set(json.loads(call.function.arguments)) == {"city", "days"}
    messages.append(asked.choices[0].message.model_dump(exclude_none=True))
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "sunny"})
    told = openai_client.chat.completions.create(
        model=gemini, messages=messages, tools=[OPENAI_WEATHER]
    )
    assert told.choices[0].message.content == "Simulated answer after the tool said: sunny"
    check_history(last_request(simulator)["body"]["contents"])


def check_history(contents):
    """The call comes back with its signature, and the result by the tool's name."""
    [called] = contents[1]["parts"]
    assert called["functionCall"]["name"] == "weather"
    assert len(called["thoughtSignature"]) == 16
    [answered] = contents[2]["parts"]
    assert answered["functionResponse"]["name"] == "weather"


@pytest.mark.parametrize("is_streamed", [False, True])
def test_anthropic_tools(anthropic_client, gemini, simulator, is_streamed):
    messages = list(QUESTION)
    request = {
        "model": gemini,
        "max_tokens": 100,
        "messages": messages,
        "tools": [ANTHROPIC_WEATHER],
    }
    if is_streamed:
        with anthropic_client.messages.stream(**request) as stream:
            asked = stream.get_final_message()
    else:
        asked = anthropic_client.messages.create(**request)
    assert asked.stop_reason == "tool_use"
    call = asked.content[-1]
    assert (call.type, call.name, set(call.input)) == ("tool_use", "weather", {"city", "days"})
    messages.append({"role": "assistant", "content": asked.content})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}
    messages.append({"role": "user", "content": [result]})
    told = anthropic_client.messages.create(**request)
    assert told.content[0].text == "Simulated answer after the tool said: sunny"
    check_history(last_request(simulator)["body"]["contents"])


def test_a_link_to_an_image_is_refused_in_words(openai_client, gemini):
    if gemini != "through-google_genai":
        return  # Vertex AI fetches links itself.
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    with pytest.raises(openai.BadRequestError, match="downloads nothing"):
        openai_client.chat.completions.create(
            model=gemini, messages=[{"role": "user", "content": [picture]}]
        )


def test_an_overloaded_provider_is_a_503(server, simulator, openai_client):
    row = {
        "name": "gemini-overloaded",
        "provider": "google_genai",
        "model": "fault:503",
        "max_retries": 0,
        "api_key": "AIza-test-0123456789abcdef",
        "additional_params": {"base_url": simulator},
    }
    with server.api() as api:
        assert api.post("/v1/model-configurations", json=row).status_code == 201
    with pytest.raises(openai.InternalServerError) as failed:
        openai_client.chat.completions.create(model=row["name"], messages=QUESTION)
    assert failed.value.status_code == 503
