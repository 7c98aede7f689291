// SPDX-License-Identifier: Apache-2.0
#include "svc-job/holder.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libcommon/core/base.h"
#include "libcommon/core/id.h"

enum { RANDOM_BYTES = 16, WORD_SIZE = 40, START_FIELD = 22 };

// A process among all there ever were on any host: a number is used again only in the same
// namespace, and there not at the same time.
struct process {
    char boot[WORD_SIZE];
    uint64_t pid_namespace;
    uint64_t time_namespace; // the start is told by its clock
    int pid;
    uint64_t start; // ticks since the boot
};

static void fclosep(FILE **file)
{
    if (*file != NULL)
        fclose(*file);
}

static bool read_boot(char ret_boot[WORD_SIZE])
{
    REEL_AUTO(fclosep) FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    return file != NULL && fscanf(file, "%39[0-9a-f-]", ret_boot) == 1;
}

static uint64_t namespace_of(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 ? st.st_ino : 0;
}

// When the process of that number started. False when it cannot be told.
static bool read_start(int pid, uint64_t *ret_start)
{
    char path[32];
    char text[1024];

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    REEL_AUTO(fclosep) FILE *file = fopen(path, "re");
    if (file == NULL || fgets(text, sizeof(text), file) == NULL)
        return false;
    // The second field is a name in brackets, in which anything may stand.
    const char *at = strrchr(text, ')');
    for (int field = 2; at != NULL && field < START_FIELD; field++)
        at = strchr(at + 1, ' ');
    return at != NULL && sscanf(at, "%" SCNu64, ret_start) == 1;
}

// Whether /proc shows the processes by the numbers they have here.
static bool is_proc_ours(void)
{
    char text[16] = "";

    return readlink("/proc/self", text, sizeof(text) - 1) > 0 && strtol(text, NULL, 10) == getpid();
}

static bool read_self(struct process *ret_self)
{
    *ret_self = (struct process){
        .pid_namespace = namespace_of("/proc/self/ns/pid"),
        .time_namespace = namespace_of("/proc/self/ns/time"),
        .pid = getpid(),
    };
    return is_proc_ours() && ret_self->pid_namespace != 0 && read_boot(ret_self->boot) &&
           read_start(ret_self->pid, &ret_self->start);
}

void holder_token(char ret_token[HOLDER_TOKEN_SIZE])
{
    char random[RANDOM_BYTES * 2 + 1];
    struct process self;

    reel_id_random_hex(random, RANDOM_BYTES);
    if (read_self(&self))
        snprintf(ret_token, HOLDER_TOKEN_SIZE, "%s.%" PRIu64 ".%" PRIu64 ".%d.%" PRIu64 ".%s",
                 self.boot, self.pid_namespace, self.time_namespace, self.pid, self.start, random);
    else
        snprintf(ret_token, HOLDER_TOKEN_SIZE, "%s", random);
}

bool holder_is_gone(const char *token)
{
    struct process holder;
    struct process self;
    uint64_t start;

    if (sscanf(token, "%39[0-9a-f-].%" SCNu64 ".%" SCNu64 ".%d.%" SCNu64 ".", holder.boot,
               &holder.pid_namespace, &holder.time_namespace, &holder.pid, &holder.start) != 5 ||
        holder.pid <= 0 || !read_self(&self))
        return false;
    if (strcmp(holder.boot, self.boot) != 0 || holder.pid_namespace != self.pid_namespace ||
        holder.time_namespace != self.time_namespace)
        return false;
    // A process that is dead but not waited for has its number still.
    if (kill(holder.pid, 0) < 0 && errno == ESRCH)
        return true;
    return read_start(holder.pid, &start) && start != holder.start;
}
