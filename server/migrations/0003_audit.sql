-- Who did what, when, from where, and what came of it. Rows are added, and removed when they are old; none is changed.
CREATE TABLE audit (
    id TEXT NOT NULL PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    who TEXT NOT NULL,
    address TEXT,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL
);

-- Who is in, by the digest of the token. With the password that somebody came in with, his sessions end: of the credential
-- there is a digest, too.
CREATE TABLE sessions (
    digest TEXT NOT NULL PRIMARY KEY,
    who TEXT NOT NULL,
    credential TEXT NOT NULL,
    expires_ms BIGINT NOT NULL
);
