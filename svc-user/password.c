// SPDX-License-Identifier: Apache-2.0
#include "svc-user/password.h"

#include <argon2.h>
#include <crypt.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "libcommon/core/err.h"

// OWASP's minimum for Argon2id.
enum { MEMORY_KIB = 19 * 1024, PASSES = 2, LANES = 1, SALT_BYTES = 16, HASH_BYTES = 32 };

// Verifying reads its cost from the stored text, which must not be able to name any.
enum { MOST_MEMORY_KIB = 64 * 1024, MOST_PASSES = 10, MOST_LANES = 4, MOST_BCRYPT_COST = 12 };

enum { BCRYPT_LEN = 60 };

static const char argon2id[] = "$argon2id$v=19$";

struct cost {
    unsigned memory_kib;
    unsigned passes;
    unsigned lanes;
};

int password_hash(const char *password, char ret_hash[PASSWORD_HASH_SIZE])
{
    unsigned char salt[SALT_BYTES];

    if (getrandom(salt, sizeof(salt), 0) != sizeof(salt))
        return -EIO;
    int rc = argon2id_hash_encoded(PASSES, MEMORY_KIB, LANES, password, strlen(password), salt,
                                   sizeof(salt), HASH_BYTES, ret_hash, PASSWORD_HASH_SIZE);
    return rc == ARGON2_OK ? REEL_OK : -ENOMEM;
}

static bool read_cost(const char *hash, struct cost *ret_cost)
{
    if (strncmp(hash, argon2id, strlen(argon2id)) != 0)
        return false;
    return sscanf(hash + strlen(argon2id), "m=%9u,t=%9u,p=%9u$", &ret_cost->memory_kib,
                  &ret_cost->passes, &ret_cost->lanes) == 3;
}

static bool matches_argon2(const char *password, const char *hash)
{
    struct cost cost;

    if (strlen(hash) >= PASSWORD_HASH_SIZE || !read_cost(hash, &cost))
        return false;
    if (cost.memory_kib > MOST_MEMORY_KIB || cost.passes > MOST_PASSES || cost.lanes > MOST_LANES)
        return false;
    return argon2id_verify(hash, password, strlen(password)) == ARGON2_OK;
}

static bool is_bcrypt(const char *hash)
{
    return strlen(hash) == BCRYPT_LEN && hash[0] == '$' && hash[1] == '2' &&
           strchr("aby", hash[2]) && hash[3] == '$' && hash[6] == '$';
}

static bool matches_bcrypt(const char *password, const char *hash)
{
    REEL_AUTO(reel_freep) struct crypt_data *data = NULL;

    if (strtoul(hash + 4, NULL, 10) > MOST_BCRYPT_COST)
        return false;
    data = calloc(1, sizeof(*data));
    if (!data)
        return false;
    const char *again = crypt_r(password, hash, data);
    return again && strlen(again) == BCRYPT_LEN && CRYPTO_memcmp(again, hash, BCRYPT_LEN) == 0;
}

bool password_matches(const char *password, const char *hash)
{
    if (strlen(password) > PASSWORD_MAX_LEN)
        return false;
    return is_bcrypt(hash) ? matches_bcrypt(password, hash) : matches_argon2(password, hash);
}

bool password_is_outdated(const char *hash)
{
    struct cost cost;

    return !read_cost(hash, &cost) || cost.memory_kib != MEMORY_KIB || cost.passes != PASSES ||
           cost.lanes != LANES;
}
