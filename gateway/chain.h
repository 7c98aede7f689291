// SPDX-License-Identifier: Apache-2.0
// The middleware chain: every request passes these steps, in this order, before its endpoint.
//
// A step lets the request go on, answers it, or parks it and is called again. One file each.
#pragma once

#include "gateway/request.h"

// Runs the chain from where the request stands. STEP_NEXT: all steps have passed.
enum step chain_run(struct request *req);

// Gives the request its id (a well-formed X-Request-Id, or a new one) and trace context.
void request_id_set(struct request *req);

// Works out who the client is, for the log and the limits.
enum step client_step(struct request *req);

// Matches path and verb to an endpoint, which the later steps need to know; answers nothing.
enum step match_step(struct request *req);

// Answers preflights and marks replies to allowed origins.
enum step cors_step(struct request *req);

// Counts the request as in flight, or answers 503 when the gateway is about to end.
enum step drain_step(struct request *req);

// The answer of a gateway that is about to end: 503.
enum step drain_refuse(struct request *req);

// The request is over: no longer in flight.
void drain_leave(struct request *req);

// Counts the request against its rate policy; 429 past it.
enum step rate_limit_step(struct request *req);

// Finds the user by bearer token or cookie; 401 when the route wants one and there is none, 403 for
// a cookie's write from another origin.
enum step authn_step(struct request *req);

// Answers what matched no endpoint: 404, 405 with Allow, OPTIONS.
enum step route_step(struct request *req);

// The last word on a reply: security, CORS, rate and id header fields.
void finish_headers(struct request *req);

// Adds the CORS header fields of an ordinary reply.
void cors_headers(struct request *req);

// Writes the request's line to the log and counts it. `complete` is false when the client did not
// take the whole reply.
void access_log(struct request *req, bool complete);

// Counts a finished request.
void metrics_count(struct request *req, unsigned status, int64_t duration_us);

// Prepares an endpoint's metrics.
void metrics_prepare(struct endpoint *endpoint);
