/* Each script is the part they share and its own; each runs on the keys of one queue and is atomic.
 *
 * Keys: R and D (sorted sets: member = the job's key, in D with its priority behind it; score = its score, or
 * its due), T and TH (what is taken: until when, and its hint), M (a hash: generation, frontier, locks of
 * refills), and the generation that counts. The horizons H and F are members ("H") of R and D, so that a set
 * that is lost loses its horizon with it. A queue whose keys are of an older generation, or of which D or M
 * is missing, begins anew: that only costs a refill. Numbers are exact in a double: below 2^53. */
#include "broker/redis/scripts.h"

#include "base/alloc.h"
#include "base/check.h"
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* The name changes with the meaning of the keys, so that two versions never share a window. */
static const char SHARED[] =
    "-- takt window 1\n"
    "local R, D, T, TH, M, G = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]\n"
    "local now, most = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
    "local INF, UNIT, EPOCH = math.huge, 1125899906842624, 1577836800000000\n"
    "local call = redis.call\n"
    "local function num(s)\n"
    "  if not s then return -INF end\n"
    "  if s == 'inf' or s == '+inf' then return INF end\n"
    "  if s == '-inf' then return -INF end\n"
    "  return tonumber(s)\n"
    "end\n"
    "local function fmt(x)\n"
    "  if x == INF then return '+inf' end\n"
    "  if x == -INF then return '-inf' end\n"
    "  return string.format('%.0f', x)\n"
    "end\n"
    "local gen = call('GET', G) or ''\n"
    "local P, moved, half\n"
    "local function keep(h)\n" /* the horizon, as a member of its set */
    "  call('ZADD', h.key, fmt(h.horizon), 'H')\n"
    "end\n"
    "local function wipe()\n"
    "  call('DEL', R, D, T, TH, M)\n"
    "  P, moved = nil, 0\n"
    "  half = {R = {key = R, horizon = -INF}, D = {key = D, horizon = -INF}}\n"
    "end\n"
    "local function load()\n"
    "  local m = call('HMGET', M, 'g', 'p', 'moved', 'lR', 'uR', 'cR', 'lD', 'uD', 'cD')\n"
    "  local F = call('ZSCORE', D, 'H')\n"
    "  if not F or not m[2] or m[1] ~= gen then return wipe() end\n"
    "  P, moved = num(m[2]), tonumber(m[3] or '0')\n"
    "  local H = call('ZSCORE', R, 'H')\n"
    "  half = {R = {key = R, horizon = num(H), lock = m[4], till = num(m[5]),"
    " ceiling = num(m[6])}, D = {key = D, horizon = num(F), lock = m[7], till = num(m[8]),"
    " ceiling = num(m[9])}}\n"
    "  if not H then half.R.ceiling = -INF; keep(half.R) end\n" /* lost, perhaps while it was being read */
    "end\n"
    "local function save()\n"
    "  local m = {'g', gen, 'p', fmt(P), 'moved', tostring(moved)}\n"
    "  for name, h in pairs(half) do\n"
    "    if h.lock then\n"
    "      for _, v in ipairs({'l' .. name, h.lock, 'u' .. name, fmt(h.till), 'c' .. name,"
    " fmt(h.ceiling)}) do m[#m + 1] = v end\n"
    "    else call('HDEL', M, 'l' .. name, 'u' .. name, 'c' .. name) end\n"
    "  end\n"
    "  call('HSET', M, unpack(m))\n"
    "end\n"
    "local function reach(h) if h.lock then return h.ceiling end return h.horizon end\n"
    "local function count_to(h, rank)\n"
    "  local n = call('ZCOUNT', h.key, '-inf', fmt(rank))\n"
    "  if h.horizon <= rank then n = n - 1 end\n"
    "  return n\n"
    "end\n"
    "local function is_low(h) return h.horizon < INF and count_to(h, h.horizon) < most / 4 end\n"
    "local function drop_above(h, bound)\n" /* how many of the jobs; the mark stays */
    "  if bound == INF then return 0 end\n"
    "  local n = call('ZREMRANGEBYSCORE', h.key, '(' .. fmt(bound), '+inf')\n"
    "  if h.horizon > bound then n = n - 1; keep(h) end\n"
    "  return n\n"
    "end\n";

