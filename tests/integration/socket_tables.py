# SPDX-License-Identifier: MIT
"""Socket tables in one form, whoever tells them: sets are too little where a row may come twice, so Counters."""
import collections
import re

from conftest import connhist, strict_json

SS_STATES = {"ESTAB": "ESTABLISHED", "UNCONN": "CLOSE", "FIN-WAIT-1": "FIN_WAIT1", "FIN-WAIT-2": "FIN_WAIT2"}


def endpoint(text):
    """ss's `[::1]%lo:80`, `*:80` and `0.0.0.0:*` as address and port."""
    address, port = text.rsplit(":", 1)
    address = re.sub(r"%.*", "", address).strip("[]")
    return "::" if address == "*" else address, 0 if port == "*" else int(port)


def ss(netns, *args):
    """The table as `ss -tuan` tells it."""
    rows = collections.Counter()
    for line in netns.run("ss", "-Htuan", *args).stdout.splitlines():
        protocol, state, _, _, local, remote = line.split()
        rows[protocol, SS_STATES.get(state, state.replace("-", "_")), *endpoint(local), *endpoint(remote)] += 1
    return rows


def table(rows):
    """The table of connhist's JSON rows."""
    return collections.Counter(
        (row["protocol"], row["state"], row["local_address"].split("%")[0], row["local_port"],
         row["remote_address"].split("%")[0], row["remote_port"]) for row in rows)


def live(netns, *args):
    """Rows of `connhist netstat` from the kernel itself."""
    document = strict_json(connhist("netstat", "--format", "json", *args, netns=netns).stdout)
    assert document["schema"] == "connhist/netstat/1"
    return document["rows"]


def bound_only(rows):
    """Those that ss of Debian 12 does not ask the kernel for."""
    return collections.Counter({row: n for row, n in rows.items() if row[:2] == ("tcp", "CLOSE")})
