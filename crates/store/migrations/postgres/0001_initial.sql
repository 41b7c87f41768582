-- Everything that Quartermaster keeps. The twin for SQLite lies beside this folder.
-- Identifiers and JSON are text, times are microseconds since 1970, flags are 0 or 1.
-- Where organization_id is null, the row belongs to the installation itself.
-- Keys compare by bytes, whatever the locale of the database.

CREATE TABLE organizations (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE api_keys (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id TEXT COLLATE "C" NOT NULL REFERENCES organizations (id),
    digest BYTEA NOT NULL UNIQUE,
    name TEXT COLLATE "C" NOT NULL,
    scopes TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE INDEX api_keys_by_organization ON api_keys (organization_id, created_at);

-- settings is the document that a revision keeps too; name and is_archived repeat two
-- of its members for the index below.
CREATE TABLE model_configurations (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id TEXT COLLATE "C" REFERENCES organizations (id),
    name TEXT COLLATE "C" NOT NULL,
    is_archived BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    settings TEXT NOT NULL,
    api_key_alias TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE UNIQUE INDEX model_configurations_unarchived_name
    ON model_configurations (COALESCE(organization_id, ''), name) WHERE is_archived = 0;

CREATE INDEX model_configurations_by_owner
    ON model_configurations (COALESCE(organization_id, ''), created_at);

CREATE TABLE model_configuration_revisions (
    model_configuration_id TEXT COLLATE "C" NOT NULL REFERENCES model_configurations (id),
    number BIGINT NOT NULL,
    settings TEXT NOT NULL,
    api_key_alias TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    PRIMARY KEY (model_configuration_id, number)
);

CREATE TABLE sealed_secrets (
    alias TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    organization_id TEXT COLLATE "C",
    sealed BYTEA NOT NULL
);

CREATE INDEX sealed_secrets_by_owner ON sealed_secrets (COALESCE(organization_id, ''));

CREATE TABLE root_key_canaries (
    root_key_id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL
);

-- The reference keeps a server that missed a rotation from sealing under a root key that
-- has been retired, and a root key from being retired while something is under it.
CREATE TABLE organization_keys (
    organization_id TEXT COLLATE "C",
    root_key_id TEXT COLLATE "C" NOT NULL REFERENCES root_key_canaries (root_key_id),
    wrapped BYTEA NOT NULL
);

CREATE UNIQUE INDEX organization_keys_owner ON organization_keys (COALESCE(organization_id, ''));
CREATE INDEX organization_keys_by_root_key ON organization_keys (root_key_id);

-- Aliases whose secrets must be destroyed.
CREATE TABLE secret_destructions (
    alias TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    due_at BIGINT NOT NULL
);

CREATE INDEX secret_destructions_by_due_at ON secret_destructions (due_at);

CREATE TABLE idempotency_claims (
    organization_id TEXT COLLATE "C" NOT NULL,
    key_hash BYTEA NOT NULL,
    fingerprint BYTEA NOT NULL,
    hash_key_id TEXT NOT NULL,
    claimed_at BIGINT NOT NULL,
    status BIGINT,
    headers TEXT,
    body BYTEA,
    is_sealed BIGINT,
    PRIMARY KEY (organization_id, key_hash)
);

CREATE INDEX idempotency_claims_by_time ON idempotency_claims (claimed_at);

CREATE TABLE audit_events (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    organization_id TEXT COLLATE "C",
    occurred_at BIGINT NOT NULL,
    actor_type TEXT NOT NULL,
    actor_id TEXT,
    action TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    document_before TEXT,
    document_after TEXT,
    request_id TEXT
);

CREATE INDEX audit_events_by_owner ON audit_events (COALESCE(organization_id, ''), id);

-- The change feed. The one row of change_counter is the number of the last commit that
-- changed something; whoever holds its lock is the only one who may take the next.
CREATE TABLE change_counter (revision BIGINT NOT NULL);

INSERT INTO change_counter (revision) VALUES (0);

CREATE TABLE changes (
    revision BIGINT NOT NULL,
    organization_id TEXT COLLATE "C"
);

CREATE INDEX changes_by_revision ON changes (revision);
