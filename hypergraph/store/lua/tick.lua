-- tick(KEYS: tick, workers, active; ARGV: lease_ms, every_ms) -> {now, {live, ...}, {dead, ...},
-- {run, ...}, quiet}
--
-- Who is alive, who is to be reaped, and which runs are to be looked at now.
--
-- When nobody has ticked for three periods, Redis was away or frozen, or everybody was. The
-- heartbeats that are missing then say nothing about workers and clients: for one lease all is
-- quiet, and nobody is taken for dead.
local t = redis.call("time")
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
local lease, every = tonumber(ARGV[1]), tonumber(ARGV[2])
local function whole(n) return string.format("%.0f", n) end

local seen = redis.call("hmget", KEYS[1], "last", "quiet")
local quiet = tonumber(seen[2] or "0")
if now - tonumber(seen[1] or "0") > 3 * every then quiet = now + lease end
redis.call("zrem", KEYS[2], "") -- needs no memory, and lets the rest through; see `begin_when_full`
redis.call("hset", KEYS[1], "last", whole(now), "quiet", whole(quiet))

local live = redis.call("zrangebyscore", KEYS[2], whole(now - lease), "+inf", "LIMIT", 0, 1000)
local dead = {}
if now >= quiet then
  dead = redis.call("zrangebyscore", KEYS[2], "-inf", "(" .. whole(now - lease), "LIMIT", 0, 20)
end
local runs = redis.call("zrangebyscore", KEYS[3], "-inf", whole(now), "LIMIT", 0, 20)
-- So far ahead only a client's clock can have put it.
local ahead = redis.call("zrangebyscore", KEYS[3], whole(now + 10 * every + 10000), "+inf", "LIMIT", 0, 20)
for _, run in ipairs(ahead) do runs[#runs + 1] = run end
for _, run in ipairs(runs) do redis.call("zadd", KEYS[3], whole(now + every), run) end
return {whole(now), live, dead, runs, now < quiet and 1 or 0}
