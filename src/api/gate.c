/* Before a handler runs: who is it (bearer token), may they (role), and can we talk (media
 * types)? */
#include "api/exchange.h"

#include "api/input.h"
#include "telemetry/metric.h"
#include <string.h>

/* ---- who ---- */

static void count_failure(const char *reason) {
    metric_add(METRIC_AUTH_FAILURES, LABELS(str_from(reason)), 1);
}

static Action action_of(const Exchange *exchange) {
    const Route *route = exchange->route;
    if (exchange->api->options.metrics_auth && route->private_action != ACTION_UNSET) {
        return route->private_action;
    }
    return route->action;
}

static bool refuse_token(Exchange *exchange, TokenVerdict verdict) {
    Error error;
    count_failure(token_verdict_name(verdict));
    (void)token_refusal(verdict, &error);
    exchange_error(exchange, &error);
    return false;
}

static bool authenticate(Exchange *exchange) {
    const HttpRequest *request = exchange->request;
    size_t count = http_request_header_count(request, STR("Authorization"));
    Str proof = http_request_header(request, STR("Authorization"));
    Str scheme = str_split(&proof, ' ');
    if (count == 0) {
        count_failure("missing");
        exchange_fail(exchange, "unauthorized",
                      "send a token in the header Authorization: Bearer …");
        return false;
    }
    if (count > 1 || !str_eq_ignore_case(scheme, STR("Bearer")) || !proof.ptr) {
        count_failure(token_verdict_name(TOKEN_MALFORMED));
        exchange_fail(exchange, "unauthorized",
                      "one header Authorization: Bearer TOKEN is expected");
        return false;
    }
    Principal principal;
    TokenVerdict verdict = token_verify(exchange->api->options.tokens, str_trim(proof),
                                        exchange->now_us, exchange->arena, &principal);
    if (verdict != TOKEN_VALID) return refuse_token(exchange, verdict);
    if (principal.token_id.ptr && engine_token_is_revoked(exchange->engine, principal.token_id)) {
        return refuse_token(exchange, TOKEN_REVOKED);
    }
    exchange->principal = principal;
    return true;
}

static bool authorize(Exchange *exchange, Action action) {
    if (access_allows(&exchange->principal, action)) return true;
    Role role = ROLE_ADMIN;
    bool known = action_least_role(action, &role);
    exchange_fail(exchange, "forbidden", "this needs the permission %s (role %s)",
                  action_name(action), known ? role_name(role) : "none");
    return false;
}

/* ---- media types ---- */

static const Str NDJSON = {"application/x-ndjson", 20};

/* "application/json; charset=utf-8" → "application/json"; false when a charset is not UTF-8. */
static bool read_media_type(Str header, Str *ret_type) {
    *ret_type = str_trim(str_split(&header, ';'));
    while (header.ptr) {
        Str value = str_split(&header, ';');
        Str name = str_trim(str_split(&value, '='));
        if (!str_eq_ignore_case(name, STR("charset"))) continue;
        value = str_trim(value);
        if (value.len >= 2 && value.ptr[0] == '"') value = (Str){value.ptr + 1, value.len - 2};
        if (!str_eq_ignore_case(value, STR("utf-8"))) return false;
    }
    return true;
}

static bool check_body_type(Exchange *exchange) {
    const HttpRequest *request = exchange->request;
    RouteBody body = exchange->route->body;
    if (body == BODY_NONE) return true;
    Str encoding = http_request_header(request, STR("Content-Encoding"));
    if (encoding.ptr && !str_eq_ignore_case(encoding, STR("identity"))) {
        exchange_fail(exchange, "unsupported-encoding",
                      "send the body as it is, without an encoding");
        return false;
    }
    Str header = http_request_header(request, STR("Content-Type"));
    bool may_lack = body == BODY_EMPTY || body == BODY_OPTIONAL;
    if (!header.ptr && !request->has_body && may_lack) return true;
    Str type;
    bool good = http_request_header_count(request, STR("Content-Type")) == 1 &&
                read_media_type(header, &type) &&
                (str_eq_ignore_case(type, STR("application/json")) ||
                 (body == BODY_BULK && str_eq_ignore_case(type, NDJSON)));
    if (!good) {
        exchange_fail(exchange, "unsupported-media-type",
                      "Content-Type must be application/json%s in UTF-8",
                      body == BODY_BULK ? " or application/x-ndjson" : "");
    }
    return good;
}

