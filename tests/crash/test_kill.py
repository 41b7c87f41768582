"""kill -9 under load: no acknowledged write is lost, none is done twice.

Clients write under idempotency keys and keep a ledger. A supervisor kills the server at
random moments and starts it again; whatever was not acknowledged is sent again under
its old key. `QUARTERMASTER_CRASH_CYCLES` sets the number of cycles.
"""

import copy
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from ledger import Ledger, Operation, check  # noqa: E402

REPOSITORY = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("QUARTERMASTER_BINARY", REPOSITORY / "target/debug/quartermaster"))
CYCLES = int(os.environ.get("QUARTERMASTER_CRASH_CYCLES", "20"))
CLIENTS = 8


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Postgres:
    """A durable throw-away cluster (fsync on, as in production)."""

    def __init__(self, directory: Path):
        programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        assert programs or shutil.which("initdb"), "PostgreSQL is missing: run tests/install"
        self.programs = programs[-1] if programs else Path(shutil.which("initdb")).parent
        self.directory = directory
        self.port = free_port()
        self._run("initdb", "-D", directory, "-A", "trust", "-U", "postgres", "--no-locale", "-E", "UTF8")
        self.start()
        self.url = f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.directory}"
        self._run("pg_ctl", "-D", self.directory, "-w", "-l", self.directory / "log", "-o", options, "start")

    def kill(self) -> None:
        self._run("pg_ctl", "-D", self.directory, "-m", "immediate", "stop")

    def _run(self, program: str, *arguments) -> None:
        command = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
        done = subprocess.run(
            [*command, self.programs / program, *map(str, arguments)],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/",
        )
        assert done.returncode == 0, done.stderr


class Server:
    def __init__(self, directory: Path, database_url: str | None):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = "crash-" + secrets.token_hex(24)
        self.log = directory / "log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "RUST_LOG": "warn",
            "QUARTERMASTER_SERVER__LISTEN": f"127.0.0.1:{self.port}",
            "QUARTERMASTER_SERVER__DATA_DIR": str(directory / "data"),
            "QUARTERMASTER_BOOTSTRAP_API_KEY": self.key,
        }
        if database_url:
            self.environment["QUARTERMASTER_DATABASE__URL"] = database_url
        self.process = None

    def start(self) -> None:
        with self.log.open("a") as output:
            self.process = subprocess.Popen(
                [BINARY, "serve"], env=self.environment, stdout=output, stderr=output
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(f"{self.url}/health/ready", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Clients:
    """Writers that go on until they are told to stop, whatever the server does."""

    def __init__(self, server: Server, ledger: Ledger):
        self.server, self.ledger = server, ledger
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(seed,)) for seed in range(CLIENTS)]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join()

    def _run(self, seed: int) -> None:
        choose = random.Random(seed)
        mine: list[str] = []
        with httpx.Client(base_url=self.server.url, timeout=10) as client:
            while not self.stopping.is_set():
                operation = self._next(choose, mine)
                self.ledger.intend(operation)
                answer = self._until_answered(client, operation)
                if answer is None:
                    return
                self.ledger.acknowledge(operation.key, answer.status_code, answer.text)
                if operation.method == "POST" and answer.status_code == 201:
                    mine.append(answer.json()["id"])
                elif operation.method == "DELETE":
                    mine.remove(operation.path.rsplit("/", 1)[1])

    @staticmethod
    def _next(choose: random.Random, mine: list[str]) -> Operation:
        verb = choose.choices(["POST", "PATCH", "DELETE"], [5, 3, 1])[0] if mine else "POST"
        if verb == "POST":
            body = {
                "name": f"crash-{uuid4()}", "provider": "openai", "model": "m",
                "temperature": choose.random(), "api_key": f"sk-crash-{secrets.token_hex(12)}",
            }
            return Operation(str(uuid4()), "POST", "/v1/model-configurations", body)
        path = f"/v1/model-configurations/{choose.choice(mine)}"
        if verb == "DELETE":
            return Operation(str(uuid4()), "DELETE", path, None)
        body = {"description": str(uuid4())}
        if choose.random() < 0.3:
            body["api_key"] = f"sk-crash-{secrets.token_hex(12)}"
        return Operation(str(uuid4()), "PATCH", path, body)

    def _until_answered(self, client: httpx.Client, operation: Operation) -> httpx.Response | None:
        while True:
            try:
                answer = send(client, self.server, operation)
                if answer.status_code not in (409, 503):
                    return answer
            except httpx.TransportError:
                pass
            if self.stopping.is_set():
                return None
            time.sleep(0.02)


