// SPDX-License-Identifier: Apache-2.0
#include "libcommon/core/config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "libcommon/core/err.h"

extern char **environ;

static const char env_prefix[] = "REEL_";

enum { FLAG_SIZE = 80 };

struct loader {
    const char *program;
    const struct reel_config_item *items;
    size_t n_items;
    void *settings;
    bool failed;
};

// "REEL_GATEWAY_PORT" and "DATABASE_URL" become "--gateway-port" and "--database-url".
static void flag_of(const char *name, char ret_flag[FLAG_SIZE])
{
    const char *s = name;
    size_t n = 2;

    if (strncmp(s, env_prefix, sizeof(env_prefix) - 1) == 0)
        s += sizeof(env_prefix) - 1;
    memcpy(ret_flag, "--", 2);
    for (; *s && n + 1 < FLAG_SIZE; s++)
        ret_flag[n++] = *s == '_' ? '-' : (char)tolower((unsigned char)*s);
    ret_flag[n] = '\0';
}

static void *field_of(const struct reel_config_item *item, const void *settings)
{
    return (char *)(uintptr_t)settings + item->offset;
}

static bool has_range(const struct reel_config_item *item)
{
    return item->min != 0 || item->max != 0;
}

static void complain(struct loader *l, const struct reel_config_item *item, const char *value,
                     const char *allowed)
{
    char flag[FLAG_SIZE];

    flag_of(item->name, flag);
    fprintf(stderr, "%s: %s (%s) is \"%s\", but must be %s\n", l->program, item->name, flag,
            item->secret ? "***" : value, allowed);
    l->failed = true;
}

static void set_int(struct loader *l, const struct reel_config_item *item, const char *value)
{
    const char *space = *item->unit ? " " : "";
    char allowed[128];
    char *end;

    errno = 0;
    long long n = strtoll(value, &end, 10);
    bool is_number =
        end != value && *end == '\0' && errno == 0 && !isspace((unsigned char)value[0]);
    if (is_number && (!has_range(item) || (n >= item->min && n <= item->max))) {
        *(int64_t *)field_of(item, l->settings) = n;
        return;
    }
    if (has_range(item))
        snprintf(allowed, sizeof(allowed), "a whole number from %" PRId64 " to %" PRId64 "%s%s",
                 item->min, item->max, space, item->unit);
    else
        snprintf(allowed, sizeof(allowed), "a whole number%s%s", space, item->unit);
    complain(l, item, value, allowed);
}

static void set_bool(struct loader *l, const struct reel_config_item *item, const char *value)
{
    static const char *const words[][2] = {
        {"false", "true"}, {"no", "yes"}, {"off", "on"}, {"0", "1"}};

    for (size_t i = 0; i < REEL_ARRAY_SIZE(words); i++) {
        for (int truth = 0; truth < 2; truth++) {
            if (strcasecmp(value, words[i][truth]) == 0) {
                *(bool *)field_of(item, l->settings) = truth;
                return;
            }
        }
    }
    complain(l, item, value, "true or false (yes/no, on/off, 1/0)");
}

static bool is_listed(const char *list, const char *value)
{
    size_t len = strlen(value);

    for (const char *s = list; *s; s += strspn(s, ", ")) {
        size_t word_len = strcspn(s, ",");

        if (word_len == len && memcmp(s, value, len) == 0)
            return true;
        s += word_len;
    }
    return false;
}

static void set_string(struct loader *l, const struct reel_config_item *item, const char *value)
{
    char allowed[128];

    if (!item->allowed || is_listed(item->allowed, value)) {
        *(const char **)field_of(item, l->settings) = value;
        return;
    }
    snprintf(allowed, sizeof(allowed), "one of %s", item->allowed);
    complain(l, item, value, allowed);
}

