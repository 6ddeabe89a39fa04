-- One-time codes of sign-ins by the browser (OAuth 2.1). Only here as hashes; what was spent stays for a day, so that a
-- code that comes a second time takes back what it gave.
CREATE TABLE authorization_codes (
    code_hash      TEXT PRIMARY KEY,
    tenant_id      TEXT NOT NULL REFERENCES tenants (id),
    client_id      TEXT NOT NULL,
    redirect_uri   TEXT NOT NULL,
    code_challenge TEXT NOT NULL,
    client_name    TEXT NOT NULL,
    allowed_by     TEXT NOT NULL,
    role           TEXT NOT NULL,
    expires_at     BIGINT NOT NULL,
    forget_at      BIGINT NOT NULL,
    spent_at       BIGINT,
    token_id       TEXT
);
