/* The API's own document (OpenAPI 3.1), written from the tables: what it says is what is served. */
#include "api/exchange.h"

#include "api/job_input.h"
#include "api/job_output.h"
#include "net/http_response.h"
#include <stdio.h>
#include <string.h>

/* What each member of a job takes; members without an entry are strings. */
static const struct {
    const char *name;
    const char *schema;
} INPUT_SCHEMAS[] = {
    {"args", "{}"},
    {"version", "{\"type\":\"integer\",\"minimum\":1}"},
    {"priority", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":9}"},
    {"max_lost", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":1000}"},
    {"run_at", "{\"type\":\"string\",\"format\":\"date-time\"}"},
    {"expires_at", "{\"type\":\"string\",\"format\":\"date-time\"}"},
    {"retry", "{\"type\":\"object\"}"},
    {"tags", "{\"type\":\"array\",\"maxItems\":32,\"items\":{\"type\":\"string\"}}"},
    {"meta", "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}"},
};

static const char *input_schema(const char *name) {
    for (size_t i = 0; i < LENGTH(INPUT_SCHEMAS); i++) {
        if (strcmp(INPUT_SCHEMAS[i].name, name) == 0) return INPUT_SCHEMAS[i].schema;
    }
    return "{\"type\":\"string\"}";
}

static void put_text(JsonWriter *writer, const char *key, const char *value) {
    json_put_string(writer, key, str_from(value));
}

static void put_json(JsonWriter *writer, const char *key, const char *json) {
    json_put_raw(writer, key, str_from(json));
}

/* ---- components ---- */

static void write_job_in(JsonWriter *writer) {
    const char *name;
    JobMemberKind kind;
    json_write_key(writer, STR("JobInput"));
    json_begin_object(writer);
    put_text(writer, "type", "object");
    put_json(writer, "required", "[\"type\"]");
    json_put_bool(writer, "additionalProperties", false);
    json_write_key(writer, STR("properties"));
    json_begin_object(writer);
    for (size_t i = 0; job_input_row(i, &name, &kind); i++) {
        if (kind == JOB_MEMBER_IN) put_json(writer, name, input_schema(name));
    }
    json_end_object(writer);
    json_end_object(writer);
}

static void write_job_out(JsonWriter *writer) {
    const char *name, *schema;
    json_write_key(writer, STR("Job"));
    json_begin_object(writer);
    put_text(writer, "type", "object");
    json_write_key(writer, STR("properties"));
    json_begin_object(writer);
    for (size_t i = 0; job_output_row(i, &name, &schema); i++) {
        put_json(writer, name, schema);
    }
    put_json(writer, "duplicate", "{\"type\":\"boolean\"}");
    json_end_object(writer);
    json_end_object(writer);
}

static void write_components(JsonWriter *writer) {
    json_write_key(writer, STR("components"));
    json_begin_object(writer);
    put_json(writer, "securitySchemes",
             "{\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\",\"bearerFormat\":\"JWT\"}}");
    json_write_key(writer, STR("schemas"));
    json_begin_object(writer);
    write_job_in(writer);
    write_job_out(writer);
    put_json(writer, "Problem",
             "{\"type\":\"object\",\"required\":[\"type\",\"title\",\"status\",\"code\"],"
             "\"properties\":{"
             "\"type\":{\"type\":\"string\"},\"title\":{\"type\":\"string\"},"
             "\"status\":{\"type\":\"integer\"},\"detail\":{\"type\":\"string\"},"
             "\"instance\":{\"type\":\"string\"},\"code\":{\"type\":\"string\"},"
             "\"request_id\":{\"type\":\"string\"},\"errors\":{\"type\":\"array\",\"items\":{"
             "\"type\":\"object\",\"properties\":{\"pointer\":{\"type\":\"string\"},"
             "\"code\":{\"type\":\"string\"},\"detail\":{\"type\":\"string\"}}}}}}");
    json_end_object(writer);
    put_json(
        writer, "responses",
        "{\"Problem\":{\"description\":\"What was wrong (RFC 9457)\",\"content\":{"
        "\"application/problem+json\":{\"schema\":{\"$ref\":\"#/components/schemas/Problem\"}}}}}");
    json_end_object(writer);
}

/* ---- operations ---- */

static void write_parameter(JsonWriter *writer, Str name, const char *in, bool required) {
    json_begin_object(writer);
    json_put_string(writer, "name", name);
    put_text(writer, "in", in);
    if (required) json_put_bool(writer, "required", true);
    put_json(writer, "schema", "{\"type\":\"string\"}");
    json_end_object(writer);
}

static void write_parameters(JsonWriter *writer, const Route *route) {
    json_write_key(writer, STR("parameters"));
    json_begin_array(writer);
    Str path = str_from(route->path);
    while (path.ptr) {
        Str part = str_split(&path, '/');
        if (part.len < 2 || part.ptr[0] != '{') continue;
        write_parameter(writer, (Str){part.ptr + 1, part.len - 2}, "path", /* required= */ true);
    }
    Str names = str_from(route->queries);
    while (names.ptr) {
        Str name = str_split(&names, ' ');
        if (str_eq(name, STR("meta.*")))
            continue; /* any number of names: none of them to be listed */
        write_parameter(writer, name, "query", /* required= */ false);
    }
    json_end_array(writer);
}

