/* SPDX-License-Identifier: MIT */
#include "socket_table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "connhist/base/timetext.h"
#include "connhist/model/life.h"
#include "connhist/model/offload.h"

#include "complain.h"
#include "quoted.h"

#define EARLIER_MAX (PROCESS_MAX * 8)

/* Fields for programs: a live table has the first ones, the record's tables more. */
static const struct column fields[] = {
    {"netns", NULL, false},
    {"protocol", NULL, false},
    {"state", NULL, false},
    {"local_address", NULL, false},
    {"local_port", NULL, true},
    {"remote_address", NULL, false},
    {"remote_port", NULL, true},
    {"remote_name", NULL, false},
    {"recv_queue", NULL, true},
    {"send_queue", NULL, true},
    {"uid", NULL, true},
    {"user", NULL, false},
    {"pid", NULL, true},
    {"process", NULL, false},
    {"exe", NULL, false},
    {"unit", NULL, false},
    {"container", NULL, false},
    {"owner_source", NULL, false},
    {"offload", NULL, false},
    {"interface", NULL, false},
    {"ifindex", NULL, true},
    {"v6only", NULL, true},
    {"holders", NULL, true},
    {"opened_ms", NULL, true},
    {"closed_ms", NULL, true},
    {"closed_after_ms", NULL, true},
    {"first_seen_ms", NULL, true},
    {"state_since_ms", NULL, true},
    {"role", NULL, false},
    {"role_source", NULL, false},
    {"opened_after_ms", NULL, true},
    {"close_wait_ms", NULL, true},
    {"time_wait_ms", NULL, true},
    {"duration_ms", NULL, true},
    {"closed_by", NULL, false},
    {"rx_bytes", NULL, true},
    {"tx_bytes", NULL, true},
    {"rtt_us", NULL, true},
    {"retrans", NULL, true},
    {"rx_segs", NULL, true},
    {"tx_segs", NULL, true},
    {"rx_uncertain", NULL, true},
    {"sampled_ms", NULL, true},
    {"idle_ms", NULL, true},
    {"earlier_owners", NULL, false},
};

enum { FIELDS_LIVE = 25, FIELDS_AT = 30, FIELDS_LIST = 45 };

_Static_assert(sizeof(fields) / sizeof(fields[0]) == FIELDS_LIST, "one more field");

/* Columns for people, likewise. */
static const struct column headings[] = {
    {"netns", "NETNS", false, .least = 8},
    {"proto", "PROTO", false},
    {"local", "LOCAL", false, .least = 21, .tight = 12},
    {"remote", "REMOTE", false, .least = 21, .tight = 12},
    {"state", "STATE", false, .least = 11, .tight = 8},
    {"uid", "UID", true, .gives = 6},
    {"process", "PROCESS", false, .least = 10, .tight = 7},
    {"pid", "PID", true},
    {"program", "PROGRAM", false, .least = 16, .tight = 10},
    {"unit", "UNIT", false, .least = 12, .gives = 5},
    {"recv_q", "RECV-Q", true, .gives = 9},
    {"send_q", "SEND-Q", true, .gives = 9},
    {"offload", "OFFLOAD", false, .least = 16, .tight = 8},
    {"role", "ROLE", false, .gives = 10},
    {"state_since", "STATE SINCE", false, .gives = 7},
    {"first_seen", "FIRST SEEN", false, .gives = 8},
    {"closed", "CLOSED", false, .gives = 5},
    {"closed_by", "CLOSED BY", false, .gives = 4},
    {"lived", "LIVED", true, .gives = 3},
    {"rx", "RX", true, .gives = 9},
    {"tx", "TX", true, .gives = 9},
    {"rtt_us", "RTT US", true, .gives = 9},
    {"idle", "IDLE", true, .gives = 6},
};

enum { HEADINGS_LIVE = 13, HEADINGS_AT = 16, HEADINGS_LIST = 23 };
enum {
    HEADING_NETNS = 0,
    HEADING_PROCESS = 6,
    HEADING_PID = 7,
    HEADING_PROGRAM = 8,
    HEADING_UNIT = 9,
    HEADING_RECV_Q = 10,
    HEADING_SEND_Q = 11,
    HEADING_OFFLOAD = 12,
    HEADING_CLOSED = 16,
    HEADING_LIVED = 18,
    HEADING_RTT = 21,
    HEADING_IDLE = 22
};

