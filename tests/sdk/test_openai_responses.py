"""OpenAI's official SDK through the Responses API, over every protocol that providers speak."""

import json

import openai
import pytest
from openai.types.responses import Response
from pydantic import BaseModel

PROTOCOLS = ["responses", "openai", "anthropic"]
QUESTION = "which way is north"
EXPECTED = "Simulated answer to: which way is north"
WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather of a city.",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture
def client(server):
    with openai.OpenAI(api_key=server.key, base_url=f"{server.url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def models(server, simulator, configurations) -> dict[str, str]:
    """Names of configurations by the protocol that their provider speaks."""
    row = {
        "name": "through-responses",
        "provider": "openai",
        "model": "simulated-chat",
        "api_key": "sk-test-openai-0123456789abcdef",
        "additional_params": {"base_url": f"{simulator}/v1", "use_responses_api": True},
    }
    with server.api() as api:
        answer = api.post("/v1/model-configurations", json=row)
    assert answer.status_code == 201, answer.text
    return {**configurations, "responses": row["name"]}


def valid(answer: Response) -> Response:
    """The SDK reads leniently; its types must accept the answer all the same."""
    return Response.model_validate(answer.model_dump(mode="json"))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_create(client, models, protocol):
    raw = client.responses.with_raw_response.create(model=models[protocol], input=QUESTION)
    answer = valid(raw.parse())
    assert answer.output_text == EXPECTED
    assert answer.status == "completed" and answer.error is None
    assert answer.usage.input_tokens == 4
    assert answer.usage.output_tokens == len(EXPECTED.split())
    provider = {"responses": "openai"}.get(protocol, protocol)
    assert raw.headers["x-quartermaster-provider"] == provider


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_stream(client, models, protocol):
    with client.responses.stream(model=models[protocol], input=QUESTION) as stream:
        events = list(stream)
        final = stream.get_final_response()
    assert final.output_text == EXPECTED
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    for kind in ["output_item.added", "content_part.added", "output_text.done", "output_item.done"]:
        assert kinds.count(f"response.{kind}") == 1
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == EXPECTED and len(deltas) > 1
    assert valid(final).usage.output_tokens == len(EXPECTED.split())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_tools(client, models, protocol):
    conversation = [{"role": "user", "content": QUESTION}]
    asked = client.responses.create(model=models[protocol], input=conversation, tools=[WEATHER])
    [call] = [item for item in valid(asked).output if item.type == "function_call"]
    assert call.name == "weather"
    assert set(json.loads(call.arguments)) == {"city", "days"}

    conversation += asked.output
    conversation.append(
        {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    )
    answered = client.responses.create(model=models[protocol], input=conversation, tools=[WEATHER])
    assert answered.output_text.endswith("sunny")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_streamed_tools(client, models, protocol):
    with client.responses.stream(
        model=models[protocol], input=QUESTION, tools=[WEATHER]
    ) as stream:
        events = list(stream)
        final = stream.get_final_response()
    [call] = [item for item in final.output if item.type == "function_call"]
    deltas = [
        event.delta for event in events if event.type == "response.function_call_arguments.delta"
    ]
    assert "".join(deltas) == call.arguments
    assert set(json.loads(call.arguments)) == {"city", "days"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_structured_output(client, models, protocol):
    answer = client.responses.parse(model=models[protocol], input=QUESTION, text_format=Person)
    assert isinstance(answer.output_parsed, Person)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_instructions_and_reasoning_items_go_back(client, server, simulator, protocol):
    row = {
        "name": f"thinks-{protocol}",
        "provider": "anthropic" if protocol == "anthropic" else "openai",
        "model": "simulated-chat:reasoning=4",
        "api_key": "sk-test-openai-0123456789abcdef",
        "additional_params": {
            "base_url": simulator if protocol == "anthropic" else f"{simulator}/v1",
            **({"use_responses_api": True} if protocol == "responses" else {}),
        },
    }
    with server.api() as api:
        assert api.post("/v1/model-configurations", json=row).status_code == 201
    conversation = [{"role": "user", "content": QUESTION}]
    first = client.responses.create(
        model=row["name"],
        instructions="Be brief.",
        input=conversation,
        include=["reasoning.encrypted_content"],
    )
    kinds = [item.type for item in valid(first).output]
    # Chat completions of the stand-in keep their thoughts to themselves.
    assert kinds == (["message"] if protocol == "openai" else ["reasoning", "message"])
    conversation += first.output
    conversation.append({"role": "user", "content": "and south"})
    second = client.responses.create(model=row["name"], input=conversation)
    assert second.output_text.endswith("and south")
    with client.responses.stream(model=row["name"], input=QUESTION) as stream:
        final = stream.get_final_response()
    assert [item.type for item in valid(final).output] == kinds


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_bound_is_an_incomplete_answer(client, models, protocol):
    answer = client.responses.create(
        model=models[protocol], input=QUESTION, max_output_tokens=2
    )
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"


def test_kept_answers_are_refused(client, models):
    for argument in [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"background": True},
        {"store": True},
    ]:
        with pytest.raises(openai.BadRequestError) as refused:
            client.responses.create(model=models["responses"], input=QUESTION, **argument)
        assert refused.value.param == next(iter(argument))
    with pytest.raises(openai.NotFoundError) as unknown:
        client.responses.retrieve("resp_1")
    assert "kept" in unknown.value.message


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
@pytest.mark.parametrize("what", ["reset=6", "truncate=6", "error-event=6"])
def test_a_stream_that_breaks_is_an_error(client, fault, protocol, what):
    stream = client.responses.create(
        model=fault(protocol, f"fault:{what}"), input=QUESTION, stream=True
    )
    with pytest.raises(openai.APIError):
        for _ in stream:
            pass


def test_errors_are_the_types_that_the_sdk_knows(client, fault):
    with pytest.raises(openai.NotFoundError):
        client.responses.create(model="nobody", input=QUESTION)
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model=fault("openai", "fault:429"), input=QUESTION)
