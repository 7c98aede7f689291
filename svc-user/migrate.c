// SPDX-License-Identifier: Apache-2.0
#include "svc-user/migrations.gen.h"
#include "svc-user/svc.h"

int user_svc_migrate(const struct user_config *config)
{
    return reel_pg_migrate(config->database_url, "user", migrations, REEL_ARRAY_SIZE(migrations));
}
