"""LangChain as a client: a conversation with a tool, over every protocol."""

import pytest

from dialects import LANGCHAIN
from protocols import PROTOCOLS


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("client", LANGCHAIN)
def test_a_conversation_with_a_tool(server, create, client, protocol, is_streamed):
    talk = LANGCHAIN[client](server, create(protocol))
    talk.system("be brief")
    for city in ["paris", "rome"]:
        talk.say(f"how is {city}")
        asked = talk.answer(is_streamed, has_tool=True)
        [call] = asked.calls
        assert (call.name, set(call.arguments)) == ("weather", {"city", "days"})
        talk.result(call, f"sunny in {city}")
        told = talk.answer(is_streamed, has_tool=True)
        assert told.text == f"Simulated answer after the tool said: sunny in {city}"
        assert told.output_tokens == len(told.text.split())
    talk.say("which way is north")
    assert talk.answer(is_streamed).text == "Simulated answer to: which way is north"
