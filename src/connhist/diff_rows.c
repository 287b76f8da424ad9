/* SPDX-License-Identifier: MIT */
#include "diff_rows.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "connhist/model/life.h"
#include "connhist/model/offload.h"

#define WORDS_MAX  48
#define STATES_MAX (32 + 2 * OFFLOAD_TEXT_MAX)
#define PAIR_MAX   (2 * PROCESS_MAX + 4)
#define NAMES_MAX  (PAIR_MAX + 2 * 256)

#define SUM(a) (sizeof(a) / sizeof((a)[0]))

/* Fields for programs. */
static const struct column fields[] = {
    {"change", NULL, false},
    {"netns", NULL, false},
    {"protocol", NULL, false},
    {"local_address", NULL, false},
    {"local_port", NULL, true},
    {"remote_address", NULL, false},
    {"remote_port", NULL, true},
    {"state_before", NULL, false},
    {"state", NULL, false},
    {"pid_before", NULL, true},
    {"pid", NULL, true},
    {"process_before", NULL, false},
    {"process", NULL, false},
    {"exe_before", NULL, false},
    {"exe", NULL, false},
    {"unit_before", NULL, false},
    {"unit", NULL, false},
    {"container_before", NULL, false},
    {"container", NULL, false},
    {"uid_before", NULL, true},
    {"uid", NULL, true},
    {"owner_source_before", NULL, false},
    {"owner_source", NULL, false},
    {"offload_before", NULL, false},
    {"offload", NULL, false},
    {"role", NULL, false},
    {"first_seen_ms", NULL, true},
    {"opened_ms", NULL, true},
    {"opened_after_ms", NULL, true},
    {"state_since_ms", NULL, true},
    {"closed_ms", NULL, true},
    {"closed_after_ms", NULL, true},
};

/* Columns for people. */
static const struct column headings[] = {
    {"netns", "NETNS", false, .least = 8},
    {"change", "CHANGE", false},
    {"proto", "PROTO", false},
    {"local", "LOCAL", false, .least = 21, .tight = 12},
    {"remote", "REMOTE", false, .least = 21, .tight = 12},
    {"state", "STATE", false, .least = 14, .tight = 8},
    {"process", "PROCESS", false, .least = 14, .tight = 8},
    {"since", "SINCE", false, .gives = 5},
};

const struct column *diff_columns(const struct socket_table *table, bool people, size_t *ret_n)
{
    if (!people) {
        *ret_n = SUM(fields);
        return fields;
    }
    *ret_n = SUM(headings) - !table->many_netns;
    return headings + !table->many_netns;
}

/* "owner+state" */
static const char *change_words(unsigned changes, char buf[static WORDS_MAX])
{
    static const char *const words[] = {"opened", "closed", "replaced",
                                        "owner",  "state",  "offload"};
    size_t used = 0;

    for (size_t i = 0; i < SUM(words); i++)
        if (changes & 1U << i)
            used +=
                (size_t)snprintf(buf + used, WORDS_MAX - used, "%s%s", used ? "+" : "", words[i]);
    return buf;
}

/* Fields of an owner in a row that may lack. */
static const char *name_of(const struct socket_row *row, size_t member)
{
    const char *text = "";

    if (row && row->owner)
        memcpy(&text, (const char *)row->owner + member, sizeof(text));
    return text;
}

static struct cell text_of(const struct socket_row *row, size_t member)
{
    const char *text = name_of(row, member);

    return *text ? cell_text(text) : cell_null();
}

static struct cell state_of(const struct socket_row *row)
{
    return row ? cell_text(state_name(row->state)) : cell_null();
}

static struct cell pid_of(const struct socket_row *row)
{
    return row && row->owner && row->owner->pid ? cell_int(row->owner->pid) : cell_null();
}

static struct cell uid_of(const struct socket_row *row)
{
    return row && row->uid >= 0 ? cell_int(row->uid) : cell_null();
}

static struct cell source_of(const struct socket_row *row)
{
    return row ? cell_text(owner_source_name(row->owner_source, row->state)) : cell_null();
}

static struct cell offload_of(const struct socket_row *row, char buf[static OFFLOAD_TEXT_MAX])
{
    return row ? cell_text(offload_text(row->offload, buf)) : cell_null();
}

