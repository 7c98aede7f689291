// SPDX-License-Identifier: Apache-2.0
// One request and its reply, as the HTTP library's callbacks drive them: head, body, end, done.
//
// All run on the connection's thread; false means that the connection must be closed.
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct request;

// The head has come (possibly again, after a park), or the whole request has.
bool exchange_head_or_end(struct request *req, const char *method, const char *version);

// Body bytes have come; lowers *len by what was used.
bool exchange_body(struct request *req, const char *data, size_t *len);

// The reply is out, or the connection is lost: logs, counts and frees the request.
void exchange_done(struct request *req, bool complete);
