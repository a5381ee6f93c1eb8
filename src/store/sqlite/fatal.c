/* See fatal.h. After a failed fsync the kernel may have dropped the pages and marked them clean: a
 * second fsync would succeed over lost data. So there is no second one. */
#include "store/sqlite/fatal.h"

#include "telemetry/log.h"

#include <unistd.h>

void store_fatal(const char *why) {
    log_error("store.failed", kv_text("error", why),
              kv_text("action", "ending at once; the next start recovers from the disk"));
    _exit(1);
}
