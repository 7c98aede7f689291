// SPDX-License-Identifier: Apache-2.0
// Who is calling. Three things may have to be asked of the user service, each parking the request:
// its keys, when they are old or do not verify a token; and whether the session still lives, when
// the revocation feed is stale.
#include "gateway/authn.h"

#include <string.h>
#include <strings.h>

#include "gateway/chain.h"
#include "gateway/gateway.h"
#include "gateway/keyring.h"
#include "gateway/origin.h"
#include "gateway/problem.h"
#include "gateway/revocations.h"
#include "gateway/rpc.h"
#include "gateway/token_cache.h"
#include "libcommon/core/clock.h"
#include "libcommon/core/err.h"
#include "proto/user.reel.h"

enum authn_state { AUTHN_START, AUTHN_KEYS, AUTHN_SESSION };

struct authn {
    enum authn_state state;
    const char *token;
    struct token_claims claims;
    struct rpc_wait *wait;
    bool fetched;
};

// The credentials of the request, or NULL. A bearer token goes before a cookie.
static const char *find_token(struct request *req, bool *ret_from_cookie)
{
    const char *header = request_header(req, "Authorization");
    *ret_from_cookie = false;
    if (header && strncasecmp(header, "Bearer ", 7) == 0)
        return header + 7 + strspn(header + 7, " ");
    if (header)
        return NULL;
    const char *cookie = request_cookie(req, "token");
    *ret_from_cookie = cookie != NULL;
    return cookie && *cookie ? cookie : NULL;
}

const char *authn_known_user(struct request *req)
{
    struct token_claims claims;
    bool from_cookie;
    const char *token = find_token(req, &from_cookie);
    if (!token || !token_cache_get(req->gw->tokens, token, reel_clock_wall_us() / 1000000, &claims))
        return NULL;
    req->known = reel_arena_memdup(&req->arena, &claims, sizeof(claims));
    return req->known ? req->known->user_id : NULL;
}

static enum step refuse(struct request *req, bool had_token)
{
    reply_header(req, "WWW-Authenticate",
                 had_token ? "Bearer realm=\"reelmesh\", error=\"invalid_token\""
                           : "Bearer realm=\"reelmesh\"");
    return problem_answer(req, 401, "%s",
                          had_token ? "The token is not valid or has expired. Sign in again."
                                    : "Sign in first: send a bearer token or the session cookie.");
}

static bool is_write(const struct request *req)
{
    return strcmp(req->method, "GET") != 0 && strcmp(req->method, "HEAD") != 0;
}

static bool origin_is_fine(struct request *req)
{
    const struct origin_facts facts = {
        .fetch_site = request_header(req, "Sec-Fetch-Site"),
        .origin = request_header(req, "Origin"),
        .host = request_header(req, "Host"),
        .allowed = req->gw->config.cors_origins,
    };
    return origin_may_write(&facts);
}

// Puts the question of the current state; STEP_NEXT once it is under way.
static enum step ask(struct request *req, struct authn *authn, enum authn_state state)
{
    User__ListKeysRequest keys = USER__LIST_KEYS_REQUEST__INIT;
    User__CheckSessionRequest session = USER__CHECK_SESSION_REQUEST__INIT;
    session.session_id = authn->claims.session_id;
    authn->state = state;
    authn->wait =
        state == AUTHN_KEYS
            ? rpc_start(req, &user_service.methods[USER_SERVICE_LIST_KEYS], &keys.base)
            : rpc_start(req, &user_service.methods[USER_SERVICE_CHECK_SESSION], &session.base);
    if (!authn->wait)
        return problem_retry(req, 503, 1, "The gateway is out of memory. Try again shortly.");
    return STEP_NEXT;
}

static enum step accept(struct request *req, const struct token_claims *claims)
{
    req->user_id = reel_arena_strdup(&req->arena, claims->user_id);
    req->session_id = reel_arena_strdup(&req->arena, claims->session_id);
    req->expires_s = claims->expires_s;
    req->state = NULL;
    if (!req->user_id || !req->session_id)
        return problem_retry(req, 503, 1, "The gateway is out of memory. Try again shortly.");
    return STEP_NEXT;
}

