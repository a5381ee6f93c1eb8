/* The configuration's log level and format, put into force. */
#pragma once

#include "config/config.h"

void log_setup(const Config *config);
