/* Claim, lease, fence and acknowledgement between store and broker, under faults.
 *
 * Rows change as src/core/job_change.c lets them, one commit a step; the broker's content may be
 * anything after a fault; time is left out but for what it forbids: a deadline passes only when
 * nobody validly runs the job any more. At most FAULTS faults of any kind, so every execution ends,
 * and then every acknowledged job must have ended. docs/internals/models.md explains the rest.
 *
 * Sizes: JOBS, FAULTS, MAX_ATTEMPTS, MAX_LOST, FAILOVER (adds the store's). QUIET: no crash, no
 * broker fault and no sweep; hints alone must do. BROKEN_x and GAP_x each take one rule away. */
#ifndef JOBS
#define JOBS 1
#endif
#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef MAX_ATTEMPTS
#define MAX_ATTEMPTS 2
#endif
#ifndef MAX_LOST
#define MAX_LOST 1
#endif
#define WORKERS 2

/* Names, so that an error says which property failed; ONLY=name looks at that one alone. */
hidden byte no_job_stranded = 1;
hidden byte outcome_once_per_fence = 2;
hidden byte outcome_under_current_fence = 3;
hidden byte outcome_answered_again_alike = 4;
hidden byte fence_handed_out_once = 5;
hidden byte fence_rises = 6;
hidden byte no_overlap_of_leases = 7;
hidden byte starts_bounded = 8;
hidden byte end_is_final = 9;
#ifdef ONLY
#define CHECK(property, condition) assert((condition) || property != ONLY)
#else
#define CHECK(property, condition) assert((condition) && property)
#endif

/* ---- the store ---- */

#define ABSENT 0
#define WAITING 1
#define RUNNING 2
#define SUCCEEDED 3
#define DEAD 4
#define ENDED(j) (live[j].state >= SUCCEEDED)

typedef Row {
    unsigned state : 3;
    unsigned holder : 2;
    unsigned failures : 3;
    unsigned lost : 3;
    unsigned starts : 4; /* undone ones apart */
    byte fence
};
Row live[JOBS];
byte counter;  /* of fences, store-wide */
bit timeline;
int recorded;  /* fences under which an outcome is on record: the row's hash and its attempts */
int handed;    /* fences that a worker has been given */
#define BIT(fence) (1 << (fence))

#ifdef BROKEN_PLAIN_FENCE
#define FENCE_NEXT (counter + 1)
#else
#define FENCE_NEXT (timeline * 16 + counter + 1)
#endif
#if defined(BROKEN_NO_FENCE_CHECK)
#define HELD(j, f) (live[j].state == RUNNING)
#elif defined(BROKEN_NO_STATE_CHECK)
#define HELD(j, f) (live[j].fence == (f))
#else
#define HELD(j, f) (live[j].state == RUNNING && live[j].fence == (f))
#endif

#ifdef FAILOVER
hidden Row nothing;
Row standby[JOBS]; /* what the standby has when the primary is lost */
byte standby_counter;
int standby_recorded;
bit standby_chosen;
#endif

/* ---- the broker: R and D are one set here ---- */

bit ready[JOBS], taken[JOBS];
byte broker_counter; /* only for BROKEN_FENCE_FROM_BROKER */

/* ---- nodes: worker w fetches through node w ---- */

#define IDLE 0
#define TOOK 1     /* ids are in `taken`, the start is not committed */
#define STARTED 2  /* committed, the node does not know yet */
#define MISSED 3
#define REFUSED 4  /* the store failed, or its answer was lost */
#define ANSWERS 5  /* settled; the reply is on its way */
#define UNDOES 6
#define UNDONE 7

typedef Claim {
    unsigned at : 3;
    bit late;     /* the worker has given up on this reply */
    bit survives; /* no failover has forgotten it */
};
Claim claim[WORKERS];
byte claim_job[WORKERS], claim_fence[WORKERS];

/* ---- clients ---- */

#define NEW 0
#define INSERTED 1
#define ANSWERED 2
#define DONE 3
byte submit[JOBS];
bit acknowledged[JOBS];

/* ---- workers: one slot each ---- */

#define FREE 0
#define RUNS 1
#define REPORTS 2 /* its process has ended; sends until it is answered */
#define KILLED 3

typedef Worker {
    unsigned at : 2;
    bit survives;
    bit accepted; /* what it reports was accepted once */
    bit silent;   /* its session has lapsed, its own processes are stopped */
    bit fresh;    /* its next TFETCH names what it holds: nothing */
    unsigned old_fetch : 2; /* an earlier such TFETCH under way: 1, overtaken: 2 */
};
Worker worker[WORKERS];
byte worker_job[WORKERS], worker_fence[WORKERS];
bit worker_ok[WORKERS];

