"""The OpenAPI document: valid, complete, and kept to by the server."""

import json
import subprocess
import sys

from openapi_spec_validator import validate


def document(server) -> dict:
    with server.api() as api:
        return api.get("/openapi.json").json()


def test_the_document_is_valid_and_names_every_path(server):
    spec = document(server)
    assert spec["openapi"].startswith("3.1")
    validate(spec)
    expected = {
        "/v1/model-configurations",
        "/v1/model-configurations/{model_configuration_id}",
        "/v1/model-configurations/{model_configuration_id}/verify",
        "/v1/model-configurations/{model_configuration_id}/revisions",
        "/v1/api-keys",
        "/v1/organizations",
        "/v1/audit-events",
        "/v1/providers",
        "/v1/health",
        "/v1/health/db",
        "/health/live",
        "/health/ready",
        "/v1/chat/completions",
        "/v1/messages",
        "/v1/models",
    }
    assert expected <= set(spec["paths"])
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            if method in {"get", "put", "post", "patch", "delete"}:
                assert operation.get("summary"), f"{method} {path} has no summary"
                assert operation.get("operationId"), f"{method} {path} has no operationId"


def test_generated_requests_never_make_the_server_fail(server, tmp_path):
    """Schemathesis, bounded: no answer of the control plane is a 5xx."""
    key = server.organization_key("schemathesis")
    path = tmp_path / "openapi.json"
    path.write_text(json.dumps(document(server)))
    done = subprocess.run(
        [
            sys.executable, "-m", "schemathesis.cli", "run", str(path),
            "--url", server.url, "--header", f"Authorization: Bearer {key}",
            "--checks", "not_a_server_error", "--max-examples", "25", "--phases", "examples,fuzzing",
            "--include-path-regex", "^/(v1/(model-configurations|api-keys|organizations|audit-events|providers)|health)",
            "--exclude-path-regex", "/verify$", "--workers", "2", "--seed", "1", "--no-color",
        ],
        capture_output=True, text=True, timeout=600, cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
