-- A token with which a host joins again, and stays the host that it is.

ALTER TABLE join_tokens ADD COLUMN host_id TEXT REFERENCES hosts (id) ON DELETE CASCADE;
