"""Cyberdesk's official SDK, unmodified, sync and async."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from cyberdesk.client import (
    CyberdeskClient,
    ModelConfigurationCreate,
    ModelConfigurationUpdate,
)


def client(server, key=None, **options) -> CyberdeskClient:
    return CyberdeskClient(api_key=key or server.key, base_url=server.url, **options)


def unwrap(response):
    assert response.error is None, response.error
    return response.data


def body(**changes) -> ModelConfigurationCreate:
    members = {
        "name": f"cyberdesk-{uuid4()}",
        "provider": "anthropic",
        "model": "claude-sonnet-4-5-20250929",
        "description": "for the extraction step",
        "temperature": 0.5,
        "max_tokens": 1024,
        "timeout_seconds": 12.5,
        "max_retries": 3,
        "is_computer_use_model": True,
        "api_key": "sk-ant-planted-0123456789",
    }
    return ModelConfigurationCreate(**(members | changes))


def names(rows) -> list[str]:
    return [row.name for row in rows]


def test_create_get_list_update_delete_sync(server):
    api = client(server).model_configurations
    created = unwrap(api.create_sync(body()))
    assert created.is_system_default is False
    assert created.is_computer_use_model is True
    assert created.temperature == 0.5
    assert created.timeout_seconds == 12.5
    assert isinstance(created.api_key_alias, str)
    assert "planted" not in str(created.to_dict())

    assert unwrap(api.get_sync(str(created.id))) == created
    assert created.name in names(unwrap(api.list_sync()))

    changed = unwrap(
        api.update_sync(
            str(created.id), ModelConfigurationUpdate(description=None, max_tokens=2048)
        )
    )
    assert changed.description is None
    assert changed.max_tokens == 2048
    assert changed.temperature == 0.5
    assert changed.updated_at > created.updated_at

    replaced = unwrap(
        api.update_sync(str(created.id), ModelConfigurationUpdate(api_key="sk-ant-another-0123"))
    )
    assert replaced.api_key_alias != created.api_key_alias

    assert api.delete_sync(str(created.id)).error is None
    assert created.name not in names(unwrap(api.list_sync()))
    assert api.get_sync(str(created.id)).error is not None


def test_the_same_life_async(server):
    async def live():
        api = client(server).model_configurations
        created = unwrap(await api.create(body()))
        assert unwrap(await api.get(str(created.id))) == created
        assert created.name in names(unwrap(await api.list()))
        changed = unwrap(
            await api.update(str(created.id), ModelConfigurationUpdate(is_archived=True))
        )
        assert changed.is_archived is True
        assert (await api.delete(str(created.id))).error is None
        assert (await api.get(str(created.id))).error is not None

    asyncio.run(live())


def test_system_defaults_come_first_and_cannot_be_changed(server):
    api = client(server).model_configurations
    unwrap(api.create_sync(body()))
    rows = unwrap(api.list_sync())
    kinds = [row.is_system_default for row in rows]
    assert kinds[0] is True
    assert kinds == sorted(kinds, reverse=True)
    default = rows[0]
    assert "403" in str(
        api.update_sync(str(default.id), ModelConfigurationUpdate(model="other")).error
    )
    assert "403" in str(api.delete_sync(str(default.id)).error)


def test_a_retry_with_the_same_key_is_a_replay(server):
    key = str(uuid4())
    api = client(server, idempotency_key_generator=lambda: key).model_configurations
    first = unwrap(api.create_sync(create := body()))
    again = unwrap(api.create_sync(create))
    assert again == first
    assert names(unwrap(api.list_sync())).count(create.name) == 1
    other = api.create_sync(body())
    assert "409" in str(other.error)


def test_fifty_creates_under_one_key_make_one_row(server):
    key = str(uuid4())
    create = body()

    def run(_):
        api = client(server, idempotency_key_generator=lambda: key).model_configurations
        return unwrap(api.create_sync(create))

    with ThreadPoolExecutor(50) as pool:
        rows = list(pool.map(run, range(50)))
    assert len({row.id for row in rows}) == 1
    assert len({row.api_key_alias for row in rows}) == 1
    listed = unwrap(client(server).model_configurations.list_sync())
    assert names(listed).count(create.name) == 1


def test_two_organizations_never_meet(server):
    ours = client(server, server.organization_key(f"ours-{uuid4()}")).model_configurations
    theirs = client(server, server.organization_key(f"theirs-{uuid4()}")).model_configurations
    row = unwrap(ours.create_sync(body()))
    twin = unwrap(theirs.create_sync(body(name=row.name)))
    assert twin.id != row.id
    assert row.id not in {other.id for other in unwrap(theirs.list_sync())}
    for refused in (
        theirs.get_sync(str(row.id)),
        theirs.update_sync(str(row.id), ModelConfigurationUpdate(model="stolen")),
        theirs.delete_sync(str(row.id)),
    ):
        assert "404" in str(refused.error)
    assert unwrap(ours.get_sync(str(row.id))) == row


@pytest.mark.parametrize(
    ("changes", "location"),
    [
        ({"name": ""}, "name"),
        ({"temperature": -0.1}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"provider": "nobody"}, "provider"),
        ({"api_key": " spaced "}, "api_key"),
    ],
)
def test_a_422_is_the_validation_error_that_the_sdk_knows(server, changes, location):
    answer = client(server).model_configurations.create_sync(body(**changes))
    assert answer.error is None, answer.error
    assert location in answer.data.detail[0].loc


def test_a_wrong_key_is_an_error(server):
    answer = client(server, "wrong-" + "k" * 40).model_configurations.list_sync()
    assert "401" in str(answer.error)
