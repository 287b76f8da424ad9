-- SPDX-License-Identifier: MIT
-- connhist: the file, first edition. See connhist-schema(5).
--
-- Times are INTEGER milliseconds since 1970-01-01 UTC on the *record's* clock, which never steps:
-- add the epoch's offset for the wall clock of that moment (the views do).

CREATE TABLE boots (                     -- one boot of the host
    id          INTEGER PRIMARY KEY,     -- number, in order of time
    boot_id     TEXT NOT NULL UNIQUE,    -- /proc/sys/kernel/random/boot_id
    base_ms     INTEGER NOT NULL         -- record time at the boot clock's zero: record = base + CLOCK_BOOTTIME
) STRICT;

CREATE TABLE recordings (                -- one run of the recorder
    id          INTEGER PRIMARY KEY,     -- number, in order of time
    boot        INTEGER NOT NULL REFERENCES boots (id), -- the boot it ran in
    started_ms  INTEGER NOT NULL,        -- when it started
    ended_ms    INTEGER,                 -- when it ended in good order; NULL: running, or died
    interval_ms INTEGER NOT NULL,        -- the planned distance of snapshots
    detail      TEXT NOT NULL,           -- 'on', 'anonymous' or 'off'
    version     TEXT NOT NULL,           -- of connhistd
    pid         INTEGER NOT NULL,        -- of connhistd
    uid         INTEGER NOT NULL,        -- connhistd's effective user id
    cpu_ms      INTEGER NOT NULL DEFAULT 0, -- CPU time that it used so far
    rss_bytes   INTEGER NOT NULL DEFAULT 0, -- resident memory, last known
    queue_peak_bytes INTEGER NOT NULL DEFAULT 0, -- most that ever waited for the disk
    roles_guessed  INTEGER NOT NULL DEFAULT 0,  -- lives whose role rests on the port class alone
    services_other INTEGER NOT NULL DEFAULT 0,  -- lives that count for services that are not told apart
    owners_later   INTEGER NOT NULL DEFAULT 0,  -- sockets alive without a known owner: not looked for to the end yet
    owners_absent  INTEGER NOT NULL DEFAULT 0,  -- ... no process has them: half-open connections, orphans
    owners_denied  INTEGER NOT NULL DEFAULT 0,  -- ... some processes could not be looked into
    done        INTEGER NOT NULL DEFAULT 0, -- complete snapshots, counted as they are written
    interrupted INTEGER NOT NULL DEFAULT 0, -- snapshots that were not complete
    missed      INTEGER NOT NULL DEFAULT 0  -- snapshots not taken or not written (losses of kind 1, 3, 4)
) STRICT;

CREATE TABLE epochs (                    -- changes of the wall clock
    from_ms     INTEGER PRIMARY KEY,     -- from this record time on ...
    offset_ms   INTEGER NOT NULL         -- ... wall clock = record time + offset
) STRICT;

CREATE TABLE snapshots (                 -- one pass over the socket tables
    start_ms    INTEGER PRIMARY KEY,     -- its instant
    recording   INTEGER NOT NULL REFERENCES recordings (id), -- the run that took it
    status      INTEGER NOT NULL,        -- 0 complete, 1 interrupted
    anchor      INTEGER NOT NULL,        -- 1: all tallies that are not 0 were written here, not only changes
    sockets     INTEGER NOT NULL,        -- sockets seen
    took_us     INTEGER NOT NULL,        -- from the start of its first dump until all was matched, microseconds
    doubles     INTEGER NOT NULL,        -- samples dropped because the socket was seen already
    unkept      INTEGER NOT NULL         -- sockets counted but not kept in detail
) STRICT;

CREATE INDEX snapshots_anchor ON snapshots (start_ms) WHERE anchor = 1;

CREATE TABLE losses (                    -- what lacks, and when
    id          INTEGER PRIMARY KEY,     -- number, in order of writing
    from_ms     INTEGER NOT NULL,        -- begin of the span
    until_ms    INTEGER NOT NULL,        -- end of the span
    kind        INTEGER NOT NULL,        -- see loss_kinds
    count       INTEGER NOT NULL,        -- how many (ticks, snapshots ...); 0: not known
    text        TEXT NOT NULL            -- words for people
) STRICT;

