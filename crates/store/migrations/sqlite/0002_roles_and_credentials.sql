-- Which configuration does which agent role, for an organisation or, where
-- organization_id is null, for all of them. An assigned configuration cannot be deleted.
CREATE TABLE agent_roles (
    organization_id TEXT REFERENCES organizations (id),
    role TEXT NOT NULL,
    model_configuration_id TEXT NOT NULL REFERENCES model_configurations (id),
    assigned_at INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX agent_roles_owner ON agent_roles (COALESCE(organization_id, ''), role);
CREATE INDEX agent_roles_by_configuration ON agent_roles (model_configuration_id);

-- An organisation's own credentials, by what they open. A row without an alias is one
-- that was deleted: the slot stays the organisation's.
CREATE TABLE provider_credentials (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    slot TEXT NOT NULL,
    revision INTEGER NOT NULL,
    status TEXT NOT NULL,
    auth_type TEXT,
    alias TEXT,
    display_metadata TEXT NOT NULL,
    last_error TEXT,
    activated_at INTEGER,
    last_validated_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (organization_id, slot)
) STRICT, WITHOUT ROWID;
