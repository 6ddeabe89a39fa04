-- Models that were first in a request's order and did not answer it, in that order; `miss` is why, as JSON.
CREATE TABLE model_usage_misses (
    usage_id  TEXT NOT NULL,
    nth       BIGINT NOT NULL,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    at        BIGINT NOT NULL,
    miss      TEXT NOT NULL,
    PRIMARY KEY (usage_id, nth)
);
CREATE INDEX model_usage_misses_by_time ON model_usage_misses (tenant_id, at);
