"""One conversation, told through the official SDK of each dialect and through LangChain."""

import json
from dataclasses import dataclass, field

import anthropic
import openai
from anthropic.types import Message
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
DESCRIPTION = "The weather of a city."
# One red pixel.
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def check(kind, value):
    """The SDKs read leniently; their types must accept what was read all the same."""
    kind.model_validate(value.model_dump(mode="json", by_alias=True))


@dataclass
class Call:
    id: str
    name: str
    arguments: dict


@dataclass
class Answer:
    """What every dialect says of an answer, in the same words."""

    text: str
    calls: list[Call]
    # "stop", "tool_calls" or "length"; None where the client does not show it.
    finish: str | None
    input_tokens: int
    output_tokens: int
    # The text as it was streamed; empty where it was not.
    pieces: list[str] = field(default_factory=list)


class Conversation:
    """Keeps the history in the client's own types, as the client returns it."""

    def __init__(self, server, model, key=None, headers=None, body=None):
        self.model = model
        self.body = body or {}
        self.messages = []
        # What was streamed of an answer that broke off.
        self.heard = []
        self.open(server.url, key or server.key, headers or {})

    def answer(self, is_streamed=False, has_tool=False, has_schema=False) -> Answer:
        self.heard = []
        speak = self.streamed if is_streamed else self.whole
        return speak(has_tool, has_schema)


class OpenAIChat(Conversation):
    errors = openai.APIError

    def open(self, url, key, headers):
        self.client = openai.OpenAI(
            api_key=key, base_url=f"{url}/v1", max_retries=0, default_headers=headers
        )

    def system(self, text):
        self.messages.append({"role": "system", "content": text})

    def say(self, text, image=None):
        content = text
        if image is not None:
            url = f"data:image/png;base64,{image}"
            picture = {"type": "image_url", "image_url": {"url": url}}
            content = [picture, {"type": "text", "text": text}]
        self.messages.append({"role": "user", "content": content})

    def result(self, call, text):
        self.messages.append({"role": "tool", "tool_call_id": call.id, "content": text})

    def request(self, has_tool, has_schema):
        request = {"model": self.model, "messages": self.messages, "extra_body": self.body}
        if has_tool:
            function = {"name": "weather", "description": DESCRIPTION, "parameters": SCHEMA}
            request["tools"] = [{"type": "function", "function": function}]
        if has_schema:
            schema = {"name": "weather", "schema": SCHEMA, "strict": True}
            request["response_format"] = {"type": "json_schema", "json_schema": schema}
        return request

    def whole(self, has_tool, has_schema):
        request = self.request(has_tool, has_schema)
        return self.read(self.client.chat.completions.create(**request))

    def streamed(self, has_tool, has_schema):
        request = self.request(has_tool, has_schema)
        with self.client.chat.completions.stream(
            **request, stream_options={"include_usage": True}
        ) as stream:
            for event in stream:
                if event.type == "chunk":
                    check(ChatCompletionChunk, event.chunk)
                if event.type == "content.delta":
                    self.heard.append(event.delta)
            return self.read(stream.get_final_completion())

    def read(self, completion):
        check(ChatCompletion, completion)
        choice = completion.choices[0]
        message = choice.message.model_dump(exclude_none=True, exclude={"parsed"})
        calls = []
        for call in message.get("tool_calls") or []:
            call["function"].pop("parsed_arguments", None)
            function = call["function"]
            calls.append(Call(call["id"], function["name"], json.loads(function["arguments"])))
        self.messages.append(message)
        usage = completion.usage
        return Answer(
            choice.message.content or "",
            calls,
            choice.finish_reason,
            usage.prompt_tokens,
            usage.completion_tokens,
            self.heard,
        )


class OpenAIResponses(Conversation):
    errors = openai.APIError

    def open(self, url, key, headers):
        self.instructions = None
        self.client = openai.OpenAI(
            api_key=key, base_url=f"{url}/v1", max_retries=0, default_headers=headers
        )

    def system(self, text):
        self.instructions = text

    def say(self, text, image=None):
        content = text
        if image is not None:
            picture = {"type": "input_image", "image_url": f"data:image/png;base64,{image}"}
            content = [picture, {"type": "input_text", "text": text}]
        self.messages.append({"role": "user", "content": content})

    def result(self, call, text):
        item = {"type": "function_call_output", "call_id": call.id, "output": text}
        self.messages.append(item)

    def request(self, has_tool, has_schema):
        request = {
            "model": self.model,
            "input": self.messages,
            "include": ["reasoning.encrypted_content"],
            "extra_body": self.body,
        }
        if self.instructions is not None:
            request["instructions"] = self.instructions
        if has_tool:
            function = {"name": "weather", "description": DESCRIPTION, "parameters": SCHEMA}
            request["tools"] = [{"type": "function", "strict": True, **function}]
        if has_schema:
            schema = {"name": "weather", "schema": SCHEMA, "strict": True}
            request["text"] = {"format": {"type": "json_schema", **schema}}
        return request

    def whole(self, has_tool, has_schema):
        return self.read(self.client.responses.create(**self.request(has_tool, has_schema)))

    def streamed(self, has_tool, has_schema):
        with self.client.responses.stream(**self.request(has_tool, has_schema)) as stream:
            for event in stream:
                if event.type == "response.output_text.delta":
                    self.heard.append(event.delta)
            return self.read(stream.get_final_response())

    def read(self, response):
        check(Response, response)
        for item in response.output:
            item = item.model_dump(mode="json", exclude_none=True, exclude={"parsed_arguments"})
            for piece in item.get("content") or []:
                piece.pop("parsed", None)
            self.messages.append(item)
        calls = [item for item in response.output if item.type == "function_call"]
        done = "tool_calls" if calls else "stop"
        return Answer(
            response.output_text,
            [Call(call.call_id, call.name, json.loads(call.arguments)) for call in calls],
            {"completed": done, "incomplete": "length"}[response.status],
            response.usage.input_tokens,
            response.usage.output_tokens,
            self.heard,
        )


