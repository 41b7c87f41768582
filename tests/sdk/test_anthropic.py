"""Anthropic's official SDK, over a provider of its own format and over OpenAI's."""

import anthropic
import pytest

PROTOCOLS = ["anthropic", "openai"]
QUESTION = [{"role": "user", "content": "which way is north"}]


@pytest.fixture
def client(server):
    # Newer majors of the SDK send the key as a bearer token, older ones as x-api-key.
    with anthropic.Anthropic(api_key=server.key, base_url=server.url, max_retries=0) as client:
        yield client


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


def test_count_tokens(client, configurations):
    counted = client.messages.count_tokens(
        model=configurations["anthropic"], messages=QUESTION, system="be brief"
    )
    assert counted.input_tokens == 6
    with pytest.raises(anthropic.BadRequestError, match="counts no tokens"):
        client.messages.count_tokens(model=configurations["openai"], messages=QUESTION)
