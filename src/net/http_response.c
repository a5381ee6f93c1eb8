/* Writing responses. */
#include "net/http_response.h"

#include "base/json.h"
#include "base/time.h"
#include <stdio.h>
#include <time.h>

enum { VALUE_SHOWN_MAX = 80 };

static const struct {
    unsigned status;
    const char *title;
} TITLES[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
};

const char *http_status_title(unsigned status) {
    for (size_t i = 0; i < LENGTH(TITLES); i++) {
        if (TITLES[i].status == status) return TITLES[i].title;
    }
    return "Status";
}

static void add_text(Buf *buf, const char *text) {
    buf_add(buf, str_from(text));
}

/* A value from a handler may hold what a user sent; it must not become a line of its own. */
static void add_clean(Buf *buf, Str text) {
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        buf_add_char(buf, byte < 0x20 || byte == 0x7f ? ' ' : text.ptr[i]);
    }
}

static void add_header(Buf *buf, Str name, Str value) {
    add_clean(buf, name);
    buf_add(buf, STR(": "));
    add_clean(buf, value);
    buf_add(buf, STR("\r\n"));
}

void http_response_head(Buf *buf, const HttpResponseHead *head) {
    buf_add(buf, STR("HTTP/1.1 "));
    buf_add_uint(buf, head->status);
    buf_add_char(buf, ' ');
    add_text(buf, http_status_title(head->status));
    buf_add(buf, STR("\r\n"));
    add_header(buf, STR("Date"), head->date);
    add_header(buf, STR("X-Request-Id"), head->request_id);
    if (head->connection) add_header(buf, STR("Connection"), str_from(head->connection));
    for (size_t i = 0; i < head->header_count; i++) {
        add_header(buf, head->headers[i].name, head->headers[i].value);
    }
    if (head->kind == HTTP_BODY_LENGTH) {
        buf_add(buf, STR("Content-Length: "));
        buf_add_uint(buf, head->body_len);
        buf_add(buf, STR("\r\n"));
    } else if (head->kind == HTTP_BODY_CHUNKED) {
        buf_add(buf, STR("Transfer-Encoding: chunked\r\n"));
    }
    buf_add(buf, STR("\r\n"));
}

void http_date(int64_t time_us, char ret_text[HTTP_DATE_SIZE]) {
    static const char DAYS[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char MONTHS[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(time_us / US_PER_S);
    struct tm day;
    check(gmtime_r(&seconds, &day));
    snprintf(ret_text, HTTP_DATE_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT", DAYS[day.tm_wday % 7],
             (unsigned)day.tm_mday % 32, MONTHS[day.tm_mon % 12],
             (unsigned)(day.tm_year + 1900) % 10000, (unsigned)day.tm_hour % 24,
             (unsigned)day.tm_min % 60, (unsigned)day.tm_sec % 61);
}

static void put_detail(JsonWriter *writer, const HttpFault *fault) {
    Buf detail;
    buf_init(&detail, 1024);
    add_text(&detail, fault->detail);
    if (fault->value.ptr) {
        bool cut = fault->value.len > VALUE_SHOWN_MAX;
        buf_add(&detail, STR(": '"));
        add_clean(&detail, (Str){fault->value.ptr, cut ? VALUE_SHOWN_MAX : fault->value.len});
        buf_add(&detail, cut ? STR("…'") : STR("'"));
    }
    json_put_string(writer, "detail", buf_str(&detail));
    buf_done(&detail);
}

void http_problem(Buf *buf, const HttpFault *fault, Str instance, Str request_id) {
    JsonWriter writer = json_writer(buf);
    Buf type;
    buf_init(&type, 256);
    buf_format(&type, "/problems/%s", fault->code);
    json_begin_object(&writer);
    json_put_string(&writer, "type", buf_str(&type));
    json_put_string(&writer, "title", str_from(http_status_title(fault->status)));
    json_put_int(&writer, "status", fault->status);
    put_detail(&writer, fault);
    if (instance.ptr) json_put_string(&writer, "instance", instance);
    json_put_string(&writer, "code", str_from(fault->code));
    json_put_string(&writer, "request_id", request_id);
    json_end_object(&writer);
    buf_done(&type);
}
