// SPDX-License-Identifier: Apache-2.0
#include "libcommon/rpc/idmap.h"
#include "tests/lib/cmocka.h"

enum { N = 3000 };

static struct reel_idmap_node nodes[N];

static void count_node(struct reel_idmap_node *node, void *arg)
{
    (void)node;
    ++*(size_t *)arg;
}

static void an_empty_map_has_nothing(void **state)
{
    struct reel_idmap map;
    size_t n = 0;

    (void)state;
    reel_idmap_init(&map);
    assert_null(reel_idmap_find(&map, 0));
    assert_null(reel_idmap_remove(&map, 1));
    reel_idmap_each(&map, count_node, &n);
    assert_int_equal(n, 0);
    reel_idmap_fini(&map);
}

static uint64_t id_of(size_t i, unsigned shift)
{
    return (uint64_t)(i + 1) << shift;
}

// Ids that differ in their upper bits only must not make lookups linear or lose nodes.
static void nodes_are_found_until_they_are_removed(void **state)
{
    static const unsigned shifts[] = {0, 1, 12, 32, 52};

    (void)state;
    for (size_t s = 0; s < REEL_ARRAY_SIZE(shifts); s++) {
        struct reel_idmap map;

        reel_idmap_init(&map);
        for (size_t i = 0; i < N; i++) {
            nodes[i] = (struct reel_idmap_node){.id = id_of(i, shifts[s])};
            assert_int_equal(reel_idmap_add(&map, &nodes[i]), 0);
        }
        assert_int_equal(map.count, N);
        for (size_t i = 0; i < N; i += 2)
            assert_ptr_equal(reel_idmap_remove(&map, nodes[i].id), &nodes[i]);
        for (size_t i = 0; i < N; i++)
            assert_ptr_equal(reel_idmap_find(&map, id_of(i, shifts[s])), i % 2 ? &nodes[i] : NULL);
        assert_null(reel_idmap_remove(&map, nodes[0].id));
        reel_idmap_fini(&map);
    }
}

static void each_tells_every_node_once(void **state)
{
    struct reel_idmap map;
    size_t n = 0;

    (void)state;
    reel_idmap_init(&map);
    for (size_t i = 0; i < 100; i++) {
        nodes[i] = (struct reel_idmap_node){.id = i * 7919 + 1};
        assert_int_equal(reel_idmap_add(&map, &nodes[i]), 0);
    }
    reel_idmap_each(&map, count_node, &n);
    assert_int_equal(n, 100);
    for (size_t i = 0; i < 100; i++)
        assert_ptr_equal(reel_idmap_remove(&map, i * 7919 + 1), &nodes[i]);
    reel_idmap_each(&map, count_node, &n);
    assert_int_equal(n, 100);
    reel_idmap_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(nodes_are_found_until_they_are_removed),
        cmocka_unit_test(each_tells_every_node_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
