-- advance(ARGV: from, to, tasks, end) -> 1 | 0
--
-- A compare-and-set on how far the journal has been decided on. Any number of coordinators may
-- decide at once; they decide the same, and the first one is heard.
local from, to = take(), take_number()
local meta = redis.call("hmget", KEYS[1], "status", "applied", "seq")
if meta[1] ~= "running" or meta[2] ~= from or to > tonumber(meta[3]) then return 0 end
begin_when_full()
local over = add_tasks(to)
if over then close(over, take(), tonumber(meta[3])) end
return 1
