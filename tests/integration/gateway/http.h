// SPDX-License-Identifier: Apache-2.0
// A plain HTTP/1.1 client on sockets, which also says what no proper client would.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct http_response {
    int status;       // of the first reply; 0 when there was none
    unsigned n;       // how many replies came on the connection
    bool closed;      // the peer closed it within the time
    char *head;       // of the first reply
    const char *body; // of the first reply, as it came
    size_t body_len;
    char *raw; // everything; owned
    size_t raw_len;
};

// Connects to the gateway; fails the test when it cannot.
int http_connect(int port);

// Sends all of it, ignoring that the peer may have closed.
void http_send(int fd, const char *data, size_t len);

// Reads until the peer closes or `timeout_ms` passes without a byte, and takes it apart.
struct http_response http_read(int fd, int timeout_ms);

// Connects, sends, reads (up to 5 s), closes.
struct http_response http_raw(int port, const char *data, size_t len);

// One request on a connection of its own. `headers` is "" or lines ending in CRLF; `body` may be
// NULL.
struct http_response http_ask(int port, const char *method, const char *target, const char *headers,
                              const char *body);

// The value of a header field of the first reply into `ret_value`; false when it is not there.
bool http_header(const struct http_response *response, const char *name, char *ret_value,
                 size_t size);

// Frees. Fits REEL_AUTO.
void http_free(struct http_response *response);
