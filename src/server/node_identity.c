/* See the header. */
#include "server/node_identity.h"

#include "base/buf.h"
#include "base/json.h"
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static void put_address(JsonWriter *writer, const char *name, const ConfigAddress *address) {
    char text[300];
    snprintf(text, sizeof text, STR_FMT ":%d", STR_ARG(address->host), (int)address->port);
    json_put_string(writer, name, str_from(text));
}

void node_identify(NodeIdentity *identity, const Config *config) {
    char host[256] = "";
    *identity = (NodeIdentity){0};
    if (gethostname(host, sizeof host - 1) != 0) snprintf(host, sizeof host, "localhost");
    if (!config->store.cluster) {
        snprintf(identity->name, sizeof identity->name, "%s", host);
        return;
    }
    snprintf(identity->name, sizeof identity->name, "%s:%d", host, (int)config->http.listen.port);
    uint64_t random[2];
    check(getrandom(random, sizeof random, 0) == sizeof random);
    snprintf(identity->instance, sizeof identity->instance, "%016llx%016llx",
             (unsigned long long)random[0], (unsigned long long)random[1]);
    cleanup(buf_done) Buf info;
    buf_init(&info, sizeof identity->info - 1);
    JsonWriter writer = json_writer(&info);
    json_begin_object(&writer);
    put_address(&writer, "http", &config->http.listen);
    put_address(&writer, "protocol", &config->protocol.listen);
    json_put_int(&writer, "pid", getpid());
    json_put_string(&writer, "hostname", str_from(host));
    json_end_object(&writer);
    if (!info.overflow) snprintf(identity->info, sizeof identity->info, "%s", buf_cstr(&info));
}