/* The weight of one element of Accept: false for q=0. */
static bool is_wanted(Str parameters) {
    while (parameters.ptr) {
        Str value = str_split(&parameters, ';');
        Str name = str_trim(str_split(&value, '='));
        if (!str_eq_ignore_case(name, STR("q"))) continue;
        value = str_trim(value);
        for (size_t i = 0; i < value.len; i++) {
            if (value.ptr[i] >= '1' && value.ptr[i] <= '9') return true;
        }
        return false;
    }
    return true;
}

/* RFC 9110 section 12.5.1, as far as one representation needs it. */
static bool range_takes(Str range, Str type) {
    if (str_eq(range, STR("*/*")) || str_eq_ignore_case(range, type)) return true;
    if (range.len < 2 || memcmp(range.ptr + range.len - 2, "/*", 2) != 0) return false;
    Str prefix = {range.ptr, range.len - 1};
    return type.len > prefix.len && str_eq_ignore_case(prefix, (Str){type.ptr, prefix.len});
}

static bool check_accept(Exchange *exchange) {
    const HttpRequest *request = exchange->request;
    const char *produces = exchange->route->produces;
    Str type = produces ? str_from(produces) : STR("application/json");
    type = str_trim(str_split(&type, ';'));
    bool said = false;
    for (size_t i = 0; i < request->header_count; i++) {
        if (!str_eq_ignore_case(request->headers[i].name, STR("Accept"))) continue;
        Str rest = request->headers[i].value;
        while (rest.ptr) {
            Str element = str_split(&rest, ',');
            Str range = str_trim(str_split(&element, ';'));
            if (range.len == 0) continue;
            said = true;
            bool taken = range_takes(range, type) ||
                         (exchange->route->body == BODY_BULK && range_takes(range, NDJSON));
            if (taken && is_wanted(element)) return true;
        }
    }
    if (!said) return true;
    exchange_fail(exchange, "not-acceptable", "this is served as " STR_FMT, STR_ARG(type));
    return false;
}

/* ---- the rest ---- */

/* A client that sends the header counts on it; it must not believe that it is safe. */
static bool check_idempotency(Exchange *exchange) {
    bool asked = http_request_header(exchange->request, STR("Idempotency-Key")).ptr != NULL;
    if (!asked || !exchange->route->creates) return true;
    exchange_fail(
        exchange, "not-available",
        "Idempotency-Key is not available in this version; give each job an id of its own");
    return false;
}

static bool check_empty_body(Exchange *exchange) {
    if (exchange->route->body != BODY_EMPTY) return true;
    Json body;
    if (!exchange_body(exchange, &body)) return false;
    if (!body.text.ptr || (body.kind == JSON_OBJECT && json_count(body) == 0)) return true;
    FieldErrors *errors = field_errors_new(exchange->arena);
    Input input = {errors, exchange->arena, STR("")};
    JsonIter iter = json_iter(body);
    Str key = {0};
    Json value;
    while (body.kind == JSON_OBJECT && json_next(&iter, &key, &value)) {
        input_unknown(&input, json_key(key, exchange->arena), NULL, 0);
    }
    if (errors->count == 0) {
        field_errors_add(errors, STR(""), "wrong-type", "no body or {} is expected here");
    }
    exchange_fields(exchange, errors);
    return false;
}

/* In a cluster the key that tokens are verified with comes from the store. */
static bool check_keys(Exchange *exchange) {
    if (token_keys_are_there(exchange->api->options.tokens)) return true;
    exchange_fail(
        exchange, "store-unavailable",
        "the store has not been reached yet, and with it the key that tokens are verified "
        "with; try again soon");
    return false;
}

static bool check_refusal(Exchange *exchange) {
    const ApiOptions *options = &exchange->api->options;
    if (!exchange->route->creates || !options->refusal) return true;
    Str words = options->refusal(options->refusal_context);
    if (!words.ptr) return true;
    exchange_fail(exchange, "clock-skew", STR_FMT, STR_ARG(words));
    return false;
}

bool gate_pass(Exchange *exchange) {
    Action action = action_of(exchange);
    if (action != ACTION_PUBLIC && !check_keys(exchange)) return false;
    if (!check_refusal(exchange)) return false;
    if (action != ACTION_PUBLIC && (!authenticate(exchange) || !authorize(exchange, action))) {
        return false;
    }
    return check_accept(exchange) && check_body_type(exchange) && check_idempotency(exchange) &&
           check_empty_body(exchange);
}
