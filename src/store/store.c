/* The front door of the stores: finds the adapter by its scheme, holds the preconditions that the
 * adapters rely on, and counts. Knows nothing of how an adapter keeps its rows.
 *
 * The invariant: at most one batch is in flight. */
#include "store/store.h"

#include "store/kinds.h"

static const StoreKind *const KINDS[] = {&store_kind_sqlite, &store_kind_postgres,
                                         &store_kind_postgresql};

static const StoreKind *kind_of(Str scheme) {
    for (size_t i = 0; i < LENGTH(KINDS); i++) {
        if (str_eq(scheme, str_from(KINDS[i]->scheme))) return KINDS[i];
    }
    return NULL;
}

static Err invalid(Error *error) {
    return error_code(error, ERR_INVALID, "invalid-store",
                      "the store's URL is neither sqlite:PATH nor postgres://…");
}

Err store_open(Store **ret, Str url, const StoreIo *io, Error *error) {
    check(io->post && io->now_us);
    Str location = url;
    Str scheme = str_split(&location, ':');
    const StoreKind *kind = kind_of(scheme);
    if (!kind || location.len == 0) return invalid(error);
    return kind->open(ret, location, io, error);
}

static void on_batch_done(Batch *batch, void *context) {
    Store *store = context;
    check(store->busy);
    store->busy = false;
    if (batch->outcome == OK) {
        store->commits++;
    } else {
        store->failures++;
    }
    store->batch_done(batch, store->batch_context);
}

void store_run(Store *store, Batch *batch, BatchDone done, void *context) {
    check(!store->busy);
    check(batch->advance && batch->finish && done);
    check(batch->row_count == 0 && list_is_empty(&batch->flush));
    store->busy = true;
    store->batch_done = done;
    store->batch_context = context;
    store->kind->run(store, batch, on_batch_done, store);
}

static void on_read_done(Query *query) {
    check(query->store->reads > 0);
    query->store->reads--;
    query->done = query->asked_by;
    query->done(query);
}

void store_read(Store *store, Query *query) {
    check(query->done);
    query->store = store;
    query->asked_by = query->done;
    query->done = on_read_done;
    store->reads++;
    store->kind->read(store, query);
}

bool store_is_idle(const Store *store) {
    return !store->busy && store->reads == 0;
}

Err store_health(Store *store, Error *error) {
    return store->kind->health ? store->kind->health(store, error) : OK;
}

Err store_migrate(Str url, bool check_only, Buf *report, Error *error) {
    Str location = url;
    const StoreKind *kind = kind_of(str_split(&location, ':'));
    if (!kind || location.len == 0) return invalid(error);
    if (kind->migrate) return kind->migrate(location, check_only, report, error);
    buf_format(report, "'" STR_FMT "' is brought up to date when a node opens it\n", STR_ARG(url));
    return OK;
}

Str store_secret(Store *store) {
    return store->kind->secret ? store->kind->secret(store) : (Str){0};
}

Err store_read_secret(Str url, Buf *ret, Error *error) {
    Str location = url;
    const StoreKind *kind = kind_of(str_split(&location, ':'));
    if (!kind || location.len == 0) return invalid(error);
    if (kind->read_secret) return kind->read_secret(location, ret, error);
    return error_set(error, ERR_INVALID,
                     "a store of this kind keeps no signing key: it is in the "
                     "data directory");
}

void store_close(Store *store) {
    if (store) store->kind->close(store);
}
