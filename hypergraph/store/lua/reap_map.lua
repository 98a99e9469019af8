-- reap_map(ARGV: map, prefix, guilty map, guilty item, limit, crash payload) -> {status, reaped}
--
-- `reap` for the ranges of a map. The range around a guilty item is cut in three: what lies before
-- and behind goes back uncounted, the item alone counts a death.
--
-- Every death is told in the journal of the run, if the map is part of it: the map's own goes when
-- its results are gathered. A map that is a run of its own keeps its own journal.
local prefix, guilty, item, limit, payload =
  take(), take(), take_number(), take_number(), take()
local meta = redis.call("hmget", KEYS[1], "status", "seq", "watched")
if not meta[1] then return {"gone", 0} end
local seq, reaped = tonumber(meta[2]), 0
local live = redis.call("hmget", state, "cursor", "over", "gather")
if meta[1] ~= "running" or not live[1] or live[2] then return {meta[1], 0} end
for _, slot in ipairs(redis.call("hkeys", part("slots"))) do
  if belongs(slot, prefix) then
    local held = read_lease(part("slots"), slot)
    redis.call("hdel", part("slots"), slot)
    for id, attempt in pairs(held) do
      reaped = reaped + 1
      local s, e, page = bounds(id)
      local at = nil
      if guilty == board and item >= s and item < e then at = item end
      if guilty == "?" and e - s == 1 then at = s end
      if not at then
        give_back(s, e, page, tonumber(attempt) - 1, guilty == "?")
      else
        give_back(s, at, page, tonumber(attempt) - 1)
        give_back(at + 1, e, page, tonumber(attempt) - 1)
        redis.call("hincrby", KEYS[1], "lost", 1)
        if live[3] == "" then
          log_range("k", "lost", "s", whole(at), "a", attempt, "w", slot, "p", payload)
        else
          seq = seq + 1
          log(seq, "k", "lost", "task", board, "item", whole(at), "a", attempt, "w", slot,
            "p", payload, "at", whole(now_ms()))
        end
        local deaths = redis.call("hincrby", part("deaths"), whole(at), 1)
        if deaths >= limit then
          redis.call("hdel", part("deaths"), whole(at))
          commit_range(at, at + 1, page, attempt, slot, "crash:" .. payload, 1, at, 0, "")
          if meta[3] then show_range(seq, at, at + 1, attempt, slot, 1, "", "") end
        else
          give_back(at, at + 1, page, tonumber(attempt), true)
        end
      end
    end
  end
end
if reaped > 0 and is_over() then return {close_map(seq), reaped} end
return {"running", reaped}
