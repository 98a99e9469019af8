-- cycle(ARGV: slot, epoch, call, want, queue, after, commits, advance) -> reply
--
-- One round trip of a slot: what is finished is committed, what is held and not finished goes
-- back, what follows is added, and the next tasks are claimed.
--
-- A commit stands only if the run's epoch is current, the slot's lease still lists this task with
-- this attempt, and the task still exists. Reaping takes the pair out of the lease, so a zombie
-- that wakes up after it finds nothing to commit to, whether or not the next attempt is through.
--
-- `call` numbers the calls of a slot. The same number again means that the reply was lost: nothing
-- is done twice, and the answer is given again from what the slot holds. A lower number is a copy
-- that was overtaken; nobody waits for its answer.
--
-- The advance that comes along was decided before the commits were known to stand. It does if
-- nobody else advanced since `from` and these commits are all that happened since.
local slot, epoch, call, want, queue, after =
  take(), take(), take_number(), take_number(), take(), take_number()
local meta =
  redis.call("hmget", KEYS[1], "status", "epoch", "seq", "applied", "watched", "most")
if not meta[1] then return {"gone"} end
local tasks, slots = key("tasks"), key("slots")
local last_call = tonumber(redis.call("hget", key("calls"), slot) or "0")
local held, order = read_lease(slots, slot)
local records = {}

-- Let go of the lease. It is the first write, and it frees memory: a full Redis refuses a script
-- at its first write if that one needs memory, and no later. So a full Redis still takes results.
local function drop_lease()
  redis.call("hdel", slots, slot)
end

local function give_back_rest()
  for _, id in ipairs(order) do
    local record = held[id] and redis.call("hget", tasks, id)
    if record then make_ready(id, record) end
  end
end

if meta[1] ~= "running" or (epoch ~= "" and epoch ~= meta[2]) then
  if meta[1] == "running" and call >= last_call then
    drop_lease()
    give_back_rest()
  end
  return {"stop", meta[1], meta[2]}
end
local seq, applied = tonumber(meta[3]), tonumber(meta[4])
local replay = call <= last_call
local accepted, advanced = 0, 0

-- Whether there are deaths or maps to think of. Most runs have neither, and ask once.
local odd = redis.call("exists", key("attempts"), key("deaths"), key("alone"), key("maps")) > 0

if not replay then
  drop_lease()
  local before, commits = seq, take_number()
  for _ = 1, commits do
    local id, attempt, kind, payload, values = take(), take(), take(), take(), take_number()
    local stands = held[id] == attempt and redis.call("hdel", tasks, id) == 1
    for _ = 1, values do
      local digest, data = take(), take()
      if stands then redis.call("hset", key("values"), digest, data) end
    end
    if stands then
      if odd then
        redis.call("hdel", key("attempts"), id)
        redis.call("hdel", key("deaths"), id)
        redis.call("srem", key("alone"), id)
        if redis.call("srem", key("maps"), id) == 1 then drop_map(id) end
      end
      seq = seq + 1
      append(seq, "k", kind, "task", id, "a", attempt, "w", slot, "ep", meta[2], "p", payload)
      if kind == "fail" then redis.call("hincrby", KEYS[1], "failed", 1) end
      accepted = accepted + 1
    end
  end
  if accepted > 0 then redis.call("hset", KEYS[1], "seq", seq) end
  give_back_rest()
  local from = take()
  if from ~= "" then
    local to = take_number()
    if applied == tonumber(from) and before + commits == to and accepted == commits then
      advanced, applied = 1, to
      local over = add_tasks(to)
      if over then
        close(over, take(), seq)
        return {"ended", over, accepted}
      end
    end
  end
  held, order = {}, {}
  if want > 0 and is_full(slot, meta[6]) then want = 0 end
  local ready, full = key("ready:" .. queue), false
  while #order < want and not full do
    -- What goes alone is only found out one by one.
    local popped = redis.call("zpopmin", ready, odd and 1 or want - #order)
    if #popped == 0 then break end
    for i = 1, #popped, 2 do
      local id = popped[i]
      local record = redis.call("hget", tasks, id)
      local lonely = odd and redis.call("sismember", key("alone"), id) == 1
      if record and lonely and #order > 0 then
        make_ready(id, record)
        full = true
      elseif record then
        local counted = odd and redis.call("hget", key("attempts"), id) or "0"
        order[#order + 1], records[id] = id, record
        held[id] = whole(tonumber(counted) + 1)
        if meta[5] then
          show(seq, "k", "taken", "task", id, "a", held[id], "w", slot, "at", whole(now_ms()))
        end
        full = lonely
      end
    end
  end
  local hold = {}
  for _, id in ipairs(order) do hold[#hold + 1] = id .. ":" .. held[id] end
  if #hold > 0 then write_lease(slots, slot, hold) end
  redis.call("hset", key("calls"), slot, call)
end

local claims = {}
for _, id in ipairs(order) do
  local record = records[id] or redis.call("hget", tasks, id)
  if record then
    local _, _, needs, signed = split_record(record)
    local values = {}
    for digest in string.gmatch(needs, "[^,]+") do
      values[#values + 1] = redis.call("hget", key("values"), digest)
    end
    claims[#claims + 1] = {id, held[id], signed, values}
  end
end
local entries = redis.call("xrange", key("journal"), whole(after + 1) .. "-0", "+", "COUNT", 500)
local others = redis.call("hlen", slots)
if #claims > 0 then others = others - 1 end
return {"ok", meta[2], seq, applied, accepted, advanced, replay and 1 or 0, others,
  redis.call("zcard", key("ready:" .. queue)), claims, entries,
  odd and open_maps(queue) or {}, meta[5] and 1 or 0}
