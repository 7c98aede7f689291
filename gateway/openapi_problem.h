// SPDX-License-Identifier: Apache-2.0
// What OpenAPI says of failures: one response a status, with the headers that come with it.
#pragma once

struct json_t;

// A reference to the response of a status that problem+json is answered with. Owned by the caller;
// NULL for a status that is not among them, or when memory is out.
struct json_t *openapi_problem_ref(unsigned status);

// All responses that references name, as of components/responses. Owned by the caller; NULL when
// memory is out.
struct json_t *openapi_problem_responses(void);

// The schema of the problem details themselves. Owned by the caller; NULL when memory is out.
struct json_t *openapi_problem_schema(void);