int diff_row_for_programs(struct writer *writer, const struct diff_row *row)
{
    const struct socket_row *before = row->before, *after = row->after;
    const struct socket_row *any = after ? after : before;
    char words[WORDS_MAX], local[SCOPED_MAX], remote[SCOPED_MAX];
    char was_held[OFFLOAD_TEXT_MAX], held[OFFLOAD_TEXT_MAX];
    const struct cell cells[SUM(fields)] = {
        cell_text(change_words(row->changes, words)),
        cell_text(any->netns),
        cell_text(protocol_name(any->protocol)),
        cell_text(socket_table_address(any, &any->local, local)),
        cell_int(any->local_port),
        cell_text(socket_table_address(any, &any->remote, remote)),
        cell_int(any->remote_port),
        state_of(before),
        state_of(after),
        pid_of(before),
        pid_of(after),
        text_of(before, offsetof(struct owner, comm)),
        text_of(after, offsetof(struct owner, comm)),
        text_of(before, offsetof(struct owner, exe)),
        text_of(after, offsetof(struct owner, exe)),
        text_of(before, offsetof(struct owner, unit)),
        text_of(after, offsetof(struct owner, unit)),
        text_of(before, offsetof(struct owner, container)),
        text_of(after, offsetof(struct owner, container)),
        uid_of(before),
        uid_of(after),
        source_of(before),
        source_of(after),
        offload_of(before, was_held),
        offload_of(after, held),
        any->role ? cell_text(role_name(any->role)) : cell_null(),
        cell_time(any->first_seen_ms),
        cell_time(any->opened_ms),
        cell_time(any->opened_after_ms),
        after ? cell_time(after->state_since_ms) : cell_null(),
        after ? cell_null() : cell_time(before->closed_ms),
        after ? cell_null() : cell_time(before->closed_after_ms),
    };

    return writer_row(writer, cells);
}

/* "nginx/812 -> caddy/977"; one alone where there is but one, or both are the same. */
static const char *both(const char *before, const char *after, size_t size, char *buf)
{
    bool same = !*before || !*after || strcmp(before, after) == 0;

    snprintf(buf, size, "%s%s%s", same ? "" : before, same ? "" : " -> ", *after ? after : before);
    return buf;
}

/* Since when one that is there is as it is, as far as that is known. */
static int64_t since(const struct diff_row *row)
{
    if (row->changes & (DIFF_OPENED | DIFF_REPLACED))
        return row->after->first_seen_ms;
    return row->changes & DIFF_STATE ? row->after->state_since_ms : TIME_UNKNOWN;
}

/* "ESTABLISHED -> CLOSE_WAIT"; and what holds it, where that is another. */
static const char *states_text(const struct diff_row *row, char buf[static STATES_MAX])
{
    char was_held[OFFLOAD_TEXT_MAX], held[OFFLOAD_TEXT_MAX];
    size_t used;

    both(row->before ? socket_state_text(row->before) : "",
         row->after ? socket_state_text(row->after) : "", STATES_MAX, buf);
    used = strlen(buf);
    if (row->before && row->after && row->changes & DIFF_OFFLOAD)
        snprintf(buf + used, STATES_MAX - used, ", %s -> %s",
                 offload_text(row->before->offload, was_held),
                 offload_text(row->after->offload, held));
    return buf;
}

/* "web/200 -> web/201"; where it is one process, what else of the owner is another, as its program. */
static const char *processes_text(const struct diff_row *row, char buf[static NAMES_MAX])
{
    static const size_t members[] = {offsetof(struct owner, exe), offsetof(struct owner, unit),
                                     offsetof(struct owner, container)};
    char one[PROCESS_MAX], other[PROCESS_MAX];
    const char *was = row->before ? socket_process_text(row->before, one) : "";
    const char *is = row->after ? socket_process_text(row->after, other) : "";

    both(was, is, NAMES_MAX, buf);
    for (size_t i = 0; row->changes & DIFF_OWNER && strcmp(was, is) == 0 && i < SUM(members); i++) {
        const char *before = name_of(row->before, members[i]);
        const char *after = name_of(row->after, members[i]);

        if (!*before || !*after || strcmp(before, after) == 0)
            continue;
        snprintf(buf, NAMES_MAX, "%s: %.255s -> %.255s", is, before, after);
        break;
    }
    return buf;
}

int diff_row_for_people(const struct socket_table *table, struct writer *writer,
                        const struct diff_row *row)
{
    const struct socket_row *before = row->before, *after = row->after;
    const struct socket_row *any = after ? after : before;
    char words[WORDS_MAX], local[ENDPOINT_MAX], remote[ENDPOINT_MAX], states[STATES_MAX];
    char processes[NAMES_MAX], closed[CLOSED_MAX];
    const struct cell cells[SUM(headings)] = {
        cell_text(*any->netns ? any->netns : FILTER_NETNS_OWN),
        cell_text(change_words(row->changes, words)),
        cell_text(protocol_name(any->protocol)),
        cell_text(socket_table_endpoint(table, any, &any->local, any->local_port, local)),
        cell_text(socket_table_endpoint(table, any, &any->remote, any->remote_port, remote)),
        cell_text(states_text(row, states)),
        cell_text(processes_text(row, processes)),
        after ? cell_time(since(row)) : socket_closed_cell(before, table->utc, closed),
    };

    return writer_row(writer, cells + !table->many_netns);
}
