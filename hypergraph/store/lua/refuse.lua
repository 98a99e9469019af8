-- refuse(ARGV: slot, epoch, worker, task, attempt, module, live workers...) -> "back" | "nobody"
--
-- A worker gives back a task that it cannot load. Uncounted; and when every live worker has said
-- so, the answer is "nobody", and the worker commits the failure instead.
local slot, epoch, worker, task, attempt, module = take(), take(), take(), take(), take(), take()
local meta = redis.call("hmget", KEYS[1], "status", "epoch")
if meta[1] ~= "running" or meta[2] ~= epoch then return "back" end
local refused = key("refused")
redis.call("hset", refused, task .. "|" .. worker, module)
for i = cursor_ + 1, #ARGV do
  if redis.call("hexists", refused, task .. "|" .. ARGV[i]) == 0 then return "back" end
end
return "nobody"
