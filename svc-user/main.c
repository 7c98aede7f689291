// SPDX-License-Identifier: Apache-2.0
#include "libcommon/obs/log.h"
#include "libcommon/svc/svc.h"
#include "svc-user/svc.h"

static int serve(const struct user_config *config)
{
    struct user_svc *svc = NULL;
    int rc = user_svc_new(config, &svc);
    int status = 1;

    if (rc == 0)
        status = reel_svc_serve(&(struct reel_svc){.server = svc->server,
                                                   .grace_us = config->grace_ms * 1000,
                                                   .metrics_port = config->metrics_port,
                                                   .is_ready = user_svc_is_ready,
                                                   .on_drain = user_svc_drain,
                                                   .arg = svc});
    else
        reel_log(REEL_LOG_ERROR, "svc.start_failed", REEL_FI("code", rc));
    user_svc_free(svc);
    return status;
}

int main(int argc, char **argv)
{
    enum reel_log_level level = REEL_LOG_INFO;
    struct user_config config;

    reel_svc_init();
    int rc = user_config_load(argc, argv, &config);
    if (rc != 0)
        return rc == REEL_CANCELLED ? 0 : 2;
    reel_log_level_parse(config.log_level, &level);
    reel_log_init("user", level);
    if (config.migrate)
        return user_svc_migrate(&config) == 0 ? 0 : 1;
    return serve(&config);
}
