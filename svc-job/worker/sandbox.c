// SPDX-License-Identifier: Apache-2.0
#include "svc-job/worker/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY          65534
#define MAX_DESCRIPTORS 16
#define NAMESPACES      (CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS)

pid_t sandbox_fork(void)
{
#if !SANDBOX_SANITIZED
    // Root needs no user namespace to make the others; anybody else needs one.
    static const unsigned long flags[] = {NAMESPACES, NAMESPACES | CLONE_NEWUSER};

    for (size_t i = 0; i < REEL_ARRAY_SIZE(flags); i++) {
        long pid = syscall(SYS_clone, flags[i] | SIGCHLD, 0, 0, 0, 0);

        if (pid >= 0)
            return (pid_t)pid;
    }
#endif
    pid_t plain = fork();

    return plain < 0 ? -errno : plain;
}

void sandbox_drop_privileges(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    // In a user namespace of its own root is nobody already, and these fail.
    if (geteuid() == 0 && setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0)
        (void)!setresuid(NOBODY, NOBODY, NOBODY);
    (void)syscall(SYS_capset, &header, none);
}

static int limit(int resource, int64_t soft, int64_t hard)
{
    struct rlimit value = {.rlim_cur = (rlim_t)soft, .rlim_max = (rlim_t)hard};

    return setrlimit((__rlimit_resource_t)resource, &value) < 0 ? -errno : 0;
}

static int set_limits(const struct sandbox_limits *limits)
{
    int rc = limit(RLIMIT_CORE, 0, 0);

    // Past the limit a write fails with EFBIG.
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGXCPU, SIG_DFL);
    if (rc == 0)
        rc = limit(RLIMIT_FSIZE, limits->output_bytes, limits->output_bytes);
    if (rc == 0)
        rc = limit(RLIMIT_CPU, limits->cpu_s, limits->cpu_s + 2);
#if !SANDBOX_SANITIZED
    // DATA is the memory it uses; AS, which counts the libraries and what threads only reserve, is
    // the backstop.
    if (rc == 0)
        rc = limit(RLIMIT_DATA, limits->memory_bytes, limits->memory_bytes);
    if (rc == 0)
        rc = limit(RLIMIT_AS, 2 * limits->memory_bytes + (INT64_C(2) << 30),
                   2 * limits->memory_bytes + (INT64_C(2) << 30));
    if (rc == 0)
        rc = limit(RLIMIT_NOFILE, MAX_DESCRIPTORS, MAX_DESCRIPTORS);
#endif
    return rc;
}

#if SANDBOX_SANITIZED

int sandbox_enter(const struct sandbox_limits *limits)
{
    return set_limits(limits);
}

#else

// As in linux/landlock.h of kernel 6.12, which older systems lack. A kernel takes a longer struct
// than it knows if what it does not know is zero.
struct landlock_rules {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};

static struct landlock_rules landlock_rules_of(long abi)
{
    struct landlock_rules rules = {.fs = (1U << 13) - 1};

    if (abi >= 2)
        rules.fs |= 1U << 13; // renames across folders
    if (abi >= 3)
        rules.fs |= 1U << 14; // truncation
    if (abi >= 5)
        rules.fs |= 1U << 15; // ioctl on devices
    if (abi >= 4)
        rules.net = 3; // TCP bind and connect
    if (abi >= 6)
        rules.scoped = 3; // abstract sockets and signals
    return rules;
}

static int deny_files(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1);
    struct landlock_rules rules;
    long fd;
    int rc = 0;

    if (abi <= 0)
        return 0;
    rules = landlock_rules_of(abi);
    fd = syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
    if (fd < 0)
        return 0;
    // No rule is added: everything is denied.
    if (syscall(SYS_landlock_restrict_self, fd, 0) < 0)
        rc = -errno;
    close((int)fd);
    return rc;
}

static const int allowed[] = {
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(lseek),
    SCMP_SYS(close),
    SCMP_SYS(fsync),
    SCMP_SYS(ftruncate),
    SCMP_SYS(futex),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(brk),
    SCMP_SYS(madvise),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(sched_yield),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_getres),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(getrusage),
    SCMP_SYS(gettid),
    SCMP_SYS(getpid),
    SCMP_SYS(getrandom),
    SCMP_SYS(restart_syscall),
};

// What libraries try and do without: the number of processors from /sys, the terminal, scheduling
// classes. They are told no; anything not named dies.
static const int refused[] = {
    SCMP_SYS(open),
    SCMP_SYS(openat),
    SCMP_SYS(stat),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(ioctl),
    SCMP_SYS(fcntl),
    SCMP_SYS(uname),
    SCMP_SYS(sysinfo),
    SCMP_SYS(prlimit64),
    SCMP_SYS(get_mempolicy),
    SCMP_SYS(sched_setscheduler),
    SCMP_SYS(sched_setparam),
    SCMP_SYS(sched_setaffinity),
    SCMP_SYS(setpriority),
};

static int add_all(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int rc = seccomp_rule_add(filter, action, calls[i], 0);

        // A call that this architecture does not have.
        if (rc < 0 && rc != -EDOM)
            return rc;
    }
    return 0;
}

static int add_conditional(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp not_executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    const struct scmp_arg_cmp is_thread =
        SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_VM, CLONE_THREAD | CLONE_VM);
    const struct scmp_arg_cmp names = SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME, 0);
    int rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &not_executable);

    if (rc == 0)
        rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, &not_executable);
    if (rc == 0)
        rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, &is_thread);
    // Its flags lie in memory, where a filter cannot look; glibc then uses clone.
    if (rc == 0)
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    if (rc == 0)
        rc = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1, &names);
    return rc;
}

static int filter_calls(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int rc;

    if (!filter)
        return -ENOMEM;
    rc = add_all(filter, SCMP_ACT_ALLOW, allowed, REEL_ARRAY_SIZE(allowed));
    if (rc == 0)
        rc = add_all(filter, SCMP_ACT_ERRNO(EPERM), refused, REEL_ARRAY_SIZE(refused));
    if (rc == 0)
        rc = add_conditional(filter);
    // A binary tree: some sixty calls would else be compared one by one at every read.
    if (rc == 0)
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (rc == 0)
        rc = seccomp_load(filter);
    seccomp_release(filter);
    return rc;
}

int sandbox_enter(const struct sandbox_limits *limits)
{
    int rc = set_limits(limits);

    if (rc < 0)
        return rc;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    rc = deny_files();
    return rc == 0 ? filter_calls() : rc;
}

#endif
