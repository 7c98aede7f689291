-- Wrong passwords of late: one row an account and client network, counted by all replicas together.
-- The key is a digest, for people type passwords into the wrong field. A crash of the server may
-- empty it, which costs less than writing each guess to the log twice.
CREATE UNLOGGED TABLE login_failures (
    key      bytea PRIMARY KEY CHECK (octet_length(key) = 32),
    failures integer NOT NULL CHECK (failures >= 0),
    since    timestamptz NOT NULL
);

CREATE INDEX login_failures_since ON login_failures (since);

GRANT SELECT, INSERT, UPDATE, DELETE ON login_failures TO reel_user;
