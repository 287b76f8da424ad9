-- SPDX-License-Identifier: MIT
-- connhist: the file, fourth edition: counters, interfaces and routes. See connhist-schema(5).
--
-- Each namespace is read once a minute, at the start of a snapshot; interfaces and routes also at other snapshots, when
-- the kernel told that they changed. What did not change has no row. A counter that was never told in a namespace is 0
-- there. A run of the recorder that goes on with the boot of the one before goes on with the interfaces and routes that it
-- finds unchanged.

CREATE TABLE counter_names (             -- counters of the kernel and of interfaces, each once
    id          INTEGER PRIMARY KEY,     -- number
    name        TEXT NOT NULL UNIQUE,    -- TcpExt.ListenOverflows, interface.eth0.rx_bytes
    kind        INTEGER NOT NULL,        -- 0 a counter, which only grows; 1 a gauge
    protocol    INTEGER NOT NULL,        -- where netstat -s has it: 1 ip, 2 ipv6, 3 icmp, 4 icmpv6, 5 tcp, 6 tcpv6, 7 udp, 8 udpv6, 9 other; 0: of an interface
    place       INTEGER NOT NULL         -- in the kernel's order
) STRICT;

CREATE TABLE readings (                  -- when counters, interfaces and routes were read, once a minute
    at_ms       INTEGER PRIMARY KEY,     -- start of the snapshot
    left_out    INTEGER NOT NULL         -- how many of them were not kept: beyond a bound
) STRICT;

CREATE TABLE reading_lacks (             -- a namespace of which something could not be read then
    at_ms       INTEGER NOT NULL REFERENCES readings (at_ms), -- the reading
    netns       INTEGER NOT NULL REFERENCES netns (id), -- namespace
    lacks       INTEGER NOT NULL,        -- bits: 1 counters, 2 interfaces, 4 routes
    PRIMARY KEY (at_ms, netns)
) STRICT, WITHOUT ROWID;

