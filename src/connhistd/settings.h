/* SPDX-License-Identifier: MIT */
/* What the recorder shall do: configuration with the command line over it. */
#pragma once

#include "connhist/base/cleanup.h"
#include "connhist/base/err.h"
#include "connhist/config/config.h"
#include "connhist/record/recorder.h"
#include "options.h"

struct settings {
    struct config config;              /* as read; owned */
    char *path;                        /* the database; owned */
    struct service_name *names;        /* names of one's own; owned */
    struct recorder_options recorder;  /* points into the above */
    struct source_live_options source; /* likewise */
};

/* Reads the configuration. Negative errno: err says what is wrong and what would be right. */
int settings_load(const struct daemon_options *options, struct settings **ret, struct err *err);
void settings_free(struct settings *settings);
DEFINE_CLEANUP(struct settings *, settings_free)
