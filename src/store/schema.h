/* SPDX-License-Identifier: MIT */
/* The migrations, embedded by schema/embed.py. */
#pragma once

struct migration {
    const char *name; /* its file's name without .sql */
    const char *sql;  /* one or more statements */
};

extern const struct migration schema_migrations[]; /* in their order */
extern const int schema_migrations_n;
