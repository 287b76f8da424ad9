# SPDX-License-Identifier: MIT
# Completion of connhist and connhistd for fish.

set -l commands report netstat list who status sql
set -l states ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING
set -l some "__fish_seen_subcommand_from report netstat list"
set -l ports "__fish_seen_subcommand_from report netstat list who"

complete -c connhist -f
complete -c connhist -n "not __fish_seen_subcommand_from $commands" -a report -d 'Counts over time'
complete -c connhist -n "not __fish_seen_subcommand_from $commands" -a netstat -d 'The socket table, now or at an instant'
complete -c connhist -n "not __fish_seen_subcommand_from $commands" -a list -d 'Sockets with their lives'
complete -c connhist -n "not __fish_seen_subcommand_from $commands" -a who -d 'Who held a port, and when'
complete -c connhist -n "not __fish_seen_subcommand_from $commands" -a status -d 'The health of the recorder'
complete -c connhist -n "not __fish_seen_subcommand_from $commands" -a sql -d 'Ask in SQL, read-only'

complete -c connhist -l db -r -F -d 'The record'
complete -c connhist -l config -r -F -d 'The configuration'
complete -c connhist -l format -x -a 'table json jsonl csv chart' -d 'How to print'
complete -c connhist -l color -x -a 'auto always never' -d 'Colour'
complete -c connhist -l utc -d 'Times in UTC'
complete -c connhist -s h -l help -d 'Print a summary'
complete -c connhist -l version -d 'Print the version'

complete -c connhist -n $ports -l netns -x -d 'Network namespace'
complete -c connhist -n $ports -l port -x -d 'Ports of services'
complete -c connhist -n $some -s p -l proto -x -a 'tcp udp tcpv4 udpv4 tcpv6 udpv6' -d 'Protocol'
complete -c connhist -n $some -l state -x -a "$states" -d 'States'
complete -c connhist -n $some -l role -x -a 'server client' -d 'End of the service'
complete -c connhist -n $some -l peer -x -d 'Remote addresses'
complete -c connhist -n $some -l process -x -d 'Program of the owner'
complete -c connhist -n $some -l unit -x -d 'Systemd unit of the owner'
complete -c connhist -n $some -l container -x -d 'Container of the owner'
complete -c connhist -n $some -l pid -x -d 'Process id of the owner'
complete -c connhist -n '__fish_seen_subcommand_from who' -l proto -x -a 'tcp udp' -d 'Protocol'
complete -c connhist -n '__fish_seen_subcommand_from report list who netstat' -l since -x -a 'today yesterday' -d 'Begin'
complete -c connhist -n '__fish_seen_subcommand_from report list who netstat' -l until -x -a 'now today yesterday' -d 'End'
complete -c connhist -n '__fish_seen_subcommand_from netstat list' -l local -x -d 'Local addresses'
complete -c connhist -n '__fish_seen_subcommand_from report' -l by -x -a 'port state role peer process pid unit container uid netns' -d 'What tells series apart'
complete -c connhist -n '__fish_seen_subcommand_from report' -l step -x -d 'Width of a bucket'
complete -c connhist -n '__fish_seen_subcommand_from report' -l top -x -d 'Only the highest'
complete -c connhist -n '__fish_seen_subcommand_from report' -l measure -x -a 'opened closed bytes duration rtt' -d 'What came and went'
complete -c connhist -n '__fish_seen_subcommand_from report' -l counter -x -d 'Growth of a counter of the kernel'
complete -c connhist -n '__fish_seen_subcommand_from netstat' -s a -l all -d 'Listening ones, too'
complete -c connhist -n '__fish_seen_subcommand_from netstat' -s n -l numeric -d 'Ports as numbers'
complete -c connhist -n '__fish_seen_subcommand_from netstat' -s o -l owner -d 'Process ids'
complete -c connhist -n '__fish_seen_subcommand_from netstat' -s b -l program -d 'Programs'
complete -c connhist -n '__fish_seen_subcommand_from netstat' -s f -l fqdn -d 'Names of remote addresses'
complete -c connhist -n '__fish_seen_subcommand_from netstat' -s p -l proto -x -a 'ip ipv6 icmp icmpv6' -d 'Protocol'
complete -c connhist -n '__fish_seen_subcommand_from netstat' -s e -l ethernet -d 'Network interfaces'
complete -c connhist -n '__fish_seen_subcommand_from netstat' -l by -x -a interface -d 'Each by itself'
complete -c connhist -n '__fish_seen_subcommand_from netstat' -s r -l route -d 'Routes'
complete -c connhist -n '__fish_seen_subcommand_from netstat' -l table -x -a 'main local default all' -d 'Table of routes'
complete -c connhist -n '__fish_seen_subcommand_from netstat' -s s -l statistics -d 'Counters by protocol'
complete -c connhist -n '__fish_seen_subcommand_from netstat who' -l at -x -a 'now today yesterday' -d 'Instant'
complete -c connhist -n '__fish_seen_subcommand_from list' -l open -d 'Only those still open'
complete -c connhist -n '__fish_seen_subcommand_from list' -l closed-by -x -a 'local remote reset timeout unknown' -d 'How it ended'
complete -c connhist -n '__fish_seen_subcommand_from list' -l limit -x -d 'At most so many'
complete -c connhist -n '__fish_seen_subcommand_from sql' -l timeout -x -d 'End after'

complete -c connhistd -f
complete -c connhistd -l config -r -F -d 'The configuration'
complete -c connhistd -l db -r -F -d 'The file to record into'
complete -c connhistd -l interval -x -d 'Time between snapshots'
complete -c connhistd -l once -d 'One snapshot'
complete -c connhistd -l count -x -d 'End after so many snapshots'
complete -c connhistd -l log-level -x -a 'error warning notice info debug' -d 'Least grave lines'
complete -c connhistd -l help -d 'Print a summary'
complete -c connhistd -l version -d 'Print the version'
