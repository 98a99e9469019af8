-- forget() -> 1
--
-- Drops the values of a run that has ended: its reader has them. The record stays its time.
local status = redis.call("hget", KEYS[1], "status")
if not status or status == "running" or status == "paused" then return 0 end
for _, digest in ipairs(redis.call("smembers", key("blobs"))) do
  redis.call("unlink", key("b:" .. digest))
end
redis.call("unlink", key("values"), key("blobs"))
for _, map in ipairs(redis.call("smembers", key("maps"))) do
  local m = "m:" .. map .. ":"
  redis.call("unlink", key(m .. "out"), key(m .. "fresh"))
end
redis.call("hset", KEYS[1], "forgotten", 1)
return 1