// The token is genuine: does its session still live?
static enum step check_session(struct request *req, struct authn *authn)
{
    if (revocations_holds(req->gw->revocations, authn->claims.session_id))
        return refuse(req, true);
    if (revocations_is_fresh(req->gw->revocations))
        return accept(req, &authn->claims);
    return ask(req, authn, AUTHN_SESSION);
}

// Whether the token was verified before and still holds. Where limits are by user, the request has
// looked already.
static bool was_verified(struct request *req, struct authn *authn, int64_t now_s)
{
    if (!req->known || req->known->expires_s <= now_s)
        return token_cache_get(req->gw->tokens, authn->token, now_s, &authn->claims);
    authn->claims = *req->known;
    return true;
}

static enum step verify(struct request *req, struct authn *authn)
{
    int64_t now_s = reel_clock_wall_us() / 1000000;
    if (was_verified(req, authn, now_s))
        return check_session(req, authn);
    if (!authn->fetched && keyring_is_old(req->gw->keys))
        return ask(req, authn, AUTHN_KEYS);
    int rc = keyring_verify(req->gw->keys, authn->token, now_s, &authn->claims);
    if (rc != REEL_OK && !authn->fetched && keyring_wants_fetch(req->gw->keys))
        return ask(req, authn, AUTHN_KEYS);
    if (rc != REEL_OK)
        return refuse(req, true);
    token_cache_put(req->gw->tokens, authn->token, &authn->claims);
    return check_session(req, authn);
}

static enum step take_keys(struct request *req, struct authn *authn)
{
    const struct rpc_wait *wait = authn->wait;
    authn->fetched = true;
    authn->state = AUTHN_START;
    if (wait->status.code == REEL_OK &&
        keyring_put(req->gw->keys, wait->payload, wait->payload_len) == REEL_OK)
        return verify(req, authn);
    // Keys that we have go on to verify while the user service is away.
    if (keyring_verify(req->gw->keys, authn->token, reel_clock_wall_us() / 1000000,
                       &authn->claims) == REEL_OK)
        return check_session(req, authn);
    if (wait->status.code == REEL_OK)
        return problem_retry(req, 503, 1, "The keys that verify tokens cannot be read. Try again.");
    return problem_from_status(req, &wait->status);
}

static enum step take_session(struct request *req, struct authn *authn)
{
    const struct rpc_wait *wait = authn->wait;
    if (wait->status.code != REEL_OK)
        return problem_from_status(req, &wait->status);
    User__CheckSessionResponse *response = user__check_session_response__unpack(
        reel_arena_pb(&req->arena), wait->payload_len, wait->payload);
    return response && response->live ? accept(req, &authn->claims) : refuse(req, true);
}

static enum step begin(struct request *req)
{
    bool from_cookie;
    const char *token = find_token(req, &from_cookie);
    if (!token)
        return refuse(req, false);
    if (from_cookie && is_write(req) && !origin_is_fine(req))
        return problem_answer(req, 403,
                              "A request with the session cookie must come from this "
                              "site's own pages; use a bearer token elsewhere.");
    struct authn *authn = reel_arena_zalloc(&req->arena, sizeof(*authn));
    if (!authn)
        return problem_retry(req, 503, 1, "The gateway is out of memory. Try again shortly.");
    authn->token = token;
    req->state = authn;
    return verify(req, authn);
}

enum step authn_step(struct request *req)
{
    if (!req->endpoint || req->endpoint->access == REEL_ACCESS_PUBLIC)
        return STEP_NEXT;
    enum step step = req->state ? STEP_NEXT : begin(req);
    // `accept` clears the state; until then a question is under way.
    while (step == STEP_NEXT && req->state) {
        struct authn *authn = req->state;
        if (rpc_wait_step(authn->wait) == STEP_WAIT)
            return STEP_WAIT;
        step = authn->state == AUTHN_KEYS ? take_keys(req, authn) : take_session(req, authn);
    }
    return step;
}
