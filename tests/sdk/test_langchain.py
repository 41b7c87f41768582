"""LangChain as a client: a conversation with a tool, over both protocols."""

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI


@tool
def weather(city: str, days: int) -> str:
    """The weather of a city."""
    return "sunny"


def models(server, name):
    yield ChatOpenAI(model=name, api_key=server.key, base_url=f"{server.url}/v1", max_retries=0)
    yield ChatAnthropic(model=name, api_key=server.key, base_url=server.url, max_retries=0)


@pytest.mark.parametrize("protocol", ["openai", "anthropic"])
def test_a_conversation_with_a_tool(server, configurations, protocol):
    for model in models(server, configurations[protocol]):
        bound = model.bind_tools([weather])
        messages = [HumanMessage("which way is north")]
        asked = bound.invoke(messages)
        [call] = asked.tool_calls
        assert call["name"] == "weather"
        assert set(call["args"]) == {"city", "days"}
        messages += [asked, ToolMessage(content="sunny", tool_call_id=call["id"])]
        assert bound.invoke(messages).text.endswith("sunny")
        streamed = "".join(piece.text for piece in model.stream("which way is north"))
        assert streamed == "Simulated answer to: which way is north"
