// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/origin.h"
#include "gateway/token_cache.h"

static void a_token_is_known_until_it_expires(void **state)
{
    (void)state;
    struct token_cache *cache;
    struct token_claims claims = {"user", "session", 100}, found;
    assert_int_equal(token_cache_new(&cache), 0);
    token_cache_put(cache, "a.b.c", &claims);
    assert_true(token_cache_get(cache, "a.b.c", 99, &found));
    assert_string_equal(found.user_id, "user");
    assert_false(token_cache_get(cache, "a.b.c", 100, &found));
    assert_false(token_cache_get(cache, "a.b.d", 99, &found));
    assert_false(token_cache_get(cache, "a.b.", 99, &found));
    claims.expires_s = 200;
    token_cache_put(cache, "a.b.c", &claims);
    assert_true(token_cache_get(cache, "a.b.c", 150, &found));
    token_cache_free(cache);
}

static void it_stays_bounded(void **state)
{
    (void)state;
    struct token_cache *cache;
    struct token_claims claims = {"user", "session", 100}, found;
    char token[32];
    unsigned kept = 0;
    assert_int_equal(token_cache_new(&cache), 0);
    for (int i = 0; i < 50000; i++) {
        snprintf(token, sizeof(token), "token-%d", i);
        claims.expires_s = 100 + i;
        token_cache_put(cache, token, &claims);
    }
    for (int i = 0; i < 50000; i++) {
        snprintf(token, sizeof(token), "token-%d", i);
        kept += token_cache_get(cache, token, 1, &found);
    }
    assert_in_range(kept, 4000, 8192);
    token_cache_free(cache);
}

static void a_cookie_writes_from_its_own_site(void **state)
{
    (void)state;
    static const struct {
        struct origin_facts facts;
        bool may;
    } cases[] = {
        {{NULL, NULL, "h", ""}, true},
        {{"same-origin", NULL, "h", ""}, true},
        {{"none", NULL, "h", ""}, true},
        {{"cross-site", NULL, "h", ""}, false},
        {{"same-site", "https://a", "h", "https://a"}, true},
        {{NULL, "https://h", "h", ""}, true},
        {{NULL, "https://H:8", "h:8", ""}, true},
        {{NULL, "https://h.evil", "h", ""}, false},
        {{NULL, "null", "null", ""}, false},
        {{NULL, "https://a", NULL, "https://b,https://ab"}, false},
        {{"bogus", "https://h", "h", ""}, false},
    };
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++)
        assert_int_equal(origin_may_write(&cases[i].facts), cases[i].may);
    assert_false(origin_is_listed("https://a", ""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_known_until_it_expires),
        cmocka_unit_test(it_stays_bounded),
        cmocka_unit_test(a_cookie_writes_from_its_own_site),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
