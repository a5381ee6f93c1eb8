/* Looking things up in a request. Linear: a request has a handful of headers and at most 100. */
#include "net/http_request.h"

static const char *const METHOD_NAMES[HTTP_METHODS] = {
    [HTTP_METHOD_GET] = "GET",         [HTTP_METHOD_HEAD] = "HEAD",
    [HTTP_METHOD_POST] = "POST",       [HTTP_METHOD_PUT] = "PUT",
    [HTTP_METHOD_PATCH] = "PATCH",     [HTTP_METHOD_DELETE] = "DELETE",
    [HTTP_METHOD_OPTIONS] = "OPTIONS",
};

Str http_request_header(const HttpRequest *request, Str name) {
    for (size_t i = 0; i < request->header_count; i++) {
        if (str_eq_ignore_case(request->headers[i].name, name)) return request->headers[i].value;
    }
    return (Str){0};
}

size_t http_request_header_count(const HttpRequest *request, Str name) {
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        count += str_eq_ignore_case(request->headers[i].name, name);
    }
    return count;
}

Str http_request_parameter(const HttpRequest *request, Str name) {
    for (size_t i = 0; i < request->parameter_count; i++) {
        if (str_eq(request->parameters[i].name, name)) return request->parameters[i].value;
    }
    return (Str){0};
}

const char *http_method_name(HttpMethod method) {
    return METHOD_NAMES[method];
}

bool http_method_parse(Str name, HttpMethod *ret) {
    for (unsigned i = 0; i < HTTP_METHODS; i++) {
        if (str_eq(name, str_from(METHOD_NAMES[i]))) {
            *ret = (HttpMethod)i;
            return true;
        }
    }
    return false;
}
