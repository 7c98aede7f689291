-- Accounts and sessions. Names are compared without case and kept as they were written.
CREATE TABLE users (
    id               uuid PRIMARY KEY,
    username         text NOT NULL CHECK (octet_length(username) BETWEEN 3 AND 64),
    email            text NOT NULL CHECK (octet_length(email) BETWEEN 3 AND 254),
    -- Argon2id in PHC form; bcrypt for imported accounts until their next login.
    password_hash    text NOT NULL CHECK (octet_length(password_hash) BETWEEN 50 AND 512),
    -- Counts the passwords, not the hashes: a login that began with an older one ends in a refusal.
    password_version integer NOT NULL DEFAULT 1,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now()
);

CREATE UNIQUE INDEX users_username_key ON users (lower(username));
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

-- One row a login. A refresh token has two halves: the first names its family, which is this row,
-- the second changes with every refresh. Only their SHA-256 is kept. A token with the right first
-- and a wrong second half is an old one: somebody replays it.
CREATE TABLE sessions (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    family_hash  text NOT NULL CHECK (octet_length(family_hash) = 64),
    refresh_hash text NOT NULL CHECK (octet_length(refresh_hash) = 64),
    user_agent   text NOT NULL DEFAULT '' CHECK (octet_length(user_agent) <= 256),
    created_at   timestamptz NOT NULL DEFAULT now(),
    refreshed_at timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    -- The transaction that revoked it: the feed sends each revocation once, whatever the order in
    -- which transactions commit.
    revoked_xid  xid8,
    CHECK ((revoked_at IS NULL) = (revoked_xid IS NULL))
);

CREATE UNIQUE INDEX sessions_family_key ON sessions (family_hash);
CREATE INDEX sessions_user ON sessions (user_id) WHERE revoked_at IS NULL;
CREATE INDEX sessions_revoked ON sessions (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX sessions_expiry ON sessions (expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON users, sessions TO reel_user;
