// SPDX-License-Identifier: Apache-2.0
#include "svc-user/model.h"

#include <string.h>
#include <strings.h>

#include "libcommon/core/id.h"

void model_refresh_new(const char *former, char ret_token[MODEL_REFRESH_SIZE])
{
    if (former)
        memcpy(ret_token, former, MODEL_FAMILY_LEN);
    else
        reel_id_random_hex(ret_token, MODEL_FAMILY_LEN / 2);
    reel_id_random_hex(ret_token + MODEL_FAMILY_LEN, (MODEL_REFRESH_LEN - MODEL_FAMILY_LEN) / 2);
}

bool model_refresh_digest(const char *token, struct model_refresh *ret_refresh)
{
    if (strspn(token, "0123456789abcdef") != MODEL_REFRESH_LEN || token[MODEL_REFRESH_LEN] != '\0')
        return false;
    reel_digest_sha256_hex(token, MODEL_FAMILY_LEN, ret_refresh->family_hash);
    reel_digest_sha256_hex(token, MODEL_REFRESH_LEN, ret_refresh->refresh_hash);
    return true;
}

const char *model_password_flaw(const char *password, const char *username, const char *email)
{
    if (strcasecmp(password, username) == 0 || strcasecmp(password, email) == 0)
        return "must not be the username or the email address";
    if (strspn(password, (const char[]){password[0], '\0'}) == strlen(password))
        return "must not be one character repeated";
    return NULL;
}

const char *model_taken_field(const char *constraint)
{
    if (strcmp(constraint, "users_username_key") == 0)
        return "username";
    if (strcmp(constraint, "users_email_key") == 0)
        return "email";
    return NULL;
}

void model_user_agent(const char *shown, char ret_user_agent[MODEL_USER_AGENT_SIZE])
{
    size_t n = 0;

    for (; shown && *shown && n < MODEL_USER_AGENT_SIZE - 1; shown++) {
        if (*shown >= ' ' && *shown <= '~')
            ret_user_agent[n++] = *shown;
    }
    ret_user_agent[n] = '\0';
}
