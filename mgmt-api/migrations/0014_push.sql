-- The key that push services know this server by (VAPID): PKCS #8, sealed. One row.
CREATE TABLE push_keys (
    id     BIGINT PRIMARY KEY,
    sealed TEXT NOT NULL
);

-- Where accounts are told. `owner` is the account as text; `origin` is the session or token that made it and ends it.
-- `target` is sealed: whoever has it can write to the receiver. `place` is a hash of it, so that one place is there
-- once. `choice` is JSON. Events up to `since` are no news to it. A claim ends at `busy_until`.
CREATE TABLE push_receivers (
    id              TEXT PRIMARY KEY,
    tenant_id       TEXT NOT NULL REFERENCES tenants (id),
    owner           TEXT NOT NULL,
    origin          TEXT NOT NULL,
    kind            TEXT NOT NULL,
    name            TEXT NOT NULL,
    via             TEXT,
    place           TEXT NOT NULL,
    target          TEXT NOT NULL,
    choice          TEXT NOT NULL,
    since           BIGINT NOT NULL,
    created_at      BIGINT NOT NULL,
    last_success_at BIGINT,
    last_failure_at BIGINT,
    last_failure    TEXT,
    failures        BIGINT NOT NULL,
    next_at         BIGINT NOT NULL,
    busy_until      BIGINT NOT NULL,
    UNIQUE (tenant_id, owner, place)
);

-- How far a tenant's log was read for what is worth a push.
CREATE TABLE push_read (
    tenant_id TEXT PRIMARY KEY REFERENCES tenants (id),
    cursor    BIGINT NOT NULL
);

-- One thing at one receiver: what it was told, and what it is to be told. Both are JSON.
CREATE TABLE push_standings (
    receiver_id TEXT NOT NULL REFERENCES push_receivers (id) ON DELETE CASCADE,
    subject     TEXT NOT NULL,
    told        TEXT,
    due         TEXT,
    at          BIGINT NOT NULL,
    PRIMARY KEY (receiver_id, subject)
);