CREATE INDEX losses_time ON losses (until_ms);

CREATE TABLE loss_kinds (                -- the names of losses.kind
    kind        INTEGER PRIMARY KEY,     -- number
    name        TEXT NOT NULL            -- words
) STRICT;
INSERT INTO loss_kinds VALUES (1, 'ticks missed'), (2, 'dump failed'), (3, 'queue full'),
    (4, 'write failed'), (5, 'recorder died');

CREATE TABLE states (                    -- the names of states, numbered as in the kernel
    state       INTEGER PRIMARY KEY,     -- number
    name        TEXT NOT NULL UNIQUE     -- the kernel's name without TCP_
) STRICT;
INSERT INTO states VALUES (1, 'ESTABLISHED'), (2, 'SYN_SENT'), (3, 'SYN_RECV'), (4, 'FIN_WAIT1'),
    (5, 'FIN_WAIT2'), (6, 'TIME_WAIT'), (7, 'CLOSE'), (8, 'CLOSE_WAIT'), (9, 'LAST_ACK'),
    (10, 'LISTEN'), (11, 'CLOSING');

CREATE TABLE netns (                     -- network namespaces
    id          INTEGER PRIMARY KEY,     -- number
    inode       INTEGER NOT NULL,        -- inode number of its /proc/PID/ns/net; the kernel gives it again to a later one
    name        TEXT NOT NULL,           -- its latest name; '' where it was the recorder's own when it was recorded last
    boot        INTEGER REFERENCES boots (id), -- boot it was in
    cookie      INTEGER NOT NULL DEFAULT 0, -- the kernel's number for it, never given twice within a boot; 0: before Linux 5.14
    UNIQUE (inode, boot, cookie)
) STRICT;

CREATE TABLE services (                  -- what a count belongs to
    id          INTEGER PRIMARY KEY,     -- number
    netns       INTEGER NOT NULL REFERENCES netns (id), -- namespace
    protocol    INTEGER NOT NULL,        -- 6 TCP, 17 UDP
    role        INTEGER NOT NULL,        -- 1 server (the local port is the service), 2 client (the remote port is)
    port        INTEGER NOT NULL,        -- 0: UDP without a remote end; -1: all others beyond the bound
    UNIQUE (port, protocol, role, netns)
) STRICT;

CREATE TABLE service_names (             -- names of one's own from the configuration (`services:`)
    port        INTEGER NOT NULL,        -- port
    protocol    INTEGER NOT NULL,        -- 6 TCP, 17 UDP
    name        TEXT NOT NULL,           -- name
    PRIMARY KEY (port, protocol)
) STRICT, WITHOUT ROWID;

-- Names below are bytes of processes and folders. What is no UTF-8 in them is written as \xNN for each byte.

CREATE TABLE processes (                 -- a process that owns sockets, or did
    id          INTEGER PRIMARY KEY,     -- number
    boot        INTEGER NOT NULL REFERENCES boots (id), -- the boot it ran in
    pid         INTEGER NOT NULL,        -- process id, as the recorder sees it
    start_ms    INTEGER NOT NULL,        -- when it started: with boot and pid it names the process for ever
    UNIQUE (pid, start_ms, boot)
) STRICT;

CREATE TABLE programs (                  -- what processes run
    id          INTEGER PRIMARY KEY,     -- number
    process     TEXT NOT NULL,           -- name of the process (comm); '' where not known
    exe         TEXT NOT NULL,           -- path of the program; '' where not known
    UNIQUE (exe, process)
) STRICT;

CREATE TABLE cgroups (                   -- where processes belong
    id          INTEGER PRIMARY KEY,     -- number
    path        TEXT NOT NULL UNIQUE,    -- path in the hierarchy of cgroup v2, or in systemd's own of v1
    unit        TEXT NOT NULL,           -- systemd unit: service, scope, or unit of a user's manager; '' if none
    container   TEXT NOT NULL            -- container: docker:ID, podman:ID, lxc:NAME ...; '' if none
) STRICT;

