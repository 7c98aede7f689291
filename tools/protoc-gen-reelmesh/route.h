// SPDX-License-Identifier: Apache-2.0
// HTTP routes of a method, from (google.api.http), and what makes one wrong.
#pragma once

#include "tools/protoc-gen-reelmesh/model.h"

// Fills method->routes from `http` (NULL: none) and checks them against the method's messages.
void route_build(struct plugin *plugin, const struct schema *schema,
                 const Google__Api__HttpRule *http, struct model_method *method);

// Reports every two routes of `files` that a request could not tell apart.
void route_check_duplicates(struct plugin *plugin, const struct model_file *files, size_t n_files);