static void write_body(JsonWriter *writer, const Route *route) {
    if (route->body == BODY_NONE || route->body == BODY_EMPTY) return;
    bool job = route->handle && strcmp(route->path, "/v1/jobs") == 0;
    json_write_key(writer, STR("requestBody"));
    json_begin_object(writer);
    json_put_bool(writer, "required", route->body != BODY_OPTIONAL);
    json_write_key(writer, STR("content"));
    json_begin_object(writer);
    put_json(writer, "application/json",
             job ? "{\"schema\":{\"$ref\":\"#/components/schemas/JobInput\"}}"
                 : "{\"schema\":{\"type\":\"object\"}}");
    if (route->body == BODY_BULK) put_json(writer, "application/x-ndjson", "{}");
    json_end_object(writer);
    json_end_object(writer);
}

static void write_responses(JsonWriter *writer, const Route *route) {
    json_write_key(writer, STR("responses"));
    json_begin_object(writer);
    Str statuses = str_from(route->statuses);
    Str produces = str_from(route->produces ? route->produces : "application/json");
    Str type = str_split(&produces, ';');
    while (statuses.ptr) {
        Str status = str_split(&statuses, ' ');
        uint64_t number = 0;
        check(str_to_uint64(status, &number));
        json_write_key(writer, status);
        json_begin_object(writer);
        put_text(writer, "description", http_status_title((unsigned)number));
        if (number != 204) {
            json_write_key(writer, STR("content"));
            json_begin_object(writer);
            json_write_key(writer, type);
            json_write_raw(writer, STR("{}"));
            json_end_object(writer);
        }
        json_end_object(writer);
    }
    put_json(writer, "default", "{\"$ref\":\"#/components/responses/Problem\"}");
    json_end_object(writer);
}

/* "get /v1/jobs/{id}" → "get_v1_jobs_id". */
static void put_operation_id(JsonWriter *writer, const char *method, const char *path) {
    cleanup(buf_done) Buf id;
    buf_init(&id, 256);
    buf_add(&id, str_from(method));
    for (const char *at = path; *at; at++) {
        if (*at == '{' || *at == '}') continue;
        buf_add_char(&id, *at == '/' || *at == '.' ? '_' : *at);
    }
    json_put_string(writer, "operationId", buf_str(&id));
}

static void write_operation(JsonWriter *writer, const Route *route) {
    static const char *const METHODS[HTTP_METHODS] = {
        [HTTP_METHOD_GET] = "get",         [HTTP_METHOD_HEAD] = "head",
        [HTTP_METHOD_POST] = "post",       [HTTP_METHOD_PUT] = "put",
        [HTTP_METHOD_PATCH] = "patch",     [HTTP_METHOD_DELETE] = "delete",
        [HTTP_METHOD_OPTIONS] = "options",
    };
    json_write_key(writer, str_from(METHODS[route->method]));
    json_begin_object(writer);
    put_operation_id(writer, METHODS[route->method], route->path);
    put_text(writer, "summary", route->summary);
    Role role;
    if (action_least_role(route->action, &role)) {
        char text[64];
        snprintf(text, sizeof text, "Needs %s (role %s).", action_name(route->action),
                 role_name(role));
        put_text(writer, "description", text);
    }
    bool public = route->action == ACTION_PUBLIC;
    put_json(writer, "security",
             !public                 ? "[{\"bearer\":[]}]"
             : route->private_action ? "[{},{\"bearer\":[]}]"
                                     : "[]");
    write_parameters(writer, route);
    write_body(writer, route);
    write_responses(writer, route);
    json_end_object(writer);
}

static bool is_first_of_path(size_t index) {
    for (size_t i = 0; i < index; i++) {
        if (strcmp(routes[i].path, routes[index].path) == 0) return false;
    }
    return true;
}

static void write_paths(JsonWriter *writer) {
    json_write_key(writer, STR("paths"));
    json_begin_object(writer);
    for (size_t i = 0; i < route_count; i++) {
        if (!is_first_of_path(i)) continue;
        json_write_key(writer, str_from(routes[i].path));
        json_begin_object(writer);
        for (size_t j = i; j < route_count; j++) {
            if (strcmp(routes[i].path, routes[j].path) == 0) write_operation(writer, &routes[j]);
        }
        json_end_object(writer);
    }
    json_end_object(writer);
}

void openapi_write(Buf *buf, const char *version, Str base_path) {
    JsonWriter writer = json_writer(buf);
    json_begin_object(&writer);
    put_text(&writer, "openapi", "3.1.0");
    json_write_key(&writer, STR("info"));
    json_begin_object(&writer);
    put_text(&writer, "title", "Takt");
    put_text(&writer, "version", version);
    json_end_object(&writer);
    json_write_key(&writer, STR("servers"));
    json_begin_array(&writer);
    json_begin_object(&writer);
    json_put_string(&writer, "url", base_path);
    json_end_object(&writer);
    json_end_array(&writer);
    write_paths(&writer);
    write_components(&writer);
    json_end_object(&writer);
}
