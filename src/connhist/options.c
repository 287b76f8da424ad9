/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "connhist/base/strutil.h"

#define LONG_BASE   256 /* getopt's values of long options: above all letters */
#define HELP_COLUMN 26  /* where the words of an option begin */

/* Both tables as one, in the forms that getopt_long() wants. */
struct syntax {
    const struct option_row *rows[OPT_COUNT]; /* every id at most once */
    const char *names[OPT_COUNT];             /* for nearest_word() */
    const struct option_hint *hints;          /* NULL: none */
    struct option longs[OPT_COUNT + 1];       /* ends with a zeroed one */
    char letters[2 + 2 * OPT_COUNT + 1];      /* "+:ap:" */
    size_t n;
};

const struct option_row *option_table_find(const struct option_table *table, unsigned id)
{
    for (size_t i = 0; table && i < table->n; i++)
        if (table->rows[i].id == id)
            return &table->rows[i];
    return NULL;
}

static void syntax_add(struct syntax *syntax, const struct option_row *row)
{
    size_t used = strlen(syntax->letters);

    syntax->rows[syntax->n] = row;
    syntax->names[syntax->n] = row->name;
    syntax->longs[syntax->n] = (struct option){
        .name = row->name,
        .has_arg = row->arg ? required_argument : no_argument,
        .val = LONG_BASE + (int)syntax->n,
    };
    if (row->letter) {
        syntax->letters[used++] = row->letter;
        if (row->arg)
            syntax->letters[used] = ':';
    }
    syntax->n++;
}

static void syntax_init(struct syntax *syntax, const struct option_table *own,
                        const struct option_table *common, bool only_leading)
{
    *syntax = (struct syntax){.hints = own->hints};
    snprintf(syntax->letters, sizeof(syntax->letters), "%s", only_leading ? "+:" : ":");
    for (size_t i = 0; i < own->n; i++)
        syntax_add(syntax, &own->rows[i]);
    for (size_t i = 0; common && i < common->n; i++)
        if (!option_table_find(own, common->rows[i].id))
            syntax_add(syntax, &common->rows[i]);
}

/* The row that getopt's return value or optopt stands for; NULL: none. */
static const struct option_row *syntax_row(const struct syntax *syntax, int value)
{
    if (value >= LONG_BASE && (size_t)(value - LONG_BASE) < syntax->n)
        return syntax->rows[value - LONG_BASE];
    for (size_t i = 0; i < syntax->n; i++)
        if (syntax->rows[i]->letter && syntax->rows[i]->letter == value)
            return syntax->rows[i];
    return NULL;
}

/* getopt takes what begins one option alone for it. "--state, --statistics" when it begins more; ""
 * when not. Returns buf. */
static const char *begun_by(const struct syntax *syntax, const char *name, char *buf, size_t size)
{
    size_t used = 0, found = 0, length = strlen(name);

    *buf = '\0';
    for (size_t i = 0; i < syntax->n; i++) {
        if (length == 0 || strncmp(syntax->names[i], name, length) != 0)
            continue;
        found++;
        if (used < size)
            used += (size_t)snprintf(buf + used, size - used, "%s--%s", used ? ", " : "",
                                     syntax->names[i]);
    }
    if (found < 2)
        *buf = '\0';
    return buf;
}

/* What an option that is not known, or was not understood, is here; NULL: nobody knows. */
static const char *hint_for(const struct syntax *syntax, char letter, const char *name)
{
    for (const struct option_hint *hint = syntax->hints; hint && hint->letters; hint++)
        if (letter ? strchr(hint->letters, letter) != NULL
                   : hint->name && strcmp(hint->name, name) == 0)
            return hint->instead;
    return NULL;
}

