// SPDX-License-Identifier: Apache-2.0
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libcommon/redis/conn.h"

enum { SHA_EMPTY, SHA_FILLING, SHA_FILLED };

// Redis names a script by the SHA-1 of its source.
static void hash_source(const char *source, char ret_sha[41])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (!EVP_Digest(source, strlen(source), digest, &len, EVP_sha1(), NULL) || len != 20)
        abort();
    for (unsigned i = 0; i < len; i++)
        snprintf(ret_sha + 2 * (size_t)i, 3, "%02x", digest[i]);
}

// Scripts are shared by all threads without a lock: one thread fills `sha`, those who come while
// it does use a copy of their own.
static const char *sha_of(struct reel_redis_script *script, char own[41])
{
    int empty = SHA_EMPTY;

    if (__atomic_load_n(&script->sha_state, __ATOMIC_ACQUIRE) == SHA_FILLED)
        return script->sha;
    hash_source(script->source, own);
    if (__atomic_compare_exchange_n(&script->sha_state, &empty, SHA_FILLING, false,
                                    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        memcpy(script->sha, own, 41);
        __atomic_store_n(&script->sha_state, SHA_FILLED, __ATOMIC_RELEASE);
    }
    return own;
}

int reel_redis_run_script(reel_redis_run_fn run, void *who, int64_t deadline_us,
                          struct reel_arena *arena, const struct reel_redis_eval_call *eval,
                          struct reel_redis_reply *ret_reply)
{
    size_t n_args = 3 + eval->n_keys + eval->n_args;
    struct reel_redis_arg *args = reel_arena_array(arena, n_args, sizeof(*args));
    struct reel_redis_reply reply;
    char own_sha[41];

    if (!args)
        return REEL_RESOURCE_EXHAUSTED;
    args[0] = reel_redis_str("EVALSHA");
    args[1] = reel_redis_str(sha_of(eval->script, own_sha));
    args[2] = reel_redis_int(arena, (int64_t)eval->n_keys);
    if (!args[2].data)
        return REEL_RESOURCE_EXHAUSTED;
    if (eval->n_keys > 0)
        memcpy(&args[3], eval->keys, eval->n_keys * sizeof(*args));
    if (eval->n_args > 0)
        memcpy(&args[3 + eval->n_keys], eval->args, eval->n_args * sizeof(*args));

    int rc = run(who, deadline_us, arena, n_args, args, &reply);
    if (rc == REEL_FAILED_PRECONDITION && strncmp(reply.str, "NOSCRIPT", 8) == 0) {
        args[0] = reel_redis_str("EVAL");
        args[1] = reel_redis_str(eval->script->source);
        rc = run(who, deadline_us, arena, n_args, args, &reply);
    }
    if (ret_reply && (rc == REEL_OK || rc == REEL_FAILED_PRECONDITION))
        *ret_reply = reply;
    return rc;
}
