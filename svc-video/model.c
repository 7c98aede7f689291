// SPDX-License-Identifier: Apache-2.0
#include "svc-video/model.h"

#include <stdio.h>
#include <string.h>

#include "libcommon/core/utf8.h"

// Control characters, and those that turn the direction of text: they make a name look like
// another one.
static bool is_unwanted(uint32_t c)
{
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0x2028 || c == 0x2029 || c == 0xfeff;
}

static void trim(const char **s, size_t *len)
{
    while (*len > 0 && (*s)[0] == ' ') {
        ++*s;
        --*len;
    }
    while (*len > 0 && (*s)[*len - 1] == ' ')
        --*len;
}

static const char *clean(struct reel_arena *arena, const char *name, size_t len)
{
    char *out = reel_arena_alloc(arena, len + 1);
    size_t n = 0;

    if (!out)
        return NULL;
    while (len > 0) {
        uint32_t c;
        size_t char_len = reel_utf8_decode(name, len, &c);

        // Malformed bytes do not pass the dispatcher; should one, it is dropped.
        size_t step = char_len ? char_len : 1;
        if (char_len && !is_unwanted(c)) {
            memcpy(out + n, name, step);
            n += step;
        }
        name += step;
        len -= step;
    }

    const char *start = out;
    trim(&start, &n);
    n = reel_utf8_cut(start, n, MODEL_NAME_MAX);
    trim(&start, &n);
    return reel_arena_strndup(arena, start, reel_utf8_is_blank(start, n) ? 0 : n);
}

const char *model_clean_name(struct reel_arena *arena, const char *name)
{
    return clean(arena, name, strlen(name));
}

const char *model_name_of_file(struct reel_arena *arena, const char *filename)
{
    const char *base = filename;
    const char *name;
    const char *dot;

    for (const char *c = filename; *c; c++)
        if (*c == '/' || *c == '\\')
            base = c + 1;
    dot = strrchr(base, '.');
    name = clean(arena, base, dot ? (size_t)(dot - base) : strlen(base));
    return name && !*name ? "video" : name;
}

const char *model_content_type(const char *extension)
{
    static const struct {
        const char *extension;
        const char *type;
    } types[] = {
        {"3gp", "video/3gpp"},     {"aac", "audio/aac"},        {"avi", "video/x-msvideo"},
        {"flv", "video/x-flv"},    {"jpg", "image/jpeg"},       {"m4a", "audio/mp4"},
        {"m4v", "video/mp4"},      {"mkv", "video/x-matroska"}, {"mov", "video/quicktime"},
        {"mp3", "audio/mpeg"},     {"mp4", "video/mp4"},        {"mpg", "video/mpeg"},
        {"ogg", "video/ogg"},      {"ogv", "video/ogg"},        {"opus", "audio/ogg"},
        {"ts", "video/mp2t"},      {"wav", "audio/wav"},        {"webm", "video/webm"},
        {"wmv", "video/x-ms-wmv"},
    };

    for (size_t i = 0; i < REEL_ARRAY_SIZE(types); i++)
        if (strcmp(types[i].extension, extension) == 0)
            return types[i].type;
    return "application/octet-stream";
}

const char *model_status_of_job(const char *job_state)
{
    static const struct {
        const char *state;
        const char *status;
    } states[] = {
        {"waiting", "pending"},          {"delayed", "pending"}, {"prioritized", "pending"},
        {"waiting-children", "pending"}, {"paused", "pending"},  {"active", "processing"},
        {"completed", "completed"},      {"failed", "failed"},   {"cancelled", "cancelled"},
    };

    for (size_t i = 0; i < REEL_ARRAY_SIZE(states); i++)
        if (strcmp(states[i].state, job_state) == 0)
            return states[i].status;
    return NULL;
}

// pending -> processing -> completed | failed; cancelled from either. A job that stalled or is
// tried again goes back to pending, also after it had failed or been cancelled. A subscriber that
// was away sees steps left out, so any later state may follow directly.
static const struct {
    const char *from;
    const char *to[6];
} transitions[] = {
    {"pending", {"pending", "processing", "completed", "failed", "cancelled"}},
    {"processing", {"pending", "processing", "completed", "failed", "cancelled"}},
    {"failed", {"pending", "processing", "completed", "failed", "cancelled"}},
    {"cancelled", {"pending", "processing", "completed", "failed", "cancelled"}},
    {"completed", {NULL}},
};

