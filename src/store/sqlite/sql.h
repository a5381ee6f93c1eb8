/* Every statement with a fixed text, in one place, and the lists of columns they name.
 *
 * Columns are written as {list}, {list?} (placeholders) or {list=} (for SET), numbered from ?2; ?1
 * is the slot. The lists derive from job_fields[], so that a new field needs no change here. */
#pragma once

#include "base/buf.h"
#include "store/fields.h"

typedef enum Sql {
    SQL_BEGIN_WRITE,
    SQL_BEGIN_READ,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_INSERT,
    SQL_UPDATE,
    SQL_START,
    SQL_SUCCEED,
    SQL_DELETE,
    SQL_LOAD,
    SQL_LOAD_LIGHT,
    SQL_ASK_RUNNING_OF,
    SQL_ASK_OVERDUE,
    SQL_ASK_EXPIRED,
    SQL_ASK_PRUNABLE,
    SQL_ASK_PRUNABLE_DEAD,
    SQL_ASK_SESSIONS,
    SQL_ASK_READY,
    SQL_ASK_NODE,
    SQL_LOG_LENGTHS,
    SQL_LOG_ADD,
    SQL_LOG_EXTEND,
    SQL_LOG_DROP,
    SQL_LOG_CUT,
    SQL_LOG_OF_JOB,
    SQL_LOG_READ,
    SQL_SESSION_PUT,
    SQL_SESSION_DROP,
    SQL_SESSIONS,
    SQL_NODE_PUT,
    SQL_NODE_DROP,
    SQL_NODE_SEEN,
    SQL_NODES,
    SQL_CONTROL_ADD,
    SQL_CONTROL_FORGET,
    SQL_CONTROLS,
    SQL_QUEUE_PUT,
    SQL_TOKEN_PUT,
    SQL_TOKEN_FORGET,
    SQL_TOKENS,
    SQL_COUNT_ADD,
    SQL_COUNT_DROP,
    SQL_META_GET,
    SQL_META_PUT,
    SQL_LAST_SLOT,
    SQL_WAITING_QUEUE,
    SQL_WAITING_PAGE,
    SQL_WAITING_BETWEEN,
    SQL_WAITING_FIRST,
    SQL_QUEUES,
    SQL_RUNNING,
    SQL_STATE,
    SQL_NEXT_DEADLINE,
    SQL_NEXT_EXPIRY,
    SQL_NEXT_FINISHED,
    SQL_NEXT_DEAD,
    SQL_OLDEST_SEEN,
    SQL_PAUSED,
    SQL_STATUS_TOTALS,
    SQL_COUNT_
} Sql;

/* Appends the statement's text. */
void sql_write(Sql sql, Buf *buf);
/* Appends any text, its lists of columns expanded. */
void sql_expand(const char *text, Buf *buf);
