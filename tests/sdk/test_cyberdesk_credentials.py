"""Cyberdesk's generated provider-credential modules, unmodified, and agents that call roles."""

import json
from uuid import uuid4

import openai
import pytest
from openapi_client.cyberdesk_cloud_client.api.provider_credentials import (
    delete_provider_credential_v1_provider_credentials_slot_delete as delete_module,
    list_provider_credentials_v1_provider_credentials_get as list_module,
    upsert_provider_credential_v1_provider_credentials_slot_put as put_module,
    validate_provider_credential_v1_provider_credentials_slot_validate_post as validate_module,
)
from openapi_client.cyberdesk_cloud_client.client import AuthenticatedClient
from openapi_client.cyberdesk_cloud_client.models.provider_credential_slot import (
    ProviderCredentialSlot as Slot,
)
from openapi_client.cyberdesk_cloud_client.models.provider_credential_upsert import (
    ProviderCredentialUpsert as Upsert,
)


@pytest.fixture
def key(server) -> str:
    return server.organization_key(f"credentials-{uuid4()}")


@pytest.fixture
def sdk(server, key):
    with AuthenticatedClient(base_url=server.url, token=key) as client:
        yield client


def given(slot: Slot, service_account: str) -> Upsert:
    return {
        Slot.ANTHROPIC: Upsert(api_key="sk-ant-planted-0123456789"),
        Slot.OPENAI: Upsert(api_key="sk-planted-0123456789"),
        Slot.GOOGLE: Upsert(service_account_json=service_account),
        Slot.AWS_BEDROCK: Upsert(
            bedrock_auth_mode="iam",
            aws_access_key_id="AKIAPLANTED012345678",
            aws_secret_access_key="planted/0123456789",
            aws_region="us-east-1",
        ),
    }[slot]


def test_all_four_slots_are_listed_before_anything_is_given(sdk):
    slots = list_module.sync(client=sdk)
    assert {slot.slot for slot in slots} == set(Slot)
    assert len(slots) == 4
    for slot in slots:
        assert slot.source == "cyberdesk"
        assert slot.status is None
        assert slot.covered_providers


@pytest.mark.parametrize("slot", list(Slot))
def test_a_slot_is_given_tried_and_taken_away(sdk, slot, service_account):
    put = put_module.sync(
        slot, client=sdk, body=given(slot, service_account), idempotency_key=str(uuid4())
    )
    assert (put.slot, put.source, put.status) == (slot, "organization", "active")
    assert "planted" not in json.dumps(put.to_dict()).lower()
    listed = {row.slot: row for row in list_module.sync(client=sdk)}
    assert listed[slot] == put
    assert [row.status for row in listed.values()].count(None) == 3

    # The providers of this server are a closed port: that is no fault of the credential.
    result = validate_module.sync(slot, client=sdk, idempotency_key=str(uuid4()))
    assert (result.slot, result.ok) == (slot, False)
    assert result.checks
    for check in result.checks:
        assert check.ok is False
        assert check.error
    assert not any(check.is_auth_error for check in result.checks)
    assert result.credential.status == "active"

    gone = delete_module.sync(slot, client=sdk, idempotency_key=str(uuid4()))
    assert (gone.status, gone.source) == ("missing", "organization")
    again = delete_module.sync_detailed(slot, client=sdk)
    assert again.status_code == 200


def test_a_service_account_pays_for_no_gemini_of_ai_studio(server, key, sdk, service_account):
    put = put_module.sync(Slot.GOOGLE, client=sdk, body=given(Slot.GOOGLE, service_account))
    assert sorted(put.covered_providers) == ["google_anthropic_vertex", "google_vertexai"]
    row = {"name": "gemini", "provider": "google_genai", "model": "gemini-2.5-flash"}
    with server.api(key) as api:
        refused = api.post("/v1/model-configurations", json=row)
        assert refused.status_code == 400
        assert "the google slot holds a service account" in refused.json()["detail"]
        slot = api.put("/v1/provider-credentials/google_genai", json={"api_key": "planted-0123"})
        assert slot.status_code == 200, slot.text
        assert api.post("/v1/model-configurations", json=row).status_code == 201


def test_what_does_not_belong_to_a_slot_is_refused(sdk):
    wrong = put_module.sync_detailed(
        Slot.OPENAI, client=sdk, body=Upsert(service_account_json="{}")
    )
    assert wrong.status_code == 400
    body = Upsert(api_key="with a space")
    invalid = put_module.sync(Slot.OPENAI, client=sdk, body=body)
    assert "api_key" in invalid.detail[0].loc


def test_an_agent_calls_its_role_and_never_learns_the_model(server, key):
    with server.api(key) as api:
        for name, words in (("plain", 2), ("other", 3)):
            row = {
                "name": name,
                "provider": "simulated",
                "model": f"simulated-chat:words={words}",
                "is_computer_use_model": True,
            }
            created = api.post("/v1/model-configurations", json=row)
            assert created.status_code == 201, created.text
            body = {"model_configuration_id": created.json()["id"]}
            assigned = api.put("/v1/agent-roles/main_agent", json=body)
            assert assigned.status_code == 200, assigned.text
            assert assigned.json()["model_configuration_name"] == name
            for role in ("main_agent", "focused_action"):
                agent = openai.OpenAI(base_url=f"{server.url}/v1", api_key=key)
                answer = agent.chat.completions.create(
                    model=f"role:{role}", messages=[{"role": "user", "content": "Hello!"}]
                )
                assert len(answer.choices[0].message.content.split()) == words
        assert len(api.get("/v1/agent-roles").json()) == 7
        back = api.delete("/v1/agent-roles/main_agent").json()
        assert back["source"] == "none"
