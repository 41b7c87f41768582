-- How much an organisation or one of its keys may call. An empty api_key_id is the whole
-- organisation; what is null is not set.
CREATE TABLE rate_limits (
    organization_id TEXT NOT NULL REFERENCES organizations (id),
    api_key_id TEXT NOT NULL,
    requests_per_minute INTEGER,
    tokens_per_minute INTEGER,
    concurrent_calls INTEGER,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (organization_id, api_key_id)
) STRICT;
