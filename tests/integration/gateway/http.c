// SPDX-License-Identifier: Apache-2.0
#include "tests/integration/gateway/http.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

int http_connect(int port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

void http_send(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        data += n;
        len -= (size_t)n;
    }
}

static unsigned count_replies(const char *text, size_t len)
{
    unsigned n = 0;
    for (const char *s = text; (s = memmem(s, len - (size_t)(s - text), "HTTP/1.1 ", 9)); s += 9)
        n += s[9] >= '2' && s[9] <= '5';
    return n;
}

struct http_response http_read(int fd, int timeout_ms)
{
    struct http_response response = {0};
    size_t cap = 64 * 1024;
    response.raw = malloc(cap);
    for (;;) {
        struct pollfd poller = {fd, POLLIN, 0};
        if (poll(&poller, 1, timeout_ms) <= 0)
            break;
        ssize_t n = recv(fd, response.raw + response.raw_len, cap - response.raw_len - 1, 0);
        if (n <= 0) {
            response.closed = true;
            break;
        }
        response.raw_len += (size_t)n;
        if (cap - response.raw_len < 4096)
            response.raw = realloc(response.raw, cap *= 2);
    }
    response.raw[response.raw_len] = '\0';
    response.n = count_replies(response.raw, response.raw_len);
    const char *first = response.raw;
    if (strncmp(first, "HTTP/1.1 100", 12) == 0)
        first = strstr(first, "\r\n\r\n") ? strstr(first, "\r\n\r\n") + 4 : first;
    if (strncmp(first, "HTTP/1.1 ", 9) == 0)
        response.status = (int)strtol(first + 9, NULL, 10);
    const char *end = strstr(first, "\r\n\r\n");
    response.head = strndup(first, end ? (size_t)(end - first) + 2 : 0);
    response.body = end ? end + 4 : response.raw + response.raw_len;
    response.body_len = response.raw_len - (size_t)(response.body - response.raw);
    return response;
}

struct http_response http_raw(int port, const char *data, size_t len)
{
    int fd = http_connect(port);
    http_send(fd, data, len);
    struct http_response response = http_read(fd, 5000);
    close(fd);
    return response;
}

struct http_response http_ask(int port, const char *method, const char *target, const char *headers,
                              const char *body)
{
    char *text = NULL;
    int len = asprintf(&text, "%s %s HTTP/1.1\r\nHost: reel.test\r\nConnection: close\r\n%s",
                       method, target, headers);
    assert_true(len > 0);
    char *whole = NULL;
    len = body ? asprintf(&whole, "%sContent-Length: %zu\r\n\r\n%s", text, strlen(body), body)
               : asprintf(&whole, "%s\r\n", text);
    free(text);
    struct http_response response = http_raw(port, whole, (size_t)len);
    free(whole);
    return response;
}

bool http_header(const struct http_response *response, const char *name, char *ret_value,
                 size_t size)
{
    size_t name_len = strlen(name);
    for (const char *line = strstr(response->head, "\r\n"); line && line[2];
         line = strstr(line + 2, "\r\n")) {
        const char *s = line + 2;
        if (strncasecmp(s, name, name_len) != 0 || s[name_len] != ':')
            continue;
        s += name_len + 1;
        s += strspn(s, " ");
        snprintf(ret_value, size, "%.*s", (int)strcspn(s, "\r"), s);
        return true;
    }
    return false;
}

void http_free(struct http_response *response)
{
    free(response->raw);
    free(response->head);
    memset(response, 0, sizeof(*response));
}
