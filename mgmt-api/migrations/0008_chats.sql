-- Conversations with models. Only their owner sees them. `found_by` is the lower-case text that a search looks into.
CREATE TABLE chats (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL REFERENCES tenants (id),
    owner      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title      TEXT NOT NULL,
    found_by   TEXT NOT NULL,
    model      TEXT NOT NULL,
    -- The last message of the branch that is shown; empty before the first question.
    leaf       TEXT NOT NULL,
    -- The number that the next message gets.
    next_seq   BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX chats_by_owner ON chats (owner, updated_at, id);

-- A tree: `parent` is empty for those that begin a conversation. While an answer arrives its text is in
-- `chat_pieces` and `body` is empty; at its end it moves here.
CREATE TABLE chat_messages (
    id         TEXT PRIMARY KEY,
    chat_id    TEXT NOT NULL REFERENCES chats (id) ON DELETE CASCADE,
    parent     TEXT NOT NULL,
    seq        BIGINT NOT NULL,
    role       TEXT NOT NULL,
    body       TEXT NOT NULL,
    found_by   TEXT NOT NULL,
    state      TEXT NOT NULL,
    -- What was asked for: `auto`, a profile or `provider/model`.
    model      TEXT NOT NULL,
    thinking   BIGINT NOT NULL,
    -- Messages of the branch that did not fit into the model's context.
    left_out   BIGINT NOT NULL,
    route      TEXT,
    usage      TEXT,
    problem    TEXT,
    -- When the server that brings the answer was last seen at it.
    alive_at   BIGINT,
    created_at BIGINT NOT NULL,
    UNIQUE (chat_id, seq)
);
CREATE INDEX chat_messages_by_parent ON chat_messages (chat_id, parent, seq);
CREATE INDEX chat_messages_by_state ON chat_messages (state, alive_at);

-- `start_offset` and `size` count bytes of UTF-8.
CREATE TABLE chat_pieces (
    message_id   TEXT NOT NULL REFERENCES chat_messages (id) ON DELETE CASCADE,
    start_offset BIGINT NOT NULL,
    size         BIGINT NOT NULL,
    body         TEXT NOT NULL,
    PRIMARY KEY (message_id, start_offset)
);

CREATE TABLE attachments (
    id         TEXT PRIMARY KEY,
    tenant_id  TEXT NOT NULL REFERENCES tenants (id),
    owner      TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name       TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size       BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX attachments_by_owner ON attachments (owner, id);

CREATE TABLE attachment_chunks (
    attachment_id TEXT NOT NULL REFERENCES attachments (id) ON DELETE CASCADE,
    n             BIGINT NOT NULL,
    data          BLOB NOT NULL,
    PRIMARY KEY (attachment_id, n)
);

-- An edited question takes its attachments along, so one may go with several messages.
CREATE TABLE chat_message_attachments (
    message_id    TEXT NOT NULL REFERENCES chat_messages (id) ON DELETE CASCADE,
    n             BIGINT NOT NULL,
    attachment_id TEXT NOT NULL REFERENCES attachments (id),
    PRIMARY KEY (message_id, n)
);
CREATE INDEX chat_message_attachments_by_attachment ON chat_message_attachments (attachment_id);

-- The person who signed a program in: its conversations are theirs. Other tokens have none.
ALTER TABLE api_tokens ADD COLUMN for_user TEXT REFERENCES users (id);
