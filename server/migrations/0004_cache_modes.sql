-- Cache modes that are set for a storage, a virtual machine or a volume; whether somebody accepted what `unsafe` costs; the
-- sector that guests know of a volume; what a storage is worth for disks.

-- `level` is the word of the API: `storage`, `vm`, `volume`.
CREATE TABLE cache_modes (
    subject_id TEXT NOT NULL PRIMARY KEY,
    level TEXT NOT NULL,
    mode TEXT NOT NULL,
    accepts_loss INTEGER NOT NULL
);

-- What was set and cleared, by whom. A mode is absent where nothing was set.
CREATE TABLE cache_changes (
    id TEXT NOT NULL PRIMARY KEY,
    subject_id TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    who TEXT NOT NULL,
    from_mode TEXT,
    to_mode TEXT
);

CREATE INDEX cache_changes_by_subject ON cache_changes (subject_id, at_ms);

-- Who set a value before was not asked.
ALTER TABLE settings ADD COLUMN accepts_loss INTEGER NOT NULL DEFAULT 0;

-- Absent while no guest has had the volume. Until now all guests saw 512 bytes.
ALTER TABLE volumes ADD COLUMN sector_bytes BIGINT;
UPDATE volumes SET sector_bytes = 512;

-- What the agent said when it measured the folder last, as JSON, when that was, and why it could not the last time.
ALTER TABLE storages ADD COLUMN survey TEXT;
ALTER TABLE storages ADD COLUMN surveyed_ms BIGINT;
ALTER TABLE storages ADD COLUMN survey_failure TEXT;
