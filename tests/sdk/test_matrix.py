"""Every dialect over every protocol, through the official SDKs' own types."""

import json

import httpx
import pytest

from dialects import PIXEL, SDKS
from protocols import PROTOCOLS

QUESTION = "which way is north"
EXPECTED = f"Simulated answer to: {QUESTION}"
AFTER_TOOL = "Simulated answer after the tool said: sunny"
STANDARD = str.maketrans("-_", "+/")
STREAMED = pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])


@pytest.fixture(scope="module", params=PROTOCOLS)
def protocol(request):
    return request.param


@pytest.fixture(scope="module")
def name(create, protocol):
    return create(protocol)


@pytest.fixture(params=SDKS)
def talk(request, server, name, simulator):
    httpx.delete(f"{simulator}/simulator/ledger")
    return SDKS[request.param](server, name)


@STREAMED
def test_text_and_usage(talk, received, is_streamed):
    talk.system("be brief")
    talk.say(QUESTION)
    answer = talk.answer(is_streamed)
    assert (answer.text, answer.finish, answer.calls) == (EXPECTED, "stop", [])
    if is_streamed:
        assert "".join(answer.pieces) == EXPECTED
    [sent] = received()
    told = sent["usage"]
    assert told["input_tokens"] == len(f"be brief {QUESTION}".split())
    assert (answer.input_tokens, answer.output_tokens) == (
        told["input_tokens"],
        told["output_tokens"],
    )


@STREAMED
def test_a_tool_call_and_its_result(talk, received, is_streamed):
    talk.say(QUESTION)
    asked = talk.answer(is_streamed, has_tool=True)
    assert (asked.text, asked.finish) == ("", "tool_calls")
    [call] = asked.calls
    assert call.name == "weather"
    assert {name: type(value) for name, value in call.arguments.items()} == {
        "city": str,
        "days": int,
    }
    talk.result(call, "sunny")
    told = talk.answer(is_streamed, has_tool=True)
    assert (told.text, told.finish, told.calls) == (AFTER_TOOL, "stop", [])
    first, second = received()
    assert asked.output_tokens == first["usage"]["output_tokens"]
    assert told.input_tokens == second["usage"]["input_tokens"]


@STREAMED
def test_structured_output(talk, is_streamed):
    talk.say(QUESTION)
    answer = talk.answer(is_streamed, has_schema=True)
    assert answer.finish == "stop"
    assert set(json.loads(answer.text)) == {"city", "days"}


@STREAMED
def test_an_image(talk, received, is_streamed):
    talk.say(QUESTION, image=PIXEL)
    assert talk.answer(is_streamed).text == EXPECTED
    [sent] = received()
    # Google's own SDK writes base64 for addresses.
    assert json.dumps(sent["body"]).translate(STANDARD).count(PIXEL.translate(STANDARD)) == 1


def counted(protocol, directive) -> dict:
    """Members of a configuration that tell the stand-in what to count."""
    if protocol == "bedrock_invoke":  # Takes only the names of Anthropic's models.
        return {"parameters": {"default_headers": {"x-simulate": directive}}}
    return {"model": f"simulated-chat:{directive}"}


# The other model of Converse differs in what it streams, which these names hide.
@pytest.mark.parametrize("counting", [name for name in PROTOCOLS if name != "bedrock_converse_llama"])
@STREAMED
def test_tokens_of_caches_and_thinking_are_counted_once(
    server, create, received, simulator, is_streamed, counting
):
    name = create(counting, **counted(counting, "cache-read=3:cache-write=2:reasoning=4"))
    for dialect in SDKS.values():
        httpx.delete(f"{simulator}/simulator/ledger")
        talk = dialect(server, name)
        talk.say(QUESTION)
        answer = talk.answer(is_streamed)
        [sent] = received()
        told = sent["usage"]
        cached = told["cache_read_tokens"] + told["cache_write_tokens"]
        assert answer.output_tokens == told["output_tokens"]
        assert answer.input_tokens == told["input_tokens"] + cached
