-- Changes that were asked for with an Idempotency-Key: each is made once, however often it is asked for.
CREATE TABLE changes_made (
    tenant_id TEXT   NOT NULL REFERENCES tenants (id),
    key       TEXT   NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX changes_made_by_time ON changes_made (at);
