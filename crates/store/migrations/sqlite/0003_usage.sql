-- What calls took, what it cost, and what may be spent. The twin for PostgreSQL lies
-- beside this folder.

-- One row for each attempt. What belongs to the whole call is repeated in each of its
-- attempts, since most calls have one and one row is half the work of two; how the call
-- ended stands in the row of its last attempt (is_last = 1). A call's identifier is a
-- UUIDv7: a range of identifiers is a range of time, and the primary key serves both.
CREATE TABLE usage_attempts (
    organization_id TEXT NOT NULL,
    call_id TEXT NOT NULL,
    attempt_number INTEGER NOT NULL,
    is_last INTEGER NOT NULL,
    called_at INTEGER NOT NULL,
    api_key_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    run_id TEXT,
    agent_role TEXT,
    dialect TEXT NOT NULL,
    model_asked TEXT NOT NULL,
    is_stream INTEGER NOT NULL,
    call_outcome TEXT,
    call_status INTEGER,
    call_duration INTEGER,
    call_first_byte INTEGER,
    model_configuration_id TEXT NOT NULL,
    revision INTEGER NOT NULL,
    provider TEXT NOT NULL,
    protocol TEXT NOT NULL,
    model TEXT NOT NULL,
    model_answered TEXT,
    service_tier TEXT,
    key_owner TEXT NOT NULL,
    outcome TEXT NOT NULL,
    error_kind TEXT,
    status INTEGER,
    started_at INTEGER NOT NULL,
    duration INTEGER NOT NULL,
    first_byte INTEGER,
    uncached_input_tokens INTEGER,
    cache_read_tokens INTEGER,
    cache_write_5m_tokens INTEGER,
    cache_write_1h_tokens INTEGER,
    output_tokens INTEGER,
    reasoning_tokens INTEGER,
    cost_micros INTEGER,
    PRIMARY KEY (organization_id, call_id, attempt_number)
) STRICT;

CREATE INDEX usage_attempts_by_run
    ON usage_attempts (organization_id, run_id, call_id) WHERE run_id IS NOT NULL;
CREATE INDEX usage_attempts_by_key ON usage_attempts (organization_id, api_key_id, call_id);
CREATE INDEX usage_attempts_by_configuration
    ON usage_attempts (organization_id, model_configuration_id, call_id);
CREATE INDEX usage_attempts_of_calls_that_failed
    ON usage_attempts (organization_id, call_id) WHERE is_last = 1 AND call_outcome <> 'success';

-- The runs that calls were booked on, so that they can be listed without reading all
-- their calls. is_uuid marks those that Cyberdesk's clients can read.
CREATE TABLE usage_runs (
    organization_id TEXT NOT NULL,
    run_id TEXT NOT NULL,
    first_called_at INTEGER NOT NULL,
    last_called_at INTEGER NOT NULL,
    is_uuid INTEGER NOT NULL,
    PRIMARY KEY (organization_id, run_id)
) STRICT;

CREATE INDEX usage_runs_by_time
    ON usage_runs (organization_id, first_called_at, run_id) WHERE is_uuid = 1;

-- What each key spent in each month (202611 is November 2026, in UTC), for budgets.
-- Kept by the same transactions as usage_attempts; outlives them.
CREATE TABLE usage_months (
    month INTEGER NOT NULL,
    organization_id TEXT NOT NULL,
    api_key_id TEXT NOT NULL,
    cost_micros INTEGER NOT NULL,
    PRIMARY KEY (month, organization_id, api_key_id)
) STRICT;

-- The price list that replaces the built-in one; one row or none.
CREATE TABLE price_lists (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    document TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

-- What may be spent in a month, in micro-dollars. An empty api_key_id is the whole
-- organisation.
CREATE TABLE budgets (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    api_key_id TEXT NOT NULL,
    soft_micros INTEGER,
    hard_micros INTEGER,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (organization_id, api_key_id)
) STRICT;
