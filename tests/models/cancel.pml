/* Cancel against claim against outcome, with retries by operators, on one job.
 *
 * A blind change (start, succeed) is one step; every other change loads and locks the row in one
 * step, and decides, writes and commits in a later one. Two operators cancel and retry OPERATIONS
 * times between them; two workers run the job, and report late as often as it suits them. At most
 * FAULTS answers are lost, operations die before their commit, leases are lost or replies undone.
 * docs/internals/models.md explains the rest.
 *
 * Sizes: OPERATIONS, FAULTS, MAX_ATTEMPTS, MAX_LOST. BROKEN_x takes one rule away. */
#ifndef OPERATIONS
#define OPERATIONS 3
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef MAX_ATTEMPTS
#define MAX_ATTEMPTS 2
#endif
#ifndef MAX_LOST
#define MAX_LOST 1
#endif
#define RUNS_MAX (OPERATIONS + 1)

/* Names, so that an error says which property failed; ONLY=name looks at that one alone. */
hidden byte cancelled_never_starts = 1;
hidden byte cancel_or_claim_wins = 2;
hidden byte end_of_run_is_final = 3;
hidden byte late_outcome_is_stale = 4;
hidden byte outcome_answered_alike = 5;
hidden byte cancel_answered_truly = 6;
hidden byte lease_taken_by_its_fence = 7;
hidden byte no_job_stranded = 8;
#ifdef ONLY
#define CHECK(property, condition) assert((condition) || property != ONLY)
#else
#define CHECK(property, condition) assert((condition) && property)
#endif

/* ---- the store: one row ---- */

#define WAITING 1
#define RUNNING 2
#define SUCCEEDED 3
#define DEAD 4
#define CANCELLED 5
#define ENDED (state >= SUCCEEDED)

byte state = WAITING;
byte fence, generation, failures, lost;
byte counter;  /* of fences, store-wide */
int recorded;  /* fences under which an outcome is on record */
byte locked;   /* by the operation of process number locked - 1 */

/* What was, for the properties. */
byte ended[RUNS_MAX];         /* how each run ended */
bit never_starts[RUNS_MAX];   /* cancelled while it waited */
int over;                     /* fences whose lease ended without an outcome */
#define BIT(fence) (1 << (fence))

byte operations = OPERATIONS, faults = FAULTS;
bit answer_ok; /* scratch, 0 between steps */

#ifdef BROKEN_UNLOCKED
#define LOCK
#define UNLOCK
#else
#define LOCK locked = _pid + 1;
#define UNLOCK locked = 0;
#endif

#ifdef BROKEN_NO_FENCE_CHECK
#define HELD(f) (state == RUNNING)
#else
#define HELD(f) (state == RUNNING && fence == (f))
#endif

/* ---- what operations write ---- */

inline finish(to) {
    CHECK(end_of_run_is_final, ended[generation] == 0);
    ended[generation] = to;
    state = to
}

inline wait_again() {
    CHECK(end_of_run_is_final, ended[generation] == 0);
    state = WAITING
}

inline lose() {
    over = over | BIT(fence);
    lost++;
    if
    :: lost > MAX_LOST -> finish(DEAD)
    :: else -> wait_again()
    fi
}

/* One outcome, decided; sets answer_ok. */
inline settle(f, good, held) {
    if
    :: held ->
        CHECK(late_outcome_is_stale, !(over & BIT(f)) && f == fence);
        recorded = recorded | BIT(f);
        answer_ok = 1;
        if
        :: good -> finish(SUCCEEDED)
        :: else ->
            failures++;
            if
            :: failures >= MAX_ATTEMPTS -> finish(DEAD)
            :: else -> wait_again()
            fi
        fi
    :: else ->
#ifdef BROKEN_REPEAT_WITHOUT_FENCE
        answer_ok = ((good && state == SUCCEEDED) || (recorded & BIT(f)) != 0)
#else
        answer_ok = ((recorded & BIT(f)) != 0)
#endif
    fi;
    CHECK(outcome_answered_alike, answer_ok == ((recorded & BIT(f)) != 0))
}

/* ---- operators ---- */

#define RETRYABLE (state == DEAD || state == CANCELLED)

