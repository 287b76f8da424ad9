-- SPDX-License-Identifier: MIT
-- connhist: the file, second edition: what the kernel tells of closed sockets. See connhist-schema(5).

-- What became of a socket, and what it carried. A closing in `closed` may lie ahead of the last snapshot: the
-- planned end of a TIME_WAIT. `life` is kept for listeners,
-- for shared sockets, and for sockets that closed before they were told of.
ALTER TABLE closed ADD COLUMN closed_by INTEGER;      -- 1 local, 2 remote, 3 reset, 4 timeout; + 16: received_bytes may be 1 too many; NULL: not known
ALTER TABLE closed ADD COLUMN sent_bytes INTEGER;     -- payload sent, each byte once; NULL here and below: the kernel told nothing
ALTER TABLE closed ADD COLUMN received_bytes INTEGER; -- payload received
ALTER TABLE closed ADD COLUMN segs_out INTEGER;       -- segments sent, with those sent again and pure ACKs
ALTER TABLE closed ADD COLUMN segs_in INTEGER;        -- segments received
ALTER TABLE closed ADD COLUMN retrans INTEGER;        -- segments sent again
ALTER TABLE closed ADD COLUMN rtt_us INTEGER;         -- smoothed round trip in microseconds; 0: none was measured
ALTER TABLE closed ADD COLUMN sampled_ms INTEGER;     -- the kernel did not tell of the end: sent_bytes to rtt_us are those of this snapshot, lower bounds; NULL: final

CREATE TABLE late (                      -- the same of sockets that were in `closed` before the kernel told of them
    life        INTEGER PRIMARY KEY,     -- closed.life
    closed_by   INTEGER,                 -- as in closed, like all that follow; where it is known it stands above closed's
    sent_bytes  INTEGER,                 -- payload sent
    received_bytes INTEGER,              -- payload received
    segs_out    INTEGER,                 -- segments sent
    segs_in     INTEGER,                 -- segments received
    retrans     INTEGER,                 -- segments sent again
    rtt_us      INTEGER                  -- smoothed round trip
) STRICT;

CREATE TABLE open_facts (                -- what tcp_info told last of connections that are open; written when it changed
    life        INTEGER PRIMARY KEY,     -- open.life
    at_ms       INTEGER NOT NULL,        -- the snapshot that sampled it; no later one with snapshots.sampled found a change
    sent_bytes  INTEGER NOT NULL,        -- as in closed, like all down to rtt_us
    received_bytes INTEGER NOT NULL,     -- payload received
    segs_out    INTEGER NOT NULL,        -- segments sent
    segs_in     INTEGER NOT NULL,        -- segments received
    retrans     INTEGER NOT NULL,        -- segments sent again
    rtt_us      INTEGER NOT NULL,        -- smoothed round trip
    last_sent_ms INTEGER NOT NULL,       -- when payload was sent last; its opening if none ever was
    last_received_ms INTEGER NOT NULL,   -- when payload was received last; its opening if none ever was
    closed_by   INTEGER                  -- NULL: sampled while it was open; else its end told this, and who closed, as in closed, 0: not known
) STRICT;

