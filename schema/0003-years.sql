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