byte asked[2];     /* 0: nothing, 1: cancel, 2: retry */
byte seen[2];      /* the state that was loaded */
bit committed[2];
bit answers[2];
byte cancelled[2]; /* the run that it cancelled */
#define NOT_ASKED 0
#define CANCEL 1
#define RETRY 2

inline operator_end(o) {
    asked[o] = 0;
    seen[o] = 0;
    committed[o] = 0;
    answers[o] = 0;
    cancelled[o] = 0
}

#ifdef BROKEN_UNLOCKED
#define STATE_SEEN(o) seen[o]
#else
#define STATE_SEEN(o) state
#endif
#ifdef BROKEN_CANCEL_UNGUARDED
#define MAY_CANCEL(o) true
#else
#define MAY_CANCEL(o) (STATE_SEEN(o) < SUCCEEDED)
#endif
#ifdef BROKEN_RETRY_UNGUARDED
#define MAY_RETRY(o) true
#else
#define MAY_RETRY(o) (STATE_SEEN(o) == DEAD || STATE_SEEN(o) == CANCELLED)
#endif

inline cancel(o) {
    if
    :: MAY_CANCEL(o) ->
        CHECK(cancel_or_claim_wins, seen[o] != WAITING || state == WAITING);
        if
        :: seen[o] == WAITING -> never_starts[generation] = 1
        :: else -> over = over | BIT(fence)
        fi;
        finish(CANCELLED);
        cancelled[o] = generation;
        answers[o] = 1
    :: else
    fi
}

inline retry(o) {
    if
    :: MAY_RETRY(o) ->
        CHECK(end_of_run_is_final, state == DEAD || state == CANCELLED);
        state = WAITING;
        generation++;
        failures = 0;
        lost = 0;
#ifdef BROKEN_RETRY_RESETS_FENCE
        fence = 0;
        counter = 0
#endif
    :: else
    fi
}

/* Asks when there is something to ask for: what can't apply changes nothing. */
proctype Operator(byte o) {
end:
    do
    :: d_step { asked[o] == NOT_ASKED && operations > 0 && !ENDED ->
            operations--; asked[o] = CANCEL }
    :: d_step { asked[o] == NOT_ASKED && operations > 0 && RETRYABLE ->
            operations--; asked[o] = RETRY }
    :: d_step { asked[o] != NOT_ASKED && seen[o] == 0 && locked == 0 -> LOCK seen[o] = state }
#ifdef BROKEN_ANSWER_BEFORE_COMMIT
    :: d_step { asked[o] == CANCEL && seen[o] != 0 && !committed[o] && seen[o] < SUCCEEDED &&
            !answers[o] -> answers[o] = 1; cancelled[o] = generation }
#endif
    :: d_step { asked[o] != NOT_ASKED && seen[o] != 0 && !committed[o] ->
            if
            :: asked[o] == CANCEL -> cancel(o)
            :: else -> retry(o)
            fi;
            committed[o] = 1;
            UNLOCK }
    :: d_step { committed[o] ->
            CHECK(cancel_answered_truly, !answers[o] || ended[cancelled[o]] == CANCELLED);
            operator_end(o) }
    /* its node dies before the commit */
    :: d_step { asked[o] != NOT_ASKED && seen[o] != 0 && !committed[o] && faults > 0 ->
            faults--;
            UNLOCK
            CHECK(cancel_answered_truly, !answers[o] || ended[cancelled[o]] == CANCELLED);
            operator_end(o) }
    od
}

/* ---- nodes and workers ---- */

#define FREE 0
#define TOOK 1    /* a hint, perhaps no longer true */
#define STARTED 2 /* committed, not delivered */
#define UNDOES 3
#define RUNS 4
#define REPORTS 5
byte at[2], lease[2];
bit ok[2], loaded[2];

inline start(w) {
    CHECK(cancelled_never_starts, !never_starts[generation]);
    CHECK(end_of_run_is_final, ended[generation] == 0);
    counter++;
    fence = counter;
    state = RUNNING;
    lease[w] = fence;
    at[w] = STARTED
}

inline free(w) {
    at[w] = FREE;
    lease[w] = 0;
    ok[w] = 0;
    loaded[w] = 0
}

