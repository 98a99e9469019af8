-- collect(ARGV: map, from, count, forget, read) -> {status, {start, payload, ...}, done, failed,
-- busy_us, avail, total}
--
-- Returns result ranges in order of completion, from position `from`. Positions count from the
-- first range that was ever completed, so that the same call twice means the same. Ranges before
-- position `forget` are dropped: their reader has them. `read` is how many items it is through
-- with; workers may go on where a window held them.
local from, count, forget, read = take_number(), take_number(), take_number(), take_number()
local status = redis.call("hget", KEYS[1], "status")
local had = redis.call("hmget", state, "cursor", "dropped", "read")
if not status or not had[1] then return {"gone"} end
local dropped = tonumber(had[2] or "0")
if forget > dropped then
  for _, s in ipairs(redis.call("lrange", part("fresh"), 0, forget - dropped - 1)) do
    local bytes = redis.call("hstrlen", part("out"), s)
    redis.call("hdel", part("out"), s)
    redis.call("hincrby", state, "unread", -bytes)
  end
  redis.call("ltrim", part("fresh"), forget - dropped, -1)
  redis.call("hset", state, "dropped", forget)
  dropped = forget
end
if read > tonumber(had[3]) then
  begin_when_full()
  redis.call("hset", state, "read", whole(read))
end
local out, first = {}, math.max(from - dropped, 0)
for _, s in ipairs(redis.call("lrange", part("fresh"), first, first + count - 1)) do
  out[#out + 1] = s
  out[#out + 1] = redis.call("hget", part("out"), s)
end
local v = redis.call("hmget", state, "done", "failed", "busy_us", "avail", "total")
return {status, out, v[1], v[2], v[3], v[4], v[5]}
