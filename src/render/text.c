/* SPDX-License-Identifier: MIT */
#include "connhist/render/text.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "text_char.h"

/* Whether the text has what we write for a byte. Of what can be printed only the backslash is ever
 * written so: "\x2d", which is in names of systemd's units, is no imitation. */
static bool imitates_escape(const char *text)
{
    static const char digits[] = "0123456789abcdef";
    const char *high, *low;
    size_t byte;

    if (text[0] != '\\' || text[1] != 'x' || !text[2] || !text[3])
        return false;
    high = strchr(digits, tolower((unsigned char)text[2]));
    low = strchr(digits, tolower((unsigned char)text[3]));
    if (!high || !low)
        return false;
    byte = (size_t)(high - digits) * 16 + (size_t)(low - digits);
    return byte < ' ' || byte > '~' || byte == '\\';
}

bool text_is_escaped(const char *text, struct utf8 c)
{
    return !c.valid || utf8_is_control(c.code) || imitates_escape(text);
}

static void write_hex(FILE *out, const char *bytes, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        fprintf(out, "\\x%02x", (unsigned)(uint8_t)bytes[i]);
}

void text_write_char(FILE *out, const char *text, struct utf8 c)
{
    if (text_is_escaped(text, c))
        write_hex(out, text, c.bytes);
    else
        fwrite(text, 1, c.bytes, out);
}

void text_for_terminal(FILE *out, const char *text)
{
    for (struct utf8 c; *text; text += c.bytes) {
        c = utf8_read(text);
        text_write_char(out, text, c);
    }
}

static void write_json_char(FILE *out, const char *text, struct utf8 c)
{
    static const char short_forms[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    const char *form = NULL;

    if (!c.valid) {
        fputs("\\ufffd", out);
        return;
    }
    for (const char *p = short_forms; *p && !form; p += 2)
        if (c.code == (uint8_t)*p)
            form = p + 1;
    if (form)
        fprintf(out, "\\%c", *form);
    else if (utf8_is_control(c.code))
        fprintf(out, "\\u%04" PRIx32, c.code);
    else
        fwrite(text, 1, c.bytes, out);
}

void text_for_json(FILE *out, const char *text)
{
    putc('"', out);
    for (struct utf8 c; *text; text += c.bytes) {
        c = utf8_read(text);
        write_json_char(out, text, c);
    }
    putc('"', out);
}

/* The characters that begin a formula, also in their full-width forms. */
static bool begins_formula(const char *text)
{
    static const uint32_t beginnings[] = {'=',  '+',    '-',    '@',    '\t',  '\r',
                                          '\n', 0xff1d, 0xff0b, 0xff0d, 0xff20};
    struct utf8 c;

    if (!*text)
        return false;
    c = utf8_read(text);
    for (size_t i = 0; c.valid && i < sizeof(beginnings) / sizeof(beginnings[0]); i++)
        if (c.code == beginnings[i])
            return true;
    return false;
}

static void write_csv_char(FILE *out, const char *text, struct utf8 c)
{
    if (!c.valid)
        fputs("\xef\xbf\xbd", out);
    else if (c.code == '"')
        fputs("\"\"", out);
    else if (utf8_is_control(c.code) && c.code != '\t' && c.code != '\r' && c.code != '\n')
        write_hex(out, text, c.bytes);
    else
        fwrite(text, 1, c.bytes, out);
}

void text_for_csv(FILE *out, const char *text)
{
    size_t length = strlen(text);
    bool quoted = strpbrk(text, ",\"\r\n") != NULL || text[0] == ' ' ||
                  (length > 0 && text[length - 1] == ' ');

    if (quoted)
        putc('"', out);
    if (begins_formula(text))
        putc('\'', out);
    for (struct utf8 c; *text; text += c.bytes) {
        c = utf8_read(text);
        write_csv_char(out, text, c);
    }
    if (quoted)
        putc('"', out);
}
