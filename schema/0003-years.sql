-- SPDX-License-Identifier: MIT
-- connhist: the file, third edition: years of history in a bounded file. See connhist-schema(5).
--
-- Counts are kept as they came, and added up by the minute, the hour and the day: tiers. A period of a tier
-- begins at a multiple of its length on the record's clock. A row of a tier tells what the same rows of the
-- tier below tell together; a tier is removed from its oldest end, never before what is finer.

CREATE TABLE tiers (                     -- what there is, from the finest to the coarsest
    tier        INTEGER PRIMARY KEY,     -- -1 detail, 0 ticks, 1 minutes, 2 hours, 3 days
    name        TEXT NOT NULL UNIQUE,    -- in words
    from_ms     INTEGER NOT NULL,        -- all that was recorded since is there; what was before is removed; 0: nothing was
    until_ms    INTEGER NOT NULL         -- minutes, hours, days: added up so far, the begin of the next period; detail, ticks: 0
) STRICT;
INSERT INTO tiers VALUES (-1, 'detail', 0, 0), (0, 'ticks', 0, 0), (1, 'minutes', 0, 0), (2, 'hours', 0, 0), (3, 'days', 0, 0);

INSERT INTO loss_kinds VALUES (8, 'file damaged');
ALTER TABLE recordings ADD COLUMN max_bytes INTEGER; -- what the file and its companions may take (retention: max_size); 0: no bound; NULL: not noted

