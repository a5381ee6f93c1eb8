/* A first job with libtakt: pushes one, works on it, and ends.
 *
 *     takt serve &
 *     cc -o first_job first_job.c -ltakt && ./first_job
 *
 * The server is found by TAKT_URL or FAKTORY_URL, else at tcp://localhost:7419. */
#include <stdio.h>
#include <takt/takt.h>

static int fail(const char *doing, const takt_error *error) {
    fprintf(stderr, "%s: %s (%s)\n", doing, error->message, takt_status_name(error->status));
    return 1;
}

/* Does the work: here, to print. What it returns is the job's result, as JSON. */
static const char *greet(const takt_job *job) {
    printf("attempt %lld of %s: hello, %s\n", (long long)job->attempt, job->id, job->args);
    return "{\"greeted\": true}";
}

/* Works until one job is done. A worker that runs longer jobs calls takt_beat() from a second
 * client and thread meanwhile, at least every third of job->lease_ms, and stops what it is told
 * to cancel. */
static int work(takt_client *client) {
    static const char *const queues[] = {"first"};
    takt_error error;
    takt_batch *batch = NULL;
    do {
        takt_batch_free(batch);
        if (takt_fetch(client, queues, 1, 1, 5000, &batch, &error)) return fail("fetching", &error);
    } while (batch->count == 0);

    const takt_job *job = &batch->jobs[0];
    const takt_outcome outcome = {.id = job->id, .fence = job->fence, .result = greet(job)};
    takt_verdict verdict;
    if (takt_settle(client, &outcome, 1, &verdict, &error)) {
        takt_batch_free(batch);
        return fail("settling", &error);
    }
    /* TAKT_STALE would mean that the lease was lost and the job runs again elsewhere */
    printf("%s\n", verdict == TAKT_SETTLED ? "done" : "came too late");
    takt_batch_free(batch);
    return 0;
}

int main(void) {
    takt_error error;
    takt_client *client;
    const takt_options options = {.worker_id = "first-job-example"};
    if (takt_connect(&options, &client, &error)) return fail("connecting", &error);

    takt_new_job job = {.type = "greet", .queue = "first", .args = "[\"world\"]"};
    if (takt_push(client, &job, &error)) {
        takt_close(client);
        return fail("pushing", &error);
    }
    printf("pushed %s\n", job.id);
    int status = work(client);
    takt_close(client);
    return status;
}
