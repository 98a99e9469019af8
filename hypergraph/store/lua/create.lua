-- create(ARGV: token, meta pairs, start, values, blobs, tasks, map, end) -> 1 | 0
--
-- Stores a run with everything it starts with, in one step: a run exists whole or not at all.
-- The same call again (the reply was lost) answers 1 as before; another's run of that id gives 0.
local token = take()
local known = redis.call("hget", KEYS[1], "token")
if known then return known == token and 1 or 0 end
redis.call("hset", KEYS[1], "token", token, "status", "running", "epoch", 1, "seq", 0,
  "applied", 0, "created_ms", whole(now_ms()))
for _ = 1, take_number() do
  redis.call("hset", KEYS[1], take(), take())
end
log(1, "k", "start", "p", take())
redis.call("hset", KEYS[1], "applied", 1)
for _ = 1, take_number() do
  redis.call("hset", key("values"), take(), take())
end
-- Large values were written before there was a run they could have belonged to.
for _ = 1, take_number() do
  local digest = take()
  redis.call("sadd", key("blobs"), digest)
  redis.call("persist", key("b:" .. digest))
end
for _ = 1, take_number() do
  local id, record = take(), take()
  local _, queue = split_record(record)
  redis.call("sadd", key("queues"), queue)
  redis.call("hset", key("tasks"), id, record)
  make_ready(id, record)
end
local map = take()
if map ~= "" then
  local queue = take()
  redis.call("sadd", key("queues"), queue)
  redis.call("sadd", key("maps"), map)
  redis.call("hset", key("m:" .. map .. ":state"), "cursor", 0, "avail", 0, "done", 0, "failed", 0,
    "fail_at", -1, "read", 0, "busy_us", 0, "gather", "", "queue", queue,
    "total", take(), "window", take(), "stops", take(), "spec", take())
end
local over = take()
if over ~= "" then close(over, take(), 1) end
return 1
