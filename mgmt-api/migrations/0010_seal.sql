-- A value that opens with the right seal.key only: every server over one database has to have the same.
CREATE TABLE seal_canary (
    id     BIGINT PRIMARY KEY,
    sealed TEXT NOT NULL
);