class AnthropicMessages(Conversation):
    errors = anthropic.APIError
    finishes = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length"}

    def open(self, url, key, headers):
        self.instructions = None
        self.client = anthropic.Anthropic(
            api_key=key, base_url=url, max_retries=0, default_headers=headers
        )

    def system(self, text):
        self.instructions = text

    def say(self, text, image=None):
        content = text
        if image is not None:
            source = {"type": "base64", "media_type": "image/png", "data": image}
            content = [{"type": "image", "source": source}, {"type": "text", "text": text}]
        self.messages.append({"role": "user", "content": content})

    def result(self, call, text):
        block = {"type": "tool_result", "tool_use_id": call.id, "content": text}
        self.messages.append({"role": "user", "content": [block]})

    def request(self, has_tool, has_schema):
        request = {
            "model": self.model,
            "messages": self.messages,
            "max_tokens": 500,
            "extra_body": self.body,
        }
        if self.instructions is not None:
            request["system"] = self.instructions
        if has_tool:
            tool = {"name": "weather", "description": DESCRIPTION, "input_schema": SCHEMA}
            request["tools"] = [tool]
        if has_schema:
            request["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        return request

    def whole(self, has_tool, has_schema):
        return self.read(self.client.messages.create(**self.request(has_tool, has_schema)))

    def streamed(self, has_tool, has_schema):
        with self.client.messages.stream(**self.request(has_tool, has_schema)) as stream:
            for event in stream:
                if event.type == "text":
                    self.heard.append(event.text)
            return self.read(stream.get_final_message())

    def read(self, message):
        check(Message, message)
        self.messages.append({"role": "assistant", "content": message.content})
        blocks = message.content
        calls = [block for block in blocks if block.type == "tool_use"]
        usage = message.usage
        cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        return Answer(
            "".join(block.text for block in blocks if block.type == "text"),
            [Call(call.id, call.name, call.input) for call in calls],
            self.finishes[message.stop_reason],
            usage.input_tokens + cached,
            usage.output_tokens,
            self.heard,
        )


class LangChain(Conversation):
    """What both of LangChain's integrations have in common."""

    def system(self, text):
        self.messages.append(SystemMessage(text))

    def say(self, text, image=None):
        content = text
        if image is not None:
            picture = {"type": "image", "base64": image, "mime_type": "image/png"}
            content = [picture, {"type": "text", "text": text}]
        self.messages.append(HumanMessage(content))

    def result(self, call, text):
        self.messages.append(ToolMessage(content=text, tool_call_id=call.id))

    def runnable(self, has_tool):
        if not has_tool:
            return self.client
        return self.client.bind_tools(
            [{"name": "weather", "description": DESCRIPTION, "parameters": SCHEMA}]
        )

    def whole(self, has_tool, has_schema):
        assert not has_schema, "structured output is the SDKs' own business"
        return self.read(self.runnable(has_tool).invoke(self.messages))

    def streamed(self, has_tool, has_schema):
        assert not has_schema, "structured output is the SDKs' own business"
        whole = None
        for piece in self.runnable(has_tool).stream(self.messages):
            self.heard.append(piece.text)
            whole = piece if whole is None else whole + piece
        return self.read(whole)

    def read(self, message):
        self.messages.append(message)
        usage = message.usage_metadata
        return Answer(
            str(message.text),
            [Call(call["id"], call["name"], call["args"]) for call in message.tool_calls],
            None,
            usage["input_tokens"],
            usage["output_tokens"],
            self.heard,
        )


class LangChainOpenAI(LangChain):
    errors = openai.APIError

    def open(self, url, key, headers):
        self.client = ChatOpenAI(
            model=self.model,
            api_key=key,
            base_url=f"{url}/v1",
            max_retries=0,
            default_headers=headers,
            extra_body=self.body or None,
            stream_usage=True,
        )


class LangChainAnthropic(LangChain):
    errors = anthropic.APIError

    def open(self, url, key, headers):
        self.client = ChatAnthropic(
            model=self.model,
            api_key=key,
            base_url=url,
            max_retries=0,
            max_tokens=500,
            default_headers=headers,
            model_kwargs={"extra_body": self.body} if self.body else {},
        )


SDKS = {
    "openai_chat": OpenAIChat,
    "openai_responses": OpenAIResponses,
    "anthropic_messages": AnthropicMessages,
}
LANGCHAIN = {"langchain_openai": LangChainOpenAI, "langchain_anthropic": LangChainAnthropic}
