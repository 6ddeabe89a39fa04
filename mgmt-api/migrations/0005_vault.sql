-- The vault. `wrapped` is the tenant's data key under a key made from the master password with the parameters beside
-- it; `file_wrapped` the same under the operator's key file. `lock_epoch` rises when somebody locks: every server
-- that had it open before sees that. No column can be read without the password.
CREATE TABLE vaults (
    tenant_id      TEXT PRIMARY KEY REFERENCES tenants (id),
    kdf_memory_kib BIGINT NOT NULL,
    kdf_passes     BIGINT NOT NULL,
    kdf_lanes      BIGINT NOT NULL,
    kdf_salt       TEXT NOT NULL,
    wrapped        TEXT NOT NULL,
    file_wrapped   TEXT,
    lock_epoch     BIGINT NOT NULL,
    tries          BIGINT NOT NULL,
    blocked_until  BIGINT NOT NULL,
    created_at     BIGINT NOT NULL,
    rotated_at     BIGINT
);

-- `sealed` is bound to its row's tenant, id, provider and name.
CREATE TABLE vault_keys (
    id           TEXT PRIMARY KEY,
    tenant_id    TEXT NOT NULL REFERENCES vaults (tenant_id),
    provider     TEXT NOT NULL,
    name         TEXT NOT NULL,
    sealed       TEXT NOT NULL,
    last_four    TEXT,
    created_at   BIGINT NOT NULL,
    last_used_at BIGINT,
    UNIQUE (tenant_id, provider, name)
);