CREATE TABLE counters (                  -- values, when they changed
    netns       INTEGER NOT NULL REFERENCES netns (id), -- namespace
    at_ms       INTEGER NOT NULL REFERENCES readings (at_ms), -- the reading that found it
    counter     INTEGER NOT NULL REFERENCES counter_names (id), -- which
    value       INTEGER NOT NULL,        -- as the kernel told it
    grew        INTEGER NOT NULL,        -- by how much since the value before; 0 for a gauge
    turn        INTEGER NOT NULL,        -- how it follows: 0 went on, 1 the first value: grew is what was seen of it, 2 wrapped at 2^32, 3 began again from 0, also with its namespace: grew is the least
    over_gap    INTEGER NOT NULL,        -- 1: readings lack before this one, and nobody knows when in that time it grew
    PRIMARY KEY (netns, at_ms, counter)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter_rollups (           -- a counter that changed, over an hour or a day
    tier        INTEGER NOT NULL,        -- 2 hours, 3 days
    netns       INTEGER NOT NULL REFERENCES netns (id), -- namespace
    at_ms       INTEGER NOT NULL,        -- begin of the period
    counter     INTEGER NOT NULL REFERENCES counter_names (id), -- which
    grew        INTEGER NOT NULL,        -- sum of counters.grew
    gap_grew    INTEGER NOT NULL,        -- what of it has over_gap
    last        INTEGER NOT NULL,        -- its value at the period's end
    low         INTEGER,                 -- the lowest value of a gauge that was read in it; NULL: no gauge
    high        INTEGER,                 -- the highest one
    turns       INTEGER NOT NULL,        -- bits, 1 << counters.turn
    PRIMARY KEY (tier, netns, at_ms, counter)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter_cover (             -- how far the counters of a namespace were read, over an hour or a day
    tier        INTEGER NOT NULL,        -- 2 hours, 3 days
    netns       INTEGER NOT NULL REFERENCES netns (id), -- namespace
    at_ms       INTEGER NOT NULL,        -- begin of the period
    readings    INTEGER NOT NULL,        -- readings that told them
    covered_ms  INTEGER NOT NULL,        -- from the reading before to each of these, without gaps
    first_ms    INTEGER NOT NULL,        -- the first of them
    last_ms     INTEGER NOT NULL,        -- the last of them
    PRIMARY KEY (tier, netns, at_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE interfaces (                -- network interfaces, each stretch in which one stayed as it was
    id          INTEGER PRIMARY KEY,     -- number
    netns       INTEGER NOT NULL REFERENCES netns (id), -- namespace
    ifindex     INTEGER NOT NULL,        -- the kernel's number
    name        TEXT NOT NULL,           -- name; its statistics are the counters interface.NAME.rx_bytes ...
    flags       INTEGER NOT NULL,        -- IFF_UP (1) and others, see linux/if.h
    operstate   INTEGER NOT NULL,        -- state by RFC 2863: 0 unknown, 2 down, 6 up ...
    mtu         INTEGER NOT NULL,        -- bytes; 0: not told
    type        INTEGER NOT NULL,        -- ARPHRD_ETHER (1) and others, see linux/if_arp.h
    has_stats   INTEGER NOT NULL,        -- 1: the kernel told its statistics
    from_ms     INTEGER NOT NULL,        -- start of the first snapshot that found it so
    until_ms    INTEGER                  -- that of the first one that did not; NULL: it is so still
) STRICT;
CREATE INDEX interfaces_span ON interfaces (netns, until_ms);

CREATE TABLE routes (                    -- routes of all tables, each from when it came until it went
    id          INTEGER PRIMARY KEY,     -- number
    netns       INTEGER NOT NULL REFERENCES netns (id), -- namespace
    family      INTEGER NOT NULL,        -- 2 IPv4, 10 IPv6
    route_table INTEGER NOT NULL,        -- 254 main, 255 local, 253 default, others
    destination BLOB NOT NULL,           -- address bytes
    bits        INTEGER NOT NULL,        -- how many of them count
    source      BLOB NOT NULL,           -- only for packets from there
    source_bits INTEGER NOT NULL,        -- how many of its bits count; 0: from anywhere
    prefsrc     BLOB,                    -- address that packets are sent from; NULL: none told
    type        INTEGER NOT NULL,        -- 1 unicast, 2 local, 3 broadcast, 6 blackhole, 7 unreachable, 8 prohibit, 9 throw ...
    metric      INTEGER NOT NULL,        -- the lowest is taken; 0: none told
    protocol    INTEGER NOT NULL,        -- who made it: 2 kernel, 3 boot, 4 static, 16 dhcp ...
    scope       INTEGER NOT NULL,        -- 0 global, 253 link, 254 host
    tos         INTEGER NOT NULL,        -- 0: any
    nexthop_id  INTEGER NOT NULL,        -- its ways are those of a next hop object; 0: its own
    iif         INTEGER NOT NULL,        -- only for packets received at this ifindex; 0: any
    flags       INTEGER NOT NULL,        -- RTM_F_OFFLOAD (0x4000) and others
    encap       INTEGER NOT NULL,        -- LWTUNNEL_ENCAP_MPLS (1) and others; 0: none
    rank        INTEGER NOT NULL,        -- place among those alike in table, destination, source, tos and metric: 0 the one that is taken before the others; all 0 for IPv6 link-local and multicast
    mtu         INTEGER NOT NULL,        -- bytes; 0: none told
    mtu_lock    INTEGER NOT NULL,        -- 1: path MTU discovery does not change it
    advmss      INTEGER NOT NULL,        -- segment size that is offered, bytes; 0: none told
    max_window  INTEGER NOT NULL,        -- most that is offered to receive, bytes; 0: none told
    initcwnd    INTEGER NOT NULL,        -- first congestion window, segments; 0: none told
    initrwnd    INTEGER NOT NULL,        -- first window offered, segments; 0: none told
    pref        INTEGER NOT NULL,        -- of an IPv6 router: 1 low, 2 medium, 3 high; 0: none told
    from_ms     INTEGER NOT NULL,        -- start of the first snapshot that found it
    until_ms    INTEGER                  -- that of the first one that did not; NULL: it is there still
) STRICT;
CREATE INDEX routes_span ON routes (netns, until_ms, destination);

CREATE TABLE route_ways (                -- where a route leads; one of blackhole has none
    route       INTEGER NOT NULL REFERENCES routes (id), -- route
    way         INTEGER NOT NULL,        -- from 1 on
    gateway     BLOB,                    -- address bytes; NULL: none
    ifindex     INTEGER NOT NULL,        -- of the interface; 0: none told
    weight      INTEGER NOT NULL,        -- share of packets
    flags       INTEGER NOT NULL,        -- 1 dead, 4 onlink, 16 linkdown ...
    PRIMARY KEY (route, way)
) STRICT, WITHOUT ROWID;

CREATE VIEW counter_minutes AS           -- counters that changed, by reading, for people
SELECT c.at_ms + coalesce((SELECT e.offset_ms FROM epochs AS e WHERE e.from_ms <= c.at_ms
           ORDER BY e.from_ms DESC LIMIT 1), 0) AS at_ms,
       strftime('%Y-%m-%dT%H:%M:%fZ', (c.at_ms + coalesce((SELECT e.offset_ms FROM epochs AS e
           WHERE e.from_ms <= c.at_ms ORDER BY e.from_ms DESC LIMIT 1), 0)) / 1000.0, 'unixepoch') AS at,
       n.name AS netns, k.name AS counter,
       CASE k.kind WHEN 1 THEN 'gauge' ELSE 'counter' END AS kind,
       c.value, c.grew, c.turn
FROM counters AS c JOIN netns AS n ON n.id = c.netns JOIN counter_names AS k ON k.id = c.counter;
