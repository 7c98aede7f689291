// SPDX-License-Identifier: Apache-2.0
#include "gateway/gcra.h"

#include <stdlib.h>
#include <string.h>

enum { SECOND_US = 1000000, MAX_WINDOW_S = 86400 * 31 };

static bool parse_number(const char **text, uint32_t *ret_number)
{
    size_t len = strspn(*text, "0123456789");
    if (len == 0 || len > 9)
        return false;
    *ret_number = (uint32_t)strtoul(*text, NULL, 10);
    *text += len;
    return true;
}

static bool parse_policy(const char *text, struct rate_policy *ret_policy)
{
    size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_-");
    const char *s = text + len;
    if (len == 0 || len >= RATE_POLICY_NAME_SIZE || *s++ != '=')
        return false;
    memcpy(ret_policy->name, text, len);
    ret_policy->name[len] = '\0';
    if (!parse_number(&s, &ret_policy->quota) || *s++ != '/' ||
        !parse_number(&s, &ret_policy->window_s) || (*s != ',' && *s != '\0'))
        return false;
    // A request is regained in a microsecond at the soonest.
    return ret_policy->window_s > 0 && ret_policy->window_s <= MAX_WINDOW_S &&
           ret_policy->quota <= (uint64_t)ret_policy->window_s * SECOND_US;
}

static const struct rate_policy *find(const struct rate_policies *policies, const char *name)
{
    for (unsigned i = 0; i < policies->n; i++)
        if (strcmp(policies->items[i].name, name) == 0)
            return &policies->items[i];
    return NULL;
}

bool rate_policies_parse(const char *text, struct rate_policies *ret_policies)
{
    struct rate_policies policies = {.n = 0};
    for (const char *s = text; *s; s += strcspn(s, ","), s += *s == ',') {
        struct rate_policy policy;
        if (policies.n == RATE_MAX_POLICIES || !parse_policy(s, &policy) ||
            find(&policies, policy.name))
            return false;
        policies.items[policies.n++] = policy;
    }
    if (!find(&policies, "default"))
        return false;
    *ret_policies = policies;
    return true;
}

const struct rate_policy *rate_policy_find(const struct rate_policies *policies, const char *name)
{
    const struct rate_policy *policy = find(policies, name);
    return policy ? policy : find(policies, "default");
}

int64_t gcra_interval_us(const struct rate_policy *policy)
{
    return (int64_t)policy->window_s * SECOND_US / policy->quota;
}

bool gcra_take(const struct rate_policy *policy, int64_t now_us, int64_t *tat_us,
               int64_t *ret_ahead_us)
{
    int64_t interval_us = gcra_interval_us(policy);
    int64_t behind_us = *tat_us > now_us ? *tat_us - now_us : 0;
    bool allowed = behind_us + interval_us <= (int64_t)policy->window_s * SECOND_US;
    *ret_ahead_us = allowed ? behind_us + interval_us : behind_us;
    if (allowed)
        *tat_us = now_us + *ret_ahead_us;
    return allowed;
}

static uint32_t seconds_up(int64_t us)
{
    return us <= 0 ? 0 : (uint32_t)((us + SECOND_US - 1) / SECOND_US);
}

struct gcra_verdict gcra_verdict_of(const struct rate_policy *policy, bool allowed,
                                    int64_t ahead_us)
{
    int64_t window_us = (int64_t)policy->window_s * SECOND_US;
    int64_t interval_us = gcra_interval_us(policy);
    struct gcra_verdict verdict = {0};
    if (!allowed) {
        uint32_t wait_s = seconds_up(ahead_us + interval_us - window_us);
        verdict.reset_s = wait_s > 0 ? wait_s : 1;
        return verdict;
    }
    verdict.remaining = ahead_us < window_us ? (uint32_t)((window_us - ahead_us) / interval_us) : 0;
    verdict.reset_s = seconds_up(ahead_us);
    return verdict;
}
