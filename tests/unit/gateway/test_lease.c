// SPDX-License-Identifier: Apache-2.0
#include "gateway/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const struct rate_policy wide = {"default", 6000, 60};

// The shared budget, as rate.lua keeps it.
static uint32_t take(const struct rate_policy *policy, int64_t now_us, uint32_t wish,
                     int64_t *tat_us, int64_t *ret_ahead_us)
{
    int64_t window_us = (int64_t)policy->window_s * 1000000;
    int64_t interval_us = gcra_interval_us(policy);
    int64_t ahead_us = *tat_us > now_us ? *tat_us - now_us : 0;
    *ret_ahead_us = ahead_us;
    if (ahead_us + interval_us > window_us)
        return 0;
    int64_t most = (window_us - ahead_us) / interval_us / 64;
    uint32_t granted = most < 1 ? 1 : wish < most ? wish : (uint32_t)most;
    *ret_ahead_us = ahead_us + granted * interval_us;
    *tat_us = now_us + *ret_ahead_us;
    return granted;
}

// A gateway, with its clock and the budget.
struct edge {
    struct lease_table *table;
    int64_t *tat_us;
    unsigned n_asked;
};

static bool request(struct edge *edge, const struct lease_client *client, int64_t now_us,
                    int64_t *ret_ahead_us)
{
    if (lease_spend(edge->table, client, now_us, ret_ahead_us))
        return true;
    edge->n_asked++;
    uint32_t wish = lease_wish(edge->table, client, now_us);
    uint32_t granted = take(client->policy, now_us, wish, edge->tat_us, ret_ahead_us);
    if (granted > 0)
        *ret_ahead_us = lease_put(edge->table, client, now_us, granted, *ret_ahead_us);
    return granted > 0;
}

static void open_edge(struct edge *edge, int64_t *tat_us)
{
    *edge = (struct edge){.tat_us = tat_us};
    assert_int_equal(lease_table_new(&edge->table), 0);
}

// One gateway and a client that keeps its pace: not even the headers tell that permits are taken
// ahead.
static void the_answers_are_those_of_the_budget(void **state)
{
    static const int64_t paces_us[] = {50, 700, 9000, 11000, 40000};
    (void)state;
    for (size_t p = 0; p < REEL_ARRAY_SIZE(paces_us); p++) {
        const struct lease_client client = {&wide, "u:anna"};
        int64_t shared_us = 0, plain_us = 0, ahead_us, plain_ahead_us, now_us = 1000000;
        struct edge edge;
        open_edge(&edge, &shared_us);
        for (int i = 0; i < 5000; i++, now_us += paces_us[p]) {
            assert_true(gcra_take(&wide, now_us, &plain_us, &plain_ahead_us));
            assert_true(request(&edge, &client, now_us, &ahead_us));
            assert_int_equal(ahead_us, plain_ahead_us);
        }
        lease_table_free(edge.table);
    }
}

static void a_busy_client_asks_seldom_and_a_slow_one_each_time(void **state)
{
    const struct lease_client client = {&wide, "u:anna"};
    int64_t tat_us = 0, ahead_us, now_us = 1000000;
    struct edge edge;
    (void)state;
    open_edge(&edge, &tat_us);
    for (int i = 0; i < 3000; i++, now_us += 100)
        assert_true(request(&edge, &client, now_us, &ahead_us));
    assert_true(edge.n_asked < 100);
    lease_table_free(edge.table);
    open_edge(&edge, &tat_us);
    for (int i = 0; i < 100; i++, now_us += 60000)
        assert_true(request(&edge, &client, now_us, &ahead_us));
    assert_int_equal(edge.n_asked, 100);
    lease_table_free(edge.table);
}

static void gateways_together_allow_the_quota_and_no_more(void **state)
{
    static const struct rate_policy policy = {"default", 5000, 86400};
    const struct lease_client client = {&policy, "u:anna"};
    int64_t tat_us = 0, ahead_us, now_us = 1000000;
    struct edge edges[3];
    int passed = 0;
    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(edges); i++)
        open_edge(&edges[i], &tat_us);
    for (int i = 0; i < 9000; i++, now_us += 100)
        passed += request(&edges[i % 3], &client, now_us, &ahead_us);
    assert_int_equal(passed, 5000);
    for (size_t i = 0; i < REEL_ARRAY_SIZE(edges); i++)
        lease_table_free(edges[i].table);
}