CREATE TABLE owner_changes (             -- earlier owners of sockets that changed hands; most never do, and have none
    life        INTEGER NOT NULL,        -- number of the life; 512 is added to its traits
    until_ms    INTEGER NOT NULL,        -- it was this owner's from the row before (or since_ms) to before this instant; behind the last row it is that of the life
    owner       INTEGER REFERENCES owners (id), -- who was seen to hold it; without process: between two looks it changed hands, whose it was is not known
    PRIMARY KEY (life, until_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE offloads (                  -- what held a TCP connection beside the host's TCP; ordinary ones, nearly all, have none
    life        INTEGER NOT NULL,        -- number of the life; 1024 is added to its traits
    at_ms       INTEGER NOT NULL,        -- the snapshot that found it, and from which on it holds, until the next row
    offload     INTEGER NOT NULL,        -- 1 the host's TCP again, 2 MPTCP, 3 MPTCP whose peer answered with TCP, 4 espintcp, 5 SMC, 6 another; 128 + 8 * sending + receiving: kernel TLS: 1 without keys, 2 software, 3 device, 4 device (records), 0 not known
    PRIMARY KEY (life, at_ms)
) STRICT, WITHOUT ROWID;

ALTER TABLE recordings ADD COLUMN offload_told INTEGER NOT NULL DEFAULT 0; -- 1: the kernel tells what holds a connection (Linux 5.4): one that a snapshot sampled and that has no row in `offloads` is the host's
ALTER TABLE snapshots ADD COLUMN sampled INTEGER NOT NULL DEFAULT 0;       -- 1: tcp_info of all connections was asked for
CREATE INDEX snapshots_sampled ON snapshots (start_ms) WHERE sampled = 1;

CREATE TABLE incomplete (                -- where a snapshot of status 1 is not complete: in the namespaces listed here; with no row, in any
    start_ms    INTEGER NOT NULL,        -- the snapshot
    netns       INTEGER NOT NULL REFERENCES netns (id), -- a namespace whose dump failed or was inconsistent
    PRIMARY KEY (start_ms, netns)
) STRICT, WITHOUT ROWID;

CREATE TABLE netns_spans (               -- when a network namespace was recorded, as far as the recorder ran
    netns       INTEGER NOT NULL REFERENCES netns (id), -- namespace
    from_ms     INTEGER NOT NULL,        -- the first snapshot that looked into it
    until_ms    INTEGER,                 -- the last one, or where it is gone the first that found it so; NULL: it is recorded still
    is_new      INTEGER NOT NULL,        -- 1: it came into being just before from_ms; 0: it may have been there before, unrecorded
    ended       INTEGER,                 -- NULL: it is recorded still; 1 it is gone, 2 the configuration excludes it, 3 it can't be entered any more, 4 nothing shows it any more
    PRIMARY KEY (netns, from_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX netns_spans_now ON netns_spans (netns) WHERE until_ms IS NULL;

CREATE TABLE rate_rollups (              -- what came and went at a service; a period in which nothing did has no row
    tier        INTEGER NOT NULL,        -- 1 minutes; see 0003 for longer periods
    service     INTEGER NOT NULL REFERENCES services (id), -- service
    at_ms       INTEGER NOT NULL,        -- begin of the period: a multiple of its length
    opened      INTEGER NOT NULL,        -- sockets that began
    closed_local INTEGER NOT NULL,       -- sockets that ended, closed by this side first
    closed_remote INTEGER NOT NULL,      -- ... by the other side
    closed_reset INTEGER NOT NULL,       -- ... by a reset
    closed_timeout INTEGER NOT NULL,     -- ... by a timeout
    closed_unknown INTEGER NOT NULL,     -- ... nobody knows how
    sent_bytes  INTEGER NOT NULL,        -- payload that those sent that ended
    received_bytes INTEGER NOT NULL,     -- payload that they received
    durations   BLOB,                    -- histogram of how many ms they lived; NULL: none ended
    rtts        BLOB,                    -- histogram of their smoothed round trips in microseconds; NULL: none was measured
    PRIMARY KEY (tier, service, at_ms)
) STRICT, WITHOUT ROWID;

ALTER TABLE recordings ADD COLUMN closings INTEGER NOT NULL DEFAULT 0;     -- closed sockets that the kernel told of
ALTER TABLE recordings ADD COLUMN unconnected INTEGER NOT NULL DEFAULT 0;  -- ... those that were never connected: not stored
ALTER TABLE recordings ADD COLUMN unresolved INTEGER NOT NULL DEFAULT 0;   -- ... those whose endpoints nobody knows
ALTER TABLE recordings ADD COLUMN event_buffer INTEGER; -- bytes of receive buffer for what it tells; 0: it is not asked; NULL: `rate_rollups` were not kept yet
ALTER TABLE recordings ADD COLUMN event_buffer_others INTEGER NOT NULL DEFAULT 0; -- ... for each network namespace but the own one; 0: no others
ALTER TABLE recordings ADD COLUMN netns INTEGER NOT NULL DEFAULT 1;        -- network namespaces at the last snapshot, with the own one
ALTER TABLE recordings ADD COLUMN netns_lacks INTEGER NOT NULL DEFAULT 0;  -- bits: why others are not recorded: 1 no CAP_SYS_ADMIN, 2 no CAP_SYS_PTRACE, 4 other failures
ALTER TABLE recordings ADD COLUMN events_asked INTEGER; -- bytes that were asked for (limits: events); NULL: not noted

INSERT INTO loss_kinds VALUES (6, 'events lost');

DROP VIEW coverage;
DROP VIEW listeners;
DROP VIEW lives;

CREATE VIEW lives AS                     -- open and closed sockets on the record's clock
SELECT o.life, o.service, o.local, o.remote, o.local_port & 65535 AS local_port, o.remote_port & 65535 AS remote_port,
       o.scope, o.owner,
       o.since_ms, NULL AS ended_ms, NULL AS ended_after_ms, o.traits, o.states,
       iif((o.traits & 15) = 6, 'local', NULL) AS closed_by, -- who is in TIME_WAIT closed first
       (SELECT f.sent_bytes FROM open_facts AS f WHERE f.life = o.life) AS tx_bytes,
       (SELECT f.received_bytes FROM open_facts AS f WHERE f.life = o.life) AS rx_bytes,
       (SELECT coalesce(f.closed_by, 0) >> 4 & 1 FROM open_facts AS f WHERE f.life = o.life) AS rx_uncertain,
       (SELECT f.segs_out FROM open_facts AS f WHERE f.life = o.life) AS segs_out,
       (SELECT f.segs_in FROM open_facts AS f WHERE f.life = o.life) AS segs_in,
       (SELECT f.retrans FROM open_facts AS f WHERE f.life = o.life) AS retrans,
       (SELECT f.rtt_us FROM open_facts AS f WHERE f.life = o.life) AS rtt_us,
       -- no row means no change: it holds up to the last sampling, for states in which the kernel has tcp_info
       (SELECT max(f.at_ms, iif((o.traits & 15) IN (1, 4, 8, 9, 11),
            coalesce((SELECT max(p.start_ms) FROM snapshots AS p WHERE p.sampled = 1 AND p.status = 0), 0), 0))
        FROM open_facts AS f WHERE f.life = o.life) AS sampled_ms,
       (SELECT max(f.last_sent_ms, f.last_received_ms) FROM open_facts AS f WHERE f.life = o.life) AS active_ms
FROM open AS o
UNION ALL
SELECT c.life, c.service, c.local, c.remote, c.local_port & 65535 AS local_port, c.remote_port & 65535 AS remote_port,
       c.scope, c.owner,
       (c.key >> 16 & (1 << 42) - 1) - c.late_ms - c.duration_ms,
       (c.key >> 16 & (1 << 42) - 1) - c.late_ms,
       -- where the kernel did not tell of the end: when it was there last, if that is further back than the record
       -- resolves (4611686018427387904: it is not); a TIME_WAIT ends by its timer, unless a snapshot found it gone
       iif(c.rtt_us IS NOT NULL AND c.sampled_ms IS NULL AND (c.traits & 15) NOT IN (5, 6)
           OR (c.traits & 15) = 6 AND NOT EXISTS (SELECT 1 FROM snapshots AS q
               WHERE q.start_ms = (c.key >> 16 & (1 << 42) - 1) - c.late_ms AND q.status = 0), NULL,
           nullif(max((c.key >> 16 & (1 << 42) - 1) - c.late_ms - c.duration_ms, coalesce((
               SELECT iif((c.key >> 16 & (1 << 42) - 1) - c.late_ms - p.start_ms > r.interval_ms + r.interval_ms / 2,
                          p.start_ms, 4611686018427387904)
               FROM snapshots AS p JOIN recordings AS r ON r.id = p.recording
               WHERE p.start_ms < (c.key >> 16 & (1 << 42) - 1) - c.late_ms AND p.status = 0
               ORDER BY p.start_ms DESC LIMIT 1), 0)), 4611686018427387904)),
       c.traits, c.states,
       CASE iif((c.traits & 15) = 6, 1, coalesce((SELECT nullif(x.closed_by & 15, 0) FROM late AS x WHERE x.life = c.life), c.closed_by & 15))
            WHEN 1 THEN 'local' WHEN 2 THEN 'remote' WHEN 3 THEN 'reset' WHEN 4 THEN 'timeout' ELSE 'unknown' END,
       coalesce((SELECT x.sent_bytes FROM late AS x WHERE x.life = c.life), c.sent_bytes),
       coalesce((SELECT x.received_bytes FROM late AS x WHERE x.life = c.life), c.received_bytes),
       coalesce((SELECT coalesce(x.closed_by, 0) >> 4 & 1 FROM late AS x WHERE x.life = c.life AND x.received_bytes IS NOT NULL),
           iif(c.received_bytes IS NOT NULL, coalesce(c.closed_by, 0) >> 4 & 1, NULL)),
       coalesce((SELECT x.segs_out FROM late AS x WHERE x.life = c.life), c.segs_out),
       coalesce((SELECT x.segs_in FROM late AS x WHERE x.life = c.life), c.segs_in),
       coalesce((SELECT x.retrans FROM late AS x WHERE x.life = c.life), c.retrans),
       coalesce((SELECT x.rtt_us FROM late AS x WHERE x.life = c.life), c.rtt_us),
       iif(EXISTS (SELECT 1 FROM late AS x WHERE x.life = c.life AND x.sent_bytes IS NOT NULL), NULL, c.sampled_ms), NULL
FROM closed AS c;

CREATE VIEW owner_names AS               -- owners in words; times are of the wall clock
SELECT o.id, o.uid, p.pid,
       p.start_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= p.start_ms
           ORDER BY e.from_ms DESC LIMIT 1), 0) AS started_ms,
       nullif(g.process, '') AS process, nullif(g.exe, '') AS exe,
       nullif(c.unit, '') AS unit, nullif(c.container, '') AS container, nullif(c.path, '') AS cgroup
FROM owners AS o
LEFT JOIN processes AS p ON p.id = o.process
LEFT JOIN programs AS g ON g.id = o.program
LEFT JOIN cgroups AS c ON c.id = o.cgroup;

CREATE VIEW sockets AS                   -- every socket ever recorded, for people
WITH wall AS (
    SELECT l.*,
           l.since_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= l.since_ms
               ORDER BY e.from_ms DESC LIMIT 1), 0) AS first_seen_ms,
           -- the end of a TIME_WAIT is written ahead: it is open until a snapshot comes that is later
           iif(l.ended_ms > (SELECT max(last.start_ms) FROM snapshots AS last), NULL,
               l.ended_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= l.ended_ms
                   ORDER BY e.from_ms DESC LIMIT 1), 0)) AS closed_ms
    FROM lives AS l)
