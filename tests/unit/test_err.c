// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>

#include "libcommon/core/base.h"
#include "libcommon/core/err.h"
#include "tests/lib/cmocka.h"

struct row {
    int code;
    const char *name;
    int http_status;
    bool retryable;
};

// Written out again from grpc/doc/statuscodes and google.rpc.Code, not taken from the code.
static const struct row expected[] = {
    {0, "OK", 200, false},
    {1, "CANCELLED", 499, false},
    {2, "UNKNOWN", 500, false},
    {3, "INVALID_ARGUMENT", 400, false},
    {4, "DEADLINE_EXCEEDED", 504, false},
    {5, "NOT_FOUND", 404, false},
    {6, "ALREADY_EXISTS", 409, false},
    {7, "PERMISSION_DENIED", 403, false},
    {8, "RESOURCE_EXHAUSTED", 429, true},
    {9, "FAILED_PRECONDITION", 0, false}, // ours to choose: 400 there, 409 here
    {10, "ABORTED", 409, true},
    {11, "OUT_OF_RANGE", 400, false},
    {12, "UNIMPLEMENTED", 501, false},
    {13, "INTERNAL", 500, false},
    {14, "UNAVAILABLE", 503, true},
    {15, "DATA_LOSS", 500, false},
    {16, "UNAUTHENTICATED", 401, false},
};

static void every_code_has_its_name_status_and_retry_rule(void **state)
{
    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(expected); i++) {
        const struct row *row = &expected[i];

        assert_int_equal(row->code, i);
        assert_string_equal(reel_code_name(row->code), row->name);
        assert_int_equal(reel_code_is_retryable(row->code), row->retryable);
        if (row->http_status)
            assert_int_equal(reel_code_http_status(row->code), row->http_status);
    }
    assert_int_equal(reel_code_http_status(REEL_FAILED_PRECONDITION), 409);
}

static void codes_outside_the_table_are_unknown(void **state)
{
    static const int codes[] = {17, 1000, -1, -EIO, INT32_MAX, INT32_MIN};

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(codes); i++) {
        assert_string_equal(reel_code_name(codes[i]), "UNKNOWN");
        assert_int_equal(reel_code_http_status(codes[i]), 500);
        assert_false(reel_code_is_retryable(codes[i]));
    }
}

static void outcomes_reach_the_client_unchanged(void **state)
{
    (void)state;
    for (int code = 0; code <= REEL_UNAUTHENTICATED; code++)
        assert_int_equal(reel_code_for_client(code), code);
    assert_int_equal(reel_code_for_client(17), REEL_UNKNOWN);
}

static void faults_of_a_lost_peer_are_unavailable_and_all_others_internal(void **state)
{
    static const int lost[] = {ECONNREFUSED, ECONNRESET,   EPIPE, ETIMEDOUT,
                               ENOTCONN,     EHOSTUNREACH, EAGAIN};

    (void)state;
    for (int error = 1; error < 134; error++) {
        int code = REEL_INTERNAL;

        for (size_t i = 0; i < REEL_ARRAY_SIZE(lost); i++) {
            if (lost[i] == error)
                code = REEL_UNAVAILABLE;
        }
        assert_int_equal(reel_code_for_client(-error), code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_name_status_and_retry_rule),
        cmocka_unit_test(codes_outside_the_table_are_unknown),
        cmocka_unit_test(outcomes_reach_the_client_unchanged),
        cmocka_unit_test(faults_of_a_lost_peer_are_unavailable_and_all_others_internal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
