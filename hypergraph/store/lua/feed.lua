-- feed(ARGV: map, start, items, bytes, total) -> {status, avail, cursor, done, failed, read}
--
-- Adds a page of inputs that begins at item `start`. The page stands if it continues what is there
-- and stays within the number of items, so the same page twice changes nothing. `items` 0 adds
-- nothing; `total` other than "" says how many items there are in all, and no more will come.
local start, items, bytes, total = take_number(), take_number(), take(), take()
local meta = redis.call("hmget", KEYS[1], "status", "seq")
local has = redis.call("hmget", state, "avail", "total")
if not meta[1] or not has[1] then return {"gone"} end
if meta[1] == "running" then
  local most = tonumber(has[2])
  if items > 0 and tonumber(has[1]) == start and (most < 0 or start + items <= most) then
    redis.call("hset", part("pages"), whole(start), bytes)
    redis.call("hset", part("left"), whole(start), items)
    redis.call("zadd", part("starts"), start, whole(start))
    redis.call("hset", state, "avail", whole(start + items))
  end
  if total ~= "" then
    redis.call("hset", state, "total", total)
    if is_over() and not redis.call("hget", state, "over") then meta[1] = close_map(tonumber(meta[2])) end
  end
end
local v = redis.call("hmget", state, "avail", "cursor", "done", "failed", "read")
return {meta[1], v[1], v[2], v[3], v[4], v[5]}