def send(client: httpx.Client, server: Server, operation: Operation) -> httpx.Response:
    headers = {"Authorization": f"Bearer {server.key}", "Idempotency-Key": operation.key}
    return client.request(operation.method, operation.path, json=operation.body, headers=headers)


def settle(client: httpx.Client, server: Server, operation: Operation) -> httpx.Response:
    for _ in range(200):
        answer = send(client, server, operation)
        if answer.status_code not in (409, 503):
            return answer
        time.sleep(0.05)
    return answer


def audit_events(client: httpx.Client, key: str) -> list[dict]:
    events, cursor = [], None
    while True:
        parameters = {"limit": 100} | ({"cursor": cursor} if cursor else {})
        page = client.get(
            "/v1/audit-events", params=parameters, headers={"Authorization": f"Bearer {key}"}
        ).json()
        events += page["items"]
        cursor = page.get("next_cursor")
        if not cursor:
            return events


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_nothing_is_lost_or_done_twice(engine, tmp_path):
    assert BINARY.exists(), f"{BINARY} is missing: run `cargo build --bin quartermaster` first"
    choose = random.Random(engine)
    postgres = None
    if engine == "postgres":
        directory = Path(subprocess.run(["mktemp", "-d"], capture_output=True, text=True).stdout.strip())
        shutil.chown(directory, "postgres", "postgres")
        postgres = Postgres(directory)
    server = Server(tmp_path, postgres and postgres.url)
    ledger = Ledger(tmp_path / "ledger")
    clients = Clients(server, ledger)
    try:
        server.start()
        clients.start()
        for cycle in range(CYCLES):
            time.sleep(choose.uniform(0.05, 1.5))
            if postgres and cycle % 4 == 3:
                postgres.kill()
                if cycle % 8 == 7:
                    server.kill()
                    postgres.start()
                    server.start()
                else:
                    postgres.start()
            else:
                server.kill()
                server.start()
        time.sleep(1)
        clients.stop()
        verify(server, ledger)
    finally:
        clients.stopping.set()
        if server.process and server.process.poll() is None:
            server.kill()
        if postgres:
            postgres.kill()
            shutil.rmtree(postgres.directory)


def verify(server: Server, ledger: Ledger) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for operation in ledger.unacknowledged():
            answer = settle(client, server, operation)
            ledger.acknowledge(operation.key, answer.status_code, answer.text)
        headers = {"Authorization": f"Bearer {server.key}"}
        rows = client.get("/v1/model-configurations", headers=headers).json()
        events = audit_events(client, server.key)
        assert check(ledger, rows, events) == []
        done = list(ledger.operations.values())
        assert len(done) > CYCLES, "the clients did hardly anything, so nothing was shown"
        for operation in random.Random(1).sample(done, min(200, len(done))):
            replayed = settle(client, server, operation)
            assert replayed.headers.get("idempotent-replayed") == "true", operation
            assert (replayed.status_code, replayed.text) == (operation.status, operation.answer)
        own = [row for row in rows if not row["is_system_default"]]
        assert all(row["api_key_alias"] for row in own)
        assert len({row["api_key_alias"] for row in own}) == len(own)
        doctored(ledger, rows, events)
    print(f"{len(done)} writes over {CYCLES} crashes, {len(own)} rows stand")


def doctored(ledger: Ledger, rows: list[dict], events: list[dict]) -> None:
    """The negative control: a checker that cannot fail would show nothing."""
    own = next(row for row in rows if not row["is_system_default"])
    lost = [row for row in rows if row["id"] != own["id"]]
    assert any("is lost" in problem for problem in check(ledger, lost, events))
    changed = copy.deepcopy(rows)
    next(row for row in changed if row["id"] == own["id"])["temperature"] = 99
    assert any("differs" in problem for problem in check(ledger, changed, events))
    twice = [*rows, own | {"id": str(uuid4())}]
    assert any("nobody was told" in problem for problem in check(ledger, twice, events))
    assert any("audit events" in problem for problem in check(ledger, rows, events[1:]))
