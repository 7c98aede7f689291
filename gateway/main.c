// SPDX-License-Identifier: Apache-2.0
// The gateway's process: HTTP in, RPC out.
#include "gateway/config.h"
#include "gateway/gateway.h"
#include "libcommon/core/err.h"
#include "libcommon/obs/log.h"
#include "libcommon/svc/svc.h"

int main(int argc, char **argv)
{
    struct gateway_config config;
    struct gateway *gw;
    enum reel_log_level level = REEL_LOG_INFO;

    reel_svc_init();
    int rc = gateway_config_load(argc, argv, &config);
    if (rc != REEL_OK)
        return rc == REEL_CANCELLED ? 0 : 2;
    reel_log_level_parse(config.log_level, &level);
    reel_log_init("gateway", level);
    if (gateway_open(&config, &gw) != 0)
        return 1;
    int status = gateway_serve(gw);
    gateway_close(gw);
    return status;
}