CREATE TABLE tally_rollups (             -- sockets of a service in a state, over a period in which there was one
    tier        INTEGER NOT NULL,        -- 1 minutes, 2 hours, 3 days
    service     INTEGER NOT NULL REFERENCES services (id), -- service
    state       INTEGER NOT NULL REFERENCES states (state), -- state
    at_ms       INTEGER NOT NULL,        -- begin of the period
    min         INTEGER NOT NULL,        -- fewest at one of its complete snapshots
    max         INTEGER NOT NULL,        -- most; never 0: then there is no row
    last        INTEGER NOT NULL,        -- at its last complete snapshot
    sum         INTEGER NOT NULL,        -- over its complete snapshots; the mean is sum / cover_rollups.done
    PRIMARY KEY (tier, service, state, at_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE cover_rollups (             -- the snapshots of a period; one without any has no row
    tier        INTEGER NOT NULL,        -- 1 minutes, 2 hours, 3 days
    at_ms       INTEGER NOT NULL,        -- begin of the period
    done        INTEGER NOT NULL,        -- complete snapshots
    interrupted INTEGER NOT NULL,        -- others
    first_ms    INTEGER,                 -- start of the first complete one; NULL: none
    last_ms     INTEGER,                 -- start of the last complete one; NULL: none
    unkept      INTEGER NOT NULL,        -- sum of snapshots.unkept
    details     INTEGER NOT NULL,        -- bits: of recordings with detail 1 'on', 2 'anonymous', 4 'off'
    PRIMARY KEY (tier, at_ms)
) STRICT, WITHOUT ROWID;

-- A snapshot that failed in some namespaces is complete in the others. A period with such is told twice: above over
-- the snapshots that were complete everywhere, here for each namespace over those that were complete in it.

CREATE TABLE netns_tallies (             -- as tally_rollups, over the snapshots that were complete in the service's namespace
    tier        INTEGER NOT NULL,        -- 1 minutes, 2 hours, 3 days
    service     INTEGER NOT NULL REFERENCES services (id), -- service
    state       INTEGER NOT NULL REFERENCES states (state), -- state
    at_ms       INTEGER NOT NULL,        -- begin of the period
    min         INTEGER NOT NULL,        -- fewest at one of them
    max         INTEGER NOT NULL,        -- most; never 0: then there is no row
    last        INTEGER NOT NULL,        -- at the last of them
    sum         INTEGER NOT NULL,        -- over all of them; the mean is sum / netns_covers.done
    PRIMARY KEY (tier, service, state, at_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE netns_covers (              -- periods with snapshots that were complete in some namespaces alone
    tier        INTEGER NOT NULL,        -- 1 minutes, 2 hours, 3 days
    at_ms       INTEGER NOT NULL,        -- begin of the period
    netns       INTEGER NOT NULL,        -- a namespace that failed in it; 0: each other one
    done        INTEGER NOT NULL,        -- snapshots that were complete in it
    first_ms    INTEGER,                 -- start of the first of them; NULL: none
    last_ms     INTEGER,                 -- start of the last of them; NULL: none
    PRIMARY KEY (tier, at_ms, netns)
) STRICT, WITHOUT ROWID;

CREATE TABLE hours (                     -- what hours of `closed` hold, so that a search may pass over them
    key         INTEGER PRIMARY KEY,     -- kind << 48 | end in ms of record time: 1 ports of either end, 2 remote addresses of IPv4, 3 of IPv6, 4 owners
    length      INTEGER NOT NULL,        -- hours up to the end: of rows by the closing in their key
    numbers     BLOB NOT NULL            -- see connhist-schema(5); a number that is not among them is in no row of these hours
) STRICT;

CREATE TABLE pauses (                    -- complete snapshots that follow one another further apart than planned
    from_ms     INTEGER PRIMARY KEY,     -- the earlier one
    until_ms    INTEGER NOT NULL,        -- the next one
    before      INTEGER NOT NULL REFERENCES recordings (id), -- the run that took the earlier one
    after       INTEGER NOT NULL REFERENCES recordings (id), -- the run that took the later one
    interrupted INTEGER NOT NULL         -- snapshots between them that were not complete
) STRICT;

CREATE TABLE prunings (                  -- what was removed, and why
    id          INTEGER PRIMARY KEY,     -- number, in order of writing
    tier        INTEGER NOT NULL REFERENCES tiers (tier), -- what of
    cause       INTEGER NOT NULL,        -- 1 older than its limit, 2 the file was at its largest size
    from_ms     INTEGER NOT NULL,        -- the span that was removed ...
    until_ms    INTEGER NOT NULL,        -- ... up to here
    count       INTEGER NOT NULL,        -- rows
    at_ms       INTEGER NOT NULL         -- when that was last done
) STRICT;

CREATE INDEX prunings_span ON prunings (tier, until_ms);

INSERT INTO loss_kinds VALUES (7, 'detail dropped');

-- The pauses of what earlier editions recorded.
INSERT INTO pauses
SELECT p.from_ms, p.until_ms, p.before, p.after,
       (SELECT count(*) FROM snapshots AS i WHERE i.start_ms > p.from_ms AND i.start_ms < p.until_ms)
FROM (
    SELECT w.*, max(b.interval_ms, a.interval_ms) AS interval_ms,
           coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= w.until_ms ORDER BY e.from_ms DESC LIMIT 1), 0)
           - coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= w.from_ms ORDER BY e.from_ms DESC LIMIT 1), 0)
           AS set_ms -- by what the wall clock was set meanwhile
    FROM (
        SELECT lag(s.start_ms) OVER later AS from_ms, s.start_ms AS until_ms,
               lag(s.recording) OVER later AS before, s.recording AS after
        FROM snapshots AS s WHERE s.status = 0 WINDOW later AS (ORDER BY s.start_ms)) AS w
    JOIN recordings AS b ON b.id = w.before JOIN recordings AS a ON a.id = w.after) AS p
WHERE p.until_ms - p.from_ms + max(p.set_ms, 0) > p.interval_ms + p.interval_ms / 2;

-- Views for people: wall clock, as the ones before.

DROP VIEW gaps;
CREATE VIEW gaps AS                      -- spans without a complete snapshot that are longer than planned
WITH wall AS (
    SELECT p.from_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= p.from_ms
               ORDER BY e.from_ms DESC LIMIT 1), 0) AS from_ms,
           p.until_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= p.until_ms
               ORDER BY e.from_ms DESC LIMIT 1), 0) AS until_ms
    FROM pauses AS p)
SELECT w.from_ms, w.until_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.from_ms / 1000.0, 'unixepoch') AS from_at,
       strftime('%Y-%m-%dT%H:%M:%fZ', w.until_ms / 1000.0, 'unixepoch') AS until_at
FROM wall AS w;