static const char WINDOW[] =
    "local function trim(h)\n"
    "  if call('ZCARD', h.key) - 1 <= most then return end\n"
    "  local at = most\n"
    "  local mark = call('ZRANK', h.key, 'H')\n"
    "  if mark and mark <= at then at = at + 1 end\n"
    "  local rank = num(call('ZRANGE', h.key, at, at, 'WITHSCORES')[2])\n"
    "  local bound = rank\n"
    "  if count_to(h, rank - 1) >= most / 4 then bound = rank - 1 end\n"
    "  if drop_above(h, bound) == 0 then return end\n"
    "  if h.lock and bound < h.ceiling then h.ceiling = bound end\n"
    "  if bound < h.horizon then h.horizon = bound; keep(h) end\n"
    "end\n"
    "local function add(h, list)\n" /* {score, member, score, member, …} */
    "  local added = 0\n"
    "  for i = 1, #list, 1000 do\n"
    "    local n = math.min(#list, i + 999)\n"
    "    added = added + call('ZADD', h.key, unpack(list, i, n))\n"
    "    trim(h)\n"
    "  end\n"
    "  return added\n"
    "end\n"
    "local function trim_frontier() if P > half.D.horizon then P = half.D.horizon end end\n"
    "local function priority_of(score) return 5 - math.floor(score / UNIT) end\n"
    "local function due_of(score) return EPOCH + (score - math.floor(score / UNIT) * UNIT) end\n"
    /* hints: {key, score, due, …} as they stand in ARGV from `first` to `last` */
    "local function enter(hints, first, last)\n"
    "  local ready, delayed = {}, {}\n"
    "  for i = first, last, 3 do\n"
    "    local key, score, due = hints[i], tonumber(hints[i + 1]), tonumber(hints[i + 2])\n"
    "    local is_due, beyond = due <= now, due > half.D.horizon\n"
    "    if is_due and score <= reach(half.R) then\n"
    "      ready[#ready + 1] = fmt(score); ready[#ready + 1] = key\n"
    "    end\n"
    "    if (not is_due or beyond) and due <= reach(half.D) then\n"
    "      delayed[#delayed + 1] = fmt(due)\n"
    "      delayed[#delayed + 1] = key .. string.char(priority_of(score))\n"
    "    end\n"
    "  end\n"
    "  local added = add(half.R, ready) + add(half.D, delayed)\n"
    "  trim_frontier()\n"
    "  return added\n"
    "end\n"
    "local function end_read(h, covered)\n"
    "  if covered > h.ceiling then covered = h.ceiling end\n"
    "  if covered > h.horizon then h.horizon = covered; keep(h) end\n"
    "  h.lock = nil\n"
    "  drop_above(h, h.horizon)\n"
    "end\n";

static const char TIME[] =
    "local function advance()\n"
    "  if not P then P = now; half.D.horizon = now; keep(half.D); keep(half.R) end\n"
    "  for _, h in pairs(half) do\n"
    "    if h.lock and h.till <= now then end_read(h, -INF) end\n"
    "  end\n"
    "  local late = call('ZRANGEBYSCORE', T, '-inf', fmt(now), 'LIMIT', 0, 1000)\n"
    "  for _, key in ipairs(late) do\n"
    "    local hint = call('HGET', TH, key)\n"
    "    call('ZREM', T, key); call('HDEL', TH, key)\n"
    "    if hint then\n"
    "      local score, due = string.match(hint, '(%S+) (%S+)')\n"
    "      moved = moved + enter({key, score, due}, 1, 3)\n"
    "    end\n"
    "  end\n"
    "  local limit = math.min(now, half.D.horizon)\n"
    "  while true do\n"
    "    local found = call('ZRANGEBYSCORE', D, '-inf', fmt(limit), 'WITHSCORES', 'LIMIT', 0, "
    "501)\n"
    "    local gone, ready = {}, {}\n"
    "    for i = 1, #found, 2 do\n"
    "      local member, due = found[i], tonumber(found[i + 1])\n"
    "      if member ~= 'H' then\n"
    "        gone[#gone + 1] = member\n"
    "        local rel = math.min(math.max(due - EPOCH, 0), UNIT - 1)\n"
    "        local score = (5 - string.byte(member, 17)) * UNIT + rel\n"
    "        if score <= reach(half.R) then\n"
    "          ready[#ready + 1] = fmt(score); ready[#ready + 1] = string.sub(member, 1, 16)\n"
    "        end\n"
    "      end\n"
    "    end\n"
    "    if #gone == 0 then break end\n"
    "    call('ZREM', D, unpack(gone))\n"
    "    moved = moved + add(half.R, ready)\n"
    "  end\n"
    "  if limit > P then P = limit end\n"
    "end\n"
    "local function sizes() return math.max(call('ZCARD', R) - 1, 0) end\n"
    "load()\n";

