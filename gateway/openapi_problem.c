// SPDX-License-Identifier: Apache-2.0
#include "gateway/openapi_problem.h"

#include <jansson.h>
#include <stdio.h>

#include "libcommon/core/base.h"

static const struct {
    unsigned status;
    const char *name;
    const char *description;
    const char *header; // that always comes with it, or NULL
    const char *header_says;
} rows[] = {
    {400, "BadRequest", "The request cannot be read; `errors` names the place.", NULL, NULL},
    {401, "Unauthorized", "Sign in first, or again.", "WWW-Authenticate", "How to sign in."},
    {403, "Forbidden", "Not allowed; `detail` says why.", NULL, NULL},
    {404, "NotFound", "There is no such thing, or it is another user's.", NULL, NULL},
    {409, "Conflict", "What is there already does not allow it.", NULL, NULL},
    {411, "LengthRequired", "Send Content-Length, or send the body chunked.", NULL, NULL},
    {412, "PreconditionFailed", "It is not, or not any more, what the request's conditions say.",
     "ETag", "Of what is there."},
    {413, "ContentTooLarge", "The body is too long; `detail` names both lengths.", NULL, NULL},
    {415, "UnsupportedMediaType", "Send the body as another Content-Type.", NULL, NULL},
    {416, "RangeNotSatisfiable", "The range starts past the end.", "Content-Range",
     "The length there is: `bytes */1234`."},
    {422, "UnprocessableContent", "Values are missing or out of bounds; `errors` names each.", NULL,
     NULL},
    {429, "TooManyRequests", "Asked too often, or the service is full.", "Retry-After",
     "Seconds to wait."},
    {500, "InternalServerError", "A fault of ours. Try again, then report the `requestId`.", NULL,
     NULL},
    {503, "ServiceUnavailable", "What is needed is away right now.", "Retry-After",
     "Seconds to wait."},
    {504, "GatewayTimeout", "A service took too long to answer. Try again.", NULL, NULL},
};

json_t *openapi_problem_ref(unsigned status)
{
    char ref[128];
    for (size_t i = 0; i < REEL_ARRAY_SIZE(rows); i++) {
        if (rows[i].status != status)
            continue;
        snprintf(ref, sizeof(ref), "#/components/responses/%s", rows[i].name);
        return json_pack("{s:s}", "$ref", ref);
    }
    return NULL;
}

json_t *openapi_problem_responses(void)
{
    json_t *responses = json_object();
    for (size_t i = 0; i < REEL_ARRAY_SIZE(rows); i++) {
        json_t *response =
            json_pack("{s:s, s:{s:{s:{s:s}}}}", "description", rows[i].description, "content",
                      "application/problem+json", "schema", "$ref", "#/components/schemas/Problem");
        if (rows[i].header)
            json_object_set_new(response, "headers",
                                json_pack("{s:{s:s, s:b, s:{s:s}}}", rows[i].header, "description",
                                          rows[i].header_says, "required", 1, "schema", "type",
                                          "string"));
        json_object_set_new(responses, rows[i].name, response);
    }
    return responses;
}

static json_t *text(const char *description)
{
    return json_pack("{s:s, s:s}", "type", "string", "description", description);
}

static json_t *errors_schema(void)
{
    json_t *error =
        json_pack("{s:s, s:[s], s:{s:o, s:o, s:o}}", "type", "object", "required", "detail",
                  "properties", "pointer", text("Where in the body, as a JSON Pointer fragment."),
                  "parameter", text("The name of the path or query parameter."), "detail",
                  text("What is wrong with the value there."));
    return json_pack("{s:s, s:o}", "type", "array", "items", error);
}

json_t *openapi_problem_schema(void)
{
    json_t *schema = json_pack("{s:s, s:s, s:[s, s, s, s, s, s, s]}", "type", "object",
                               "description", "RFC 9457 problem details.", "required", "type",
                               "title", "status", "detail", "error", "code", "requestId");
    json_t *properties =
        json_pack("{s:o, s:o, s:{s:s}, s:o, s:o, s:o, s:o, s:o}", "type",
                  text("The kind of problem; about:blank: the status says it all."), "title",
                  text("The status in words."), "status", "type", "integer", "detail",
                  text("What is wrong and what to do, for people."), "error",
                  text("As `detail`, for older clients."), "code", text("The gRPC status by name."),
                  "requestId", text("To find the request in the logs."), "errors", errors_schema());
    json_object_set_new(properties, "violated-policies",
                        json_pack("{s:s, s:{s:s}, s:s}", "type", "array", "items", "type", "string",
                                  "description", "The rate limits passed."));
    json_object_set_new(properties, "services",
                        json_pack("{s:s, s:{s:s}, s:s}", "type", "object", "additionalProperties",
                                  "type", "string", "description",
                                  "With GET /ready: each service, up or down."));
    json_object_set_new(properties, "rateLimits", text("With GET /ready: shared or local."));
    json_object_set_new(schema, "properties", properties);
    return schema;
}
