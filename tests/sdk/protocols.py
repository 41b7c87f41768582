"""Model configurations that lead to the stand-in, one for each protocol that it speaks."""

import json
import secrets

AWS_KEYS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "secret0123456789EXAMPLE"}
AWS_PLACE = {"region_name": "eu-west-1"}
# Models of Bedrock that stream everything, and some that stream no tool calls.
CLAUDE = "anthropic.claude-sonnet-4-5-simulated"
LLAMA = "meta.llama3-3-simulated"

# Provider, model, and the name of the parameter that holds the address.
PROTOCOLS = {
    "openai_chat": ("openai", "simulated-chat", "base_url"),
    "openai_responses": ("openai", "simulated-chat", "base_url"),
    "anthropic_messages": ("anthropic", "simulated-chat", "base_url"),
    "gemini_generate": ("google_genai", "simulated-chat", "base_url"),
    "gemini_generate_vertex": ("google_vertexai", "simulated-chat", "base_url"),
    "bedrock_converse": ("bedrock_converse", CLAUDE, "endpoint_url"),
    "bedrock_converse_llama": ("bedrock_converse", LLAMA, "endpoint_url"),
    "bedrock_invoke": ("anthropic_bedrock", "anthropic.claude-simulated", "endpoint_url"),
}


def row(simulator, protocol, model=None, parameters=None, **members) -> dict:
    """The body of a new model configuration under a name of its own."""
    provider, usual_model, address = PROTOCOLS[protocol]
    url = f"{simulator}/v1" if protocol.startswith("openai") else simulator
    parameters = {address: url, **(parameters or {})}
    key = f"sk-test-{secrets.token_hex(16)}"
    if "bedrock" in protocol:
        parameters |= AWS_PLACE
        key = json.dumps(AWS_KEYS)
    if protocol == "openai_responses":
        parameters["use_responses_api"] = True
    if provider == "google_vertexai":
        parameters["project"] = "my-project"
    return {
        "name": f"{protocol}-{secrets.token_hex(6)}",
        "provider": provider,
        "model": model or usual_model,
        "api_key": key,
        "additional_params": parameters,
        **members,
    }
