// SPDX-License-Identifier: Apache-2.0
#include "libcommon/obs/log.h"
#include "libcommon/svc/svc.h"
#include "svc-video/svc.h"

static int serve(const struct video_config *config)
{
    struct video_svc *svc = NULL;
    int rc = video_svc_new(config, &svc);
    int status = 1;

    if (rc == 0)
        status = reel_svc_serve(&(struct reel_svc){.server = svc->server,
                                                   .grace_us = config->grace_ms * 1000,
                                                   .metrics_port = config->metrics_port,
                                                   .is_ready = video_svc_is_ready,
                                                   .arg = svc});
    else
        reel_log(REEL_LOG_ERROR, "svc.start_failed", REEL_FI("code", rc));
    video_svc_free(svc);
    return status;
}

int main(int argc, char **argv)
{
    enum reel_log_level level = REEL_LOG_INFO;
    struct video_config config;

    reel_svc_init();
    int rc = video_config_load(argc, argv, &config);
    if (rc != 0)
        return rc == REEL_CANCELLED ? 0 : 2;
    reel_log_level_parse(config.log_level, &level);
    reel_log_init("video", level);
    if (config.migrate)
        return video_svc_migrate(&config) == 0 ? 0 : 1;
    return serve(&config);
}
