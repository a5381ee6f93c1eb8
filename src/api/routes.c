/* The table of routes. Literal paths stand before those with a parameter in the same place. */
#include "api/handlers.h"

#include "telemetry/metric.h"

#define FILTERS                                                                                    \
    "queue type version tag worker correlation_id created_after created_before finished_after "    \
    "finished_before workflow schedule meta.*"
#define PAGING "limit cursor"

/* clang-format off */
const Route routes[] = {
    {.method = HTTP_METHOD_GET, .path = "/healthz", .action = ACTION_PUBLIC,
     .handle = handle_health, .statuses = "200", .summary = "Is the node alive?"},
    {.method = HTTP_METHOD_GET, .path = "/readyz", .action = ACTION_PUBLIC,
     .handle = handle_ready, .statuses = "200", .summary = "Does the node accept jobs?"},
    {.method = HTTP_METHOD_GET, .path = "/metrics", .action = ACTION_PUBLIC,
     .private_action = ACTION_STATS_READ, .handle = handle_metrics, .statuses = "200",
     .produces = METRIC_CONTENT_TYPE, .summary = "Metrics for Prometheus"},
    {.method = HTTP_METHOD_GET, .path = "/openapi.json", .action = ACTION_PUBLIC,
     .handle = handle_openapi, .statuses = "200", .summary = "This document"},

    {.method = HTTP_METHOD_GET, .path = "/v1/auth/me", .action = ACTION_SELF,
     .handle = handle_me, .statuses = "200", .summary = "Who am I?"},
    {.method = HTTP_METHOD_POST, .path = "/v1/tokens", .action = ACTION_ADMIN, .body = BODY_JSON,
     .creates = true, .handle = handle_token_mint, .statuses = "201", .summary = "Mint a token"},
    {.method = HTTP_METHOD_DELETE, .path = "/v1/tokens/{id}", .action = ACTION_ADMIN,
     .handle = handle_token_revoke, .statuses = "204", .summary = "Revoke a token"},

    {.method = HTTP_METHOD_POST, .path = "/v1/jobs", .action = ACTION_JOB_SUBMIT, .body = BODY_JSON,
     .creates = true, .handle = handle_job_submit, .statuses = "201 200",
     .summary = "Submit a job"},
    {.method = HTTP_METHOD_GET, .path = "/v1/jobs", .action = ACTION_JOB_LIST,
     .handle = handle_job_list, .statuses = "200", .queries = "state fields " FILTERS " " PAGING,
     .summary = "List jobs, newest first"},
    {.method = HTTP_METHOD_POST, .path = "/v1/jobs/bulk", .action = ACTION_JOB_SUBMIT,
     .body = BODY_BULK, .creates = true, .handle = handle_job_bulk, .statuses = "201 200",
     .queries = "partial", .summary = "Submit many jobs"},
    {.method = HTTP_METHOD_POST, .path = "/v1/jobs/cancel", .action = ACTION_JOB_OPERATE,
     .body = BODY_OPTIONAL, .handle = handle_mass_cancel, .statuses = "200",
     .summary = "Cancel all jobs that the filters match"},
    {.method = HTTP_METHOD_POST, .path = "/v1/jobs/retry", .action = ACTION_JOB_OPERATE,
     .body = BODY_OPTIONAL, .handle = handle_mass_retry, .statuses = "200",
     .summary = "Run all jobs that the filters match again now"},
    {.method = HTTP_METHOD_GET, .path = "/v1/jobs/{id}", .action = ACTION_JOB_READ,
     .handle = handle_job_get, .statuses = "200", .queries = "wait",
     .summary = "A job; with wait, when it is finished or the time is up"},
    {.method = HTTP_METHOD_DELETE, .path = "/v1/jobs/{id}", .action = ACTION_JOB_OPERATE,
     .handle = handle_job_delete, .statuses = "204", .summary = "Delete a finished job"},
    {.method = HTTP_METHOD_GET, .path = "/v1/jobs/{id}/logs", .action = ACTION_JOB_READ,
     .handle = handle_job_logs, .statuses = "200", .produces = "text/plain; charset=utf-8",
     .queries = "follow", .summary = "What the job's command wrote"},
    {.method = HTTP_METHOD_POST, .path = "/v1/jobs/{id}/cancel", .action = ACTION_JOB_OPERATE,
     .body = BODY_EMPTY, .handle = handle_job_cancel, .statuses = "200 202",
     .summary = "Cancel a job; 202 when it runs and is told to stop"},
    {.method = HTTP_METHOD_POST, .path = "/v1/jobs/{id}/retry", .action = ACTION_JOB_OPERATE,
     .body = BODY_EMPTY, .handle = handle_job_retry, .statuses = "200",
     .summary = "Run a job again now"},

    {.method = HTTP_METHOD_GET, .path = "/v1/dead", .action = ACTION_JOB_LIST,
     .handle = handle_dead_list, .statuses = "200", .queries = "fields " FILTERS " " PAGING,
     .summary = "List the dead letters, newest first"},
    {.method = HTTP_METHOD_POST, .path = "/v1/dead/retry", .action = ACTION_JOB_OPERATE,
     .body = BODY_OPTIONAL, .handle = handle_dead_retry, .statuses = "200",
     .summary = "Run dead letters again now"},
    {.method = HTTP_METHOD_POST, .path = "/v1/dead/discard", .action = ACTION_JOB_OPERATE,
     .body = BODY_OPTIONAL, .handle = handle_dead_discard, .statuses = "200",
     .summary = "Delete dead letters"},

    {.method = HTTP_METHOD_GET, .path = "/v1/queues", .action = ACTION_QUEUE_READ,
     .handle = handle_queue_list, .statuses = "200", .queries = PAGING, .summary = "List queues"},
    {.method = HTTP_METHOD_GET, .path = "/v1/queues/{q}", .action = ACTION_QUEUE_READ,
     .handle = handle_queue_get, .statuses = "200", .summary = "A queue"},
    {.method = HTTP_METHOD_POST, .path = "/v1/queues/{q}/pause", .action = ACTION_QUEUE_OPERATE,
     .body = BODY_EMPTY, .handle = handle_queue_pause, .statuses = "200",
     .summary = "Hand out no jobs of a queue; it still accepts"},
    {.method = HTTP_METHOD_POST, .path = "/v1/queues/{q}/resume", .action = ACTION_QUEUE_OPERATE,
     .body = BODY_EMPTY, .handle = handle_queue_resume, .statuses = "200",
     .summary = "Hand out jobs of a queue again"},

    {.method = HTTP_METHOD_GET, .path = "/v1/workers", .action = ACTION_WORKER_READ,
     .handle = handle_worker_list, .statuses = "200", .queries = PAGING,
     .summary = "List connected workers"},
    {.method = HTTP_METHOD_GET, .path = "/v1/nodes", .action = ACTION_STATS_READ,
     .handle = handle_node_list, .statuses = "200", .summary = "List nodes"},
};
/* clang-format on */

const size_t route_count = LENGTH(routes);