static int unknown_long(const struct syntax *syntax, const char *word, struct err *err)
{
    char name[64], several[192];
    const char *near, *hint;

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
    hint = hint_for(syntax, '\0', name);
    if (hint)
        return err_set(err, -EINVAL, "unknown option --%s: %s", name, hint);
    if (*begun_by(syntax, name, several, sizeof(several)))
        return err_set(err, -EINVAL, "--%s is ambiguous: %s", name, several);
    near = nearest_word(name, syntax->names, syntax->n);
    if (near)
        return err_set(err, -EINVAL, "unknown option --%s, did you mean --%s?", name, near);
    return err_set(err, -EINVAL, "unknown option --%s", name);
}

/* Puts getopt's '?' into words; `word` is the element of argv that it read last. */
static int refused(const struct syntax *syntax, const char *word, struct err *err)
{
    const struct option_row *row = syntax_row(syntax, optopt);
    const char *hint;

    if (!optopt)
        return unknown_long(syntax, word, err);
    if (row)
        return err_set(err, -EINVAL, "--%s takes no value", row->name);
    hint = hint_for(syntax, (char)optopt, "");
    if (hint)
        return err_set(err, -EINVAL, "unknown option -%c: %s", optopt, hint);
    return err_set(err, -EINVAL, "unknown option -%c", optopt);
}

static int lacks_value(const struct syntax *syntax, const struct option_row *row, struct err *err)
{
    const char *hint = hint_for(syntax, '\0', row->name);

    return err_set(err, -EINVAL, "--%s needs a value: --%s %s%s%s%s", row->name, row->name,
                   row->arg, hint ? " (" : "", hint ? hint : "", hint ? ")" : "");
}

static int options_add(struct options *options, const struct option_row *row, const char *text,
                       struct err *err)
{
    struct given given = {.id = row->id, .text = row->arg ? text : NULL};

    if (row->repeat == REPEAT_NOT && row->arg && options_has(options, row->id))
        return err_set(err, -EINVAL, "--%s is given twice", row->name);
    if (vec_push(options, given) < 0)
        return err_errno(err, -ENOMEM, "reading the options");
    return 0;
}

int options_parse(struct options *options, const struct option_table *own,
                  const struct option_table *common, int argc, char **argv, bool only_leading,
                  int *ret_word, struct err *err)
{
    struct syntax syntax;
    int value, r;

    syntax_init(&syntax, own, common, only_leading);
    opterr = 0;
    optind = 0; /* glibc: begin anew */
    while ((value = getopt_long(argc, argv, syntax.letters, syntax.longs, NULL)) != -1) {
        const struct option_row *row;

        if (value == '?')
            return refused(&syntax, argv[optind - 1], err);
        row = syntax_row(&syntax, value == ':' ? optopt : value);
        if (value == ':')
            return lacks_value(&syntax, row, err);
        r = options_add(options, row, optarg, err);
        if (r < 0)
            return r;
    }
    *ret_word = optind;
    return 0;
}

void options_finish(struct options *options)
{
    vec_finish(options);
}

bool options_has(const struct options *options, enum option_id id)
{
    for (size_t i = 0; i < options->n; i++)
        if (options->items[i].id == id)
            return true;
    return false;
}

const char *options_text(const struct options *options, enum option_id id)
{
    for (size_t i = options->n; i > 0; i--)
        if (options->items[i - 1].id == id)
            return options->items[i - 1].text;
    return NULL;
}

static void row_help(FILE *out, const struct option_row *row)
{
    int used;

    if (row->letter)
        used = fprintf(out, "  -%c, --%s", row->letter, row->name);
    else
        used = fprintf(out, "      --%s", row->name);
    if (row->arg)
        used += fprintf(out, " %s", row->arg);
    if (used > HELP_COLUMN - 2) {
        fputc('\n', out);
        used = 0;
    }
    for (const char *line = row->help; line;) {
        size_t length = strcspn(line, "\n");

        fprintf(out, "%*s%.*s\n", HELP_COLUMN - used, "", (int)length, line);
        used = 0;
        line = line[length] ? line + length + 1 : NULL;
    }
}

void option_table_help(FILE *out, const struct option_table *table,
                       const struct option_table *except)
{
    for (size_t i = 0; i < table->n; i++)
        if (!option_table_find(except, table->rows[i].id))
            row_help(out, &table->rows[i]);
}