_Static_assert(sizeof(headings) / sizeof(headings[0]) == HEADINGS_LIST, "one more heading");
_Static_assert((int)FIELDS_LIST <= 45 && (int)HEADINGS_LIST <= 45, "see struct socket_table");

static struct cell known_int(int64_t value)
{
    return value < 0 ? cell_null() : cell_int(value);
}

static struct cell role_cell(const struct socket_row *row)
{
    return row->role ? cell_text(role_name(row->role)) : cell_null();
}

/* How it ended is known of what has ended; in TIME_WAIT the connection has. */
static struct cell closed_by_cell(const struct socket_row *row)
{
    return row->closed_ms == TIME_UNKNOWN && row->state != STATE_TIME_WAIT
               ? cell_null()
               : cell_text(closed_by_name(row->closed_by));
}

/* What the kernel told in tcp_info; null where it told nothing. */
static struct cell fact_cell(const struct socket_row *row, int64_t value)
{
    return row->has_facts ? cell_int(value) : cell_null();
}

static struct cell role_source_cell(const struct socket_row *row)
{
    return row->role_source ? cell_text(role_source_name(row->role_source)) : cell_null();
}

enum owner_name { NAME_COMM, NAME_EXE, NAME_UNIT, NAME_CONTAINER };

/* "" where not known. */
static const char *owner_text(const struct socket_row *row, enum owner_name which)
{
    if (!row->owner)
        return "";
    switch (which) {
    case NAME_COMM:
        return row->owner->comm;
    case NAME_EXE:
        return row->owner->exe;
    case NAME_UNIT:
        return row->owner->unit;
    default:
        return row->owner->container;
    }
}

static struct cell owner_cell(const struct socket_row *row, enum owner_name which)
{
    const char *text = owner_text(row, which);

    return *text ? cell_text(text) : cell_null();
}

static struct cell pid_cell(const struct socket_row *row)
{
    return row->owner && row->owner->pid ? cell_int(row->owner->pid) : cell_null();
}

/* Without a look at the processes there is nothing to be said of how it was found. */
static struct cell source_cell(const struct socket_table *table, const struct socket_row *row)
{
    if (table->kind == SOCKETS_LIVE && !table->pids && !table->programs)
        return cell_null();
    return cell_text(owner_source_name(row->owner_source, row->state));
}

/* The program's path; where that is not known its name. */
static struct cell program_cell(const struct socket_row *row)
{
    return owner_cell(row, *owner_text(row, NAME_EXE) ? NAME_EXE : NAME_COMM);
}

const char *socket_process_text(const struct socket_row *row, char buf[static PROCESS_MAX])
{
    char quoted[QUOTED_MAX];
    const char *name = quoted_name(owner_text(row, NAME_COMM), quoted);

    if (row->owner_source == OWNER_IS_KERNEL)
        return "(kernel)";
    if (row->owner && row->owner->pid)
        snprintf(buf, PROCESS_MAX, "%.63s/%u", *name ? name : "?", (unsigned)row->owner->pid);
    else if (*name)
        snprintf(buf, PROCESS_MAX, "%.63s", name);
    else if (*owner_text(row, NAME_UNIT))
        snprintf(buf, PROCESS_MAX, "(%.250s)", owner_text(row, NAME_UNIT));
    else
        return "";
    return buf;
}

/* "nginx/812 php-fpm/901": who had it before, in order. */
static struct cell earlier_cell(const struct socket_row *row, char buf[static EARLIER_MAX])
{
    size_t used = 0;

    for (uint32_t i = 0; i < row->n_earlier && used + PROCESS_MAX < EARLIER_MAX; i++) {
        const struct owner *owner = row->earlier[i];

        used += (size_t)snprintf(buf + used, PROCESS_MAX, "%s%.63s/%u", used ? " " : "",
                                 *owner->comm ? owner->comm : "?", (unsigned)owner->pid);
    }
    return used ? cell_text(buf) : cell_null();
}