static void small_budgets_are_counted_one_by_one(void **state)
{
    static const struct rate_policy policy = {"auth", 100, 900};
    const struct lease_client client = {&policy, "203.0.113.7"};
    int64_t tat_us = 0, ahead_us, now_us = 1000000;
    struct edge edge;
    (void)state;
    open_edge(&edge, &tat_us);
    for (int i = 0; i < 100; i++, now_us += 100)
        assert_true(request(&edge, &client, now_us, &ahead_us));
    assert_false(request(&edge, &client, now_us, &ahead_us));
    assert_int_equal(edge.n_asked, 101);
    lease_table_free(edge.table);
}

// What a client loses when it stops is at most what it had spent shortly before.
static void what_is_not_spent_in_time_is_gone_and_is_little(void **state)
{
    const struct lease_client client = {&wide, "u:anna"};
    int64_t tat_us = 0, ahead_us, now_us = 1000000;
    struct edge edge;
    (void)state;
    open_edge(&edge, &tat_us);
    for (int i = 0; i < 20; i++, now_us += 1000)
        assert_true(request(&edge, &client, now_us, &ahead_us));
    int64_t taken = (tat_us - 1000000) / gcra_interval_us(&wide);
    assert_in_range(taken, 20, 40);
    now_us += LEASE_US;
    assert_false(lease_spend(edge.table, &client, now_us, &ahead_us));
    assert_int_equal(lease_wish(edge.table, &client, now_us + 10000000), 1);
    lease_table_free(edge.table);
}

static void questions_that_come_together_wish_once(void **state)
{
    const struct lease_client client = {&wide, "u:anna"};
    struct lease_table *table;
    (void)state;
    assert_int_equal(lease_table_new(&table), 0);
    for (int i = 0; i < 50; i++)
        (void)lease_put(table, &client, 1000000, 1, 10000);
    assert_int_equal(lease_wish(table, &client, 1001000), 2);
    assert_int_equal(lease_wish(table, &client, 1001000), 1);
    lease_table_free(table);
}

static void clients_and_policies_are_kept_apart(void **state)
{
    static const struct rate_policy other = {"upload", 6000, 60};
    const struct lease_client anna = {&wide, "u:anna"};
    const struct lease_client bert = {&wide, "u:bert"};
    const struct lease_client annas_other = {&other, "u:anna"};
    struct lease_table *table;
    char key[LEASE_KEY_SIZE];
    int64_t ahead_us;
    (void)state;
    assert_int_equal(lease_table_new(&table), 0);
    (void)lease_put(table, &anna, 1000000, 10, 100000);
    assert_false(lease_spend(table, &bert, 1000001, &ahead_us));
    assert_false(lease_spend(table, &annas_other, 1000001, &ahead_us));
    for (int i = 0; i < 9; i++)
        assert_true(lease_spend(table, &anna, 1000001, &ahead_us));
    assert_false(lease_spend(table, &anna, 1000001, &ahead_us));
    // A crowd takes each other's places, which costs permits but lets nobody have another's.
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "u:%d", i);
        const struct lease_client client = {&wide, key};
        (void)lease_put(table, &client, 2000000 + i, 2, 20000);
        assert_true(lease_spend(table, &client, 2000000 + i, &ahead_us));
        assert_false(lease_spend(table, &client, 2000000 + i, &ahead_us));
    }
    lease_table_free(table);
    lease_table_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answers_are_those_of_the_budget),
        cmocka_unit_test(a_busy_client_asks_seldom_and_a_slow_one_each_time),
        cmocka_unit_test(gateways_together_allow_the_quota_and_no_more),
        cmocka_unit_test(small_budgets_are_counted_one_by_one),
        cmocka_unit_test(what_is_not_spent_in_time_is_gone_and_is_little),
        cmocka_unit_test(questions_that_come_together_wish_once),
        cmocka_unit_test(clients_and_policies_are_kept_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
