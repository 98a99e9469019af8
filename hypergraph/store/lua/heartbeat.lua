-- heartbeat(KEYS: workers, worker; ARGV: worker id, lease_ms, field, value, ...) -> 1
--
-- A worker host is alive now, by the clock of Redis.
local t = redis.call("time")
local now = string.format("%.0f", tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000))
redis.call("zrem", KEYS[1], "") -- needs no memory, and lets the rest through; see `begin_when_full`
redis.call("zadd", KEYS[1], now, ARGV[1])
redis.call("hset", KEYS[2], "beat_ms", now, unpack(ARGV, 3))
redis.call("pexpire", KEYS[2], ARGV[2])
return 1
