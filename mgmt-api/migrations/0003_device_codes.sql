-- Programs that ask to be signed in by somebody in a browser (RFC 8628). Both codes are only here as hashes.
CREATE TABLE device_codes (
    device_code_hash TEXT PRIMARY KEY,
    user_code_hash   TEXT NOT NULL UNIQUE,
    tenant_id        TEXT NOT NULL REFERENCES tenants (id),
    client_name      TEXT NOT NULL,
    source           TEXT NOT NULL,
    created_at       BIGINT NOT NULL,
    expires_at       BIGINT NOT NULL,
    interval_s       BIGINT NOT NULL,
    polled_at        BIGINT,
    state            TEXT NOT NULL,
    approved_by      TEXT,
    role             TEXT
);