CREATE TABLE owners (                    -- who owns a socket: each combination once
    id          INTEGER PRIMARY KEY,     -- number; NULL where sockets refer to it: not known
    uid         INTEGER,                 -- user id of the socket, or where that is not known of the process; NULL: not known
    process     INTEGER REFERENCES processes (id), -- process; NULL: not known
    program     INTEGER REFERENCES programs (id),  -- program; NULL: not known
    cgroup      INTEGER REFERENCES cgroups (id)    -- cgroup; NULL: not known
) STRICT;

CREATE INDEX owners_all ON owners (process, uid, program, cgroup);

CREATE TABLE addresses (                 -- local addresses
    id          INTEGER PRIMARY KEY,     -- number
    bytes       BLOB NOT NULL UNIQUE,    -- 4 or 16 bytes, network byte order
    -- What follows is computed when asked for and takes no room in the file.
    -- IPv6: the eight groups without leading zeros, 'z' for 0, a ':' before and behind each
    hextets     TEXT AS (CASE length(bytes) WHEN 16 THEN
        replace(replace(replace(replace(':' || lower(
            hex(substr(bytes, 1, 2)) || ':' || hex(substr(bytes, 3, 2)) || ':' ||
            hex(substr(bytes, 5, 2)) || ':' || hex(substr(bytes, 7, 2)) || ':' ||
            hex(substr(bytes, 9, 2)) || ':' || hex(substr(bytes, 11, 2)) || ':' ||
            hex(substr(bytes, 13, 2)) || ':' || hex(substr(bytes, 15, 2))) || ':',
            ':0000', ':z'), ':000', ':'), ':00', ':'), ':0', ':') END) VIRTUAL,
    -- the address as inet_ntop(3) writes it
    text        TEXT AS (CASE
        WHEN length(bytes) = 4 THEN
            (instr('123456789ABCDEF', substr(hex(substr(bytes, 1, 1)), 1, 1)) * 16 + instr('123456789ABCDEF', substr(hex(substr(bytes, 1, 1)), 2, 1)))
            || '.' || (instr('123456789ABCDEF', substr(hex(substr(bytes, 2, 1)), 1, 1)) * 16 + instr('123456789ABCDEF', substr(hex(substr(bytes, 2, 1)), 2, 1)))
            || '.' || (instr('123456789ABCDEF', substr(hex(substr(bytes, 3, 1)), 1, 1)) * 16 + instr('123456789ABCDEF', substr(hex(substr(bytes, 3, 1)), 2, 1)))
            || '.' || (instr('123456789ABCDEF', substr(hex(substr(bytes, 4, 1)), 1, 1)) * 16 + instr('123456789ABCDEF', substr(hex(substr(bytes, 4, 1)), 2, 1)))
        -- IPv4-mapped, and IPv4-compatible: the last four bytes have dots, too
        WHEN substr(bytes, 1, 12) = x'00000000000000000000ffff'
          OR substr(bytes, 1, 12) = x'000000000000000000000000' AND substr(bytes, 13, 2) <> x'0000' THEN
            iif(substr(bytes, 11, 2) = x'0000', '::', '::ffff:') ||
            (instr('123456789ABCDEF', substr(hex(substr(bytes, 13, 1)), 1, 1)) * 16 + instr('123456789ABCDEF', substr(hex(substr(bytes, 13, 1)), 2, 1)))
            || '.' || (instr('123456789ABCDEF', substr(hex(substr(bytes, 14, 1)), 1, 1)) * 16 + instr('123456789ABCDEF', substr(hex(substr(bytes, 14, 1)), 2, 1)))
            || '.' || (instr('123456789ABCDEF', substr(hex(substr(bytes, 15, 1)), 1, 1)) * 16 + instr('123456789ABCDEF', substr(hex(substr(bytes, 15, 1)), 2, 1)))
            || '.' || (instr('123456789ABCDEF', substr(hex(substr(bytes, 16, 1)), 1, 1)) * 16 + instr('123456789ABCDEF', substr(hex(substr(bytes, 16, 1)), 2, 1)))
        -- the first of the longest runs of two or more zeros becomes 'r', then '::'
        ELSE replace(replace(trim(CASE
                WHEN NOT instr(hextets, ':z:z:') THEN hextets
                WHEN instr(hextets, ':z:z:z:z:z:z:z:z:') THEN replace(hextets, ':z:z:z:z:z:z:z:z:', 'r')
                WHEN instr(hextets, ':z:z:z:z:z:z:z:') THEN replace(hextets, ':z:z:z:z:z:z:z:', 'r')
                WHEN instr(hextets, ':z:z:z:z:z:z:') THEN replace(hextets, ':z:z:z:z:z:z:', 'r')
                WHEN instr(hextets, ':z:z:z:z:z:') THEN replace(hextets, ':z:z:z:z:z:', 'r')
                WHEN instr(hextets, ':z:z:z:z:') THEN replace(hextets, ':z:z:z:z:', 'r')
                WHEN instr(hextets, ':z:z:z:') THEN substr(hextets, 1, instr(hextets, ':z:z:z:') - 1) || 'r' ||
                    substr(hextets, instr(hextets, ':z:z:z:') + 7)
                ELSE substr(hextets, 1, instr(hextets, ':z:z:') - 1) || 'r' ||
                    substr(hextets, instr(hextets, ':z:z:') + 5)
            END, ':'), 'r', '::'), 'z', '0') END) VIRTUAL
) STRICT;

