-- Model providers. `vault_key` is what its key is called in the vault, and is for `base_url` only. `use_for` is JSON.
-- What its last list of models told is in `checked_at`, `check_ms`, `check_models`, `fault` and `reason`. A provider
-- that was found on a device and that somebody removed stays as a row with `removed_at`, so that it is not found again.
CREATE TABLE providers (
    id            TEXT PRIMARY KEY,
    tenant_id     TEXT NOT NULL REFERENCES tenants (id),
    kind          TEXT NOT NULL,
    auth          TEXT NOT NULL,
    name          TEXT NOT NULL,
    base_url      TEXT,
    device_id     TEXT UNIQUE REFERENCES devices (id) ON DELETE CASCADE,
    vault_key     TEXT,
    found         BIGINT NOT NULL,
    enabled       BIGINT NOT NULL,
    is_default    BIGINT NOT NULL,
    default_model TEXT,
    use_for       TEXT NOT NULL,
    created_at    BIGINT NOT NULL,
    removed_at    BIGINT,
    checked_at    BIGINT,
    check_ms      BIGINT,
    check_models  BIGINT,
    fault         TEXT,
    reason        TEXT,
    due_at        BIGINT NOT NULL,
    UNIQUE (tenant_id, name)
);

-- Models. `listed` is JSON of what the provider tells of one, absent when it no longer names it; `entered` is JSON of
-- what a person entered.
CREATE TABLE provider_models (
    provider_id TEXT NOT NULL REFERENCES providers (id) ON DELETE CASCADE,
    id          TEXT NOT NULL,
    listed      TEXT,
    entered     TEXT,
    PRIMARY KEY (provider_id, id)
);
