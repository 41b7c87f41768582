"""Conversations of 30 turns whose provider dies now and then, and whose fallback speaks
another format: no turn is lost, nothing is said twice, and the books agree."""

import json
import re
import secrets
import time
from itertools import pairwise

import httpx
import pytest

from dialects import LANGCHAIN, SDKS

TURNS = 30
CLIENTS = SDKS | LANGCHAIN

# The primary's protocol, how it dies (`odds` decides when), and the fallback's protocol.
PAIRS = {
    "gemini-anthropic": ("gemini_generate", "503", "anthropic_messages"),
    "anthropic-openai": ("anthropic_messages", "reset", "openai_chat"),
    "openai-converse": ("openai_chat", "truncate=1", "bedrock_converse"),
    "vertex-openai": ("gemini_generate_vertex", "529", "openai_chat"),
}


class Team:
    """An organisation of its own with a primary that dies at seeded turns, and a fallback."""

    def __init__(self, server, create, pair, has_thoughts):
        protocol, death, fallback = PAIRS[pair]
        self.server = server
        self.key = server.organization_key(f"failover-{secrets.token_hex(6)}")
        thoughts = ":reasoning=2" if has_thoughts else ""
        self.dying = f"simulated-chat:{death}:odds=0.3:seed=7:id={secrets.token_hex(6)}{thoughts}"
        members = {"key": self.key, "max_retries": 0, "is_computer_use_model": True}
        self.primary = create(protocol, self.dying, **members)
        self.fallback = create(fallback, **members)
        self.run = f"run-{secrets.token_hex(8)}"

    def assign_roles(self):
        with self.server.api(self.key) as api:
            ids = {row["name"]: row["id"] for row in api.get("/v1/model-configurations").json()}
            for role, name in [("main_agent", self.primary), ("fallback_1", self.fallback)]:
                body = {"model_configuration_id": ids[name]}
                answer = api.put(f"/v1/agent-roles/{role}", json=body)
                assert answer.status_code == 200, answer.text

    def open(self, client, selection):
        """The client, pointed at the primary with the fallback behind it."""
        headers = {"X-Run-Id": self.run}
        if selection == "models":
            model, body = self.primary, {"models": [self.fallback]}
        else:
            self.assign_roles()
            model, body = "role:main_agent", {}
            if selection == "header":
                model, headers = self.primary, headers | {"X-Agent-Role": "main_agent"}
        return CLIENTS[client](self.server, model, self.key, headers, body)

    def calls(self, count):
        """The run's calls as Quartermaster recorded them, oldest first."""
        deadline = time.monotonic() + 20
        while True:
            with self.server.api(self.key) as api:
                page = api.get("/v1/calls", params={"run_id": self.run, "limit": 200}).json()
            if len(page["items"]) >= count or time.monotonic() > deadline:
                return page["items"][::-1]
            time.sleep(0.1)


def check_turn(answer, expected, is_streamed):
    assert answer.text == expected
    if is_streamed:
        assert "".join(answer.pieces) == expected


def converse(talk, is_streamed):
    """Thirty turns: a question, the tool's call, its result, and the answer."""
    for turn in range(TURNS):
        talk.say(f"question-{turn:02}")
        asked = talk.answer(is_streamed, has_tool=True)
        [call] = asked.calls
        assert call.name == "weather"
        check_turn(asked, "", is_streamed)
        talk.result(call, f"result-{turn:02}")
        told = talk.answer(is_streamed, has_tool=True)
        expected = f"Simulated answer after the tool said: result-{turn:02}"
        check_turn(told, expected, is_streamed)


def check_books(team, received, selection):
    """Quartermaster's ledger of the run is the stand-in's; returns the calls."""
    calls = team.calls(2 * TURNS)
    assert len(calls) == 2 * TURNS
    assert all(call["outcome"] == "success" for call in calls)
    assert all(call["role"] == (None if selection == "models" else "main_agent") for call in calls)
    attempts = [attempt for call in calls for attempt in call["attempts"]]
    requests = received()
    assert [attempt["model"] for attempt in attempts] == [sent["model"] for sent in requests]
    failed = [attempt for attempt in attempts if attempt["outcome"] == "failed"]
    assert len(failed) > TURNS // 4
    assert all(attempt["model"] == team.dying for attempt in failed)
    returned = [
        (before, after)
        for before, after in pairwise(calls)
        if len(before["attempts"]) == 2 and len(after["attempts"]) == 1
    ]
    assert len(returned) > 3, "the conversation goes back to the primary"
    for attempt, sent in zip(attempts, requests, strict=True):
        if attempt["outcome"] == "success":
            told = sent["usage"]
            tokens = attempt["tokens"]
            assert tokens["output"] == told["output_tokens"], (tokens, told)
    return calls, requests