static int row_for_programs(struct socket_table *table, const struct socket_row *row)
{
    char local[SCOPED_MAX], remote[SCOPED_MAX], earlier[EARLIER_MAX];
    char offload[OFFLOAD_TEXT_MAX];
    const struct cell cells[FIELDS_LIST] = {
        cell_text(row->netns),
        cell_text(protocol_name(row->protocol)),
        cell_text(state_name(row->state)),
        cell_text(socket_table_address(row, &row->local, local)),
        cell_int(row->local_port),
        cell_text(socket_table_address(row, &row->remote, remote)),
        cell_int(row->remote_port),
        cell_text(socket_table_name(table, row)),
        known_int(row->recv_queue),
        known_int(row->send_queue),
        known_int(row->uid),
        cell_text(users_name(&table->users, row->uid)),
        pid_cell(row),
        owner_cell(row, NAME_COMM),
        owner_cell(row, NAME_EXE),
        owner_cell(row, NAME_UNIT),
        owner_cell(row, NAME_CONTAINER),
        source_cell(table, row),
        cell_text(offload_text(row->offload, offload)),
        *row->interface ? cell_text(row->interface) : cell_null(),
        row->scope_ifindex ? cell_int(row->scope_ifindex) : cell_null(),
        known_int(row->v6only),
        row->holders ? cell_int(row->holders) : cell_null(),
        cell_time(row->opened_ms),
        cell_time(row->closed_ms),
        cell_time(row->closed_after_ms),
        cell_time(row->first_seen_ms),
        cell_time(row->state_since_ms),
        role_cell(row),
        role_source_cell(row),
        cell_time(row->opened_after_ms),
        cell_time(row->close_wait_ms),
        cell_time(row->time_wait_ms),
        known_int(row->duration_ms),
        closed_by_cell(row),
        fact_cell(row, row->rx_bytes),
        fact_cell(row, row->tx_bytes),
        fact_cell(row, row->rtt_us),
        fact_cell(row, row->retrans),
        fact_cell(row, row->rx_segs),
        fact_cell(row, row->tx_segs),
        fact_cell(row, row->rx_uncertain),
        cell_time(row->sampled_ms),
        known_int(row->idle_ms),
        earlier_cell(row, earlier),
    };

    return writer_row(table->writer, cells);
}

struct cell socket_closed_cell(const struct socket_row *row, bool utc, char buf[static CLOSED_MAX])
{
    char time[TIME_TEXT_MAX];

    if (row->closed_after_ms == TIME_UNKNOWN)
        return cell_time(row->closed_ms);
    snprintf(buf, CLOSED_MAX, "after %s", time_format(row->closed_after_ms, utc, false, time));
    return cell_text(buf);
}

const char *socket_state_text(const struct socket_row *row)
{
    return row->protocol == PROTOCOL_UDP && row->state == STATE_CLOSE ? "-"
                                                                      : state_name(row->state);
}

static int row_for_people(struct socket_table *table, const struct socket_row *row)
{
    char local[ENDPOINT_MAX], remote[ENDPOINT_MAX];
    char lived[TIME_TEXT_MAX], rx[TIME_TEXT_MAX], tx[TIME_TEXT_MAX], words[PROCESS_MAX];
    char idle[TIME_TEXT_MAX], offload[OFFLOAD_TEXT_MAX], closed[CLOSED_MAX];
    const char *process = socket_process_text(row, words);
    const struct cell cells[HEADINGS_LIST] = {
        cell_text(*row->netns ? row->netns : FILTER_NETNS_OWN),
        cell_text(protocol_name(row->protocol)),
        cell_text(socket_table_endpoint(table, row, &row->local, row->local_port, local)),
        cell_text(socket_table_endpoint(table, row, &row->remote, row->remote_port, remote)),
        cell_text(socket_state_text(row)),
        known_int(row->uid),
        cell_text(process),
        pid_cell(row),
        program_cell(row),
        owner_cell(row, *owner_text(row, NAME_CONTAINER) ? NAME_CONTAINER : NAME_UNIT),
        known_int(row->recv_queue),
        known_int(row->send_queue),
        cell_text(offload_text(row->offload, offload)),
        role_cell(row),
        cell_time(row->state_since_ms),
        cell_time(row->first_seen_ms),
        socket_closed_cell(row, table->utc, closed),
        closed_by_cell(row),
        row->duration_ms < 0 ? cell_null() : cell_text(duration_format(row->duration_ms, lived)),
        row->has_facts ? cell_text(size_format(row->rx_bytes, rx)) : cell_null(),
        row->has_facts ? cell_text(size_format(row->tx_bytes, tx)) : cell_null(),
        row->has_facts && row->rtt_us ? cell_int(row->rtt_us) : cell_null(),
        row->idle_ms < 0 ? cell_null() : cell_text(duration_format(row->idle_ms, idle)),
    };

    return writer_row(table->writer, cells);
}

