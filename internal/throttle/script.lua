-- The rules of guard.go, pair.go and counter.go inside Redis: one call answers one
-- question, and nothing comes between its steps. TestSharedLikeMemory holds both
-- to the same answers. A record is one MessagePack string with a time to live.
--
-- KEYS: 1 guard, 2 pair, 3 alias, 4 prefix, 5 network, 6 site; a name that does not
-- apply ends in "-". ARGV: the question, the time in seconds, the secret, and for
-- "wrong": main ("1"), exempt from address limits ("1").
-- The first lines, made by the program, set the rules: half-lives and so on.

local now, secret = tonumber(ARGV[2]), tonumber(ARGV[3])

local function none(i) return string.sub(KEYS[i], -1) == '-' end

local function load(i, empty)
  local raw = not none(i) and redis.call('GET', KEYS[i])
  return raw and cmsgpack.unpack(raw) or empty
end

local function save(i, record, ttl)
  if not none(i) then
    redis.call('SET', KEYS[i], cmsgpack.pack(record), 'EX', ttl)
  end
end

-- Scores: s as it was at time t.
local function value(c, half)
  if now <= c.t then return c.s end
  return c.s * math.pow(2, -(now - c.t) / half)
end

local function add(c, half)
  c.s = math.min(value(c, half) + 1, max_score)
  if now > c.t or now - c.t < -slack then c.t = now end
end

local function count(i, half)
  local c = load(i, {s = 0, t = now})
  add(c, half)
  save(i, c, math.ceil(10 * half))
end

local function score(i, half)
  return none(i) and 0 or value(load(i, {s = 0, t = now}), half)
end

local function round(x) return math.floor(x + 0.5) end

-- Pairs: g known-good until, seen wrong secrets.
local function new_pair() return {s = 0, t = now, g = 0, seen = {}} end

local function save_pair(i, p)
  save(i, p, math.ceil(math.max(10 * pair_half, p.g - now, 1)))
end

local function is_good(p)
  local left = p.g - now
  return left > 0 and left <= good_for + slack and round(value(p, pair_half)) < good_tries
end

local function repeated(p)
  if secret == 0 then return false end
  local known = false
  for i, s in ipairs(p.seen) do
    if s == secret then
      known = true
      table.remove(p.seen, i)
      break
    end
  end
  table.insert(p.seen, 1, secret)
  p.seen[pair_slots + 1] = nil
  return known
end

-- Guards: b failed binds, l the last of them, k slots {secret, flight, wrong}.
local function past(since, span)
  local d = now - since
  return d >= span or d < -slack
end

local function load_guard()
  local g = load(1, {s = 0, t = now, b = 0, l = 0, k = {}})
  if past(g.l, bind_window) then g.b = 0 end
  for i = #g.k, 1, -1 do
    local slot = g.k[i]
    if slot[2] ~= 0 and past(slot[2], flight_time) then
      slot[2] = 0
      if slot[3] == 0 then table.remove(g.k, i) end
    end
  end
  return g
end

local function save_guard(g)
  save(1, g, math.ceil(math.max(10 * account_half, bind_window)))
end

local function take(g)
  if secret == 0 then return nil end
  for i, slot in ipairs(g.k) do
    if slot[1] == secret then return table.remove(g.k, i) end
  end
end

-- A new slot pushes out the oldest without a bind in flight, or must: the oldest.
local function make_room(g, must)
  if #g.k < guard_slots then return true end
  for i = #g.k, 1, -1 do
    if g.k[i][2] == 0 then
      table.remove(g.k, i)
      return true
    end
  end
  if must then table.remove(g.k) end
  return must
end

local function reserve(g, allowed)
  local used = g.b
  for _, slot in ipairs(g.k) do
    if slot[2] ~= 0 then used = used + 1 end
  end
  local at, slot
  for i, s in ipairs(g.k) do
    if secret ~= 0 and s[1] == secret then at, slot = i, s end
  end
  if slot and slot[2] ~= 0 then return 0 end
  if slot and used >= math.floor(bind_cap / 2) then return 2 end
  if used >= allowed then return 1 end
  if secret == 0 then return 0 end
  if slot then
    table.remove(g.k, at)
  else
    if not make_room(g, false) then return 1 end
    slot = {secret, 0, 0}
  end
  slot[2] = now
  table.insert(g.k, 1, slot)
  return 0
end

local function mark(g, bound)
  if bound then
    g.l = now
    g.b = math.min(g.b + 1, 255)
  end
  if secret == 0 then return false end
  local slot = take(g)
  if not slot then
    make_room(g, true)
    slot = {secret, 0, 0}
  end
  local known = slot[3] == 1
  slot[2], slot[3] = 0, 1
  table.insert(g.k, 1, slot)
  return known
end

-- Scores travel as text: Redis would cut numbers to integers.
local ask = {}

function ask.prefix()
  return {is_good(load(2, new_pair())) and 1 or 0,
    tostring(score(4, prefix_half)), tostring(score(5, prefix_half))}
end

-- Answers known-good, the scores of account and site, and 0 free, 1 capped,
-- 2 repeat, 3 the account refuses.
function ask.account()
  local p, g = load(2, new_pair()), load_guard()
  local good, s = is_good(p), value(g, account_half)
  local judged = value(p, pair_half) < 0.5 and s / 1.5 or s
  local verdict = 3
  if good or round(judged) < account_refuse then
    verdict = reserve(g, good and bind_cap or bind_cap - 1)
    save_guard(g)
  end
  return {good and 1 or 0, tostring(s), tostring(score(6, site_half)), verdict}
end

function ask.wrong()
  local main, exempt = ARGV[4] == '1', ARGV[5] == '1'
  local p, g = load(2, new_pair()), load_guard()
  local good, known = is_good(p), not none(2) and repeated(p)
  known = mark(g, main) or known
  if not known then
    add(p, pair_half)
    if main then add(g, account_half) end
  end
  save_pair(2, p)
  save_guard(g)
  if known then return 0 end
  if not none(3) then
    local alias = load(3, nil)
    if alias then
      add(alias, pair_half)
      save_pair(3, alias)
    end
  end
  if not good and not exempt then
    if not none(4) then count(4, prefix_half) end
    if not none(5) then count(5, prefix_half) end
  end
  if main then count(6, site_half) end
  return 1
end

function ask.right()
  for i = 2, 3 do
    if not none(i) then
      local p = load(i, new_pair())
      p.g = now + good_for
      save_pair(i, p)
    end
  end
  if redis.call('EXISTS', KEYS[1]) == 1 then
    local g = load_guard()
    if take(g) then save_guard(g) end
  end
  return 1
end

return ask[ARGV[1]]()