/* A report that arrives late: of a zombie, or of a worker that is dead by now. */
bit late_report;
byte late_job, late_fence;

byte faults = FAULTS;
bit killed;
bit answer_ok; /* scratch, 0 between steps */

/* ---- what commits do ---- */

inline to_wait(j) {
    live[j].state = WAITING;
    ready[j] = 1
}

inline lose(j) {
    CHECK(end_is_final, !ENDED(j));
#ifndef BROKEN_LOST_UNCOUNTED
    live[j].lost++;
#endif
    if
    :: live[j].lost > MAX_LOST -> live[j].state = DEAD
    :: else -> to_wait(j)
    fi
}

inline start(w, j) {
#ifdef BROKEN_FENCE_FROM_BROKER
    broker_counter++;
    claim_fence[w] = broker_counter;
#else
    claim_fence[w] = FENCE_NEXT;
    counter++;
#endif
    assert(claim_fence[w] < 32); /* else `handed` is too narrow for this size */
    CHECK(fence_rises, claim_fence[w] > live[j].fence);
    CHECK(end_is_final, !ENDED(j));
    live[j].state = RUNNING;
    live[j].fence = claim_fence[w];
    live[j].holder = w;
    live[j].starts++;
    CHECK(starts_bounded, live[j].starts <= MAX_ATTEMPTS + MAX_LOST);
    claim[w].survives = 1
}
#ifdef BROKEN_NO_START_GUARD
#define STARTABLE(j) (live[j].state != ABSENT && !ENDED(j))
#else
#define STARTABLE(j) (live[j].state == WAITING)
#endif

/* Sets answer_ok. */
inline settle(j, f, ok) {
    if
    :: HELD(j, f) ->
        CHECK(outcome_under_current_fence, live[j].fence == (f));
        CHECK(outcome_once_per_fence, !(recorded & BIT(f)));
#ifndef BROKEN_OUTCOME_NOT_RECORDED
        recorded = recorded | BIT(f);
#endif
        answer_ok = 1;
        if
        :: ok -> live[j].state = SUCCEEDED
        :: else ->
            live[j].failures++;
            if
            :: live[j].failures >= MAX_ATTEMPTS -> live[j].state = DEAD
            :: else -> to_wait(j)
            fi
        fi
    :: else -> answer_ok = ((recorded & BIT(f)) != 0)
    fi
}

inline claim_end(w) {
    claim[w].at = IDLE;
    claim_job[w] = 0;
    claim_fence[w] = 0;
    claim[w].late = 0;
    claim[w].survives = 0
}

inline worker_end(w) {
    worker[w].at = FREE;
    worker_job[w] = 0;
    worker_fence[w] = 0;
    worker_ok[w] = 0;
    worker[w].survives = 0;
    worker[w].accepted = 0
}

#define CLAIMED_BY(w, j) (claim[w].at != IDLE && claim_job[w] == (j))
#define CLAIMED(j) (CLAIMED_BY(0, j) || CLAIMED_BY(1, j))
#define VALID(w, j) (worker[w].at == RUNS && worker_job[w] == (j) && worker[w].survives)
#define REPORTED_BY(w, j)                                                                          \
    (worker[w].at == REPORTS && worker_job[w] == (j) && worker_fence[w] == live[j].fence)
#define ARRIVING(w, j)                                                                             \
    ((claim[w].at == STARTED || claim[w].at == ANSWERS) && claim_job[w] == (j) &&                  \
     claim_fence[w] == live[j].fence && !claim[w].late)
#define IN_HAND(w, j) (VALID(w, j) || REPORTED_BY(w, j) || ARRIVING(w, j))

/* ---- the parties ---- */

proctype Client(byte j) {
end:
    do
#ifdef BROKEN_ACK_BEFORE_COMMIT
    :: d_step { submit[j] == NEW -> acknowledged[j] = 1; submit[j] = INSERTED }
    :: d_step { submit[j] == INSERTED -> live[j].state = WAITING; submit[j] = ANSWERED }
#else
    :: d_step { submit[j] == NEW -> live[j].state = WAITING; submit[j] = INSERTED }
    :: d_step { submit[j] == INSERTED -> acknowledged[j] = 1; submit[j] = ANSWERED }
#endif
    :: d_step { submit[j] == ANSWERED -> ready[j] = 1; submit[j] = DONE }
    od
}

