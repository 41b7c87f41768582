"""The ledger: what clients were about to do and what was acknowledged, fsynced line by line.

A line is written before a request is sent and after its answer has come, so that after
a crash of the server the ledger knows every write that may have happened and every
write that must have.
"""

import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Operation:
    """One write under one idempotency key."""

    key: str
    method: str
    path: str
    body: dict | None
    status: int | None = None
    answer: str | None = None

    @property
    def is_acknowledged(self) -> bool:
        return self.status is not None


@dataclass
class Ledger:
    path: Path
    operations: dict[str, Operation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._file = self.path.open("a")

    def intend(self, operation: Operation) -> None:
        with self._lock:
            self.operations[operation.key] = operation
            self._write({"intend": operation.key, "method": operation.method, "path": operation.path})

    def acknowledge(self, key: str, status: int, answer: str) -> None:
        with self._lock:
            operation = self.operations[key]
            operation.status, operation.answer = status, answer
            self._write({"acknowledge": key, "status": status})

    def unacknowledged(self) -> list[Operation]:
        with self._lock:
            return [each for each in self.operations.values() if not each.is_acknowledged]

    def _write(self, line: dict) -> None:
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def check(ledger: Ledger, rows: list[dict], events: list[dict]) -> list[str]:
    """What the server's rows and audit events contradict in the ledger; empty when all is well."""
    problems = []
    stored = {row["id"]: row for row in rows if not row["is_system_default"]}
    expected: dict[str, dict | None] = {}
    created_names: list[str] = []
    actions = {"model_configuration.create": 0, "model_configuration.update": 0, "model_configuration.delete": 0}
    for operation in ledger.operations.values():
        if not operation.is_acknowledged:
            problems.append(f"{operation.key} was never acknowledged, not even by its replay")
            continue
        if operation.status >= 300:
            problems.append(f"{operation.method} {operation.path} answered {operation.status}: {operation.answer}")
            continue
        if operation.method == "POST":
            row = json.loads(operation.answer)
            expected.setdefault(row["id"], row)
            created_names.append(row["name"])
            actions["model_configuration.create"] += 1
        elif operation.method == "PATCH":
            row = json.loads(operation.answer)
            before = expected.get(row["id"])
            if before is not None and row["updated_at"] > before["updated_at"]:
                expected[row["id"]] = row
            actions["model_configuration.update"] += 1
        else:
            expected[operation.path.rsplit("/", 1)[1]] = None
            actions["model_configuration.delete"] += 1
    for id, row in expected.items():
        if row is None and id in stored:
            problems.append(f"{id} was deleted and is there")
        elif row is not None and id not in stored:
            problems.append(f"{id} was acknowledged and is lost")
        elif row is not None and stored[id] != row:
            problems.append(f"{id} differs: acknowledged {row}, stored {stored[id]}")
    for id in stored.keys() - expected.keys():
        problems.append(f"{id} ({stored[id]['name']}) exists and nobody was told")
    if len(set(created_names)) != len(created_names):
        problems.append("a create was done twice")
    for action, count in actions.items():
        found = sum(event["action"] == action for event in events)
        if found != count:
            problems.append(f"{count} times {action}, but {found} audit events")
    return problems