def check_history(requests):
    """Every request holds all that was said before it, once and in order."""
    for sent in requests:
        said = re.findall(r"(?:question|result)-\d\d", json.dumps(sent["body"]))
        # The answers quote the results.
        said = list(dict.fromkeys(said))
        turns = len(said) // 2 + len(said) % 2
        expected = [f"{kind}-{turn:02}" for turn in range(turns) for kind in ("question", "result")]
        assert said == expected[: len(said)]
    assert len(said) == 2 * TURNS


# Pair, what selects the fallback, and whether answers are streamed.
CASES = [
    ("gemini-anthropic", "models", False),
    ("gemini-anthropic", "role", True),
    ("anthropic-openai", "models", True),
    ("anthropic-openai", "role", False),
]


@pytest.mark.parametrize(("pair", "selection", "is_streamed"), CASES)
@pytest.mark.parametrize("client", CLIENTS)
def test_thirty_turns(server, simulator, create, received, client, pair, selection, is_streamed):
    httpx.delete(f"{simulator}/simulator/ledger")
    team = Team(server, create, pair, has_thoughts=True)
    converse(team.open(client, selection), is_streamed)
    calls, requests = check_books(team, received, selection)
    check_history(requests)
    numbers = [number for number, call in enumerate(calls) for _ in call["attempts"]]
    number, last = next(
        (number, sent["body"])
        for number, sent in zip(reversed(numbers), reversed(requests), strict=True)
        if sent["model"] == team.dying
    )
    own = [call["attempts"][-1]["model"] == team.dying for call in calls[:number]]
    # LangChain's OpenAI client drops what OpenAI has no word for, signatures among it.
    if client != "langchain_openai":
        check_signatures[pair](last, own)


def check_gemini_signatures(body, own):
    """The primary gets back the signature of each of its own calls, and no other."""
    parts = [part for content in body["contents"] for part in content["parts"]]
    calls = [part for part in parts if "functionCall" in part]
    # Every other answer is a call.
    assert len(calls) == len(own[::2])
    for call, is_own in zip(calls, own[::2], strict=True):
        assert bool(re.fullmatch("[0-9a-f]{16}", call.get("thoughtSignature", ""))) == is_own


def check_anthropic_signatures(body, own):
    """The primary gets back its own thoughts with their signatures."""
    turns = [message for message in body["messages"] if message["role"] == "assistant"]
    assert len(turns) == len(own)
    for turn, is_own in zip(turns, own, strict=True):
        blocks = turn["content"] if isinstance(turn["content"], list) else []
        thoughts = [block for block in blocks if block["type"] == "thinking"]
        assert len(thoughts) == is_own
        assert all(thought["signature"] for thought in thoughts)


check_signatures = {
    "gemini-anthropic": check_gemini_signatures,
    "anthropic-openai": check_anthropic_signatures,
}


@pytest.mark.parametrize(
    ("pair", "is_streamed"), [("openai-converse", True), ("vertex-openai", False)]
)
@pytest.mark.parametrize("client", SDKS)
def test_thirty_turns_of_a_role_named_in_a_header(
    server, simulator, create, received, client, pair, is_streamed
):
    httpx.delete(f"{simulator}/simulator/ledger")
    team = Team(server, create, pair, has_thoughts=False)
    converse(team.open(client, "header"), is_streamed)
    _, requests = check_books(team, received, "header")
    check_history(requests)


@pytest.mark.parametrize("death", ["reset=6", "error-event=6", "truncate=6"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_stream_that_dies_in_mid_sentence_is_said_again_by_nobody(
    server, create, client, death
):
    """After the first word a client learns of the failure; it asks again, with its history."""
    model = f"simulated-chat:{death}:odds=0.4:seed=6:id={secrets.token_hex(6)}"
    names = [create("gemini_generate", model, max_retries=0), create("anthropic_messages")]
    talk = CLIENTS[client](server, names[0], body={"models": names[1:]})
    broken = 0
    for turn in range(10):
        question = f"question-{turn:02} of a longer kind"
        expected = f"Simulated answer to: {question}"
        talk.say(question)
        for _ in range(10):
            try:
                answer = talk.answer(is_streamed=True)
                break
            except (talk.errors, httpx.TransportError):
                broken += 1
                heard = "".join(talk.heard)
                assert heard and expected.startswith(heard) and heard != expected
        check_turn(answer, expected, is_streamed=True)
    assert broken >= 3