-- Sockets that are alive. A row is written when something changes, so a quiet socket costs nothing.
-- Columns of the same name mean the same in `open` and `closed`.
CREATE TABLE open (
    life        INTEGER PRIMARY KEY,     -- number of the life; never used twice
    cookie      INTEGER NOT NULL,        -- the kernel's socket cookie (64 bits, may show as negative)
    inode       INTEGER NOT NULL,        -- the socket's inode; 0: not known
    service     INTEGER NOT NULL REFERENCES services (id), -- what it counts for
    local       INTEGER NOT NULL REFERENCES addresses (id), -- local address; 16 bytes: an IPv6 socket
    remote      ANY NOT NULL,            -- INTEGER: IPv4 as a signed number of 32 bits (IPv4-mapped if local is IPv6); BLOB: the 16 bytes of IPv6
    local_port  INTEGER,                 -- local port as a signed number of 16 bits (& 65535); NULL: the service's
    remote_port INTEGER,                 -- remote port, likewise; NULL: the service's
    scope       INTEGER,                 -- interface of a link-local or device-bound socket
    owner       INTEGER REFERENCES owners (id), -- owner; NULL: not known
    since_ms    INTEGER NOT NULL,        -- first instant it is known to have existed
    -- last state | (role source - 1) << 4 | opening seen << 6 | owner source << 7: 0 seen among the descriptors of
    -- the owner's process (not known where it has none), 1 listener, 2 cgroup, 3 a socket of the kernel (not used)
    -- | other owners before (see owner_changes) << 9 | held by something else than the host's TCP (see offloads) << 10
    -- | an IPv6 socket that takes no IPv4, of listeners and unconnected UDP << 11
    traits      INTEGER NOT NULL,
    states      BLOB NOT NULL            -- state at since_ms, then (ms since the last change as LEB128, state) for each change
) STRICT;

-- Sockets that are gone. The key is class << 58 | closing << 16 | serial: closing in ms of record time,
-- class = number of bits of the duration in ms, at most 31. A socket that was alive at T and whose class
-- is c closed in [T, T + 2^c): 32 short ranges of the key answer "what was open at T".
CREATE TABLE closed (
    key         INTEGER PRIMARY KEY,     -- see above
    service     INTEGER NOT NULL,        -- as in open, like all that follow
    local       INTEGER NOT NULL,
    remote      ANY NOT NULL,
    local_port  INTEGER,
    remote_port INTEGER,
    scope       INTEGER,
    owner       INTEGER,
    duration_ms INTEGER NOT NULL,        -- from since_ms to the closing
    late_ms     INTEGER NOT NULL,        -- closing = (key >> 16 & (1 << 42) - 1) - late_ms; 0 but for floods
    traits      INTEGER NOT NULL,
    states      BLOB NOT NULL,
    life        INTEGER                  -- number of the life, kept for listeners (see queues), shared sockets (see holders) those that changed hands (see owner_changes) and those in offloads alone
) STRICT;

