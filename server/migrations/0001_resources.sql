-- Resources, the tasks that work on them, and who may ask.
--
-- Written so that SQLite and PostgreSQL read it alike: ids and words are TEXT, truth is 0 or 1, times are milliseconds
-- since 1970 in UTC, sizes are bytes.

CREATE TABLE hosts (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    address TEXT NOT NULL,
    is_local INTEGER NOT NULL,
    link TEXT NOT NULL,
    link_since_ms BIGINT NOT NULL,
    link_reason TEXT,
    -- What the agent said of its host, as JSON.
    facts TEXT,
    created_ms BIGINT NOT NULL
);

-- A token with which one host can join. Of its secret only the digest is kept.
CREATE TABLE join_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    digest TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT NOT NULL,
    used_ms BIGINT
);

CREATE TABLE storages (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    host_id TEXT NOT NULL REFERENCES hosts (id),
    path TEXT NOT NULL,
    file_system TEXT NOT NULL,
    capacity_bytes BIGINT NOT NULL,
    available_bytes BIGINT NOT NULL,
    seen_ms BIGINT NOT NULL,
    created_ms BIGINT NOT NULL,
    UNIQUE (host_id, path)
);

CREATE TABLE images (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    storage_id TEXT NOT NULL REFERENCES storages (id),
    path TEXT NOT NULL,
    source TEXT NOT NULL,
    expected_sha256 TEXT,
    format TEXT,
    size_bytes BIGINT,
    sha256 TEXT,
    phase TEXT NOT NULL,
    created_ms BIGINT NOT NULL
);

CREATE TABLE vms (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    host_id TEXT NOT NULL REFERENCES hosts (id),
    phase TEXT NOT NULL,
    memory_bytes BIGINT NOT NULL,
    vcpus BIGINT NOT NULL,
    machine TEXT NOT NULL,
    firmware TEXT NOT NULL,
    accel TEXT NOT NULL,
    guest TEXT NOT NULL,
    -- Words with a space between them.
    boot TEXT NOT NULL,
    -- What the agent said of it last, as JSON; absent while the agent has not got it.
    observed TEXT,
    created_ms BIGINT NOT NULL
);

CREATE TABLE nics (
    vm_id TEXT NOT NULL REFERENCES vms (id),
    position BIGINT NOT NULL,
    mac TEXT NOT NULL UNIQUE,
    bridge TEXT NOT NULL,
    model TEXT NOT NULL,
    PRIMARY KEY (vm_id, position)
);

CREATE TABLE cdroms (
    vm_id TEXT NOT NULL REFERENCES vms (id),
    drive BIGINT NOT NULL,
    image_id TEXT REFERENCES images (id),
    PRIMARY KEY (vm_id, drive)
);

CREATE TABLE volumes (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    storage_id TEXT NOT NULL REFERENCES storages (id),
    image_id TEXT REFERENCES images (id),
    path TEXT NOT NULL,
    format TEXT NOT NULL,
    size_bytes BIGINT,
    allocated_bytes BIGINT,
    phase TEXT NOT NULL,
    -- The virtual machine that it is a disk of, in which place, and how the guest sees it.
    vm_id TEXT REFERENCES vms (id),
    position BIGINT,
    bus TEXT,
    created_ms BIGINT NOT NULL,
    UNIQUE (vm_id, position)
);

CREATE TABLE tasks (
    id TEXT NOT NULL PRIMARY KEY,
    action TEXT NOT NULL,
    subject_kind TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    subject_name TEXT NOT NULL,
    state TEXT NOT NULL,
    waits_for TEXT,
    -- Why it failed, as JSON of the public API.
    error TEXT,
    cancel_requested INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    finished_ms BIGINT
);

CREATE INDEX tasks_by_state ON tasks (state, finished_ms);

-- The plan of a task. Both operation ids are chosen before the first step is begun, so that a repeat is one.
CREATE TABLE task_steps (
    task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    -- What it does, as JSON.
    step TEXT NOT NULL,
    operation TEXT NOT NULL,
    undo_operation TEXT NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (task_id, position)
);

-- What a running task works on. One task at a time works on a resource.
CREATE TABLE holds (
    resource_id TEXT NOT NULL PRIMARY KEY,
    task_id TEXT NOT NULL REFERENCES tasks (id) ON DELETE CASCADE
);

-- Requests that may be sent again, and what was answered.
CREATE TABLE requests (
    who TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    reply TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    PRIMARY KEY (who, idempotency_key)
);

CREATE TABLE settings (
    setting_key TEXT NOT NULL PRIMARY KEY,
    setting_value TEXT NOT NULL
);

CREATE TABLE setting_changes (
    id TEXT NOT NULL PRIMARY KEY,
    setting_key TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    who TEXT NOT NULL,
    from_value TEXT NOT NULL,
    to_value TEXT NOT NULL
);

CREATE TABLE api_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL UNIQUE,
    created_by TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    expires_ms BIGINT
);
