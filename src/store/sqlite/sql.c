/* The statements' texts: see sql.h. Each names the index it is meant for where the planner could
 * choose another, so that a missing index is an error at once and not a slow query a year later. */
#include "store/sqlite/sql.h"

static const char *const TEXTS[SQL_COUNT_] = {
    [SQL_BEGIN_WRITE] = "BEGIN IMMEDIATE",
    [SQL_BEGIN_READ] = "BEGIN",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_INSERT] = "INSERT INTO job (slot, {all}) VALUES (?1, {all?})",
    [SQL_UPDATE] = "UPDATE job SET {changing=} WHERE slot = ?1",
    [SQL_START] = "UPDATE job SET {start=} WHERE slot = ?1",
    [SQL_SUCCEED] = "UPDATE job SET {succeed=} WHERE slot = ?1",
    [SQL_DELETE] = "DELETE FROM job WHERE slot = ?1",
    [SQL_LOAD] = "SELECT slot, slot, {all} FROM job INDEXED BY job_key WHERE key = ?1"
                 " ORDER BY slot DESC LIMIT 1",
    [SQL_LOAD_LIGHT] = "SELECT slot, slot, {light} FROM job INDEXED BY job_key WHERE key = ?1"
                       " ORDER BY slot DESC LIMIT 1",
    [SQL_ASK_RUNNING_OF] = "SELECT slot, slot, {all} FROM job INDEXED BY job_running"
                           " WHERE state = 3 AND worker = ?1 ORDER BY deadline_us LIMIT ?3",
    [SQL_ASK_OVERDUE] = "SELECT slot, slot, {all} FROM job INDEXED BY job_running"
                        " WHERE state = 3 AND deadline_us > 0 AND deadline_us <= ?2"
                        " ORDER BY deadline_us LIMIT ?3",
    [SQL_ASK_EXPIRED] = "SELECT slot, slot, {all} FROM job INDEXED BY job_expiring"
                        " WHERE state = 1 AND expires_us > 0 AND expires_us <= ?2"
                        " ORDER BY expires_us LIMIT ?3",
    [SQL_ASK_PRUNABLE] =
        "SELECT slot, (SELECT max(n.slot) FROM job n WHERE n.key = job.key), {all}"
        " FROM job INDEXED BY job_finished"
        " WHERE state IN (4, 6) AND finished_us <= ?2 ORDER BY finished_us LIMIT ?3",
    [SQL_ASK_PRUNABLE_DEAD] =
        "SELECT slot, (SELECT max(n.slot) FROM job n WHERE n.key = job.key), {all}"
        " FROM job INDEXED BY job_dead"
        " WHERE state = 5 AND finished_us <= ?2 ORDER BY finished_us LIMIT ?3",
    [SQL_ASK_SESSIONS] = "SELECT worker, node, info, lease_ms, seen_us, opened_us, closed_us, quick"
                         " FROM session WHERE worker = ?1 ORDER BY node LIMIT ?3",
    [SQL_ASK_READY] = "SELECT slot, key FROM job INDEXED BY job_waiting"
                      " WHERE state = 1 AND queue = ?1 AND priority = ?2 AND due_us <= ?3"
                      " AND (expires_us IS NULL OR expires_us > ?4) ORDER BY due_us, slot",
    [SQL_ASK_NODE] = "SELECT name, instance, version, info, started_us, seen_us, clock_offset_us, "
                     "draining FROM node WHERE name = ?1",
    [SQL_LOG_LENGTHS] =
        "SELECT seq, length(CAST(text AS BLOB)) FROM log WHERE slot = ?1 ORDER BY seq",
    [SQL_LOG_ADD] = "INSERT INTO log VALUES (?1, ?2, ?3)",
    [SQL_LOG_EXTEND] = "UPDATE log SET text = text || ?3 WHERE slot = ?1 AND seq = ?2",
    [SQL_LOG_DROP] = "DELETE FROM log WHERE slot = ?1 AND seq = ?2",
    [SQL_LOG_CUT] = "UPDATE log SET text = ?3 WHERE slot = ?1 AND seq = ?2",
    [SQL_LOG_READ] = "SELECT text FROM log WHERE slot = ?1 AND seq >= ?2 ORDER BY seq",
    [SQL_LOG_OF_JOB] = "DELETE FROM log WHERE slot = ?1",
    [SQL_SESSION_PUT] =
        "INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET"
        " info = ?3, lease_ms = ?4, seen_us = ?5, opened_us = ?6, closed_us = ?7, quick = ?8",
    [SQL_SESSION_DROP] = "DELETE FROM session WHERE worker = ?1 AND node = ?2",
    [SQL_SESSIONS] = "SELECT worker, node, info, lease_ms, seen_us, opened_us, closed_us, quick"
                     " FROM session ORDER BY worker, node",
    [SQL_NODE_PUT] =
        "INSERT INTO node VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET"
        " instance = ?2, version = ?3, info = ?4, started_us = ?5, seen_us = ?6,"
        " clock_offset_us = ?7, draining = ?8",
    [SQL_NODE_DROP] = "DELETE FROM node WHERE name = ?1 AND instance = ?2",
    [SQL_NODE_SEEN] = "UPDATE node SET seen_us = ?3, clock_offset_us = ?4"
                      " WHERE name = ?1 AND instance = ?2",
    [SQL_NODES] = "SELECT name, instance, version, info, started_us, seen_us, clock_offset_us, "
                  "draining FROM node ORDER BY name",
    [SQL_CONTROL_ADD] = "INSERT INTO control VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [SQL_CONTROL_FORGET] = "DELETE FROM control WHERE at_us <= ?1",
    [SQL_CONTROLS] = "SELECT number, kind, node, subject, detail, until_us, at_us FROM control"
                     " WHERE number > ?1 ORDER BY number LIMIT ?2",
    [SQL_QUEUE_PUT] = "INSERT INTO queue VALUES (?1, ?2) ON CONFLICT DO UPDATE SET paused = ?2",
    [SQL_TOKEN_PUT] = "INSERT INTO token VALUES (?1, ?2) ON CONFLICT DO UPDATE SET until_us = ?2",
    [SQL_TOKEN_FORGET] = "DELETE FROM token WHERE until_us <= ?1",
    [SQL_TOKENS] = "SELECT token_id, until_us FROM token WHERE until_us > ?1 ORDER BY token_id",
    [SQL_COUNT_ADD] = "INSERT INTO count VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET n = n + ?3",
    [SQL_COUNT_DROP] = "DELETE FROM count WHERE queue = ?1 AND status = ?2 AND n = 0",
    [SQL_META_GET] = "SELECT value FROM meta WHERE name = ?1",
    [SQL_META_PUT] = "UPDATE meta SET value = ?2 WHERE name = ?1",
    [SQL_LAST_SLOT] = "SELECT ifnull(max(slot), 0) FROM job",
    [SQL_WAITING_QUEUE] = "SELECT queue FROM job INDEXED BY job_waiting"
                          " WHERE state = 1 AND queue > ?1 ORDER BY queue LIMIT 1",
    [SQL_WAITING_PAGE] = "SELECT key, due_us FROM job INDEXED BY job_waiting"
                         " WHERE state = 1 AND queue = ?1 AND priority = ?2"
                         " AND due_us > ?3 AND due_us <= ?4 ORDER BY due_us",
    [SQL_WAITING_BETWEEN] = "SELECT failures > 0, count(*) FROM job INDEXED BY job_waiting"
                            " WHERE state = 1 AND queue = ?1 AND priority = ?2"
                            " AND due_us > ?3 AND due_us <= ?4 GROUP BY 1",
    [SQL_WAITING_FIRST] = "SELECT due_us FROM job INDEXED BY job_waiting"
                          " WHERE state = 1 AND queue = ?1 AND priority = ?2"
                          " ORDER BY due_us LIMIT 1",
    [SQL_QUEUES] = "SELECT queue, status, n, 0 FROM count WHERE n <> 0"
                   " UNION ALL SELECT name, -1, 0, paused FROM queue ORDER BY 1, 2",
    [SQL_RUNNING] = "SELECT {running} FROM job INDEXED BY job_running WHERE state = 3"
                    " ORDER BY deadline_us",
    [SQL_STATE] = "SELECT state FROM job INDEXED BY job_key WHERE key = ?1"
                  " ORDER BY slot DESC LIMIT 1",
    [SQL_NEXT_DEADLINE] = "SELECT deadline_us FROM job INDEXED BY job_running"
                          " WHERE state = 3 AND deadline_us > 0 ORDER BY deadline_us LIMIT 1",
    [SQL_NEXT_EXPIRY] = "SELECT expires_us FROM job INDEXED BY job_expiring"
                        " WHERE state = 1 AND expires_us > 0 ORDER BY expires_us LIMIT 1",
    [SQL_NEXT_FINISHED] = "SELECT finished_us FROM job INDEXED BY job_finished"
                          " WHERE state IN (4, 6) ORDER BY finished_us LIMIT 1",
    [SQL_OLDEST_SEEN] = "SELECT min(seen_us) FROM session",
    [SQL_PAUSED] = "SELECT name FROM queue WHERE paused = 1 ORDER BY name",
    [SQL_NEXT_DEAD] = "SELECT finished_us FROM job INDEXED BY job_dead"
                      " WHERE state = 5 ORDER BY finished_us LIMIT 1",
    [SQL_STATUS_TOTALS] = "SELECT status, sum(n) FROM count GROUP BY status",
};

/* ---- lists of columns ---- */

static void write_list(FieldSet set, char form, Buf *buf) {
    const FieldList *list = field_list(set);
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0) buf_add(buf, STR(", "));
        if (form != '?') buf_format(buf, "%s", list->at[i]->name);
        if (form == '=') buf_add(buf, STR(" = "));
        if (form != '}') buf_format(buf, "?%zu", i + 2);
    }
}

void sql_expand(const char *text, Buf *buf) {
    Str rest = str_from(text);
    while (rest.ptr) {
        buf_add(buf, str_split(&rest, '{'));
        if (!rest.ptr) break;
        Str name = str_split(&rest, '}');
        char form = '}';
        if (name.ptr[name.len - 1] == '?' || name.ptr[name.len - 1] == '=') {
            form = name.ptr[--name.len];
        }
        write_list(field_set_named(name), form, buf);
    }
}

void sql_write(Sql sql, Buf *buf) {
    sql_expand(TEXTS[sql], buf);
}