SELECT n.name AS netns,
       CASE s.protocol WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' END AS protocol,
       st.name AS state,
       a.text AS local_address,
       coalesce(w.local_port, s.port) AS local_port,
       CASE typeof(w.remote) WHEN 'integer' THEN
                iif(length(a.bytes) = 16, '::ffff:', '') || (w.remote >> 24 & 255) || '.' ||
                (w.remote >> 16 & 255) || '.' || (w.remote >> 8 & 255) || '.' || (w.remote & 255)
            ELSE ( -- as in addresses.text
                SELECT CASE
                    WHEN substr(w.remote, 1, 12) = zeroblob(12) AND substr(w.remote, 13, 2) <> x'0000' THEN
                        '::' || (instr('123456789ABCDEF', substr(i.digits, 25, 1)) * 16 + instr('123456789ABCDEF', substr(i.digits, 26, 1)))
                        || '.' || (instr('123456789ABCDEF', substr(i.digits, 27, 1)) * 16 + instr('123456789ABCDEF', substr(i.digits, 28, 1)))
                        || '.' || (instr('123456789ABCDEF', substr(i.digits, 29, 1)) * 16 + instr('123456789ABCDEF', substr(i.digits, 30, 1)))
                        || '.' || (instr('123456789ABCDEF', substr(i.digits, 31, 1)) * 16 + instr('123456789ABCDEF', substr(i.digits, 32, 1)))
                    ELSE replace(replace(trim(CASE
                       WHEN NOT instr(i.hextets, ':z:z:') THEN i.hextets
                       WHEN instr(i.hextets, ':z:z:z:z:z:z:z:z:') THEN replace(i.hextets, ':z:z:z:z:z:z:z:z:', 'r')
                       WHEN instr(i.hextets, ':z:z:z:z:z:z:z:') THEN replace(i.hextets, ':z:z:z:z:z:z:z:', 'r')
                       WHEN instr(i.hextets, ':z:z:z:z:z:z:') THEN replace(i.hextets, ':z:z:z:z:z:z:', 'r')
                       WHEN instr(i.hextets, ':z:z:z:z:z:') THEN replace(i.hextets, ':z:z:z:z:z:', 'r')
                       WHEN instr(i.hextets, ':z:z:z:z:') THEN replace(i.hextets, ':z:z:z:z:', 'r')
                       WHEN instr(i.hextets, ':z:z:z:') THEN substr(i.hextets, 1, instr(i.hextets, ':z:z:z:') - 1) || 'r' ||
                           substr(i.hextets, instr(i.hextets, ':z:z:z:') + 7)
                       ELSE substr(i.hextets, 1, instr(i.hextets, ':z:z:') - 1) || 'r' ||
                           substr(i.hextets, instr(i.hextets, ':z:z:') + 5)
                       END, ':'), 'r', '::'), 'z', '0') END
                FROM (SELECT d.digits, replace(replace(replace(replace(':' || lower(
                          substr(d.digits, 1, 4) || ':' || substr(d.digits, 5, 4) || ':' ||
                          substr(d.digits, 9, 4) || ':' || substr(d.digits, 13, 4) || ':' ||
                          substr(d.digits, 17, 4) || ':' || substr(d.digits, 21, 4) || ':' ||
                          substr(d.digits, 25, 4) || ':' || substr(d.digits, 29, 4)) || ':',
                          ':0000', ':z'), ':000', ':'), ':00', ':'), ':0', ':') AS hextets
                      FROM (SELECT hex(w.remote) AS digits) AS d) AS i)
       END AS remote_address,
       coalesce(w.remote_port, s.port) AS remote_port,
       CASE s.role WHEN 1 THEN 'server' WHEN 2 THEN 'client' END AS role,
       nullif(s.port, -1) AS service_port,
       ow.uid AS uid,
       iif(w.traits & 64, w.first_seen_ms, NULL) AS opened_ms,
       w.first_seen_ms,
       w.closed_ms,
       iif(w.closed_ms IS NULL, NULL, w.ended_after_ms + coalesce((SELECT e.offset_ms FROM epochs AS e
           WHERE e.from_ms <= w.ended_after_ms ORDER BY e.from_ms DESC LIMIT 1), 0)) AS closed_after_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.first_seen_ms / 1000.0, 'unixepoch') AS first_seen_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.closed_ms / 1000.0, 'unixepoch') AS closed_at,
       -- without the time in TIME_WAIT: up to the last change of state, the sum of the numbers in `states`
       CASE WHEN w.traits & 64 = 0 THEN NULL
            WHEN (w.traits & 15) = 6 THEN (
                WITH RECURSIVE number (at, shift, ms) AS ( -- shift -1: a state comes
                    SELECT 2, 0, 0
                    UNION ALL
                    SELECT n.at + 1, CASE WHEN n.shift < 0 THEN 0
                               WHEN hex(substr(w.states, n.at, 1)) >= '80' THEN n.shift + 7 ELSE -1 END,
                           n.ms + iif(n.shift < 0, 0,
                               (instr('123456789ABCDEF', substr(hex(substr(w.states, n.at, 1)), 1, 1)) & 7) * 16
                               + instr('123456789ABCDEF', substr(hex(substr(w.states, n.at, 1)), 2, 1)) << max(n.shift, 0))
                    FROM number AS n WHERE n.at <= length(w.states))
                SELECT max(ms) FROM number)
            WHEN w.closed_ms IS NOT NULL AND w.ended_after_ms IS NULL THEN w.ended_ms - w.since_ms
       END AS duration_ms,
       iif(w.closed_ms IS NULL AND (w.traits & 15) <> 6, NULL, w.closed_by) AS closed_by, w.tx_bytes, w.rx_bytes, w.rx_uncertain, w.rtt_us, w.retrans,
       w.sampled_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= w.sampled_ms
           ORDER BY e.from_ms DESC LIMIT 1), 0) AS sampled_ms,
       w.sampled_ms - w.active_ms AS idle_ms,
       op.pid, nullif(og.process, '') AS process, nullif(og.exe, '') AS exe,
       nullif(oc.unit, '') AS unit, nullif(oc.container, '') AS container,
       CASE w.traits >> 7 & 3 WHEN 1 THEN 'listener' WHEN 2 THEN 'cgroup' WHEN 3 THEN 'kernel'
            ELSE iif(ow.process IS NULL, 'unknown', iif(w.traits & 15 IN (4, 5, 6, 9, 11), 'cookie', 'inode'))
       END AS owner_source,
       (SELECT CASE f.offload WHEN 2 THEN 'MPTCP' WHEN 3 THEN 'MPTCP as TCP' WHEN 4 THEN 'espintcp' WHEN 5 THEN 'SMC' WHEN 1 THEN 'InHost'
               ELSE iif(f.offload & 128,
                   'kTLS tx ' || CASE f.offload >> 3 & 7 WHEN 1 THEN 'none' WHEN 2 THEN 'software' WHEN 3 THEN 'device' WHEN 4 THEN 'device (records)' ELSE '?' END ||
                   ' rx ' || CASE f.offload & 7 WHEN 1 THEN 'none' WHEN 2 THEN 'software' WHEN 3 THEN 'device' WHEN 4 THEN 'device (records)' ELSE '?' END,
                   'other') END
        FROM offloads AS f WHERE w.traits & 1024 AND f.life = w.life ORDER BY f.at_ms DESC LIMIT 1) AS offload
