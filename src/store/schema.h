/* SPDX-License-Identifier: MIT */
/* The migrations, embedded by schema/embed.py. */
#pragma once

struct migration {
    const char *name; /* its file's name without .sql */
    const char *sql;  /* one or more statements */
};

extern const struct migration schema_migrations[]; /* in their order */
extern const int schema_migrations_n;

/* A column of a table, or a view, in the editions that have it. */
struct schema_part {
    const char *name;   /* of the table or view */
    const char *column; /* NULL: it is a view */
    int first;          /* the first edition with it */
    int last;           /* the last one */
};

extern const struct schema_part schema_parts[];
extern const int schema_parts_n;
