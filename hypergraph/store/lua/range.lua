-- range(ARGV: map, slot, epoch, call, want, page, queue, commits) -> reply
--
-- The cycle of a map: commits ranges, gives back the rest, claims the next range. The rules for
-- leases, calls and replays are those of `cycle`. A range may be committed in part: its head
-- stands and its tail goes back uncounted; and piece by piece, each piece done or (`to`) handed over
-- to another queue. A claim never crosses a page of inputs; the page comes along unless the slot
-- says (`page`) that it has it.
local slot, epoch, call, want, page, queue =
  take(), take(), take_number(), take_number(), take(), take()
local meta = redis.call("hmget", KEYS[1], "status", "epoch", "seq", "watched", "most")
if not meta[1] then return {"gone"} end
local live = redis.call("hmget", state, "cursor", "over", "queue", "hops")
if meta[1] ~= "running" or not live[1] or live[2] then
  redis.call("hdel", part("slots"), slot)
  return {"stop", meta[1], meta[2]}
end
if queue == "" then queue = live[3] end
local slots, seq = part("slots"), tonumber(meta[3])
local last_call = tonumber(redis.call("hget", part("calls"), slot) or "0")
local held, order = read_lease(slots, slot)
local accepted = 0
local upto_of = {} -- held range -> what is committed of it ends here

local function give_back_rest()
  for _, id in ipairs(order) do
    if held[id] then
      local s, e, from = bounds(id)
      give_back(upto_of[id] or s, e, from, tonumber(held[id]) - 1)
    end
  end
end

-- Take what nobody holds: first what has begun.
local function take_ready(fresh)
  if live[4] then
    local id = redis.call("zpopmin", part("ready:" .. queue), 1)[1]
    if id then return id end
  end
  return fresh and redis.call("zpopmin", part("ready"), 1)[1]
end

-- Items that wait for this queue, about.
local function count_left(fresh)
  local left = 0
  if live[4] then
    for _, id in ipairs(redis.call("zrange", part("ready:" .. queue), 0, 49)) do
      local s, e = bounds(id)
      left = left + e - s
    end
  end
  if not fresh then return left end
  local v = redis.call("hmget", state, "cursor", "avail")
  return left + tonumber(v[2]) - tonumber(v[1]) + redis.call("zcard", part("ready"))
end

if epoch ~= "" and epoch ~= meta[2] then
  if call >= last_call then
    redis.call("hdel", slots, slot)
    give_back_rest()
  end
  return {"stop", meta[1], meta[2]}
end

if call > last_call then
  redis.call("hdel", slots, slot) -- first, for a full Redis; see `begin_when_full`
  for _ = 1, take_number() do
    local id, attempt, upto, to, size = take(), take(), take_number(), take(), take()
    local payload, failures, first, busy_us, errors, events, values =
      take(), take_number(), take_number(), take(), take(), take(), take_number()
    local s, e, from = bounds(id)
    local single = e - s == 1
    s = upto_of[id] or s
    local stands = held[id] == attempt and upto > s and upto <= e
    for _ = 1, values do
      local digest, data = take(), take()
      if stands then redis.call("hset", key("values"), digest, data) end
    end
    if stands then
      if to == "" then
        commit_range(s, upto, from, attempt, slot, payload, failures, first, busy_us, errors)
        if meta[4] then show_range(seq, s, upto, attempt, slot, failures, errors, events) end
      else
        hop_range(s, upto, from, to, payload, size, busy_us)
        live[4] = true
      end
      -- Who has deaths to its name is claimed alone.
      if single then redis.call("hdel", part("deaths"), whole(s)) end
      upto_of[id] = upto
      accepted = accepted + 1
    end
  end
  give_back_rest()
  if is_over() then return {"over", close_map(seq), accepted, live[3]} end
  local v = redis.call("hmget", state, "cursor", "avail", "fail_at", "stops")
  local at, avail, fail_at = tonumber(v[1]), tonumber(v[2]), tonumber(v[3])
  local last = avail
  if v[4] == "1" and fail_at >= 0 then last = math.min(avail, fail_at) end
  local s, e, attempt = nil, nil, 1
  if want > 0 and is_full(slot, meta[5]) then want = 0 end
  local fresh, brought = queue == live[3], ""
  while want > 0 and not s do
    local id = take_ready(fresh)
    if id then
      local from, to, with = bounds(id)
      attempt = tonumber(redis.call("hget", part("attempts"), id) or "0") + 1
      redis.call("hdel", part("attempts"), id)
      local lonely = redis.call("srem", part("alone"), id) == 1
      if from < last or v[4] ~= "1" or fail_at < 0 then
        s, e, brought = from, math.min(to, from + (lonely and 1 or want)), with
        give_back(e, to, with, attempt - 1, lonely)
      end
    elseif fresh and at < last and has_room(state) then
      local following = redis.call("zrangebyscore", part("starts"), "(" .. whole(at), "+inf",
        "LIMIT", 0, 1)[1]
      s, e = at, math.min(last, at + want, following and tonumber(following) or last)
      redis.call("hset", state, "cursor", whole(e))
      attempt = 1
    else
      break
    end
  end
  if s then write_lease(slots, slot, {range_id(s, e, brought) .. ":" .. attempt}) end
  redis.call("hset", part("calls"), slot, call)
  held, order = read_lease(slots, slot)
end

local claim = {}
if #order > 0 then
  local s, e, start = bounds(order[1])
  if start == "" then
    start = redis.call("zrevrangebyscore", part("starts"), s, "-inf", "LIMIT", 0, 1)[1]
  end
  local bytes = ""
  if start ~= page then bytes = redis.call("hget", part("pages"), start) end
  claim = {s, e, held[order[1]], start, bytes}
end
return {"ok", meta[2], accepted, count_left(queue == live[3]), redis.call("hlen", slots), claim,
  meta[4] and 1 or 0}