FROM wall AS w
JOIN services AS s ON s.id = w.service
JOIN netns AS n ON n.id = s.netns
JOIN states AS st ON st.state = (w.traits & 15)
JOIN addresses AS a ON a.id = w.local
LEFT JOIN owners AS ow ON ow.id = w.owner
LEFT JOIN processes AS op ON op.id = ow.process
LEFT JOIN programs AS og ON og.id = ow.program
LEFT JOIN cgroups AS oc ON oc.id = ow.cgroup;

CREATE VIEW coverage AS                  -- one row for each run of the recorder
WITH runs AS (
    SELECT r.id AS recording, b.boot_id, r.version, r.detail, r.interval_ms,
           r.started_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= r.started_ms
               ORDER BY e.from_ms DESC LIMIT 1), 0) AS started_ms,
           r.ended_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= r.ended_ms
               ORDER BY e.from_ms DESC LIMIT 1), 0) AS ended_ms,
           r.done, r.interrupted, r.missed,
           (SELECT count(*) FROM losses AS l WHERE (l.kind = 6 OR l.kind = 5 AND NOT EXISTS (SELECT 1 FROM losses AS e
                   WHERE e.kind = 6 AND e.from_ms <= l.from_ms AND e.until_ms >= l.until_ms))
               AND l.until_ms >= r.started_ms
               AND l.until_ms < coalesce((SELECT min(n.started_ms) FROM recordings AS n
                   WHERE n.id > r.id), 9223372036854775807)) AS events_lost
    FROM recordings AS r JOIN boots AS b ON b.id = r.boot)
