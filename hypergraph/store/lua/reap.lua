-- reap(ARGV: prefix, guilty task, guilty item, limit, crash payload) -> {reaped, ended map or ""}
--
-- Takes away what a dead process holds: the slot named `prefix`, or all slots whose names begin with
-- it if it ends in a slash. The task or item its body was in counts a death; at `limit` deaths it
-- is committed as failed, with the payload. Everything else goes back uncounted. When nobody knows
-- where the process was ("?"), a lease of one counts, and what was held together comes back to be
-- claimed one at a time.
local prefix, guilty, item, limit, payload = take(), take(), take_number(), take_number(), take()
local meta = redis.call("hmget", KEYS[1], "status", "seq")
if not meta[1] then return {"gone", 0} end
local seq, reaped, dead, now = tonumber(meta[2]), 0, 0, whole(now_ms())
if meta[1] ~= "running" then return {meta[1], 0} end

local function slots_of(slots)
  local found = {}
  for _, slot in ipairs(redis.call("hkeys", slots)) do
    if belongs(slot, prefix) then found[#found + 1] = slot end
  end
  return found
end

for _, slot in ipairs(slots_of(key("slots"))) do
  local held, order = read_lease(key("slots"), slot)
  redis.call("hdel", key("slots"), slot)
  for _, id in ipairs(order) do
    local record = redis.call("hget", key("tasks"), id)
    if record then
      reaped = reaped + 1
      local counted = (guilty == id and item < 0) or (guilty == "?" and #order == 1)
      if counted and redis.call("hincrby", key("deaths"), id, 1) >= limit then
        redis.call("hdel", key("tasks"), id)
        redis.call("hdel", key("deaths"), id)
        redis.call("hdel", key("attempts"), id)
        redis.call("srem", key("alone"), id)
        if redis.call("srem", key("maps"), id) == 1 then drop_map(id) end
        seq = seq + 1
        log(seq, "k", "crash", "task", id, "a", held[id], "w", slot, "p", payload, "at", now)
        redis.call("hincrby", KEYS[1], "failed", 1)
        dead = dead + 1
      else
        if counted then
          seq = seq + 1
          log(seq, "k", "lost", "task", id, "a", held[id], "w", slot, "p", payload, "at", now)
          redis.call("hincrby", KEYS[1], "lost", 1)
          redis.call("hincrby", key("attempts"), id, 1)
        end
        if guilty == "?" then redis.call("sadd", key("alone"), id) end
        make_ready(id, record)
      end
    end
  end
end
return {"running", reaped, dead}
