// SPDX-License-Identifier: Apache-2.0
// reel-job: the queue, its workers and the record of every job.
#include <stdio.h>

#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"
#include "libcommon/svc/svc.h"
#include "svc-job/config.h"
#include "svc-job/svc.h"

int main(int argc, char **argv)
{
    struct worker_zygote *zygote = NULL;
    struct job_config config = {0};
    enum reel_log_level level = REEL_LOG_INFO;

    // First of all: what is forked later would inherit threads and secrets.
    if (worker_zygote_start(&zygote) != 0) {
        perror("reel-job: the worker zygote cannot be started");
        return 1;
    }
    reel_svc_init();
    int rc = job_config_load(argc, argv, &config);
    reel_log_level_parse(config.log_level, &level);
    reel_log_init("job", level);
    int status = rc == REEL_CANCELLED ? 0 : 2;
    if (rc == REEL_OK)
        status = config.migrate ? job_svc_migrate(&config) : job_svc_serve(&config, zygote);
    worker_zygote_stop(zygote);
    return status;
}