SELECT c.recording, c.boot_id, c.version, c.detail, c.interval_ms, c.started_ms, c.ended_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', c.started_ms / 1000.0, 'unixepoch') AS started_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', c.ended_ms / 1000.0, 'unixepoch') AS ended_at,
       c.done + c.interrupted + c.missed AS planned, c.done, c.interrupted, c.missed, c.events_lost
FROM runs AS c;

CREATE VIEW socket_owners AS             -- every socket with each of its owners in turn: one row where it never changed hands
WITH spans AS (
    SELECT l.*, l.owner AS holder, l.ended_ms AS until_ms, l.traits >> 7 & 3 AS found,
           coalesce((SELECT max(c.until_ms) FROM owner_changes AS c WHERE c.life = l.life), l.since_ms) AS from_ms
    FROM lives AS l
    UNION ALL
    SELECT l.*, c.owner, c.until_ms, 4,
           coalesce((SELECT max(b.until_ms) FROM owner_changes AS b
               WHERE b.life = c.life AND b.until_ms < c.until_ms), l.since_ms)
    FROM owner_changes AS c JOIN lives AS l ON l.life = c.life),
wall AS (
    SELECT p.*,
           p.from_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= p.from_ms
               ORDER BY e.from_ms DESC LIMIT 1), 0) AS wall_from_ms,
           iif(p.until_ms > (SELECT max(last.start_ms) FROM snapshots AS last), NULL,
               p.until_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= p.until_ms
                   ORDER BY e.from_ms DESC LIMIT 1), 0)) AS wall_until_ms
    FROM spans AS p)
