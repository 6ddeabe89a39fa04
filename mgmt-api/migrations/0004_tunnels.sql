-- Cloudflare Tunnels. A row outlives its device until everything it names at Cloudflare is removed, so there is no
-- foreign key. `secret` is the Access service token's, sealed with the key in the data folder.
CREATE TABLE tunnels (
    device_id        TEXT PRIMARY KEY,
    tenant_id        TEXT NOT NULL REFERENCES tenants (id),
    hostname         TEXT NOT NULL,
    target           TEXT NOT NULL,
    tunnel_id        TEXT,
    dns_record_id    TEXT,
    app_id           TEXT,
    policy_id        TEXT,
    service_token_id TEXT,
    client_id        TEXT,
    secret           TEXT,
    error            TEXT,
    due_at       BIGINT NOT NULL,
    busy_until       BIGINT NOT NULL
);
