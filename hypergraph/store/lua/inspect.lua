-- inspect() -> {status, seq, applied, {queue, ready, ...}, {slot, ...}, {map, ready, cursor, avail,
-- over, queue, ...}, owner, owner alive until}
--
-- What a reconciler needs to see whether anything is missing.
local meta = redis.call("hmget", KEYS[1], "status", "seq", "applied", "owner")
if not meta[1] then return {"gone"} end
local ready, slots, maps = {}, redis.call("hkeys", key("slots")), {}
for _, queue in ipairs(redis.call("smembers", key("queues"))) do
  ready[#ready + 1] = queue
  ready[#ready + 1] = redis.call("zcard", key("ready:" .. queue))
end
for _, map in ipairs(open_maps()) do
  local m = "m:" .. map .. ":"
  local v = redis.call("hmget", key(m .. "state"), "cursor", "avail", "queue", "total", "hops")
  local open = redis.call("zcard", key(m .. "ready"))
  if tonumber(v[1]) < tonumber(v[2]) and has_room(key(m .. "state")) then open = open + 1 end
  local function tell(queue, count)
    for _, told in ipairs({map, count, queue, v[4]}) do maps[#maps + 1] = told end
  end
  tell(v[3], open)
  for _, queue in ipairs(v[5] and redis.call("smembers", key("queues")) or {}) do
    local hopped = redis.call("zcard", key(m .. "ready:" .. queue))
    if hopped > 0 then tell(queue, hopped) end
  end
  for _, slot in ipairs(redis.call("hkeys", key(m .. "slots"))) do slots[#slots + 1] = slot end
end
return {meta[1], meta[2], meta[3], ready, slots, maps, meta[4] or ""}
