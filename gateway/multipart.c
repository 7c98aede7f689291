// SPDX-License-Identifier: Apache-2.0
#include "gateway/multipart.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum state { PREAMBLE, AFTER_DELIMITER, HEADERS, BODY, DONE, FAILED };

// The end of a quoted string that begins at `s`: its closing quote, or the end of the text.
static const char *quote_end(const char *s)
{
    for (s++; *s && *s != '"'; s++)
        if (*s == '\\' && (s[1] == '"' || s[1] == '\\'))
            s++;
    return s;
}

// The value of a parameter `name=value` or `name="value"`, as it is written; NULL when it is
// absent.
static const char *find_param(const char *value, const char *name)
{
    size_t name_len = strlen(name);
    for (const char *s = value; *s;) {
        s += strcspn(s, ";\"");
        if (*s == '"') {
            s = quote_end(s);
            s += *s == '"';
            continue;
        }
        if (*s == '\0')
            break;
        s += 1 + strspn(s + 1, " \t");
        if (strncasecmp(s, name, name_len) == 0 && s[name_len] == '=')
            return s + name_len + 1;
    }
    return NULL;
}

enum param { PARAM_ABSENT, PARAM_FOUND, PARAM_BAD };

// Reads a parameter; PARAM_BAD when it is not closed or does not fit.
static enum param header_param(const char *value, const char *name, char *ret_text, size_t size)
{
    const char *s = find_param(value, name);
    if (!s)
        return PARAM_ABSENT;
    bool quoted = *s == '"';
    const char *end = quoted ? quote_end(s) : s + strcspn(s, "; \t");
    size_t n = 0;
    if (quoted && *end != '"')
        return PARAM_BAD;
    for (s += quoted; s < end; s++) {
        if (quoted && *s == '\\' && (s[1] == '"' || s[1] == '\\'))
            s++;
        if (n + 1 >= size)
            return PARAM_BAD;
        ret_text[n++] = *s;
    }
    ret_text[n] = '\0';
    return PARAM_FOUND;
}

static bool boundary_is_valid(const char *boundary)
{
    size_t len = strlen(boundary);
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)boundary[i]) && !strchr("'()+_,-./:=? ", boundary[i]))
            return false;
    return len > 0 && boundary[len - 1] != ' ';
}

bool multipart_init(struct multipart *parser, const char *content_type)
{
    char boundary[MULTIPART_MAX_BOUNDARY + 1];
    memset(parser, 0, sizeof(*parser));
    if (strncasecmp(content_type, "multipart/form-data", 19) != 0 ||
        !strchr("; \t", content_type[19]) ||
        header_param(content_type, "boundary", boundary, sizeof(boundary)) != PARAM_FOUND ||
        !boundary_is_valid(boundary))
        return false;
    memcpy(parser->delimiter, "\r\n--", 4);
    memcpy(parser->delimiter + 4, boundary, strlen(boundary) + 1);
    parser->delimiter_len = 4 + strlen(boundary);
    // The first delimiter may stand at the very start, where no CRLF comes before it.
    parser->matched = 2;
    parser->state = PREAMBLE;
    return true;
}

static enum multipart_event fail(struct multipart *parser, const char *error)
{
    parser->state = FAILED;
    parser->error = error;
    return MULTIPART_ERROR;
}

// Feeds one byte to the delimiter matcher. The delimiter starts with the only CR in it (a boundary
// holds none), so after a mismatch a match can only begin anew at this byte.
static bool match_byte(struct multipart *parser, char c)
{
    if (c == parser->delimiter[parser->matched]) {
        parser->matched++;
        return true;
    }
    return false;
}

static void delimiter_done(struct multipart *parser)
{
    parser->state = AFTER_DELIMITER;
    parser->matched = parser->virtual = 0;
    parser->line_len = 0;
}

static size_t skip_preamble(struct multipart *parser, const char *input, size_t len)
{
    size_t i = 0;
    while (i < len && parser->state == PREAMBLE) {
        if (!match_byte(parser, input[i]))
            parser->matched = input[i] == '\r';
        i++;
        if (parser->matched == parser->delimiter_len)
            delimiter_done(parser);
    }
    return i;
}

// Gives up a match: the bytes that had matched become data, but for those never received. False
// when there are none.
static bool release_held(struct multipart *parser)
{
    parser->data = parser->delimiter + parser->virtual;
    parser->data_len = parser->matched - parser->virtual;
    parser->matched = parser->virtual = 0;
    return parser->data_len > 0;
}

// Emits what comes before the delimiter. Bytes that began to match and then did not are data too:
// they are the delimiter's own beginning, so they need no store.
static enum multipart_event read_body(struct multipart *parser, const char *input, size_t len,
                                      size_t *ret_used)
{
    size_t i = 0;
    while (i < len) {
        if (match_byte(parser, input[i])) {
            i++;
            if (parser->matched < parser->delimiter_len)
                continue;
            delimiter_done(parser);
            parser->part_open = false;
            *ret_used = i;
            return MULTIPART_PART_END;
        }
        if (release_held(parser)) {
            *ret_used = i;
            return MULTIPART_DATA;
        }
        if (input[i] == '\r')
            continue;
        const char *cr = memchr(input + i, '\r', len - i);
        size_t end = cr ? (size_t)(cr - input) : len;
        parser->data = input + i;
        parser->data_len = end - i;
        *ret_used = end;
        return MULTIPART_DATA;
    }
    *ret_used = i;
    return MULTIPART_NEED_MORE;
}

