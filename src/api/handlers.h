/* The handlers that the route table names; one file per noun. Each answers its exchange exactly
 * once. */
#pragma once

#include "api/exchange.h"

/* jobs.c */
void handle_job_submit(Exchange *exchange);
void handle_job_logs(Exchange *exchange);
/* job_wait.c */
void handle_job_get(Exchange *exchange);
/* job_list.c */
void handle_job_list(Exchange *exchange);
void handle_dead_list(Exchange *exchange);
/* bulk.c */
void handle_job_bulk(Exchange *exchange);
/* job_act.c */
void handle_job_cancel(Exchange *exchange);
void handle_job_retry(Exchange *exchange);
void handle_job_delete(Exchange *exchange);
/* mass.c */
void handle_mass_cancel(Exchange *exchange);
void handle_mass_retry(Exchange *exchange);
void handle_dead_retry(Exchange *exchange);
void handle_dead_discard(Exchange *exchange);
/* queues.c */
void handle_queue_list(Exchange *exchange);
void handle_queue_get(Exchange *exchange);
void handle_queue_pause(Exchange *exchange);
void handle_queue_resume(Exchange *exchange);
/* workers.c */
void handle_worker_list(Exchange *exchange);

/* nodes.c */
void handle_node_list(Exchange *exchange);
/* tokens.c */
void handle_me(Exchange *exchange);
void handle_token_mint(Exchange *exchange);
void handle_token_revoke(Exchange *exchange);
/* health.c */
void handle_health(Exchange *exchange);
void handle_ready(Exchange *exchange);
void handle_metrics(Exchange *exchange);
void handle_openapi(Exchange *exchange);

/* job_wait.c: answers all requests that wait, as things stand. */
void waits_end(Api *api);
/* health.c: sets the gauges of queues and workers; a MetricCollector, context = the Api. */
void collect_gauges(void *api);
/* jobs.c: may the caller see this job? What they may not is answered as if it did not exist. */
bool job_is_visible(const Exchange *exchange, const Job *job);
void job_not_found(Exchange *exchange);
