-- How requests find their model. `body` is JSON of profiles and caps; without a row the defaults stand.
CREATE TABLE routing (
    tenant_id TEXT PRIMARY KEY REFERENCES tenants (id),
    body      TEXT NOT NULL,
    revision  BIGINT NOT NULL
);

-- Placeholder keys for agents and clients. `models` is JSON. Revoked ones stay for what they used.
CREATE TABLE model_keys (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL REFERENCES tenants (id),
    name         TEXT NOT NULL,
    last_four    TEXT NOT NULL,
    secret_hash  TEXT NOT NULL UNIQUE,
    models       TEXT NOT NULL,
    cap_micros   BIGINT,
    cap_period   TEXT NOT NULL,
    project      TEXT,
    expires_at   BIGINT,
    revoked_at   BIGINT,
    created_at   BIGINT NOT NULL,
    created_by   TEXT NOT NULL,
    last_used_at BIGINT
);
CREATE INDEX model_keys_by_tenant ON model_keys (tenant_id, id);

-- One row for each request to a model. Names stand beside ids: what was used stays readable when a provider, a device
-- or a key is gone. `day` counts from the Unix epoch, UTC. Without a price `cost_micros` is NULL.
CREATE TABLE model_usage (
    id             TEXT PRIMARY KEY,
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    at             BIGINT NOT NULL,
    day            BIGINT NOT NULL,
    account        TEXT NOT NULL,
    key_id         TEXT,
    project        TEXT,
    provider_id    TEXT NOT NULL,
    provider       TEXT NOT NULL,
    model          TEXT NOT NULL,
    device_id      TEXT,
    device         TEXT,
    input_tokens   BIGINT NOT NULL,
    output_tokens  BIGINT NOT NULL,
    cached_tokens  BIGINT NOT NULL,
    cost_micros    BIGINT,
    estimated      BIGINT NOT NULL,
    latency_ms     BIGINT NOT NULL,
    first_token_ms BIGINT,
    outcome        TEXT NOT NULL
);
CREATE INDEX model_usage_by_time ON model_usage (tenant_id, at);

-- Spending added up, written together with the rows it adds up: caps are checked against it. '' is no key.
CREATE TABLE model_spend (
    tenant_id   TEXT NOT NULL REFERENCES tenants (id),
    day         BIGINT NOT NULL,
    key_id      TEXT NOT NULL,
    cost_micros BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, day, key_id)
);

-- Caps that were announced as reached, once for each period.
CREATE TABLE spend_notices (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    cap       TEXT NOT NULL,
    period    BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, cap, period)
);