/* As far as the kernel tells it: a UDP socket without a peer may as well be a client's. */
static bool listens(const struct socket_row *row)
{
    return row->state == (row->protocol == PROTOCOL_UDP ? STATE_CLOSE : STATE_LISTEN);
}

int socket_table_row(void *arg, const struct socket_row *row)
{
    struct socket_table *table = arg;

    if (table->listen_only && !listens(row))
        return 0;
    table->cut = table->limit && table->rows == table->limit;
    if (table->cut)
        return -ECANCELED;
    table->rows++;
    table->failed = table->people ? row_for_people(table, row) : row_for_programs(table, row);
    return table->failed < 0 ? -ECANCELED : 0;
}

int socket_table_want_name(void *arg, const struct socket_row *row)
{
    const struct socket_table *table = arg;

    if (table->listen_only && !listens(row))
        return 0;
    return resolver_want(table->resolver, row->family, &row->remote);
}

static void leave_out(struct socket_table *table, size_t first, size_t last)
{
    for (size_t i = first; i <= last; i++)
        table->columns[i].heading = NULL;
}

static size_t choose_columns(struct socket_table *table)
{
    static const size_t n_fields[] = {FIELDS_LIVE, FIELDS_AT, FIELDS_LIST};
    static const size_t n_headings[] = {HEADINGS_LIVE, HEADINGS_AT, HEADINGS_LIST};

    if (!table->people) {
        memcpy(table->columns, fields, sizeof(fields));
        return n_fields[table->kind];
    }
    memcpy(table->columns, headings, sizeof(headings));
    if (!table->many_netns)
        leave_out(table, HEADING_NETNS, HEADING_NETNS);
    if (!table->pids)
        leave_out(table, HEADING_PID, HEADING_PID);
    if (!table->programs)
        leave_out(table, HEADING_PROGRAM, HEADING_UNIT);
    if (!table->offloads)
        leave_out(table, HEADING_OFFLOAD, HEADING_OFFLOAD);
    if (table->kind == SOCKETS_LIST)
        leave_out(table, HEADING_RECV_Q, HEADING_SEND_Q);
    else
        leave_out(table, HEADING_PROCESS, HEADING_PROCESS);
    if (table->open_only)
        leave_out(table, HEADING_CLOSED, HEADING_LIVED);
    else
        leave_out(table, HEADING_RTT, HEADING_IDLE);
    return n_headings[table->kind];
}

int socket_table_choose_netns(struct socket_table *table, struct context *ctx,
                              const struct filter *filter)
{
    struct err err = {0};
    size_t n = 0;

    if (filter_count_netns(filter, ctx->db, &n, &err) < 0)
        return cannot_answer("%s", err.text);
    table->many_netns = n > 1;
    return EXIT_ANSWERED;
}

int socket_table_begin(struct socket_table *table, const struct context *ctx,
                       const struct document *document)
{
    int r, status = context_writer(ctx, &table->writer);

    if (status != EXIT_ANSWERED)
        return status;
    table->people = ctx->format == FORMAT_TABLE;
    table->utc = ctx->utc;
    table->document = *document;
    table->document.columns = table->columns;
    table->document.n_columns = choose_columns(table);
    r = writer_begin(table->writer, &table->document);
    return r < 0 ? output_failed(r) : EXIT_ANSWERED;
}

int socket_table_end(struct socket_table *table)
{
    int r = table->failed < 0 ? table->failed : writer_end(table->writer, NULL);

    return r < 0 ? output_failed(r) : output_finish();
}

void socket_table_finish(struct socket_table *table)
{
    writer_free(table->writer);
    users_finish(&table->users);
}
