-- answer(ARGV: epoch, payload, digest, value) -> {status before, sequence number}
--
-- Lets a paused run go on with an answer. The first answer wins: it raises the epoch, and the run
-- is not paused any more. Whoever comes later is told what the run is by then. Sent again because
-- the reply was lost, the same answer finds itself as the last one given, and wins again.
local epoch, payload, digest, value = take(), take(), take(), take()
local meta = redis.call("hmget", KEYS[1], "status", "epoch", "seq", "answered")
if not meta[1] then return {"gone"} end
if meta[4] == payload then return {"paused", meta[3]} end
if meta[1] ~= "paused" or meta[2] ~= epoch then return {meta[1], meta[3]} end
local seq = tonumber(meta[3]) + 1
redis.call("hset", key("values"), digest, value)
redis.call("hset", KEYS[1], "status", "running", "epoch", tonumber(epoch) + 1, "answered", payload)
log(seq, "k", "answer", "ep", epoch, "p", payload, "at", whole(now_ms()))
redis.call("hincrby", KEYS[1], "asides", 1)
redis.call("del", key("end"))
return {"paused", seq}
