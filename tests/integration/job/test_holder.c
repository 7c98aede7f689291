// SPDX-License-Identifier: Apache-2.0
#include "svc-job/holder.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libcommon/core/base.h"
#include "tests/lib/cmocka.h"

enum { BOOT, PID_NAMESPACE, TIME_NAMESPACE, PID, START };

// A token of this process with one part replaced.
static const char *with(int part, const char *value, char text[HOLDER_TOKEN_SIZE])
{
    char token[HOLDER_TOKEN_SIZE];
    char *rest = token;
    size_t n = 0;

    holder_token(token);
    for (int i = 0; rest != NULL; i++) {
        const char *word = strsep(&rest, ".");
        n += (size_t)snprintf(text + n, HOLDER_TOKEN_SIZE - n, "%s%s", i > 0 ? "." : "",
                              i == part ? value : word);
    }
    return text;
}

static void a_living_process_holds_its_locks(void **state)
{
    char token[HOLDER_TOKEN_SIZE];
    char other[HOLDER_TOKEN_SIZE];

    (void)state;
    holder_token(token);
    holder_token(other);
    assert_string_not_equal(token, other);
    assert_false(holder_is_gone(token));
    assert_false(holder_is_gone(other));
}

static void a_process_is_gone_when_it_has_been_waited_for(void **state)
{
    char token[HOLDER_TOKEN_SIZE];
    siginfo_t info;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        holder_token(token);
        _exit(write(ends[1], token, sizeof(token)) == sizeof(token) ? 0 : 1);
    }
    assert_int_equal(read(ends[0], token, sizeof(token)), sizeof(token));
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_false(holder_is_gone(token));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(holder_is_gone(token));
    close(ends[0]);
    close(ends[1]);
}

static void a_number_that_is_used_again_is_another_process(void **state)
{
    char token[HOLDER_TOKEN_SIZE];

    (void)state;
    assert_true(holder_is_gone(with(START, "7", token)));
}

static void what_cannot_be_told_is_not_gone(void **state)
{
    char token[HOLDER_TOKEN_SIZE];
    static const char *const foreign[] = {
        "",
        "t",
        "0190a000-0000-7000-8000-00000000000a:3",
        "3f2a9c0d3f2a9c0d3f2a9c0d3f2a9c0d",
        "a.1.1.0.1.x",
        "a.1.1.-1.1.x",
        "a.b.c.d.e.f",
        "....",
        "a.1.1.1.1.x",
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(foreign); i++)
        assert_false(holder_is_gone(foreign[i]));
    assert_false(holder_is_gone(with(BOOT, "0190a000-0000-7000-8000-00000000000a", token)));
    assert_false(holder_is_gone(with(PID_NAMESPACE, "1", token)));
    assert_false(holder_is_gone(with(TIME_NAMESPACE, "1", token)));
    assert_false(holder_is_gone(with(PID, "0", token)));
    assert_false(holder_is_gone(with(PID, "-1", token)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_living_process_holds_its_locks),
        cmocka_unit_test(a_process_is_gone_when_it_has_been_waited_for),
        cmocka_unit_test(a_number_that_is_used_again_is_another_process),
        cmocka_unit_test(what_cannot_be_told_is_not_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
