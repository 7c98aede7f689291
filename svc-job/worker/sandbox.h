// SPDX-License-Identifier: Apache-2.0
// What a process that parses a stranger's bytes gives up, layer by layer.
//
//   namespaces  empty ones for network, mounts, processes, IPC and names, entered by the zygote
//   privileges  another user when started as root, no capabilities, no new ones
//   limits      memory, CPU, file size (answered as EFBIG), descriptors, no core
//   Landlock    no file, no TCP port, no signal or abstract socket outside, as far as the kernel
//   has it seccomp     a list of some forty calls; anything else kills the process
//
// Namespaces and Landlock are used where the kernel allows them; seccomp is never optional. Builds
// with a sanitizer have none of them but the limits on CPU and file size: its run-time needs
// calls and address space that a codec must not have. The ordinary build's tests hold the sandbox.
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "libcommon/core/base.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANDBOX_SANITIZED 1
#endif
#endif
#ifndef SANDBOX_SANITIZED
#define SANDBOX_SANITIZED 0
#endif

// The codec libraries are not built with the thread sanitizer, which therefore sees races where
// they synchronise by means it cannot see: under it a worker keeps to one thread.
#if defined(__SANITIZE_THREAD__)
#define SANDBOX_ONE_THREAD 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANDBOX_ONE_THREAD 1
#endif
#endif
#ifndef SANDBOX_ONE_THREAD
#define SANDBOX_ONE_THREAD 0
#endif

struct sandbox_limits {
    int64_t memory_bytes;
    int64_t cpu_s;
    int64_t output_bytes;
};

// Forks into as many empty namespaces as the kernel grants. Returns as fork(2) does, the failure as
// -errno. Only for a process with one thread.
pid_t sandbox_fork(void);

// Gives up the user and the capabilities. What is not allowed is left as it is. Clears the death
// signal (prctl(2)): set it after.
void sandbox_drop_privileges(void);

// Shuts the calling process in, for good: limits, no new privileges, Landlock, seccomp. -errno when
// a layer that is not optional fails; the process must then exit.
int sandbox_enter(const struct sandbox_limits *limits) REEL_MUST_CHECK;
