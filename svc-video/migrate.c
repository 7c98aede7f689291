// SPDX-License-Identifier: Apache-2.0
#include "svc-video/migrations.gen.h"
#include "svc-video/svc.h"

int video_svc_migrate(const struct video_config *config)
{
    return reel_pg_migrate(config->database_url, "video", migrations, REEL_ARRAY_SIZE(migrations));
}