static void set(struct loader *l, const struct reel_config_item *item, const char *value)
{
    switch (item->type) {
    case REEL_CONFIG_STRING:
        set_string(l, item, value);
        break;
    case REEL_CONFIG_INT:
        set_int(l, item, value);
        break;
    case REEL_CONFIG_BOOL:
        set_bool(l, item, value);
        break;
    }
}

static bool is_known_variable(const struct loader *l, const char *name, size_t len)
{
    for (size_t i = 0; i < l->n_items; i++) {
        if (strncmp(l->items[i].name, name, len) == 0 && l->items[i].name[len] == '\0')
            return true;
    }
    return false;
}

static void refuse_unknown_variables(struct loader *l)
{
    for (char **e = environ; e && *e; e++) {
        size_t len = strcspn(*e, "=");

        if (strncmp(*e, env_prefix, sizeof(env_prefix) - 1) != 0 || is_known_variable(l, *e, len))
            continue;
        fprintf(stderr, "%s: unknown setting %.*s in the environment; --help lists all settings\n",
                l->program, (int)len, *e);
        l->failed = true;
    }
}

static const struct reel_config_item *find_flag(const struct loader *l, const char *arg, size_t len)
{
    char flag[FLAG_SIZE];

    for (size_t i = 0; i < l->n_items; i++) {
        flag_of(l->items[i].name, flag);
        if (strlen(flag) == len && strncmp(flag, arg, len) == 0)
            return &l->items[i];
    }
    return NULL;
}

// Reads the flag at argv[i] and returns the index after it and its value.
static int read_flag(struct loader *l, int i, int argc, char **argv, const char **values)
{
    size_t len = strcspn(argv[i], "=");
    const struct reel_config_item *item = find_flag(l, argv[i], len);

    if (!item) {
        fprintf(stderr, "%s: unknown flag %.*s; --help lists all settings\n", l->program, (int)len,
                argv[i]);
        l->failed = true;
        return i + 1;
    }
    if (argv[i][len] == '=') {
        values[item - l->items] = argv[i] + len + 1;
        return i + 1;
    }
    if (item->type == REEL_CONFIG_BOOL) {
        values[item - l->items] = "true";
        return i + 1;
    }
    if (i + 1 == argc) {
        fprintf(stderr, "%s: %s needs a value: %s=VALUE\n", l->program, argv[i], argv[i]);
        l->failed = true;
        return i + 1;
    }
    values[item - l->items] = argv[i + 1];
    return i + 2;
}

static int read_flags(struct loader *l, int argc, char **argv, const char **values)
{
    int i = 1;

    while (i < argc && strncmp(argv[i], "--", 2) == 0) {
        if (argv[i][2] == '\0')
            return i + 1;
        i = read_flag(l, i, argc, argv, values);
    }
    return i;
}

static const char *default_word(const struct reel_config_item *item)
{
    return item->default_text ? item->default_text : "(must be set)";
}

static void print_help(const struct loader *l, const char *purpose)
{
    char flag[FLAG_SIZE];

    printf("%s: %s\n\nUsage: %s [--flag=value ...]\n\n"
           "Every setting is a flag and an environment variable; the flag wins.\n\n",
           l->program, purpose, l->program);
    for (size_t i = 0; i < l->n_items; i++) {
        const struct reel_config_item *item = &l->items[i];

        flag_of(item->name, flag);
        printf("  %s, %s\n      %s\n      default: %s", flag, item->name, item->help,
               default_word(item));
        if (item->type == REEL_CONFIG_INT && *item->unit)
            printf(" %s", item->unit);
        if (item->type == REEL_CONFIG_INT && has_range(item))
            printf("; from %" PRId64 " to %" PRId64, item->min, item->max);
        if (item->allowed)
            printf("; one of %s", item->allowed);
        putchar('\n');
    }
    printf("  --help\n      show this\n");
}

