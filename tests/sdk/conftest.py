"""A running server, a stand-in for the providers, and callers of several organisations."""

import json
import os
import secrets
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

import protocols

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("QUARTERMASTER_BINARY", REPOSITORY / "target/debug/quartermaster"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass
class Server:
    """A `quartermaster serve` of our own, on a fresh data directory."""

    url: str
    key: str
    environment: dict[str, str]
    process: subprocess.Popen
    log: Path

    def command(self, *arguments: str) -> str:
        """Runs another `quartermaster` command beside the server; returns its standard output."""
        done = subprocess.run(
            [BINARY, *arguments], env=self.environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def organization_key(self, name: str) -> str:
        """A key of a new organisation that may do everything inside it."""
        self.command("organization", "create", name)
        return self.command("api-key", "create", "--organization", name)

    def api(self, key: str | None = None) -> httpx.Client:
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {key or self.key}"},
            timeout=30,
        )


def wait_until_ready(url: str, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the process ended with {process.returncode}:\n{log.read_text()}")
        try:
            if httpx.get(url, timeout=2).status_code < 500:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError(f"{url} was not ready within a minute:\n{log.read_text()}")


def stop(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def binary() -> Path:
    assert BINARY.exists(), f"{BINARY} is missing: run `cargo build --bin quartermaster` first"
    return BINARY


@pytest.fixture(scope="session")
def simulator(binary, tmp_path_factory):
    """The address of a `quartermaster simulate`."""
    port = free_port()
    log = tmp_path_factory.mktemp("simulate") / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [binary, "simulate", "--listen", f"127.0.0.1:{port}"], stdout=output, stderr=output
        )
    url = f"http://127.0.0.1:{port}"
    wait_until_ready(url, process, log)
    yield url
    stop(process)


@pytest.fixture(scope="session")
def server(binary, tmp_path_factory):
    directory = tmp_path_factory.mktemp("serve")
    port = free_port()
    key = "bootstrap-" + secrets.token_hex(24)
    # No test of ours calls a real provider: their hosts are a port that nobody answers.
    hosts = [
        "api.anthropic.com",
        "api.openai.com",
        "oauth2.googleapis.com",
        "bedrock-runtime.us-east-1.amazonaws.com",
    ]
    config = directory / "quartermaster.toml"
    nowhere = f"127.0.0.1:{free_port()}"
    lines = [f'"{host}:443" = "{nowhere}"' for host in hosts]
    config.write_text("\n".join(["[egress.connect_to]", *lines]))
    environment = {
        "QUARTERMASTER_CONFIG": str(config),
        "PATH": os.environ["PATH"],
        "QUARTERMASTER_SERVER__LISTEN": f"127.0.0.1:{port}",
        "QUARTERMASTER_SERVER__DATA_DIR": str(directory / "data"),
        "QUARTERMASTER_EGRESS__ALLOW_PRIVATE_NETWORKS": "true",
        "QUARTERMASTER_BOOTSTRAP_API_KEY": key,
    }
    log = directory / "log"
    with log.open("w") as output:
        process = subprocess.Popen([binary, "serve"], env=environment, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    wait_until_ready(f"{url}/health/ready", process, log)
    yield Server(url, key, environment, process, log)
    stop(process)


@pytest.fixture(scope="session")
def service_account() -> str:
    """The key file of a Google service account that nobody has."""
    private_key = subprocess.run(
        ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return json.dumps(
        {
            "type": "service_account",
            "project_id": "a-project",
            "private_key_id": "0123456789abcdef",
            "private_key": private_key,
            "client_email": "agent@a-project.iam.gserviceaccount.com",
            "token_uri": "https://oauth2.googleapis.com/token",
        }
    )


@pytest.fixture(scope="session")
def configurations(server, simulator) -> dict[str, str]:
    """Names of configurations by the protocol that their provider speaks."""
    rows = {
        "openai": {
            "name": "through-openai",
            "provider": "openai",
            "model": "simulated-chat",
            "api_key": "sk-test-openai-0123456789abcdef",
            "additional_params": {"base_url": f"{simulator}/v1"},
        },
        "anthropic": {
            "name": "through-anthropic",
            "provider": "anthropic",
            "model": "simulated-chat",
            "api_key": "sk-ant-test-0123456789abcdef",
            "additional_params": {"base_url": simulator},
        },
    }
    with server.api() as api:
        for row in rows.values():
            answer = api.post("/v1/model-configurations", json=row)
            assert answer.status_code == 201, answer.text
    return {protocol: row["name"] for protocol, row in rows.items()}


@pytest.fixture
def fault(server, simulator):
    """Makes a configuration whose provider fails as its model name says."""

    def make(provider: str, model: str, max_retries: int = 0) -> str:
        name = f"fault-{secrets.token_hex(6)}"
        base_url = f"{simulator}/v1" if provider == "openai" else simulator
        row = {
            "name": name,
            "provider": provider,
            "model": model,
            "max_retries": max_retries,
            "api_key": "sk-test-fault-0123456789abcdef",
            "additional_params": {"base_url": base_url},
        }
        with server.api() as api:
            answer = api.post("/v1/model-configurations", json=row)
        assert answer.status_code == 201, answer.text
        return name

    return make


@pytest.fixture(scope="session")
def create(server, simulator):
    """Creates a configuration that leads to the stand-in by a protocol; returns its name."""

    def make(protocol: str, model: str | None = None, key: str | None = None, **members) -> str:
        row = protocols.row(simulator, protocol, model, **members)
        with server.api(key) as api:
            answer = api.post("/v1/model-configurations", json=row)
        assert answer.status_code == 201, answer.text
        return row["name"]

    return make


@pytest.fixture
def received(simulator):
    """The requests that the stand-in received since its ledger was cleared, oldest first."""
    return lambda: httpx.get(f"{simulator}/simulator/ledger").json()["requests"]