SELECT n.name AS netns,
       CASE s.protocol WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' END AS protocol,
       a.text AS local_address,
       coalesce(w.local_port, s.port) AS local_port,
       coalesce(w.remote_port, s.port) AS remote_port,
       w.wall_from_ms AS from_ms,
       w.wall_until_ms AS until_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.wall_from_ms / 1000.0, 'unixepoch') AS from_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.wall_until_ms / 1000.0, 'unixepoch') AS until_at,
       ow.uid, op.pid, nullif(og.process, '') AS process, nullif(og.exe, '') AS exe,
       nullif(oc.unit, '') AS unit, nullif(oc.container, '') AS container,
       CASE w.found WHEN 1 THEN 'listener' WHEN 2 THEN 'cgroup' WHEN 3 THEN 'kernel'
            WHEN 4 THEN iif(ow.process IS NULL, 'unknown', 'inode') -- before the last of its owners it was not closed
            ELSE iif(ow.process IS NULL, 'unknown', iif(w.traits & 15 IN (4, 5, 6, 9, 11), 'cookie', 'inode'))
       END AS owner_source
FROM wall AS w
JOIN services AS s ON s.id = w.service
JOIN netns AS n ON n.id = s.netns
JOIN addresses AS a ON a.id = w.local
LEFT JOIN owners AS ow ON ow.id = w.holder
LEFT JOIN processes AS op ON op.id = ow.process
LEFT JOIN programs AS og ON og.id = ow.program
LEFT JOIN cgroups AS oc ON oc.id = ow.cgroup;

