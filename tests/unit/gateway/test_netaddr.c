// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/netaddr.h"

static struct netaddr addr(const char *text)
{
    struct netaddr parsed;
    assert_true(netaddr_parse(text, strlen(text), &parsed));
    return parsed;
}

static void addresses_survive_the_round_trip(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"192.0.2.1", "192.0.2.1"},      {"192.0.2.1:8080", "192.0.2.1"},
        {"2001:db8::1", "2001:db8::1"},  {"[2001:db8::1]:443", "2001:db8::1"},
        {"::ffff:10.0.0.1", "10.0.0.1"}, {"[::1]", "::1"},
    };
    static const char *const bad[] = {"",          "x",    "1.2.3", "1.2.3.4.5",
                                      "1.2.3.256", "[::1", ":::",   "unknown"};
    char text[NETADDR_TEXT_SIZE];
    struct netaddr parsed;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        parsed = addr(cases[i][0]);
        netaddr_format(&parsed, text);
        assert_string_equal(text, cases[i][1]);
    }
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++)
        assert_false(netaddr_parse(bad[i], strlen(bad[i]), &parsed));
}

static void lists_hold_their_networks(void **state)
{
    (void)state;
    struct netaddr_list list;
    assert_true(netaddr_list_parse("10.0.0.0/8, 192.0.2.7,2001:db8::/33", &list));
    static const struct {
        const char *text;
        bool held;
    } cases[] = {
        {"10.255.0.1", true},  {"11.0.0.1", false},    {"192.0.2.7", true},
        {"192.0.2.8", false},  {"2001:db8:1::", true}, {"2001:db8:8000::", false},
        {"::10.0.0.1", false},
    };
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        struct netaddr a = addr(cases[i].text);
        assert_int_equal(netaddr_list_holds(&list, &a), cases[i].held);
    }
    static const char *const bad[] = {"10.0.0.0/33", "10.0.0.0/", "10.0.0.0/x", "x", "::/129"};
    for (size_t i = 0; i < REEL_ARRAY_SIZE(bad); i++)
        assert_false(netaddr_list_parse(bad[i], &list));
    assert_true(netaddr_list_parse("", &list));
    assert_int_equal(list.n, 0);
}

static void the_client_is_the_last_hop_not_trusted(void **state)
{
    (void)state;
    struct netaddr_list trusted;
    assert_true(netaddr_list_parse("127.0.0.0/8,10.0.0.0/8", &trusted));
    static const struct {
        const char *peer, *header, *client;
    } cases[] = {
        {"203.0.113.1", "1.1.1.1", "203.0.113.1"},
        {"127.0.0.1", NULL, "127.0.0.1"},
        {"127.0.0.1", "203.0.113.9", "203.0.113.9"},
        {"127.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"},
        {"127.0.0.1", "203.0.113.9 , 10.1.1.1", "203.0.113.9"},
        {"127.0.0.1", "10.1.1.1", "10.1.1.1"},
        {"127.0.0.1", "junk", "127.0.0.1"},
        {"127.0.0.1", "1.1.1.1, junk, 10.2.2.2", "10.2.2.2"},
        {"127.0.0.1", ",,", "127.0.0.1"},
        {"127.0.0.1", "[2001:db8::5]:77", "2001:db8::5"},
    };
    char text[NETADDR_TEXT_SIZE];
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        struct netaddr peer = addr(cases[i].peer);
        struct netaddr client = netaddr_client(&peer, cases[i].header, &trusted);
        netaddr_format(&client, text);
        assert_string_equal(text, cases[i].client);
    }
}

static void ipv6_counts_by_network(void **state)
{
    (void)state;
    char a[NETADDR_TEXT_SIZE], b[NETADDR_TEXT_SIZE];
    struct netaddr first = addr("2001:db8:1:2:3::4"), second = addr("2001:db8:1:2:ffff::1");
    netaddr_bucket(&first, a);
    netaddr_bucket(&second, b);
    assert_string_equal(a, b);
    struct netaddr v4 = addr("192.0.2.1");
    netaddr_bucket(&v4, a);
    assert_string_equal(a, "192.0.2.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_survive_the_round_trip),
        cmocka_unit_test(lists_hold_their_networks),
        cmocka_unit_test(the_client_is_the_last_hop_not_trusted),
        cmocka_unit_test(ipv6_counts_by_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
