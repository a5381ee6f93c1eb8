/* The adapters that the front door knows. For store.c and the adapters only. */
#pragma once

#include "store/store.h"

extern const StoreKind store_kind_sqlite;
extern const StoreKind store_kind_postgres;
extern const StoreKind store_kind_postgresql; /* another name for the same */
