"""OpenAI's official SDK, over a provider of its own format and over Anthropic's."""

import openai
import pytest

PROTOCOLS = ["openai", "anthropic"]
QUESTION = [{"role": "user", "content": "which way is north"}]
EXPECTED = "Simulated answer to: which way is north"


@pytest.fixture
def client(server):
    with openai.OpenAI(api_key=server.key, base_url=f"{server.url}/v1", max_retries=0) as client:
        yield client


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stream_shows_usage_only_to_those_who_ask(client, configurations, protocol):
    pieces = client.chat.completions.create(
        model=configurations[protocol], messages=QUESTION, stream=True
    )
    assert all(piece.usage is None and piece.choices for piece in pieces)


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
