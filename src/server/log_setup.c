/* See the header. */
#include "server/log_setup.h"

#include "telemetry/log.h"

void log_setup(const Config *config) {
    LogLevel level = LEVEL_INFO;
    LogFormat format = LOG_JSON;
    if (log_level_parse(config->log.level, &level)) log_set_level(level);
    if (log_format_parse(config->log.format, &format)) log_set_format(format);
}