bool model_status_may_follow(const char *from, const char *to)
{
    for (size_t i = 0; i < REEL_ARRAY_SIZE(transitions); i++) {
        if (strcmp(transitions[i].from, from) != 0)
            continue;
        for (const char *const *next = transitions[i].to; *next; next++)
            if (strcmp(*next, to) == 0)
                return true;
    }
    return false;
}

const char *model_status_predecessors(struct reel_arena *arena, const char *status)
{
    const char *list = "";

    for (size_t i = 0; i < REEL_ARRAY_SIZE(transitions) && list; i++)
        if (model_status_may_follow(transitions[i].from, status))
            list = reel_arena_printf(arena, "%s%s%s", list, *list ? "," : "", transitions[i].from);
    return list ? reel_arena_printf(arena, "{%s}", list) : NULL;
}

enum { CURSOR_TIME_HEX = 16, CURSOR_ID_HEX = 32, CURSOR_CHECK_HEX = 16, CURSOR_VERSION_HEX = 2 };

static const char CURSOR_VERSION[] = "01";

// FNV-1a over the user and the cursor's body. It only tells a foreign or mangled cursor from a good
// one: what a list shows is decided by the owner in the query.
static uint64_t cursor_check(const char *user_id, const char *body, size_t body_len)
{
    uint64_t hash = 0xcbf29ce484222325;

    for (const char *c = user_id; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3;
    for (size_t i = 0; i < body_len; i++)
        hash = (hash ^ (unsigned char)body[i]) * 0x100000001b3;
    return hash;
}

void model_cursor_encode(const char *user_id, int64_t created_at_us, const char *video_id,
                         char ret_cursor[MODEL_CURSOR_SIZE])
{
    int n = snprintf(ret_cursor, MODEL_CURSOR_SIZE, "%s%016llx", CURSOR_VERSION,
                     (unsigned long long)created_at_us);
    size_t len = (size_t)n;

    for (const char *c = video_id; *c && len < MODEL_CURSOR_SIZE - CURSOR_CHECK_HEX - 1; c++)
        if (*c != '-')
            ret_cursor[len++] = *c;
    snprintf(ret_cursor + len, MODEL_CURSOR_SIZE - len, "%016llx",
             (unsigned long long)cursor_check(user_id, ret_cursor, len));
}

static bool read_hex(const char *s, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (int i = 0; i < 16; i++) {
        const char *digits = "0123456789abcdef";
        const char *digit = s[i] ? strchr(digits, s[i]) : NULL;

        if (!digit)
            return false;
        value = value << 4 | (uint64_t)(digit - digits);
    }
    *ret_value = value;
    return true;
}

bool model_cursor_decode(const char *user_id, const char *cursor, int64_t *ret_created_at_us,
                         char ret_video_id[37])
{
    const char *id = cursor + CURSOR_VERSION_HEX + CURSOR_TIME_HEX;
    uint64_t created_at_us, check, half;

    if (strlen(cursor) != MODEL_CURSOR_SIZE - 1 ||
        strncmp(cursor, CURSOR_VERSION, CURSOR_VERSION_HEX) != 0)
        return false;
    if (!read_hex(cursor + CURSOR_VERSION_HEX, &created_at_us) || !read_hex(id, &half) ||
        !read_hex(id + CURSOR_ID_HEX / 2, &half) || !read_hex(id + CURSOR_ID_HEX, &check))
        return false;
    if (check != cursor_check(user_id, cursor, (size_t)(id - cursor) + CURSOR_ID_HEX))
        return false;
    snprintf(ret_video_id, 37, "%.8s-%.4s-%.4s-%.4s-%.12s", id, id + 8, id + 12, id + 16, id + 20);
    *ret_created_at_us = (int64_t)created_at_us;
    return true;
}