CREATE VIEW rates AS                     -- what came and went, by minute and service, for people
SELECT m.at_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= m.at_ms
           ORDER BY e.from_ms DESC LIMIT 1), 0) AS at_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', (m.at_ms + coalesce((SELECT e.offset_ms FROM epochs AS e
           WHERE e.from_ms <= m.at_ms ORDER BY e.from_ms DESC LIMIT 1), 0)) / 1000.0, 'unixepoch') AS at,
       n.name AS netns,
       CASE s.protocol WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' END AS protocol,
       nullif(s.port, -1) AS port,
       CASE s.role WHEN 1 THEN 'server' WHEN 2 THEN 'client' END AS role,
       m.opened,
       m.closed_local + m.closed_remote + m.closed_reset + m.closed_timeout + m.closed_unknown AS closed,
       m.closed_local, m.closed_remote, m.closed_reset, m.closed_timeout, m.closed_unknown,
       m.sent_bytes AS tx_bytes, m.received_bytes AS rx_bytes,
       m.durations, m.rtts
FROM rate_rollups AS m
JOIN services AS s ON s.id = m.service
JOIN netns AS n ON n.id = s.netns
WHERE m.tier = 1;

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
           WHERE e.from_ms <= l.ended_ms ORDER BY e.from_ms DESC LIMIT 1), 0) AS closed_ms,
       l.ended_after_ms + coalesce((SELECT e.offset_ms FROM epochs AS e
           WHERE e.from_ms <= l.ended_after_ms ORDER BY e.from_ms DESC LIMIT 1), 0) AS closed_after_ms,
       op.pid, nullif(og.process, '') AS process, nullif(og.exe, '') AS exe,
       nullif(oc.unit, '') AS unit, nullif(oc.container, '') AS container,
       CASE l.traits >> 7 & 3 WHEN 1 THEN 'listener' WHEN 2 THEN 'cgroup' WHEN 3 THEN 'kernel'
            ELSE iif(ow.process IS NULL, 'unknown', iif(l.traits & 15 IN (4, 5, 6, 9, 11), 'cookie', 'inode'))
       END AS owner_source
FROM lives AS l
JOIN services AS s ON s.id = l.service
JOIN netns AS n ON n.id = s.netns
JOIN addresses AS a ON a.id = l.local
LEFT JOIN owners AS ow ON ow.id = l.owner
LEFT JOIN processes AS op ON op.id = ow.process
LEFT JOIN programs AS og ON og.id = ow.program
LEFT JOIN cgroups AS oc ON oc.id = ow.cgroup
-- each listener has its queue noted when it begins; one that is shut down may be in another state
WHERE (l.traits & 15) = 10 OR EXISTS (SELECT 1 FROM queues AS q WHERE q.life = l.life);
