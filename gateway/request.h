// SPDX-License-Identifier: Apache-2.0
// One HTTP request on its way through the gateway.
//
// It belongs to the thread of its connection. While the connection is parked no one but the one
// awaited callback may touch it, and that callback only what it was parked for.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/conns.h"
#include "gateway/router.h"
#include "gateway/waker.h"
#include "libcommon/core/arena.h"
#include "libcommon/core/buf.h"
#include "libcommon/core/id.h"
#include "libcommon/rpc/method.h"

struct gateway;
struct request;
struct rpc_wait;
struct token_claims;
struct MHD_Response;
struct reel_counter;
struct reel_histogram;

// What a step of the chain or of an endpoint has come to.
enum step {
    STEP_NEXT,   // go on
    STEP_WAIT,   // the connection is parked; call the same step again when it wakes
    STEP_ANSWER, // the reply is set
};

// How an endpoint deals with a request. All steps run on the connection's thread.
struct endpoint_ops {
    // After the chain, before the body is read; NULL: nothing to do.
    enum step (*begin)(struct request *req);
    // Takes body bytes: lowers *len by what it has used. NULL: the body is collected in req->body,
    // bounded by the JSON limit.
    enum step (*body)(struct request *req, const char *data, size_t *len);
    // After the whole request has come; must end in STEP_ANSWER.
    enum step (*finish)(struct request *req);
};

enum { ENDPOINT_MAX_STATUS = 600 };

// One row of the route table.
struct endpoint {
    const char *verb;
    const char *path;
    const struct reel_route *route; // NULL: the gateway's own
    const struct endpoint_ops *ops;
    enum reel_access access;
    const char *rate_class; // NULL: not limited
    const char *summary;
    struct reel_histogram *duration;
    _Atomic(struct reel_counter *) by_status[ENDPOINT_MAX_STATUS];
};

enum { REPLY_MAX_HEADERS = 40 };

struct reply {
    unsigned status; // 0: no reply yet
    struct {
        const char *name;
        const char *value;
    } headers[REPLY_MAX_HEADERS];
    unsigned n_headers;
    const char *body; // borrowed for the life of the request
    size_t body_len;
    struct MHD_Response *stream; // instead of a body; owned
    int64_t stream_bytes;        // of it; -1: not known
    bool is_endless;             // an event stream: no rate to hold
    bool close;                  // close the connection after it
};

struct rate_verdict {
    bool is_limited; // a policy applies
    const char *policy;
    uint32_t quota;
    uint32_t window_s;
    uint32_t remaining;
    uint32_t reset_s;
};

struct request {
    struct gateway *gw;
    struct MHD_Connection *mhd;
    struct conn *conn;
    struct reel_arena arena;
    struct waker waker;
    int64_t started_us;

    const char *method;
    char *target; // as received; owned
    char *path;   // decoded; arena
    const char *query;
    bool is_secure; // came by https, as a trusted proxy says

    const char *id; // request id; arena
    const char *traceparent;
    char client[NETADDR_TEXT_SIZE]; // address, for the log
    char bucket[NETADDR_TEXT_SIZE]; // what rate limits count by
    const struct endpoint *endpoint;
    struct router_match match;
    bool is_guarded;

    const struct token_claims *known; // of its token, when that was verified before; arena
    const char *user_id;              // NULL: not signed in
    const char *session_id;
    int64_t expires_s; // of the token
    struct rate_verdict rate;

    unsigned step; // position in the chain
    bool in_flight;
    bool head_done;
    bool body_expected;
    bool expects_continue;
    bool body_held;      // the body waits for the service, not for the client
    bool early_sent;     // the answer was written before the body had ended
    int64_t body_length; // announced; -1: chunked
    int64_t body_received;
    struct reel_buf body;
    struct reel_buf out; // text of the reply

    struct reply reply;
    int64_t bytes_sent;

    struct rpc_wait *rpc; // the call it waits for, or waited for last; arena
    void *state;          // of the current endpoint or chain step; arena
    void (*state_fini)(void *state);
};

// Takes a request from the pool; NULL when memory is out. `target` is copied.
struct request *request_new(struct gateway *gw, struct MHD_Connection *mhd, struct conn *conn,
                            const char *target);

// Ends it: frees its endpoint's state and gives it back. NULL is fine.
void request_free(struct request *req);

// Ends what the endpoint keeps for the request.
void request_end_state(struct request *req);

// The value of a header field, or NULL. Borrowed for the life of the request.
const char *request_header(const struct request *req, const char *name);

// All values of a header field that may be sent more than once, joined by commas in their order, or
// NULL. Arena.
const char *request_header_list(struct request *req, const char *name);

// The value of a cookie, or NULL. Arena.
const char *request_cookie(struct request *req, const char *name);

// Sets the status of the reply.
enum step reply_set(struct request *req, unsigned status);

// Adds a header field. Both strings are borrowed for the life of the request.
void reply_header(struct request *req, const char *name, const char *value);

// Adds a header field with a formatted value.
void reply_headerf(struct request *req, const char *name, const char *fmt, ...) REEL_PRINTF(3, 4);

// A whole reply: status, content type and body (borrowed for the life of the request).
enum step reply_text(struct request *req, unsigned status, const char *content_type,
                     const char *body, size_t len);

// Forgets a reply that was not sent, so that another can be set.
void reply_reset(struct request *req);
