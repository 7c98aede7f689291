// SPDX-License-Identifier: Apache-2.0
// Failures as RFC 9457 problem+json, with `error` kept for clients of the Node system.
#pragma once

#include <stdint.h>

#include "gateway/request.h"

struct reel_status;
struct reel_pbjson_error;

// Answers with a problem; `fmt` is the one sentence for people.
enum step problem_answer(struct request *req, unsigned status, const char *fmt, ...)
    REEL_PRINTF(3, 4);

// As problem_answer with a Retry-After.
enum step problem_retry(struct request *req, unsigned status, uint32_t retry_after_s,
                        const char *fmt, ...) REEL_PRINTF(4, 5);

// As problem_retry, with what `add` writes as further members of the object.
enum step problem_extended(struct request *req, unsigned status, uint32_t retry_after_s,
                           void (*add)(struct request *req, struct reel_buf *out), const char *fmt,
                           ...) REEL_PRINTF(5, 6);

// The answer for a rate limit passed: type quota-exceeded, naming the policy.
enum step problem_quota(struct request *req, const char *policy, uint32_t retry_after_s);

// The answer for a call that failed.
enum step problem_from_status(struct request *req, const struct reel_status *status);

// The answer for a request that does not fit its message: `where` is "pointer" for a body or
// "parameter" for a path variable or query parameter, which `name` names.
enum step problem_malformed(struct request *req, const char *where, const char *name,
                            const struct reel_pbjson_error *error);

// The reason phrase of a status. Static.
const char *problem_title(unsigned status);
