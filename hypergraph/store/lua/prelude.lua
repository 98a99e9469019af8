-- What every script on a run begins with.
--
-- KEYS[1] is the run's `meta`. The other keys of the run derive from it: they share its hash tag,
-- so they live in its slot also on a cluster. keys.py lists them with type and meaning.
--
-- Replies hold plain strings, integers and tables only: cmsgpack and struct do not pass fakeredis.
local base = string.sub(KEYS[1], 1, -5)
local function key(part) return base .. part end

local cursor_ = 0
local function take() cursor_ = cursor_ + 1 return ARGV[cursor_] end
local function take_number() return tonumber(take()) end

-- Lua 5.1 writes 1.7e+12 for a time in milliseconds.
local function whole(n) return string.format("%.0f", n) end

local function now_ms()
  local t = redis.call("time")
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

-- A full Redis refuses a script at its first write, if that one needs memory, and no later. What has
-- to go on in a full Redis begins with a write that needs none.
local function begin_when_full() redis.call("hdel", key("slots"), "") end

-- Whether a slot is the one named, or of the worker or child named ("w1/", "w1/c0/").
local function belongs(slot, prefix)
  if string.sub(prefix, -1) == "/" then return string.sub(slot, 1, #prefix) == prefix end
  return slot == prefix
end

-- A lease is "id:attempt,id:attempt"; ids are percent-quoted, so neither sign occurs in them.
local function read_lease(slots, slot)
  local held, order = {}, {}
  local text = redis.call("hget", slots, slot)
  if text then
    for id, attempt in string.gmatch(text, "([^,:]+):(%d+)") do
      held[id] = attempt
      order[#order + 1] = id
    end
  end
  return held, order
end

local function write_lease(slots, slot, hold)
  if #hold == 0 then
    redis.call("hdel", slots, slot)
  else
    redis.call("hset", slots, slot, table.concat(hold, ","))
  end
end

-- Whether as many slots hold something as the run may have bodies in flight, not counting `slot`.
-- A slot carries out what it holds one after the other, so slots are what there is to count.
local function is_full(slot, limit)
  local most = tonumber(limit or "0")
  if most == 0 then return false end
  local boards, busy = {key("slots")}, 0
  for _, map in ipairs(redis.call("smembers", key("maps"))) do
    boards[#boards + 1] = key("m:" .. map .. ":slots")
  end
  for _, slots in ipairs(boards) do
    busy = busy + redis.call("hlen", slots) - redis.call("hexists", slots, slot)
  end
  return busy >= most
end

-- One entry of the journal. Its id is the sequence number, so that a reader can say where it was.
local function append(seq, ...)
  redis.call("xadd", key("journal"), seq .. "-0", ...)
end

-- The same, when no other follows.
local function log(seq, ...)
  append(seq, ...)
  redis.call("hset", KEYS[1], "seq", seq)
end

-- What only observers want to know. Its id says behind which entry of the journal it comes: whoever
-- reads both, and that entry's successor exists, has all of it. So there is one order for everybody.
local function show(seq, ...)
  redis.call("xadd", key("seen"), seq .. "-" .. redis.call("hincrby", KEYS[1], "shown", 1), ...)
end

-- A task record is "score queue digest,digest\n" and the signed bytes. The header is for scripts.
local function split_record(record)
  local stop = string.find(record, "\n", 1, true)
  local score, queue, needs = string.match(string.sub(record, 1, stop - 1), "^(%S+) (%S+) (%S*)$")
  return score, queue, needs, string.sub(record, stop + 1)
end

local function make_ready(id, record)
  local score, queue = split_record(record)
  redis.call("zadd", key("ready:" .. queue), score, id)
end

-- Results that their reader has not had may take this much of Redis, where a window is set. So may
-- what items bring along that wait for a worker of another queue.
local UNREAD_BYTES = 67108864

-- Whether fresh items of a map may be claimed, or its reader or another queue has to move on first.
local function has_room(state)
  local v = redis.call("hmget", state, "cursor", "read", "window", "unread", "hop_bytes")
  if tonumber(v[5] or "0") >= UNREAD_BYTES then return false end
  local window = tonumber(v[3])
  if window == 0 then return true end
  return tonumber(v[1]) - tonumber(v[2]) < window and tonumber(v[4] or "0") < UNREAD_BYTES
end

-- The maps of this run that have ranges to give, or will have: to `queue`, or to any queue.
local function open_maps(queue)
  local open = {}
  for _, map in ipairs(redis.call("smembers", key("maps"))) do
    local m = "m:" .. map .. ":"
    local v = redis.call("hmget", key(m .. "state"), "over", "queue")
    if not v[1] and (not queue or v[2] == queue
        or redis.call("exists", key(m .. "ready:" .. queue)) == 1) then
      open[#open + 1] = map
    end
  end
  return open
end

local map_work = {"ready", "slots", "calls", "attempts", "deaths", "alone", "pages", "starts", "left"}
local map_record = {"state", "out", "fresh", "journal"}

-- Remove what was to be done of a map.
local function drop_map_work(map)
  for _, part in ipairs(map_work) do redis.call("unlink", key("m:" .. map .. ":" .. part)) end
  for _, queue in ipairs(redis.call("smembers", key("queues"))) do
    redis.call("unlink", key("m:" .. map .. ":ready:" .. queue))
  end
end

-- Remove a map whose results have been gathered.
local function drop_map(map)
  drop_map_work(map)
  for _, part in ipairs(map_record) do redis.call("unlink", key("m:" .. map .. ":" .. part)) end
end

-- End the run: nothing can be claimed or committed after this, and the record begins to age.
local function finish(status, note, seq)
  local keep_ms = tonumber(redis.call("hget", KEYS[1], "keep_ms"))
  redis.call("hset", KEYS[1], "status", status, "ended_ms", whole(now_ms()))
  log(seq + 1, "k", "end", "status", status, "p", note, "at", whole(now_ms()))
  redis.call("xadd", key("end"), "1-0", "status", status, "p", note)
  for _, queue in ipairs(redis.call("smembers", key("queues"))) do
    redis.call("del", key("ready:" .. queue))
  end
  redis.call("unlink", key("tasks"), key("slots"), key("calls"), key("attempts"), key("deaths"),
    key("alone"), key("refused"))
  for _, map in ipairs(redis.call("smembers", key("maps"))) do
    drop_map_work(map)
    for _, part in ipairs(map_record) do
      redis.call("pexpire", key("m:" .. map .. ":" .. part), keep_ms)
    end
  end
  for _, digest in ipairs(redis.call("smembers", key("blobs"))) do
    redis.call("pexpire", key("b:" .. digest), keep_ms)
  end
  for _, part in ipairs({"journal", "seen", "end", "values", "queues", "maps", "blobs", "meta"}) do
    redis.call("pexpire", key(part), keep_ms)
  end
end

-- Stop until somebody answers. Nothing is under way in a paused run: it holds no lease.
local function pause(note, seq)
  redis.call("hset", KEYS[1], "status", "paused")
  log(seq + 1, "k", "pause", "p", note, "at", whole(now_ms()))
  redis.call("hincrby", KEYS[1], "asides", 1)
  redis.call("xadd", key("end"), "1-0", "status", "paused", "p", note)
end

-- End or pause, as a coordinator decided.
local function close(status, note, seq)
  if status == "paused" then pause(note, seq) else finish(status, note, seq) end
end

-- Add what fell due, and note how far the journal has been decided on. Returns the status the run
-- ends with, or nothing; the note follows in the arguments.
local function add_tasks(to)
  redis.call("hset", KEYS[1], "applied", to)
  for _ = 1, take_number() do
    local id, record = take(), take()
    local _, queue = split_record(record)
    redis.call("sadd", key("queues"), queue)
    redis.call("hset", key("tasks"), id, record)
    make_ready(id, record)
  end
  local over = take()
  if over ~= "" then return over end
end