proctype Node(byte w) {
#define MAY_TAKE(j)                                                                                \
    (ready[j] && claim[w].at == IDLE && worker[w].at == FREE && !worker[w].silent &&               \
     !worker[w].fresh)
#define TAKE(j)                                                                                    \
    d_step { MAY_TAKE(j) -> ready[j] = 0; taken[j] = 1; claim[w].at = TOOK; claim_job[w] = j }
#define UNDELIVERABLE(w) (worker[w].at == KILLED || claim[w].late)
end:
    do
    :: TAKE(0)
#if JOBS > 1
    :: TAKE(1)
#endif
    :: d_step { claim[w].at == TOOK ->
            if
            :: STARTABLE(claim_job[w]) -> start(w, claim_job[w]); claim[w].at = STARTED
            :: else -> claim[w].at = MISSED
            fi
        }
    :: d_step { claim[w].at == TOOK && faults > 0 -> faults--; claim[w].at = REFUSED }
    :: d_step { claim[w].at == TOOK && faults > 0 && STARTABLE(claim_job[w]) ->
            /* landed, but nobody learns it */
            faults--;
            start(w, claim_job[w]);
            claim[w].at = REFUSED
        }
    :: d_step { claim[w].at == MISSED ->
            taken[claim_job[w]] = 0;
#ifdef BROKEN_GHOST_HINTED
            ready[claim_job[w]] = 1;
#endif
            claim_end(w)
        }
    :: d_step { claim[w].at == REFUSED ->
            taken[claim_job[w]] = 0;
#ifndef BROKEN_DROP_HINT
            ready[claim_job[w]] = 1;
#endif
            claim_end(w)
        }
    :: d_step { claim[w].at == STARTED -> taken[claim_job[w]] = 0; claim[w].at = ANSWERS }
#ifdef GAP_LATE_REPLY
    :: d_step { claim[w].at == ANSWERS && worker[w].at == FREE && !worker[w].silent ->
#else
    :: d_step { claim[w].at == ANSWERS && worker[w].at == FREE && !claim[w].late ->
#endif
            CHECK(fence_handed_out_once, !(handed & BIT(claim_fence[w])));
            CHECK(no_overlap_of_leases, !claim[w].survives || !VALID(1 - w, claim_job[w]));
            handed = handed | BIT(claim_fence[w]);
            worker[w].at = RUNS;
            worker_job[w] = claim_job[w];
            worker_fence[w] = claim_fence[w];
            worker[w].survives = claim[w].survives;
            claim_end(w)
        }
    :: d_step { claim[w].at == ANSWERS && UNDELIVERABLE(w) -> claim[w].at = UNDOES }
    :: d_step { claim[w].at == ANSWERS && UNDELIVERABLE(w) -> claim_end(w) }
    :: d_step { claim[w].at == ANSWERS && worker[w].at == FREE && !claim[w].late && faults > 0 ->
            /* it hung up, but lives */
            faults--;
            claim[w].at = UNDOES
        }
    :: d_step { claim[w].at == UNDOES ->
            if
#ifdef BROKEN_RETURN_UNGUARDED
            :: live[claim_job[w]].state == RUNNING ->
#else
            :: HELD(claim_job[w], claim_fence[w]) ->
#endif
                live[claim_job[w]].state = WAITING;
                live[claim_job[w]].starts--;
#ifdef BROKEN_RETURN_RESETS_FENCE
                counter--;
#endif
                claim[w].at = UNDONE
            :: else -> claim_end(w)
            fi
        }
    :: d_step { claim[w].at == UNDONE -> ready[claim_job[w]] = 1; claim_end(w) }
    od
}

proctype WorkerLife(byte w) {
#define REPORT(guard, cut)                                                                         \
    d_step {                                                                                       \
        guard ->                                                                                   \
        settle(worker_job[w], worker_fence[w], worker_ok[w]);                                      \
        CHECK(outcome_answered_again_alike, !worker[w].accepted || answer_ok);                     \
        if                                                                                         \
        :: cut -> faults--; worker[w].accepted = answer_ok                                        \
        :: else -> worker_end(w)                                                                   \
        fi;                                                                                        \
        answer_ok = 0                                                                              \
    }
/* Whatever runs under this worker's name it does not hold. */
#define KEEP(j)                                                                                    \
    if                                                                                             \
    :: live[j].state == RUNNING && live[j].holder == w -> lose(j)                                  \
    :: else                                                                                        \
    fi
end:
    do
    :: d_step { worker[w].at == RUNS -> worker[w].at = REPORTS; worker_ok[w] = 1 }
    :: d_step { worker[w].at == RUNS -> worker[w].at = REPORTS }
    :: REPORT(worker[w].at == REPORTS, false)
    :: REPORT(worker[w].at == REPORTS && faults > 0, true)
    :: d_step { worker[w].silent && worker[w].at != KILLED -> worker[w].silent = 0 }
    :: d_step { worker[w].at == FREE && worker[w].fresh && !worker[w].silent ->
            KEEP(0);
#if JOBS > 1
            KEEP(1);
#endif
            worker[w].fresh = 0;
            if
            :: worker[w].old_fetch == 1 -> worker[w].old_fetch = 2
            :: else
            fi
        }
    :: d_step { worker[w].old_fetch > 0 ->
            if
#ifndef GAP_OLD_HELD
            :: worker[w].old_fetch == 2
#endif
            :: else ->
                KEEP(0);
#if JOBS > 1
                KEEP(1)
#endif
            fi;
            worker[w].old_fetch = 0
        }
    od
}

proctype LateReport() {
end:
    do
    :: d_step { late_report ->
            settle(late_job, late_fence, true);
            late_report = 0; late_job = 0; late_fence = 0; answer_ok = 0
        }
    :: d_step { late_report ->
            settle(late_job, late_fence, false);
            late_report = 0; late_job = 0; late_fence = 0; answer_ok = 0
        }
    od
}

/* Sweep, the end of `taken`, the reaper and the deadline, for one job. */
proctype Duties(byte j) {
    bit found, reaps;
    byte reaped;
#define REAPABLE(w)                                                                                \
    (worker[w].silent && live[j].state == RUNNING && live[j].holder == w)
end:
    do
#if !defined(QUIET) && !defined(BROKEN_NO_SWEEP)
    /* the page is older than what is done with it */
    :: d_step { !found && live[j].state == WAITING && !ready[j] && !taken[j] -> found = 1 }
    :: d_step { found ->
            if
            :: !ready[j] && !taken[j] -> ready[j] = 1
            :: else
            fi;
            found = 0
        }
#endif
    :: d_step { taken[j] && !CLAIMED(j) -> taken[j] = 0; ready[j] = 1 }
    :: d_step { taken[j] && CLAIMED(j) && faults > 0 -> faults--; taken[j] = 0; ready[j] = 1 }
#if defined(BROKEN_REAP_BY_KEY) || defined(BROKEN_REAP_STALE)
    /* decided now, done later */
    :: d_step { !reaps && REAPABLE(0) -> reaps = 1; reaped = 0 }
    :: d_step { !reaps && REAPABLE(1) -> reaps = 1; reaped = 1 }
    :: d_step { reaps ->
            if
#ifdef BROKEN_REAP_BY_KEY
            :: live[j].state != ABSENT -> lose(j)
#else
            :: live[j].state == RUNNING && live[j].holder == reaped -> lose(j)
#endif
            :: else
            fi;
            reaps = 0; reaped = 0
        }
#else
    :: d_step { REAPABLE(0) || REAPABLE(1) -> lose(j) }
#endif
#ifdef BROKEN_REAP_EARLY
    :: d_step { live[j].state == RUNNING && faults > 0 -> faults--; lose(j) }
#endif
#ifndef BROKEN_NO_DEADLINE
    :: d_step { live[j].state == RUNNING && !IN_HAND(0, j) && !IN_HAND(1, j) -> lose(j) }
    /* it can't report before the deadline */
    :: d_step {
            faults > 0 && live[j].state == RUNNING && (REPORTED_BY(0, j) || REPORTED_BY(1, j)) ->
            faults--; lose(j)
        }
#endif
    od
}

/* ---- faults ---- */

/* Client j submits through node j. */
#define UNDER_WAY(j) (submit[j] == INSERTED || submit[j] == ANSWERED)
inline crash_submit(j) {
    if
    :: UNDER_WAY(j) -> submit[j] = DONE
    :: else
    fi
}

/* What it still has to say may arrive yet. */
inline falls_silent(w, speaks) {
    faults--;
    worker[w].silent = 1;
    worker[w].fresh = 1;
    if
    :: claim[w].at != IDLE -> claim[w].late = 1
    :: else
    fi;
    if
    :: speaks && worker[w].at == FREE -> worker[w].old_fetch = 1
    :: speaks && worker[w].at != FREE ->
        late_report = 1;
        late_job = worker_job[w];
        late_fence = worker_fence[w]
    :: else
    fi;
    worker_end(w)
}
#define MAY_SPEAK(w)                                                                               \
    ((worker[w].at == FREE && !worker[w].fresh && worker[w].old_fetch == 0) ||                     \
     (worker[w].at != FREE && !late_report))

inline dies(w, speaks) {
    falls_silent(w, speaks);
    killed = 1;
    worker[w].fresh = 0;
    worker[w].old_fetch = 0;
    worker[w].at = KILLED
}

#ifdef FAILOVER
#define ROW_COPY(to, from)                                                                         \
    to.state = from.state;                                                                         \
    to.holder = from.holder;                                                                       \
    to.failures = from.failures;                                                                   \
    to.lost = from.lost;                                                                           \
    to.starts = from.starts;                                                                       \
    to.fence = from.fence

#define FORGOTTEN(j, f) (standby[j].state != RUNNING || standby[j].fence != (f))
inline forget_lease(w) {
    if
    :: claim[w].survives && FORGOTTEN(claim_job[w], claim_fence[w]) -> claim[w].survives = 0
    :: else
    fi;
    if
    :: worker[w].survives && FORGOTTEN(worker_job[w], worker_fence[w]) -> worker[w].survives = 0
    :: else
    fi;
    if
    :: worker[w].accepted && !(standby_recorded & BIT(worker_fence[w])) -> worker[w].accepted = 0
    :: else
    fi
}

/* The acknowledgement of a job that the standby had not received is not covered. */
inline fail_over_row(j) {
    ROW_COPY(live[j], standby[j]);
    ROW_COPY(standby[j], nothing);
    if
    :: live[j].state == ABSENT && submit[j] != NEW -> acknowledged[j] = 0; submit[j] = DONE
    :: else
    fi
}
#endif

#define BROKER_FAULT(j)                                                                            \
    :: d_step { faults > 0 && ready[j] -> faults--; ready[j] = 0 }                                 \
    :: d_step { faults > 0 && !ready[j] -> faults--; ready[j] = 1 }                                \
    :: d_step { faults > 0 && taken[j] -> faults--; taken[j] = 0 }                                 \
    :: d_step { faults > 0 && !taken[j] -> faults--; taken[j] = 1 }

#define WORKER_FAULT(w)                                                                            \
    :: d_step { faults > 0 && !worker[w].silent -> falls_silent(w, false) }                        \
    :: d_step { faults > 0 && !worker[w].silent && MAY_SPEAK(w) -> falls_silent(w, true) }         \
    :: d_step { faults > 0 && !killed -> dies(w, false) }                                          \
    :: d_step { faults > 0 && !killed && worker[w].at == REPORTS && !late_report -> dies(w, true) }

proctype Faults() {
end:
    do
    WORKER_FAULT(0)
    WORKER_FAULT(1)
#ifndef QUIET
    :: d_step { faults > 0 && (claim[0].at != IDLE || UNDER_WAY(0)) ->
            faults--; claim_end(0); crash_submit(0) }
#if JOBS > 1
    :: d_step { faults > 0 && (claim[1].at != IDLE || UNDER_WAY(1)) ->
            faults--; claim_end(1); crash_submit(1) }
#else
    :: d_step { faults > 0 && claim[1].at != IDLE -> faults--; claim_end(1) }
#endif
    BROKER_FAULT(0)
#if JOBS > 1
    BROKER_FAULT(1)
    :: d_step { faults > 0 -> faults--; ready[0] = 0; ready[1] = 0; taken[0] = 0; taken[1] = 0 }
#endif
#ifdef BROKEN_FENCE_FROM_BROKER
    :: d_step { faults > 0 && broker_counter > 0 -> faults--; broker_counter = 0 }
#endif
#endif
#ifdef FAILOVER
    :: d_step { faults > 0 && !standby_chosen ->
            standby_chosen = 1;
            ROW_COPY(standby[0], live[0]);
#if JOBS > 1
            ROW_COPY(standby[1], live[1]);
#endif
            standby_counter = counter;
            standby_recorded = recorded
        }
    :: d_step { faults > 0 && standby_chosen && timeline == 0 ->
            faults--;
            forget_lease(0);
            forget_lease(1);
            fail_over_row(0);
#if JOBS > 1
            fail_over_row(1);
#endif
            counter = standby_counter;
            recorded = standby_recorded;
            standby_counter = 0;
            standby_recorded = 0;
            timeline = 1
        }
#endif
    od
}

#define AT_END(j) (ENDED(j) || (live[j].state == ABSENT && !acknowledged[j]))

proctype Monitor() {
end:
    timeout ->
    CHECK(no_job_stranded, AT_END(0));
#if JOBS > 1
    CHECK(no_job_stranded, AT_END(1));
#endif
}

init {
    atomic {
        run Monitor();
        run Faults();
        run LateReport();
        run Client(0);
        run Duties(0);
#if JOBS > 1
        run Client(1);
        run Duties(1);
#endif
        run Node(0);
        run Node(1);
        run WorkerLife(0);
        run WorkerLife(1)
    }
}
