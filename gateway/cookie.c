// SPDX-License-Identifier: Apache-2.0
#include "gateway/cookie.h"

#include <string.h>

const char *cookie_find(const char *header, const char *name, size_t *ret_len)
{
    size_t name_len = strlen(name);
    const char *s = header;
    while (*s) {
        s += strspn(s, "; \t");
        size_t len = strcspn(s, ";");
        if (len > name_len && s[name_len] == '=' && strncmp(s, name, name_len) == 0) {
            *ret_len = len - name_len - 1;
            return s + name_len + 1;
        }
        s += len;
    }
    return NULL;
}
