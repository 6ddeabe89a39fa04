-- The device link: how a device is reached, and the grants its owner signed. The server carries them; it can make none.
ALTER TABLE devices ADD COLUMN link TEXT;

CREATE TABLE grants (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL REFERENCES tenants (id),
    device_id  TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    client_key TEXT NOT NULL,
    signed     TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);
CREATE INDEX grants_by_device ON grants (device_id, id);
CREATE INDEX grants_by_end ON grants (expires_at);

-- The grant a device gave to this server; it opens the link for the dashboard.
CREATE TABLE server_grants (
    device_id TEXT PRIMARY KEY REFERENCES devices (id) ON DELETE CASCADE,
    signed    TEXT NOT NULL
);

-- Reports of devices about their link that were made into events already.
CREATE TABLE link_reports (
    id        TEXT PRIMARY KEY,
    device_id TEXT NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    at        BIGINT NOT NULL
);
CREATE INDEX link_reports_by_time ON link_reports (at);