CREATE TABLE holders (                   -- further processes that held a socket at the last look, beside its owner
    life        INTEGER NOT NULL,        -- number of the life
    owner       INTEGER NOT NULL REFERENCES owners (id), -- who holds it, too
    PRIMARY KEY (life, owner)
) STRICT, WITHOUT ROWID;

CREATE TABLE queues (                    -- accept queues of listeners, written when they change
    life        INTEGER NOT NULL,        -- number of the listener's life
    at_ms       INTEGER NOT NULL,        -- snapshot
    waiting     INTEGER NOT NULL,        -- connections waiting for accept()
    backlog     INTEGER NOT NULL,        -- how many may wait
    PRIMARY KEY (life, at_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE tallies (                   -- sockets of a service in a state, written when the number changes
    service     INTEGER NOT NULL REFERENCES services (id), -- service
    state       INTEGER NOT NULL REFERENCES states (state), -- state
    at_ms       INTEGER NOT NULL,        -- snapshot from which on it holds, until the next row or the next anchor
    count       INTEGER NOT NULL,        -- sockets
    PRIMARY KEY (service, state, at_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE program (                   -- what the recorder must know at its next start; one row
    id          INTEGER PRIMARY KEY CHECK (id = 1), -- 1
    next_life   INTEGER NOT NULL,        -- the next life's number
    last_ms     INTEGER NOT NULL         -- the latest record time written so far
) STRICT;
INSERT INTO program VALUES (1, 1, 0);

-- Views: their names and columns are an interface. Times are of the wall clock: *_ms milliseconds since 1970
-- UTC, *_at the same as ISO text.

CREATE VIEW lives AS                     -- open and closed sockets on the record's clock
SELECT o.life, o.service, o.local, o.remote, o.local_port & 65535 AS local_port, o.remote_port & 65535 AS remote_port,
       o.scope, o.owner,
       o.since_ms, NULL AS ended_ms, o.traits, o.states
FROM open AS o
UNION ALL
SELECT c.life, c.service, c.local, c.remote, c.local_port & 65535 AS local_port, c.remote_port & 65535 AS remote_port,
       c.scope, c.owner,
       (c.key >> 16 & (1 << 42) - 1) - c.late_ms - c.duration_ms,
       (c.key >> 16 & (1 << 42) - 1) - c.late_ms, c.traits, c.states
FROM closed AS c;

CREATE VIEW listeners AS                 -- every TCP socket that ever listened, with its accept queue as last known
SELECT n.name AS netns,
       'tcp' AS protocol,
       a.text AS local_address,
       coalesce(l.local_port, s.port) AS local_port,
       ow.uid AS uid,
       (SELECT q.waiting FROM queues AS q WHERE q.life = l.life ORDER BY q.at_ms DESC LIMIT 1) AS recv_queue,
       (SELECT q.backlog FROM queues AS q WHERE q.life = l.life ORDER BY q.at_ms DESC LIMIT 1) AS send_queue,
       iif(l.traits & 64, l.since_ms + coalesce((SELECT e.offset_ms FROM epochs AS e
           WHERE e.from_ms <= l.since_ms ORDER BY e.from_ms DESC LIMIT 1), 0), NULL) AS opened_ms,
       l.since_ms + coalesce((SELECT e.offset_ms FROM epochs AS e
           WHERE e.from_ms <= l.since_ms ORDER BY e.from_ms DESC LIMIT 1), 0) AS first_seen_ms,
       l.ended_ms + coalesce((SELECT e.offset_ms FROM epochs AS e
           WHERE e.from_ms <= l.ended_ms ORDER BY e.from_ms DESC LIMIT 1), 0) AS closed_ms
FROM lives AS l
JOIN services AS s ON s.id = l.service
JOIN netns AS n ON n.id = s.netns
JOIN addresses AS a ON a.id = l.local
LEFT JOIN owners AS ow ON ow.id = l.owner
-- closed lives keep their number only if they listened; one that is open may have stopped listening
WHERE (l.traits & 15) = 10
   OR l.ended_ms IS NOT NULL AND l.life IS NOT NULL
   OR EXISTS (SELECT 1 FROM queues AS q WHERE q.life = l.life);

CREATE VIEW port_history AS              -- counts by port and state; each holds until the next row of its kind or the next anchor
SELECT t.at_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= t.at_ms
           ORDER BY e.from_ms DESC LIMIT 1), 0) AS at_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', (t.at_ms + coalesce((SELECT e.offset_ms FROM epochs AS e
           WHERE e.from_ms <= t.at_ms ORDER BY e.from_ms DESC LIMIT 1), 0)) / 1000.0, 'unixepoch') AS at,
       n.name AS netns,
       CASE s.protocol WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' END AS protocol,
       nullif(s.port, -1) AS port,
       CASE WHEN s.port < 0 THEN 'other' WHEN s.port < 1024 THEN 'well-known'
            WHEN s.port < 49152 THEN 'registered' ELSE 'dynamic' END AS port_class,
       sn.name AS service_name,
       CASE s.role WHEN 1 THEN 'server' WHEN 2 THEN 'client' END AS role,
       st.name AS state,
       t.count AS count
