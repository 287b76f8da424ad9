/* SPDX-License-Identifier: MIT */
/* The configuration, read strictly from YAML. See connhist.yaml(5) and config/connhist.yaml. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "connhist/base/cleanup.h"
#include "connhist/base/err.h"
#include "connhist/base/vec.h"

#define CONFIG_DEFAULT_PATH "/etc/connhist/connhist.yaml"

enum detail {
    DETAIL_ON = 0,        /* every socket is recorded */
    DETAIL_ANONYMOUS = 1, /* … with peers cut to a prefix */
    DETAIL_OFF = 2,       /* counts and listeners only */
};

struct config_service {
    uint16_t port;
    uint8_t protocol; /* 6 TCP, 17 UDP */
    char name[64];    /* letters, digits, '-', '_', '.' */
};

struct config_service_vec {
    VEC_FIELDS(struct config_service);
};

/* Shell patterns that names of network namespaces are held against. */
struct config_patterns {
    VEC_FIELDS(char *); /* each owned */
    bool given;         /* the file has this list, be it empty */
};

#define CONFIG_TIERS 5 /* detail, ticks, minutes, hours, days */

struct config {
    char *database;      /* path; NULL: file_default_path(); owned */
    char *group;         /* who may read; NULL: the folder's group; owned */
    size_t group_line;   /* where `group` stands in the file; 0: nowhere */
    size_t group_column; /* both count from 1 */
    int64_t interval_ms; /* 100 ms … 1 h */
    enum detail detail;
    unsigned anonymous_ipv4;       /* bits kept of IPv4 peers under DETAIL_ANONYMOUS */
    unsigned anonymous_ipv6;       /* bits kept of IPv6 peers */
    int log_level;                 /* LOG_ERR … LOG_DEBUG */
    uint32_t max_client_services;  /* client services told apart at a time, the rest is `other` */
    uint32_t max_services;         /* told apart in a namespace over the file's life */
    uint32_t max_syn_recv;         /* SYN_RECV sockets kept as lives, the rest is counted */
    int64_t events_bytes;          /* receive buffer for destroy events, as the kernel counts */
    int64_t sampling_ms;           /* from one sampling of tcp_info to the next; 0: off */
    int64_t queue_bytes;           /* bound of what may wait for the disk */
    int64_t max_size_bytes;        /* of the file with its companions */
    int64_t keep_ms[CONFIG_TIERS]; /* what is older goes; 0: never */
    struct config_service_vec services; /* names of one's own; owned */
    struct config_patterns
        include; /* namespaces recorded besides the own one; not given: all; owned */
    struct config_patterns exclude; /* of those, the ones that are not; owned */
};

/* Defaults: those that config/connhist.yaml states. */
void config_init(struct config *config);
void config_finish(struct config *config);

/* Reads a file over the defaults in *ret (which must be initialised); keys that the file does not
 * name stay as they are, `services` and lists are replaced as a whole. On error *ret is unchanged. -ENOENT,
 * -EACCES …: not readable; -ENOMEM; -EINVAL: err is "FILE:LINE:COLUMN: …" with what is wrong and
 * what would be right (for an unknown key the nearest known one). */
int config_load(const char *path, struct config *ret, struct err *err);

/* The same from memory; name stands for the file in messages. */
int config_parse(const char *name, const char *yaml, size_t n, struct config *ret, struct err *err);

/* "on", "anonymous", "off". */
const char *detail_name(enum detail detail);
