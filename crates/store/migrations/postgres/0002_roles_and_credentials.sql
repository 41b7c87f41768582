-- Which configuration does which agent role, for an organisation or, where
-- organization_id is null, for all of them. An assigned configuration cannot be deleted.
CREATE TABLE agent_roles (
    organization_id TEXT COLLATE "C" REFERENCES organizations (id),
    role TEXT COLLATE "C" NOT NULL,
    model_configuration_id TEXT COLLATE "C" NOT NULL REFERENCES model_configurations (id),
    assigned_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX agent_roles_owner ON agent_roles (COALESCE(organization_id, ''), role);
CREATE INDEX agent_roles_by_configuration ON agent_roles (model_configuration_id);

-- An organisation's own credentials, by what they open. A row without an alias is one
-- that was deleted: the slot stays the organisation's.
CREATE TABLE provider_credentials (
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    slot TEXT COLLATE "C" NOT NULL,
    revision BIGINT NOT NULL,
    status TEXT NOT NULL,
    auth_type TEXT,
    alias TEXT COLLATE "C",
    display_metadata TEXT NOT NULL,
    last_error TEXT,
    activated_at BIGINT,
    last_validated_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (organization_id, slot)
);