FROM tallies AS t
JOIN services AS s ON s.id = t.service
JOIN netns AS n ON n.id = s.netns
JOIN states AS st ON st.state = t.state
LEFT JOIN service_names AS sn ON sn.port = s.port AND sn.protocol = s.protocol;

CREATE VIEW gaps AS                      -- spans without a complete snapshot that are longer than planned
-- a snapshot that is not followed within the shortest interval is rare, and only then the next one is looked up
WITH pairs AS (
    SELECT s.start_ms AS from_ms, n.start_ms AS until_ms, s.recording AS before, n.recording AS after
    FROM snapshots AS s CROSS JOIN snapshots AS n ON n.start_ms = (SELECT min(f.start_ms) FROM snapshots AS f
        WHERE f.start_ms > s.start_ms AND f.status = 0)
    WHERE s.status = 0 AND NOT EXISTS (SELECT 1 FROM snapshots AS c WHERE c.start_ms > s.start_ms AND c.status = 0
        AND c.start_ms <= s.start_ms + (SELECT min(r.interval_ms) FROM recordings AS r) * 3 / 2)),
wall AS (
    SELECT p.from_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= p.from_ms
               ORDER BY e.from_ms DESC LIMIT 1), 0) AS from_ms,
           p.until_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= p.until_ms
               ORDER BY e.from_ms DESC LIMIT 1), 0) AS until_ms
    FROM pairs AS p
    WHERE p.until_ms - p.from_ms > (SELECT max(r.interval_ms) FROM recordings AS r
        WHERE r.id IN (p.before, p.after)) * 3 / 2)
SELECT w.from_ms, w.until_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.from_ms / 1000.0, 'unixepoch') AS from_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.until_ms / 1000.0, 'unixepoch') AS until_at
FROM wall AS w;

CREATE VIEW coverage AS                  -- one row for each run of the recorder
WITH runs AS (
    SELECT r.id AS recording, b.boot_id, r.version, r.detail, r.interval_ms,
           r.started_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= r.started_ms
               ORDER BY e.from_ms DESC LIMIT 1), 0) AS started_ms,
           r.ended_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= r.ended_ms
               ORDER BY e.from_ms DESC LIMIT 1), 0) AS ended_ms,
           r.done, r.interrupted, r.missed
    FROM recordings AS r JOIN boots AS b ON b.id = r.boot)
SELECT c.recording, c.boot_id, c.version, c.detail, c.interval_ms, c.started_ms, c.ended_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', c.started_ms / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', c.ended_ms / 1000.0, 'unixepoch') AS ended_at,
       c.done + c.interrupted + c.missed AS planned, c.done, c.interrupted, c.missed
FROM runs AS c;
