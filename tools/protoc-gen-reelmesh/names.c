// SPDX-License-Identifier: Apache-2.0
#include "tools/protoc-gen-reelmesh/names.h"

#include <ctype.h>
#include <string.h>

static const char *const keywords[] = {
    "auto",     "break",  "case",   "char",   "const",    "continue", "default",  "do",
    "double",   "else",   "enum",   "extern", "float",    "for",      "goto",     "if",
    "inline",   "int",    "long",   "return", "register", "restrict", "short",    "signed",
    "sizeof",   "static", "struct", "switch", "typedef",  "union",    "unsigned", "void",
    "volatile", "while",  "typeof", "asm",    "bool",     "true",     "false",
};

// Each piece at most doubles: an underscore before every capital, two for a dot.
static char *scratch(struct reel_arena *arena, const char *name)
{
    char *out = reel_arena_zalloc(arena, 2 * strlen(name) + 1);

    if (out == NULL)
        abort();
    return out;
}

// protoc-c's rule: an underscore before a capital that does not follow a capital.
static size_t append_lower(char *out, size_t n, const char *name, size_t len)
{
    bool was_upper = true;

    for (size_t i = 0; i < len; i++) {
        bool is_upper = isupper((unsigned char)name[i]);

        if (is_upper && !was_upper)
            out[n++] = '_';
        out[n++] = (char)tolower((unsigned char)name[i]);
        was_upper = is_upper;
    }
    return n;
}

static size_t append_camel(char *out, size_t n, const char *name, size_t len)
{
    bool next_is_upper = true;

    for (size_t i = 0; i < len; i++) {
        if (name[i] == '_') {
            next_is_upper = true;
            continue;
        }
        out[n++] = (char)(next_is_upper ? toupper((unsigned char)name[i]) : name[i]);
        next_is_upper = false;
    }
    return n;
}

typedef size_t (*append_fn)(char *out, size_t n, const char *name, size_t len);

static char *join_pieces(struct reel_arena *arena, const char *full_name, append_fn append)
{
    char *out = scratch(arena, full_name);
    size_t n = 0;

    full_name += full_name[0] == '.';
    while (*full_name != '\0') {
        size_t len = strcspn(full_name, ".");

        n = append(out, n, full_name, len);
        full_name += len;
        if (*full_name == '.') {
            out[n++] = '_';
            out[n++] = '_';
            full_name++;
        }
    }
    return out;
}

char *names_lower(struct reel_arena *arena, const char *camel)
{
    char *out = scratch(arena, camel);

    append_lower(out, 0, camel, strlen(camel));
    return out;
}

char *names_upper(struct reel_arena *arena, const char *camel)
{
    char *out = names_lower(arena, camel);

    for (char *p = out; *p != '\0'; p++)
        *p = (char)toupper((unsigned char)*p);
    return out;
}

char *names_c_type(struct reel_arena *arena, const char *full_name)
{
    return join_pieces(arena, full_name, append_camel);
}

char *names_c_prefix(struct reel_arena *arena, const char *full_name)
{
    return join_pieces(arena, full_name, append_lower);
}

char *names_safe(struct reel_arena *arena, const char *name)
{
    for (size_t i = 0; i < REEL_ARRAY_SIZE(keywords); i++)
        if (strcmp(name, keywords[i]) == 0)
            return reel_arena_printf(arena, "%s_", name);
    return reel_arena_strdup(arena, name);
}

char *names_package(struct reel_arena *arena, const char *package)
{
    char *out = reel_arena_strdup(arena, package);

    for (char *p = out; *p != '\0'; p++)
        if (*p == '.')
            *p = '_';
    return out;
}
