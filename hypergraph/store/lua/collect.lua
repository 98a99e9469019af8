-- collect(ARGV: map, from, count, forget) -> {status, {start, payload, ...}, done, failed, busy_us}
--
-- Returns result ranges in order of completion, from position `from` (0 is the first that is still
-- kept). `forget` drops that many from the front first: their reader has them, and workers may go
-- on where a window held them.
local from, count, forget = take_number(), take_number(), take_number()
local status = redis.call("hget", KEYS[1], "status")
if not status then return {"gone"} end
if forget > 0 then
  local read = 0
  for _, s in ipairs(redis.call("lrange", part("fresh"), 0, forget - 1)) do
    redis.call("hincrby", state, "unread", -redis.call("hstrlen", part("out"), s))
    redis.call("hdel", part("out"), s)
  end
  redis.call("ltrim", part("fresh"), forget, -1)
  redis.call("hincrby", state, "read", take_number())
end
local out = {}
for _, s in ipairs(redis.call("lrange", part("fresh"), from, from + count - 1)) do
  out[#out + 1] = s
  out[#out + 1] = redis.call("hget", part("out"), s)
end
local v = redis.call("hmget", state, "done", "failed", "busy_us", "avail", "total")
return {status, out, v[1], v[2], v[3], v[4], v[5]}