/* A report of success is blind; one of failure, or that missed, loads and locks. */
#ifdef BROKEN_SUCCEED_UNGUARDED
#define SUCCEEDS(w) (fence == lease[w])
#else
#define SUCCEEDS(w) HELD(lease[w])
#endif
#ifdef BROKEN_FAIL_UNGUARDED
#define FAILS(w) (fence == lease[w])
#else
#define FAILS(w) HELD(lease[w])
#endif
#ifdef BROKEN_START_UNGUARDED
#define STARTABLE (state != RUNNING)
#else
#define STARTABLE (state == WAITING)
#endif
#ifdef BROKEN_RETURN_UNGUARDED
#define RETURNS(w) (state == RUNNING)
#else
#define RETURNS(w) HELD(lease[w])
#endif

proctype Worker(byte w) {
end:
    do
    :: d_step { at[w] == FREE && state == WAITING -> at[w] = TOOK }
    :: d_step { at[w] == TOOK && locked == 0 ->
            if
            :: STARTABLE -> start(w)
            :: else -> at[w] = FREE
            fi }
    :: d_step { at[w] == STARTED -> at[w] = RUNS }
    :: d_step { at[w] == STARTED && faults > 0 -> faults--; at[w] = UNDOES }
    /* the reply is lost on its way */
    :: d_step { at[w] == STARTED && faults > 0 -> faults--; free(w) }
    :: d_step { at[w] == UNDOES && !loaded[w] && locked == 0 -> LOCK loaded[w] = 1 }
    :: d_step { at[w] == UNDOES && loaded[w] ->
            if
            :: RETURNS(w) ->
                CHECK(lease_taken_by_its_fence, fence == lease[w]);
                over = over | BIT(lease[w]);
                wait_again()
            :: else
            fi;
            UNLOCK
            free(w) }
    :: d_step { at[w] == RUNS -> at[w] = REPORTS; ok[w] = 1 }
    :: d_step { at[w] == RUNS -> at[w] = REPORTS }
    /* told that its run is cancelled or lost: it ends without a word */
    :: d_step { at[w] == RUNS && (over & BIT(lease[w])) -> free(w) }
    :: d_step { at[w] == REPORTS && !loaded[w] && ok[w] && locked == 0 && SUCCEEDS(w) ->
            settle(lease[w], true, true);
            answer_ok = 0;
            free(w) }
    :: d_step { at[w] == REPORTS && !loaded[w] && ok[w] && locked == 0 && SUCCEEDS(w) &&
            faults > 0 ->
            /* the answer is lost: once more */
            faults--;
            settle(lease[w], true, true);
            answer_ok = 0 }
    :: d_step { at[w] == REPORTS && !loaded[w] && locked == 0 && !(ok[w] && SUCCEEDS(w)) ->
            LOCK
            loaded[w] = 1 }
    :: d_step { at[w] == REPORTS && loaded[w] ->
            settle(lease[w], ok[w], !ok[w] && FAILS(w));
            answer_ok = 0;
            UNLOCK
            free(w) }
    :: d_step { at[w] == REPORTS && loaded[w] && faults > 0 ->
            faults--;
            settle(lease[w], ok[w], !ok[w] && FAILS(w));
            answer_ok = 0;
            UNLOCK
            loaded[w] = 0 }
    od
}

/* ---- the reaper ---- */

#define IN_HAND (lease[0] == fence || lease[1] == fence)

#ifdef BROKEN_REAP_UNLOCKED
#define REAPER_LOCK
#else
#define REAPER_LOCK LOCK
#endif

proctype Reaper() {
    bit found;
end:
    do
#ifndef BROKEN_NO_REAPER
    :: d_step { !found && state == RUNNING && locked == 0 && !IN_HAND -> REAPER_LOCK found = 1 }
    :: d_step { !found && state == RUNNING && locked == 0 && IN_HAND && faults > 0 ->
            faults--;
            REAPER_LOCK
            found = 1 }
#endif
    :: d_step { found ->
            if
#ifdef BROKEN_REAP_UNLOCKED
            :: true -> lose()
#else
            :: state == RUNNING -> lose()
#endif
            :: else
            fi;
            if
            :: locked == _pid + 1 -> locked = 0
            :: else
            fi;
            found = 0 }
    od
}

proctype Monitor() {
end:
    timeout -> CHECK(no_job_stranded, ENDED)
}

init {
    atomic {
        run Monitor();
        run Reaper();
        run Operator(0);
        run Operator(1);
        run Worker(0);
        run Worker(1)
    }
}
