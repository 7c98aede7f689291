// SPDX-License-Identifier: Apache-2.0
// A request's head, one line each, through the guard: what passes has one framing and one host.
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned count(const struct guard_request *req, const char *name)
{
    unsigned n = 0;
    for (size_t i = 0; i < req->n_headers; i++)
        n += strlen(name) == req->headers[i].name_len &&
             strncasecmp(req->headers[i].name, name, req->headers[i].name_len) == 0;
    return n;
}

// Method, target and version are the first three lines, a header field each of the others.
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct guard_header headers[GUARD_MAX_HEADERS + 1];
    static char text[64 * 1024];
    char *rest = text;
    if (size >= sizeof(text))
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';

    const char *first[3];
    for (int i = 0; i < 3; i++)
        if (!(first[i] = strsep(&rest, "\n")))
            return 0;
    struct guard_request req = {first[0], first[1], first[2], headers, 0};
    for (char *line; req.n_headers <= GUARD_MAX_HEADERS && (line = strsep(&rest, "\n"));) {
        size_t len = strcspn(line, ":");
        const char *value = line[len] ? line + len + 1 : line + len;
        headers[req.n_headers++] = (struct guard_header){line, len, value, strlen(value)};
    }
    struct guard_verdict verdict = {0};
    if (guard_check(&req, &verdict) != 0) {
        if (verdict.status < 400 || !verdict.reason)
            abort();
        return 0;
    }
    if (count(&req, "Host") > 1 || count(&req, "Content-Length") > 1 ||
        (count(&req, "Content-Length") && count(&req, "Transfer-Encoding")) ||
        req.n_headers > GUARD_MAX_HEADERS)
        abort();
    return 0;
}
