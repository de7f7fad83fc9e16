-- With whom a token ended: a host whose answer was lost shows it once more, and is known by its key.

-- SHA-256 of the key that was signed, in hexadecimal. Absent where a token was used before this was noted.
ALTER TABLE join_tokens ADD COLUMN used_key TEXT;

-- The host that joined, while it is one.
ALTER TABLE join_tokens ADD COLUMN used_host_id TEXT REFERENCES hosts (id) ON DELETE SET NULL;
