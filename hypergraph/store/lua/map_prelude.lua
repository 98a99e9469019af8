-- What the scripts on a map share. A map is a board of ranges inside a run: "s-e" are the items
-- from s (included) to e (excluded). Fresh ranges are cut from a cursor; `ready` holds only what
-- was given back. So a map of a million items costs a few keys, not a million.
--
-- Items whose graph has nodes on several queues hop: a worker of one queue hands them over with what
-- they have so far, and they are "s-e@first@n@queue", in `ready:<queue>`. What they bring along is
-- the page called "first@n@queue", whose first item is `first`.
local board = take()
local function part(name) return key("m:" .. board .. ":" .. name) end
local state = part("state")

-- First item, end, and the page that the items bring along: "" for fresh ones.
local function bounds(id)
  local s, e, page = string.match(id, "^(%d+)-(%d+)@?(.*)$")
  return tonumber(s), tonumber(e), page
end

local function range_id(s, e, page)
  return whole(s) .. "-" .. whole(e) .. (page == "" and "" or "@" .. page)
end

local function ready_of(page)
  return part(page == "" and "ready" or "ready:" .. string.match(page, "[^@]+$"))
end

-- Put items back. `attempt` is how many executions of them count.
local function give_back(s, e, page, attempt, lonely)
  if s >= e then return end
  local id = range_id(s, e, page)
  redis.call("zadd", ready_of(page), s, id)
  if attempt > 0 then redis.call("hset", part("attempts"), id, attempt) end
  if lonely then redis.call("sadd", part("alone"), id) end
end

-- Every set of ranges that nobody holds.
local function all_ready()
  local sets = {part("ready")}
  if redis.call("hexists", state, "hops") == 1 then
    for _, queue in ipairs(redis.call("smembers", key("queues"))) do
      sets[#sets + 1] = part("ready:" .. queue)
    end
  end
  return sets
end

-- Whether everything that has to be done is done. After the first failure of a map that raises,
-- that is every item before the failed one; otherwise all items of a map whose size is known.
local function is_over()
  local v = redis.call("hmget", state, "total", "done", "fail_at", "stops", "cursor")
  local fail_at = tonumber(v[3])
  if v[4] == "1" and fail_at >= 0 then
    if tonumber(v[5]) <= fail_at then return false end
    for _, ready in ipairs(all_ready()) do
      local first = redis.call("zrange", ready, 0, 0)[1]
      if first and bounds(first) < fail_at then return false end
    end
    for _, text in ipairs(redis.call("hvals", part("slots"))) do
      for id in string.gmatch(text, "([^,:]+):%d+") do
        if bounds(id) < fail_at then return false end
      end
    end
    return true
  end
  return tonumber(v[1]) >= 0 and tonumber(v[2]) >= tonumber(v[1])
end

-- End the map: the run with it if the map is the run, else the task that opened it falls due again
-- and gathers the results.
local function close_map(seq)
  local v = redis.call("hmget", state, "gather", "total", "failed", "stops")
  redis.call("hset", state, "over", 1)
  if v[1] ~= "" then
    local id, record = string.match(v[1], "^(%S+) (.*)$")
    redis.call("hset", key("tasks"), id, record)
    make_ready(id, record)
    return "gathering"
  end
  local failed, status = tonumber(v[3]), "completed"
  if failed > 0 then
    status = (v[4] == "1" or failed >= tonumber(v[2])) and "failed" or "partial"
  end
  finish(status, "", seq)
  return status
end

-- What happened to ranges, for watching only: nothing a run needs is in a stream that is trimmed.
local function log_range(...)
  redis.call("xadd", part("journal"), "MAXLEN", "~", 10000, "*", ...)
end

-- Items s..d need their page no more: they are done, or have hopped on.
local function leave_page(s, d, page)
  if page == "" then page = redis.call("zrevrangebyscore", part("starts"), s, "-inf", "LIMIT", 0, 1)[1] end
  if page and redis.call("hincrby", part("left"), page, -(d - s)) <= 0 then
    local size = redis.call("hget", part("left"), page .. "#")
    if size then redis.call("hincrby", state, "hop_bytes", -size) end
    redis.call("hdel", part("pages"), page)
    redis.call("hdel", part("left"), page, page .. "#")
  end
end

-- Items s..d go on elsewhere, with a page of `size` bytes.
local function hop_range(s, d, page, queue, payload, size, busy_us)
  leave_page(s, d, page)
  local to = whole(s) .. "@" .. redis.call("hincrby", state, "hops", 1) .. "@" .. queue
  redis.call("hincrby", state, "hop_bytes", size)
  redis.call("hincrby", state, "busy_us", busy_us)
  redis.call("hset", part("pages"), to, payload)
  redis.call("hset", part("left"), to, whole(d - s), to .. "#", size)
  redis.call("sadd", key("queues"), queue)
  give_back(s, d, to, 0)
end

-- Write down that items s..d of a map are done. `errors` is what people are told of failures.
local function commit_range(s, d, page, attempt, slot, payload, failures, first, busy_us, errors)
  redis.call("hset", part("out"), whole(s), payload)
  redis.call("rpush", part("fresh"), whole(s))
  redis.call("hincrby", state, "done", whole(d - s))
  redis.call("hincrby", state, "unread", #payload)
  redis.call("hincrby", state, "busy_us", busy_us)
  if failures > 0 then
    redis.call("hincrby", state, "failed", failures)
    local fail_at = tonumber(redis.call("hget", state, "fail_at"))
    if fail_at < 0 or first < fail_at then redis.call("hset", state, "fail_at", first) end
  end
  leave_page(s, d, page)
  log_range("k", "range", "s", whole(s), "n", whole(d - s), "f", failures, "a", attempt, "w", slot,
    "us", busy_us, "e", errors)
end

-- Tell observers of items s..d, and what a worker saw of them.
local function show_range(seq, s, d, attempt, slot, failures, errors, events)
  show(seq, "k", "range", "map", board, "s", whole(s), "n", whole(d - s), "f", failures,
    "a", attempt, "w", slot, "e", errors, "ev", events, "at", whole(now_ms()))
end
