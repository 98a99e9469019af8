-- open_map(ARGV: map, slot, epoch, task, attempt, record, queue, total, stops, spec,
-- pages)  -> 1 | 0
--
-- Turns a task that its slot holds into a map: the task leaves the lease uncommitted and comes
-- back as `record`, to gather the results, when the last item is done.
local slot, epoch, task, attempt, record = take(), take(), take(), take(), take()
local meta = redis.call("hmget", KEYS[1], "status", "epoch", "seq", "watched")
if meta[1] ~= "running" or meta[2] ~= epoch then return 0 end
local held, order = read_lease(key("slots"), slot)
if held[task] ~= attempt or redis.call("exists", state) == 1 then
  return redis.call("exists", state)
end
local rest = {}
for _, id in ipairs(order) do
  if id ~= task then rest[#rest + 1] = id .. ":" .. held[id] end
end
write_lease(key("slots"), slot, rest)
redis.call("hdel", key("tasks"), task)
redis.call("hdel", key("attempts"), task)
redis.call("hdel", key("deaths"), task)
local queue = take()
redis.call("sadd", key("queues"), queue)
local total = take()
redis.call("hset", state, "cursor", 0, "done", 0, "failed", 0, "fail_at", -1, "read", 0,
  "busy_us", 0, "gather", task .. " " .. record, "queue", queue, "total", total, "stops", take(),
  "window", 0, "spec", take())
local avail = 0
for _ = 1, take_number() do
  local items, bytes = take_number(), take()
  redis.call("hset", part("pages"), whole(avail), bytes)
  redis.call("hset", part("left"), whole(avail), items)
  redis.call("zadd", part("starts"), avail, whole(avail))
  avail = avail + items
end
redis.call("hset", state, "avail", whole(avail))
redis.call("sadd", key("maps"), board)
if meta[4] then
  show(meta[3], "k", "map", "task", task, "total", total, "at", whole(now_ms()))
end
if is_over() then close_map() end -- it has no items, so nobody will ever commit the last one
return 1
