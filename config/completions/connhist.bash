# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Completion of connhist and connhistd for bash.

_connhist_options() {
    local common="--db --config --format --color --utc --help --version"
    case $1 in
    report) echo "$common --netns --port --proto --state --role --by --peer --since --until --step --top --measure --counter --process --unit --container --pid" ;;
    netstat) echo "$common --netns --all --listen --numeric --owner --program --fqdn --offload --proto --ethernet --by --route --table --statistics --at --since --until --count --no-pager --port --state --peer --local --role --process --unit --container --pid" ;;
    list) echo "$common --no-pager --netns --port --proto --peer --local --state --role --since --until --open --closed-by --limit --process --unit --container --pid" ;;
    who) echo "$common --netns --port --proto --at --since --until" ;;
    diff) echo "$common --no-pager --netns --from --to --listen --numeric --port --proto --state --role --peer --local --process --unit --container --pid" ;;
    export) echo "$common --netns --to-sqlite --since --until --step" ;;
    sql) echo "$common --timeout" ;;
    status) echo "$common" ;;
    *) echo "$common --netns" ;;
    esac
}

# The values of an option; fails where it takes what nobody can guess.
_connhist_values() {
    case $1 in
    --format)
        case $(_connhist_command) in
        export) echo "jsonl csv openmetrics" ;;
        report) echo "table json jsonl csv chart" ;;
        *) echo "table json jsonl csv" ;;
        esac
        ;;
    --color) echo "auto always never" ;;
    --proto | -p)
        case $(_connhist_command) in
        report | who) echo "tcp udp" ;;
        netstat) echo "tcp udp tcpv4 udpv4 tcpv6 udpv6 ip ipv6 icmp icmpv6" ;;
        *) echo "tcp udp tcpv4 udpv4 tcpv6 udpv6" ;;
        esac
        ;;
    --table) echo "main local default all" ;;
    --role) echo "server client" ;;
    --closed-by) echo "local remote reset timeout unknown" ;;
    --measure) echo "opened closed bytes duration rtt" ;;
    --by) [ "$(_connhist_command)" = netstat ] && echo interface || echo "port state role peer process pid unit container uid netns" ;;
    --state)
        echo "ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING"
        ;;
    --since | --until | --at | --from | --to) echo "now today yesterday" ;;
    --log-level) echo "error warning notice info debug" ;;
    --process | --unit | --container | --pid) echo ;;
    --port | --peer | --local | --step | --top | --limit | --timeout | --netns | --interval | --count) echo ;;
    *) return 1 ;;
    esac
}

# The command among the words so far; nothing if there is none yet.
_connhist_command() {
    local i
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --db | --config | --format | --color | --netns) i=$((i + 1)) ;;
        report | netstat | list | who | diff | status | export | sql) echo "${COMP_WORDS[i]}" && return ;;
        esac
    done
}

_connhist_reply() {
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}

_connhist() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command values
    case $before in
    --db | --config | --to | --to-sqlite) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
    esac
    if values=$(_connhist_values "$before"); then
        _connhist_reply "$values" "$word"
        return
    fi
    command=$(_connhist_command)
    if [ -z "$command" ] && [ "${word:0:1}" != - ]; then
        _connhist_reply "report netstat list who diff status export sql" "$word"
    else
        _connhist_reply "$(_connhist_options "$command")" "$word"
    fi
}

_connhistd() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} values
    case $before in
    --db | --config | --to | --to-sqlite) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return ;;
    esac
    if values=$(_connhist_values "$before"); then
        _connhist_reply "$values" "$word"
    else
        _connhist_reply "--config --db --interval --once --count --log-level --check --repair --to --help --version" "$word"
    fi
}

complete -o filenames -F _connhist connhist
complete -o filenames -F _connhistd connhistd