static const char *const OWN[REDIS_SCRIPTS] = {
    /* ARGV: now, most, channel, word, hints */
    [SCRIPT_PUSH] = "advance()\n"
                    "enter(ARGV, 5, #ARGV)\n"
                    "save()\n"
                    "call('PUBLISH', ARGV[3], ARGV[4])\n"
                    "return {sizes()}\n",
    /* ARGV: now, most, n, until when it is taken */
    [SCRIPT_TAKE] =
        "advance()\n"
        "local n, count = tonumber(ARGV[3]), 0\n"
        "local found = call('ZRANGEBYSCORE', R, '-inf', fmt(half.R.horizon), 'WITHSCORES', 'LIMIT',"
        " 0, n + 1)\n"
        "local ret, gone, taken, hints = {0, 0}, {}, {}, {}\n"
        "for i = 1, #found, 2 do\n"
        "  if found[i] ~= 'H' and count < n then\n"
        "    local key, score = found[i], tonumber(found[i + 1])\n"
        "    count = count + 1\n"
        "    gone[#gone + 1] = key\n"
        "    taken[#taken + 1] = ARGV[4]; taken[#taken + 1] = key\n"
        "    hints[#hints + 1] = key\n"
        "    hints[#hints + 1] = fmt(score) .. ' ' .. fmt(due_of(score))\n"
        "    ret[#ret + 1] = key; ret[#ret + 1] = fmt(score)\n"
        "  end\n"
        "end\n"
        "for i = 1, #gone, 1000 do\n"
        "  local last = math.min(#gone, i + 999)\n"
        "  call('ZREM', R, unpack(gone, i, last))\n"
        "  call('ZADD', T, unpack(taken, 2 * i - 1, 2 * last))\n"
        "  call('HSET', TH, unpack(hints, 2 * i - 1, 2 * last))\n"
        "end\n"
        "save()\n"
        "ret[1] = is_low(half.R) and 1 or 0\n"
        "ret[2] = sizes()\n"
        "return ret\n",
    /* ARGV: now, most, keys */
    [SCRIPT_SETTLE] =
        "for i = 3, #ARGV do call('ZREM', T, ARGV[i]); call('HDEL', TH, ARGV[i]) end\n"
        "return {}\n",
    /* ARGV: now, most */
    [SCRIPT_PROMOTE] =
        "advance()\n"
        "local next_us = INF\n"
        "local found = call('ZRANGEBYSCORE', D, '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, 2)\n"
        "for i = 1, #found, 2 do\n"
        "  if found[i] ~= 'H' then\n"
        "    local due = tonumber(found[i + 1])\n"
        "    if due > now then next_us = due end\n"
        "    break\n"
        "  end\n"
        "end\n"
        "local first = call('ZRANGE', T, 0, 0, 'WITHSCORES')\n"
        "if first[2] and tonumber(first[2]) < next_us then next_us = tonumber(first[2]) end\n"
        "local ret = {moved, next_us < INF and fmt(next_us) or '0',"
        " (is_low(half.D) or half.D.horizon <= now) and 1 or 0, sizes(),"
        " call('ZCARD', D) - 1, call('ZCARD', T)}\n"
        "moved = 0\n"
        "save()\n"
        "for i = 1, 5 do call('EXPIRE', KEYS[i], 86400) end\n"
        "return ret\n",
    /* ARGV: now, most, 'R' or 'D', lock, until when */
    [SCRIPT_REFILL_BEGIN] = "advance()\n"
                            "local h = half[ARGV[3]]\n"
                            "if h.lock or not is_low(h) then save(); return {0, '0', '0'} end\n"
                            "h.lock, h.till, h.ceiling = ARGV[4], tonumber(ARGV[5]), INF\n"
                            "save()\n"
                            "call('HSET', M, 'n' .. ARGV[3], '0')\n"
                            "return {1, fmt(h.horizon), fmt(P)}\n",
    /* ARGV: now, most, 'R' or 'D', lock, hints: what is above the horizon waits there for its rise */
    [SCRIPT_REFILL_PART] = "if not P then return {0} end\n"
                           "local h = half[ARGV[3]]\n"
                           "if h.lock ~= ARGV[4] then return {0} end\n"
                           "local list = {}\n"
                           "for i = 5, #ARGV, 3 do\n"
                           "  local key, score, due = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]\n"
                           "  local rank = h.key == R and score or tonumber(due)\n"
                           "  if rank <= h.ceiling and call('HEXISTS', TH, key) == 0 then\n"
                           "    list[#list + 1] = fmt(rank)\n"
                           "    list[#list + 1] = h.key == R and key or"
                           " key .. string.char(priority_of(score))\n"
                           "  end\n"
                           "end\n"
                           "add(h, list)\n"
                           "trim_frontier()\n"
                           "save()\n"
                           "call('HINCRBY', M, 'n' .. ARGV[3], 1)\n"
                           "return {1}\n",
    /* ARGV: now, most, 'R' or 'D', lock, how far the page goes, channel, word ('' = none), its parts: where one
     * is missing (it came late, since the scripts had been forgotten) the page tells nothing */
    [SCRIPT_REFILL_END] = "if not P then return {0, 0} end\n"
                          "local h = half[ARGV[3]]\n"
                          "if h.lock ~= ARGV[4] then return {0, sizes()} end\n"
                          "local whole = call('HGET', M, 'n' .. ARGV[3]) == ARGV[8]\n"
                          "end_read(h, whole and num(ARGV[5]) or -INF)\n"
                          "trim_frontier()\n"
                          "advance()\n"
                          "save()\n"
                          "if ARGV[7] ~= '' then call('PUBLISH', ARGV[6], ARGV[7]) end\n"
                          "return {1, sizes()}\n",
    /* ARGV: now, most, hints */
    [SCRIPT_SWEEP] =
        "advance()\n"
        "local added = 0\n"
        "for i = 3, #ARGV, 3 do\n"
        "  local key, score, due = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])\n"
        "  local in_d = call('ZSCORE', D, key .. string.char(priority_of(score)))\n"
        "  local missing = false\n"
        "  if due > half.D.horizon or call('HEXISTS', TH, key) == 1 then missing = false\n"
        "  elseif in_d and tonumber(in_d) == due then missing = false\n"
        "  elseif due > P then missing = true\n"
        "  elseif score > half.R.horizon then missing = false\n"
        "  else\n"
        "    local in_r = call('ZSCORE', R, key)\n"
        "    missing = not (in_r and tonumber(in_r) == score)\n"
        "  end\n"
        "  if missing then enter(ARGV, i, i + 2); added = added + 1 end\n"
        "end\n"
        "save()\n"
        "return {added, sizes()}\n",
    /* Of no queue. KEYS: epoch, generation; ARGV: the highest epoch seen, a new generation */
    [SCRIPT_TICK] =
        "local epoch, seen = tonumber(redis.call('GET', KEYS[1]) or '-1'), tonumber(ARGV[1])\n"
        "local gen = redis.call('GET', KEYS[2])\n"
        "if not gen or epoch < seen then\n"
        "  gen = ARGV[2]\n"
        "  redis.call('SET', KEYS[2], gen)\n"
        "  if epoch < seen then epoch = seen end\n"
        "end\n"
        "epoch = epoch + 1\n"
        "redis.call('SET', KEYS[1], string.format('%.0f', epoch))\n"
        "return {string.format('%.0f', epoch), gen}\n",
};

static char *texts[REDIS_SCRIPTS];
static char shas[REDIS_SCRIPTS][41];
static pthread_once_t made = PTHREAD_ONCE_INIT;

/* Redis names a script by its SHA-1. */
static void name_script(RedisScript script) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const char *text = texts[script];
    check(EVP_Digest(text, strlen(text), digest, &size, EVP_sha1(), NULL) == 1 && size == 20);
    for (unsigned i = 0; i < size; i++) {
        snprintf(&shas[script][2 * i], 3, "%02x", digest[i]);
    }
}

static void make(void) {
    for (RedisScript script = 0; script < REDIS_SCRIPTS; script++) {
        bool windowed = script != SCRIPT_TICK;
        size_t size = sizeof SHARED + sizeof WINDOW + sizeof TIME + strlen(OWN[script]);
        texts[script] = alloc(size);
        snprintf(texts[script], size, "%s%s%s%s", windowed ? SHARED : "", windowed ? WINDOW : "",
                 windowed ? TIME : "", OWN[script]);
        name_script(script);
    }
}

const char *redis_script_text(RedisScript script) {
    pthread_once(&made, make);
    return texts[script];
}

const char *redis_script_sha(RedisScript script) {
    pthread_once(&made, make);
    return shas[script];
}