CREATE VIEW port_minutes AS               -- counts by port and state, over each minute in which there were any
SELECT r.at_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= r.at_ms
           ORDER BY e.from_ms DESC LIMIT 1), 0) AS at_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', (r.at_ms + coalesce((SELECT e.offset_ms FROM epochs AS e
           WHERE e.from_ms <= r.at_ms ORDER BY e.from_ms DESC LIMIT 1), 0)) / 1000.0, 'unixepoch') AS at,
       n.name AS netns,
       CASE s.protocol WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' END AS protocol,
       nullif(s.port, -1) AS port,
       sn.name AS service_name,
       CASE s.role WHEN 1 THEN 'server' WHEN 2 THEN 'client' END AS role,
       st.name AS state,
       r.min, CAST(r.sum AS REAL) / c.done AS avg, r.max, r.last
FROM tally_rollups AS r
JOIN cover_rollups AS c ON c.tier = 1 AND c.at_ms = r.at_ms
JOIN services AS s ON s.id = r.service
JOIN netns AS n ON n.id = s.netns
JOIN states AS st ON st.state = r.state
LEFT JOIN service_names AS sn ON sn.port = s.port AND sn.protocol = s.protocol
WHERE r.tier = 1;

CREATE VIEW port_hours AS               -- counts by port and state, over each hour in which there were any
SELECT r.at_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= r.at_ms
           ORDER BY e.from_ms DESC LIMIT 1), 0) AS at_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', (r.at_ms + coalesce((SELECT e.offset_ms FROM epochs AS e
           WHERE e.from_ms <= r.at_ms ORDER BY e.from_ms DESC LIMIT 1), 0)) / 1000.0, 'unixepoch') AS at,
       n.name AS netns,
       CASE s.protocol WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' END AS protocol,
       nullif(s.port, -1) AS port,
       sn.name AS service_name,
       CASE s.role WHEN 1 THEN 'server' WHEN 2 THEN 'client' END AS role,
       st.name AS state,
       r.min, CAST(r.sum AS REAL) / c.done AS avg, r.max, r.last
FROM tally_rollups AS r
JOIN cover_rollups AS c ON c.tier = 2 AND c.at_ms = r.at_ms
JOIN services AS s ON s.id = r.service
JOIN netns AS n ON n.id = s.netns
JOIN states AS st ON st.state = r.state
LEFT JOIN service_names AS sn ON sn.port = s.port AND sn.protocol = s.protocol
WHERE r.tier = 2;

CREATE VIEW port_days AS               -- counts by port and state, over each day in which there were any
SELECT r.at_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= r.at_ms
           ORDER BY e.from_ms DESC LIMIT 1), 0) AS at_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', (r.at_ms + coalesce((SELECT e.offset_ms FROM epochs AS e
           WHERE e.from_ms <= r.at_ms ORDER BY e.from_ms DESC LIMIT 1), 0)) / 1000.0, 'unixepoch') AS at,
       n.name AS netns,
       CASE s.protocol WHEN 6 THEN 'tcp' WHEN 17 THEN 'udp' END AS protocol,
       nullif(s.port, -1) AS port,
       sn.name AS service_name,
       CASE s.role WHEN 1 THEN 'server' WHEN 2 THEN 'client' END AS role,
       st.name AS state,
       r.min, CAST(r.sum AS REAL) / c.done AS avg, r.max, r.last
FROM tally_rollups AS r
JOIN cover_rollups AS c ON c.tier = 3 AND c.at_ms = r.at_ms
JOIN services AS s ON s.id = r.service
JOIN netns AS n ON n.id = s.netns
JOIN states AS st ON st.state = r.state
LEFT JOIN service_names AS sn ON sn.port = s.port AND sn.protocol = s.protocol
WHERE r.tier = 3;

CREATE VIEW rate_hours AS               -- what came and went, by hour and service, for people
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
WHERE m.tier = 2 AND m.at_ms < (SELECT t.until_ms FROM tiers AS t WHERE t.tier = 2);

CREATE VIEW rate_days AS               -- what came and went, by day and service, for people
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
WHERE m.tier = 3 AND m.at_ms < (SELECT t.until_ms FROM tiers AS t WHERE t.tier = 3);
