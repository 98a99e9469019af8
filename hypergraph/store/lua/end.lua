-- end(ARGV: status, note, digest, value, ...) -> {status before}
--
-- Ends a run that has not ended. The epoch is raised, so whatever was under way commits nothing.
local status, note = take(), take()
local meta = redis.call("hmget", KEYS[1], "status", "seq")
if not meta[1] then return {"gone"} end
begin_when_full()
if meta[1] == "paused" then redis.call("del", key("end")) end
if meta[1] == "running" or meta[1] == "paused" then
  redis.call("hincrby", KEYS[1], "epoch", 1)
  for i = cursor_ + 1, #ARGV, 2 do redis.call("hset", key("values"), ARGV[i], ARGV[i + 1]) end
  finish(status, note, tonumber(meta[2]))
end
return {meta[1]}