// Gathers a line up to CRLF. 1: complete (without CRLF, terminated); 0: more needed; -1: malformed.
static int read_line(struct multipart *parser, const char *input, size_t len, size_t *ret_used)
{
    size_t i = 0;
    while (i < len) {
        char c = input[i++];
        *ret_used = i;
        if (c == '\n') {
            if (parser->line_len == 0 || parser->line[parser->line_len - 1] != '\r')
                return -1;
            parser->line[--parser->line_len] = '\0';
            return strlen(parser->line) == parser->line_len ? 1 : -1;
        }
        if (parser->line_len + 1 >= sizeof(parser->line) ||
            ++parser->header_bytes > MULTIPART_MAX_HEADER_BYTES)
            return -1;
        parser->line[parser->line_len++] = c;
    }
    *ret_used = i;
    return 0;
}

static enum multipart_event end_delimiter_line(struct multipart *parser)
{
    const char *rest = parser->line;
    if (rest[strspn(rest, " \t")] != '\0')
        return fail(parser, "A boundary line carries more than the boundary.");
    if (++parser->n_parts > MULTIPART_MAX_PARTS)
        return fail(parser, "The form has more than 32 parts.");
    parser->state = HEADERS;
    parser->line_len = 0;
    parser->header_bytes = 0;
    parser->name[0] = parser->filename[0] = '\0';
    parser->has_filename = false;
    return MULTIPART_NEED_MORE;
}

static enum multipart_event after_delimiter(struct multipart *parser, const char *input, size_t len,
                                            size_t *ret_used)
{
    parser->header_bytes = 0;
    // "--" right after the delimiter closes the form; no CRLF needs to follow.
    while (parser->line_len < 2 && *ret_used < len && input[*ret_used] == '-') {
        if (parser->line_len == 1 && parser->line[0] != '-')
            break;
        parser->line[parser->line_len++] = '-';
        *ret_used += 1;
        if (parser->line_len == 2) {
            parser->state = DONE;
            return MULTIPART_END;
        }
    }
    size_t used = 0;
    int rc = read_line(parser, input + *ret_used, len - *ret_used, &used);
    *ret_used += used;
    if (rc < 0)
        return fail(parser, "A boundary line does not end in CRLF.");
    return rc == 0 ? MULTIPART_NEED_MORE : end_delimiter_line(parser);
}

// What is wrong with the disposition, or NULL.
static const char *take_disposition(struct multipart *parser)
{
    const char *value = parser->line + 20 + strspn(parser->line + 20, " \t");
    char filename[1024];
    if (strncasecmp(value, "form-data", 9) != 0 || !strchr("; \t", value[9]) ||
        header_param(value, "name", parser->name, sizeof(parser->name)) != PARAM_FOUND)
        return "A part's Content-Disposition is malformed.";
    enum param found = header_param(value, "filename", filename, sizeof(filename));
    parser->has_filename = found == PARAM_FOUND;
    if (found == PARAM_ABSENT)
        return NULL;
    // Some clients send a path; only its last component is a name.
    const char *base = filename;
    for (const char *s = filename; found == PARAM_FOUND && *s; s++)
        if (*s == '/' || *s == '\\')
            base = s + 1;
    if (found == PARAM_BAD || strlen(base) >= sizeof(parser->filename))
        return "A part's file name is not closed, or longer than 255 bytes.";
    memcpy(parser->filename, base, strlen(base) + 1);
    return NULL;
}

static enum multipart_event end_header_line(struct multipart *parser)
{
    if (parser->line_len == 0) {
        if (!parser->part_open)
            return fail(parser, "A part has no Content-Disposition: form-data with a name.");
        parser->state = BODY;
        // An empty part's delimiter may follow the header's own CRLF.
        parser->matched = parser->virtual = 2;
        return MULTIPART_PART;
    }
    if (strncasecmp(parser->line, "Content-Disposition:", 20) == 0) {
        const char *flaw = parser->part_open ? "A part has two Content-Disposition headers."
                                             : take_disposition(parser);
        if (flaw)
            return fail(parser, flaw);
        parser->part_open = true;
    }
    parser->line_len = 0;
    return MULTIPART_NEED_MORE;
}

static enum multipart_event read_headers(struct multipart *parser, const char *input, size_t len,
                                         size_t *ret_used)
{
    size_t used = 0;
    int rc = read_line(parser, input + *ret_used, len - *ret_used, &used);
    *ret_used += used;
    if (rc < 0)
        return fail(parser, "A part's header is malformed or longer than 8192 bytes.");
    return rc == 0 ? MULTIPART_NEED_MORE : end_header_line(parser);
}

enum multipart_event multipart_next(struct multipart *parser, const char *input, size_t len,
                                    size_t *ret_used)
{
    enum multipart_event event = MULTIPART_NEED_MORE;
    *ret_used = 0;
    if (parser->state == FAILED)
        return MULTIPART_ERROR;
    if (parser->state == PREAMBLE)
        *ret_used = skip_preamble(parser, input, len);
    while (event == MULTIPART_NEED_MORE && *ret_used < len) {
        size_t used = 0;
        switch (parser->state) {
        case AFTER_DELIMITER:
            event = after_delimiter(parser, input, len, ret_used);
            break;
        case HEADERS:
            event = read_headers(parser, input, len, ret_used);
            break;
        case BODY:
            event = read_body(parser, input + *ret_used, len - *ret_used, &used);
            *ret_used += used;
            break;
        default:
            *ret_used = len;
            break;
        }
    }
    return event;
}
