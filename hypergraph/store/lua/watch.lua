-- watch() -> 1 | 0
--
-- Says that somebody observes the run: from now on it tells of claims and items, too.
local status = redis.call("hget", KEYS[1], "status")
if status ~= "running" and status ~= "paused" then return 0 end
redis.call("hset", KEYS[1], "watched", 1)
return 1
