// SPDX-License-Identifier: Apache-2.0
#include "gateway/guard.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "gateway/uri.h"

struct framing {
    const struct guard_header *host;
    const struct guard_header *length;
    const struct guard_header *encoding;
    const struct guard_header *expect;
    bool repeated;
};

static bool is_token_char(unsigned char c)
{
    return isalnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool header_is_clean(const struct guard_header *h)
{
    if (h->name_len == 0)
        return false;
    for (size_t i = 0; i < h->name_len; i++)
        if (!is_token_char((unsigned char)h->name[i]))
            return false;
    for (size_t i = 0; i < h->value_len; i++) {
        unsigned char c = (unsigned char)h->value[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool header_is(const struct guard_header *h, const char *name)
{
    return strlen(name) == h->name_len && strncasecmp(h->name, name, h->name_len) == 0;
}

static void note(const struct guard_header *h, const struct guard_header **slot,
                 struct framing *framing)
{
    framing->repeated = framing->repeated || *slot;
    *slot = h;
}

static void collect_framing(const struct guard_request *req, struct framing *ret_framing)
{
    for (size_t i = 0; i < req->n_headers; i++) {
        const struct guard_header *h = &req->headers[i];
        if (header_is(h, "Host"))
            note(h, &ret_framing->host, ret_framing);
        else if (header_is(h, "Content-Length"))
            note(h, &ret_framing->length, ret_framing);
        else if (header_is(h, "Transfer-Encoding"))
            note(h, &ret_framing->encoding, ret_framing);
        else if (header_is(h, "Expect"))
            note(h, &ret_framing->expect, ret_framing);
    }
}

static bool is_length(const struct guard_header *h)
{
    if (h->value_len == 0 || h->value_len > 18)
        return false;
    for (size_t i = 0; i < h->value_len; i++)
        if (!isdigit((unsigned char)h->value[i]))
            return false;
    return true;
}

static bool is_host(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr(".-_:[]", s[i]))
            return false;
    return len > 0 && len <= 255;
}

static bool value_is(const struct guard_header *h, const char *text)
{
    return strlen(text) == h->value_len && strncasecmp(h->value, text, h->value_len) == 0;
}

static const char *check_encoding(const struct framing *f, bool http11)
{
    if (!http11)
        return "HTTP/1.0 has no Transfer-Encoding.";
    if (f->length)
        return "Content-Length and Transfer-Encoding exclude each other.";
    return value_is(f->encoding, "chunked") ? NULL
                                            : "The only Transfer-Encoding accepted is `chunked`.";
}

static const char *check_framing(const struct guard_request *req, const struct framing *f)
{
    bool http11 = strcmp(req->version, "HTTP/1.1") == 0;
    if (!http11 && strcmp(req->version, "HTTP/1.0") != 0)
        return "Only HTTP/1.1 and HTTP/1.0 are spoken here.";
    if (f->repeated)
        return "Host, Content-Length, Transfer-Encoding and Expect may be sent once only.";
    const char *reason = f->encoding ? check_encoding(f, http11) : NULL;
    if (reason)
        return reason;
    if (f->length && !is_length(f->length))
        return "Content-Length must be a plain decimal number.";
    if (http11 && !f->host)
        return "An HTTP/1.1 request needs a Host header.";
    if (f->host && !is_host(f->host->value, f->host->value_len))
        return "The Host header is malformed.";
    return NULL;
}

static bool method_is_known(const char *method)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    for (size_t i = 0; i < REEL_ARRAY_SIZE(known); i++)
        if (strcmp(method, known[i]) == 0)
            return true;
    return false;
}

// Length of "http://" or "https://" at the start of the target, 0 when it is not absolute.
static size_t scheme_len(const char *target)
{
    if (strncasecmp(target, "http://", 7) == 0)
        return 7;
    return strncasecmp(target, "https://", 8) == 0 ? 8 : 0;
}

static const char *check_absolute(const char *target, const struct framing *f)
{
    const char *authority = target + scheme_len(target);
    size_t len = strcspn(authority, "/?");
    if (!f->host || f->host->value_len != len || strncasecmp(f->host->value, authority, len) != 0)
        return "The request target names another host than the Host header.";
    return NULL;
}

static const char *check_query(const char *query)
{
    for (const char *s = query; *s; s++) {
        if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f || *s == '#')
            return "The query holds a byte that must be percent-encoded.";
        if (*s != '%')
            continue;
        char decoded[4];
        if (!uri_decode(s, strnlen(s, 3), false, decoded, NULL))
            return "The query holds a broken escape or an encoded NUL.";
        s += 2;
    }
    return NULL;
}

static const char *check_target(const struct guard_request *req, const struct framing *f)
{
    const char *target = req->target;
    if (strcmp(target, "*") == 0)
        return strcmp(req->method, "OPTIONS") == 0 ? NULL : "`*` is for OPTIONS only.";
    if (scheme_len(target) > 0) {
        const char *reason = check_absolute(target, f);
        if (reason)
            return reason;
        target = guard_origin_form(target);
    }
    if (target[0] != '/')
        return "The request target must be a path.";
    size_t path_len = strcspn(target, "?");
    if (memchr(target, '#', path_len) || !uri_path_is_safe(target, path_len))
        return "The path holds a dot segment, an encoded slash or NUL, or a broken escape.";
    return target[path_len] == '?' ? check_query(target + path_len + 1) : NULL;
}

static int refuse(struct guard_verdict *ret_verdict, unsigned status, const char *reason)
{
    ret_verdict->status = status;
    ret_verdict->reason = reason;
    return -1;
}

int guard_check(const struct guard_request *req, struct guard_verdict *ret_verdict)
{
    struct framing framing = {0};
    size_t bytes = 0;

    if (!method_is_known(req->method))
        return refuse(ret_verdict, 400, "The method is not known; methods are upper-case.");
    if (!req->target || strlen(req->target) > GUARD_MAX_TARGET)
        return refuse(ret_verdict, 414, "The request target is longer than 8192 bytes.");
    if (req->n_headers > GUARD_MAX_HEADERS)
        return refuse(ret_verdict, 431, "More than 100 header fields.");
    for (size_t i = 0; i < req->n_headers; i++) {
        bytes += req->headers[i].name_len + req->headers[i].value_len;
        if (!header_is_clean(&req->headers[i]))
            return refuse(ret_verdict, 400, "A header field is malformed.");
    }
    if (bytes > GUARD_MAX_HEADER_BYTES)
        return refuse(ret_verdict, 431, "The header fields are longer than 32768 bytes.");

    collect_framing(req, &framing);
    const char *reason = check_framing(req, &framing);
    if (!reason)
        reason = check_target(req, &framing);
    if (reason)
        return refuse(ret_verdict, 400, reason);
    if (framing.expect && !value_is(framing.expect, "100-continue"))
        return refuse(ret_verdict, 417, "The only expectation met is 100-continue.");
    return 0;
}

const char *guard_origin_form(const char *target)
{
    size_t skip = scheme_len(target);
    if (skip == 0)
        return target;
    const char *path = target + skip + strcspn(target + skip, "/?");
    return *path ? path : "/";
}
