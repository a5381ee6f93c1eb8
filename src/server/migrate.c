/* See the header. */
#include "server/migrate.h"

#include "store/store.h"

Err migrate_store(Str url, bool check_only, Buf *report, Error *error) {
    return store_migrate(url, check_only, report, error);
}