static bool has_flag(int argc, char **argv, const char *flag)
{
    for (int i = 1; i < argc && strncmp(argv[i], "-", 1) == 0; i++) {
        if (strcmp(argv[i], "--") == 0)
            return false;
        if (strcmp(argv[i], flag) == 0)
            return true;
    }
    return false;
}

// An empty variable counts as not set: compose files and shells leave them behind.
static const char *env_value(const char *name)
{
    const char *value = getenv(name);

    return value && *value ? value : NULL;
}

static void apply(struct loader *l, const char *const *flag_values)
{
    char flag[FLAG_SIZE];

    for (size_t i = 0; i < l->n_items; i++) {
        const struct reel_config_item *item = &l->items[i];
        const char *value = flag_values[i] ? flag_values[i] : env_value(item->name);

        if (!value)
            value = item->default_text;
        if (value) {
            set(l, item, value);
            continue;
        }
        flag_of(item->name, flag);
        fprintf(stderr, "%s: %s (%s) must be set: %s\n", l->program, item->name, flag, item->help);
        l->failed = true;
    }
}

int reel_config_load(const char *program, const char *purpose, const struct reel_config_item *items,
                     size_t n_items, void *settings, int argc, char **argv, int *ret_rest)
{
    struct loader l = {
        .program = program, .items = items, .n_items = n_items, .settings = settings};

    if (has_flag(argc, argv, "--help") || has_flag(argc, argv, "-h")) {
        print_help(&l, purpose);
        return REEL_CANCELLED;
    }
    if (has_flag(argc, argv, "--help-markdown")) {
        reel_config_markdown(stdout, items, n_items);
        return REEL_CANCELLED;
    }

    REEL_AUTO(reel_freep) const char **values = calloc(n_items + 1, sizeof(*values));
    if (!values)
        return -ENOMEM;
    int rest = read_flags(&l, argc, argv, values);
    if (!ret_rest && rest < argc) {
        fprintf(stderr, "%s: unexpected argument \"%s\"; --help lists all settings\n", program,
                argv[rest]);
        l.failed = true;
    }
    refuse_unknown_variables(&l);
    apply(&l, values);
    if (l.failed)
        return REEL_INVALID_ARGUMENT;
    if (ret_rest)
        *ret_rest = rest;
    return REEL_OK;
}

void reel_config_dump(FILE *out, const struct reel_config_item *items, size_t n_items,
                      const void *settings)
{
    for (size_t i = 0; i < n_items; i++) {
        const struct reel_config_item *item = &items[i];
        const void *field = field_of(item, settings);

        if (item->secret)
            fprintf(out, "%s=***\n", item->name);
        else if (item->type == REEL_CONFIG_INT)
            fprintf(out, "%s=%" PRId64 "\n", item->name, *(const int64_t *)field);
        else if (item->type == REEL_CONFIG_BOOL)
            fprintf(out, "%s=%s\n", item->name, *(const bool *)field ? "true" : "false");
        else
            fprintf(out, "%s=%s\n", item->name, *(const char *const *)field);
    }
}

void reel_config_markdown(FILE *out, const struct reel_config_item *items, size_t n_items)
{
    static const char *const types[] = {"string", "integer", "boolean"};
    char flag[FLAG_SIZE];

    fprintf(out, "| name | flag | type | default | range | help |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < n_items; i++) {
        const struct reel_config_item *item = &items[i];

        flag_of(item->name, flag);
        fprintf(out, "| %s | %s | %s | ", item->name, flag, types[item->type]);
        if (!item->default_text)
            fprintf(out, "must be set | ");
        else
            fprintf(out, "`%s` | ", item->default_text);
        if (item->type == REEL_CONFIG_INT && has_range(item))
            fprintf(out, "%" PRId64 " to %" PRId64 "%s%s", item->min, item->max,
                    *item->unit ? " " : "", item->unit);
        if (item->allowed)
            fprintf(out, "%s", item->allowed);
        fprintf(out, " | %s |\n", item->help);
    }
}
