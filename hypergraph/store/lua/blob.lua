-- blob(ARGV: digest, number, chunk) -> 1 | 0
--
-- Writes a chunk of a large value of a run. Not when the run has ended: what a late worker writes
-- would belong to nobody, and stay.
local digest, number, chunk = take(), take(), take()
if redis.call("hget", KEYS[1], "status") ~= "running" then return 0 end
redis.call("sadd", key("blobs"), digest)
redis.call("hset", key("b:" .. digest), number, chunk)
return 1
