-- free(ARGV: total) -> 1 | 0
--
-- Lets a map of `total` items go on without the client that fed it.
local total = take()
if redis.call("hget", KEYS[1], "status") ~= "running" then return 0 end
redis.call("hset", KEYS[1], "total", total)
redis.call("hdel", KEYS[1], "owner")
return 1
