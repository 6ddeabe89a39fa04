-- One text for SQLite and PostgreSQL. Times are milliseconds since the Unix epoch, UTC. Flags are 0 or 1.
-- PostgreSQL gets `CREATE DOMAIN blob AS bytea` before the first migration, so BLOB means bytes on both.

CREATE TABLE tenants (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    created_at  BIGINT NOT NULL,
    -- Head of the tenant's event log: what a missing last row would betray.
    last_cursor BIGINT NOT NULL,
    last_hash   TEXT NOT NULL
);

CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL REFERENCES tenants (id),
    name          TEXT NOT NULL,
    role          TEXT NOT NULL,
    password_hash TEXT,
    created_at    BIGINT NOT NULL,
    UNIQUE (tenant_id, name)
);

-- A signed-in browser. Only hashes of secrets are stored.
CREATE TABLE sessions (
    id          TEXT PRIMARY KEY,
    user_id     TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    secret_hash TEXT NOT NULL UNIQUE,
    created_at  BIGINT NOT NULL,
    expires_at  BIGINT NOT NULL
);

CREATE TABLE api_tokens (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL REFERENCES tenants (id),
    name         TEXT NOT NULL,
    role         TEXT NOT NULL,
    secret_hash  TEXT NOT NULL UNIQUE,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT
);

-- Setup codes, one-use sign-in links and device challenges: spent by deleting the row.
CREATE TABLE one_time_secrets (
    secret_hash TEXT PRIMARY KEY,
    purpose     TEXT NOT NULL,
    subject     TEXT NOT NULL,
    expires_at  BIGINT NOT NULL
);

CREATE TABLE devices (
    id               TEXT PRIMARY KEY,
    tenant_id        TEXT NOT NULL REFERENCES tenants (id),
    user_id          TEXT REFERENCES users (id),
    name             TEXT NOT NULL,
    type             TEXT NOT NULL,
    tunnel_id        TEXT,
    tunnel_hostname  TEXT,
    capabilities     TEXT,
    policy           TEXT,
    public_key       TEXT,
    agent_version    TEXT,
    protocol_version BIGINT,
    created_at       BIGINT NOT NULL
);
CREATE INDEX devices_by_tenant ON devices (tenant_id, id);

-- What changes with every heartbeat, kept apart from the wide row above.
CREATE TABLE presence (
    device_id       TEXT PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    status          TEXT NOT NULL,
    status_since    BIGINT NOT NULL,
    last_seen_at    BIGINT,
    gpu_memory_high BIGINT NOT NULL,
    version         BIGINT NOT NULL
);

CREATE TABLE device_tokens (
    id         TEXT PRIMARY KEY,
    device_id  TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    token_hash TEXT NOT NULL UNIQUE,
    expires_at BIGINT NOT NULL,
    used_at    BIGINT
);
CREATE INDEX device_tokens_by_device ON device_tokens (device_id);

-- Short-lived bearers that devices got for a signed challenge.
CREATE TABLE device_bearers (
    secret_hash TEXT PRIMARY KEY,
    device_id   TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    expires_at  BIGINT NOT NULL
);
CREATE INDEX device_bearers_by_device ON device_bearers (device_id);

-- Measurements. `keep` marks the first of a minute, which outlives the others.
CREATE TABLE samples (
    device_id TEXT NOT NULL,
    at        BIGINT NOT NULL,
    keep      BIGINT NOT NULL,
    body      TEXT NOT NULL,
    PRIMARY KEY (device_id, at)
);

CREATE TABLE tasks (
    id                TEXT PRIMARY KEY,
    tenant_id         TEXT NOT NULL REFERENCES tenants (id),
    device_id         TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    command           TEXT NOT NULL,
    summary           TEXT NOT NULL,
    cwd               TEXT,
    env_names         TEXT NOT NULL,
    timeout_s         BIGINT,
    state             TEXT NOT NULL,
    reason            TEXT,
    exit_code         BIGINT,
    signal            BIGINT,
    requested_by      TEXT NOT NULL,
    created_at        BIGINT NOT NULL,
    started_at        BIGINT,
    ended_at          BIGINT,
    stop_requested_at BIGINT,
    output_bytes      BIGINT NOT NULL,
    output_start      BIGINT NOT NULL,
    output_total      BIGINT,
    version           BIGINT NOT NULL
);
CREATE INDEX tasks_by_tenant ON tasks (tenant_id, id);
CREATE INDEX tasks_by_device ON tasks (device_id, id);
CREATE INDEX tasks_by_state ON tasks (device_id, state);

CREATE TABLE task_output (
    task_id      TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    start_offset BIGINT NOT NULL,
    size         BIGINT NOT NULL,
    data         BLOB NOT NULL,
    PRIMARY KEY (task_id, start_offset)
);

-- Instructions a device has not acknowledged yet; acknowledged ones are deleted, and their secrets with them.
CREATE TABLE commands (
    id         TEXT PRIMARY KEY,
    device_id  TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    task_id    TEXT,
    action     TEXT NOT NULL,
    seq        BIGINT NOT NULL,
    body       TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX commands_by_device ON commands (device_id, seq);

-- The append-only log. `hash` covers the hash before it and every column of the row.
CREATE TABLE events (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    cursor    BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    type      TEXT NOT NULL,
    device_id TEXT,
    actor     TEXT NOT NULL,
    source    TEXT,
    body      TEXT NOT NULL,
    hash      TEXT NOT NULL,
    PRIMARY KEY (tenant_id, cursor)
);
CREATE INDEX events_by_device ON events (tenant_id, device_id, cursor);
