-- Postern's door for Dovecot 2.3 and 2.4: a Lua passdb that asks policyserver.
--
-- It decides nothing. Each login becomes one POST of a form to /verify (see
-- docs/protocols.md); the answer is one line of TAB-separated words, which
-- becomes one of Dovecot's results. Whatever is not clearly an answer is
-- PASSDB_RESULT_INTERNAL_FAILURE: never access, never "wrong password".
--
-- Settings: Dovecot 2.4 takes them from passdb lua { lua_settings { ... } },
-- 2.3 from the file below, both with the same names:
--   socket    policyserver's unix socket (2.4 only)
--   url       or its address, http://127.0.0.1:9786/verify, together with
--   key       the API key, or
--   key_file  the file that holds it
--
-- There must never be a function auth_passdb_get_cache_key here, nor, on 2.3, a
-- cache_key in the passdb or an auth_cache_size: a cached answer ignores the
-- service and outlives a revocation.

local settings_file = "/etc/postern/lua.conf"

-- How long a login may take, in milliseconds. policyserver's own deadline
-- (login.deadline) is shorter, so that it can still say "unavailable".
local timeout = 5000

local known = { socket = true, url = true, key = true, key_file = true }

-- State of this process: each auth worker has its own.
local door     -- lua-2.3 or lua-2.4
local client   -- keeps its connections open between logins
local url, key
local trouble  -- what is wrong with the settings; every login says it

---------------------------------------------------------------- settings

local function read_file(path)
  local f, err = io.open(path, "r")
  if f == nil then
    error("cannot read " .. err, 0) -- io.open names the file itself
  end
  local text = f:read("*a")
  f:close()
  return text
end

-- Lines "name = value"; empty lines and those that begin with # say nothing.
local function parse(text)
  local args = {}
  for line in text:gmatch("[^\n]+") do
    if not line:match("^%s*#") and line:match("%S") then
      local name, value = line:match("^%s*([%w_]+)%s*=%s*(.-)%s*$")
      if name == nil or args[name] ~= nil then
        error(settings_file .. ": a line is not \"name = value\", or names a setting again", 0)
      end
      args[name] = value
    end
  end
  return args
end

local function check(args)
  for name in pairs(args) do
    if not known[name] then
      error("unknown setting " .. name .. "; there are socket, url, key, key_file", 0)
    end
  end
  if (args.socket == nil) == (args.url == nil) then
    error("set either socket or url", 0)
  end
  if args.socket and door == "lua-2.3" then
    error("Dovecot 2.3 cannot use a unix socket from Lua: set url and key_file", 0)
  end
end

local function api_key(args)
  local k = args.key
  if args.key_file then
    k = read_file(args.key_file):match("^%s*(.-)%s*$")
  end
  if args.url and (k == nil or k == "" or k:match("[%c ]")) then
    error("url needs the API key: set key_file to a file that holds it, without blanks", 0)
  end
  return k
end

-- The same client for both versions, which name its settings differently. Idle
-- connections are given up before policyserver does (60 s), so that no question
-- meets a closing one. After a failed connection Dovecot would wait up to a
-- minute before it tries again; policyserver may be back in a second.
local function new_client(args)
  if door == "lua-2.3" then
    return dovecot.http.client {
      request_timeout_msecs = timeout, request_absolute_timeout_msecs = timeout,
      connect_timeout_msecs = 2000, max_idle_time_msecs = 30000,
      max_attempts = 1, max_connect_attempts = 1, no_auto_redirect = true,
      connect_backoff_time_msecs = 10, connect_backoff_max_time_msecs = 100,
    }
  end
  return dovecot.http.client {
    request_timeout = timeout .. "ms", request_absolute_timeout = timeout .. "ms",
    connect_timeout = "2s", max_idle_time = "30s",
    request_max_attempts = "1", max_connect_attempts = "1", auto_redirect = "no",
    connect_backoff_time = "10ms", connect_backoff_max_time = "100ms",
    proxy_socket_path = args.socket,
  }
end

local function configure(args)
  args = args or parse(read_file(settings_file))
  check(args)
  key = api_key(args)
  url = args.url or "http://localhost/verify" -- the host means nothing to a socket
  client = new_client(args)
end

-- Dovecot 2.4 hands over the settings, 2.3 nothing. An error in here would end
-- the whole auth process, so it is kept for the logins to say.
function script_init(args)
  door = args and "lua-2.4" or "lua-2.3"
  local ok, err = pcall(configure, args)
  if not ok then
    trouble = "postern.lua: " .. tostring(err)
    dovecot.i_error(trouble)
  end
  return 0
end

---------------------------------------------------------------- question

local escapes = {}
for i = 0, 255 do
  escapes[string.char(i)] = string.format("%%%02X", i)
end

local function add(form, name, value)
  if value ~= nil and value ~= "" then
    form[#form + 1] = name .. "=" .. value:gsub("[^A-Za-z0-9._~-]", escapes)
  end
end

-- pass is nil in a lookup, which never checks a password.
local function question(req, pass)
  local form = {}
  add(form, "user", req.user)
  add(form, "password", pass)
  add(form, "service", req.protocol or req.service) -- 2.4, 2.3
  add(form, "mech", req.mechanism)
  add(form, "remote_ip", req.remote_ip)
  add(form, "real_ip", req.real_remote_ip)
  add(form, "local_ip", req.local_ip)
  add(form, "session", req.session)
  add(form, "agent", req.client_id)
  add(form, "master", req.master_user)
  add(form, "orig_user", req.original_user)
  add(form, "secured", req.secured)
  if pass == nil then
    add(form, "lookup", "1")
  end
  add(form, "door", door)
  return table.concat(form, "&")
end

---------------------------------------------------------------- answer

-- 401 is policyserver's answer to a caller that may not ask.
local function refused(status, reason)
  if status == 401 and key then
    return "policyserver refuses our API key: compare key_file with its policyserver.api_key_file"
  elseif status == 401 then
    return "policyserver refuses this process: add the user of Dovecot's auth workers to policyserver.socket_users"
  end
  return "policyserver cannot be asked: " .. status .. " " .. reason
end

-- Returns the verdict and its tail, or nil and what is wrong. "granted" counts
-- only with status 200, so that no proxy's page can let anybody in.
local function read_answer(response)
  local status = response:status()
  if status ~= 200 and status ~= 403 and status ~= 503 then
    return nil, refused(status, response:reason())
  end
  local word, tail = response:payload():match("^([a-z]+)([^\0\1\r\n]*)\n$")
  if word == nil or (tail ~= "" and tail:sub(1, 1) ~= "\t") or (word == "granted" and status ~= 200) then
    return nil, "policyserver's answer is malformed: is this its address?"
  end
  return word, tail
end

-- Fields of a granted login: a table is what both versions take. nil if one is
-- not key=value with one of our kind of keys.
local function fields(tail)
  local list = {}
  for word in tail:gmatch("\t([^\t]*)") do
    local name, value = word:match("^([a-z0-9_]+)=(.*)$")
    if name == nil then
      return nil
    end
    list[name] = value
  end
  return list
end

local function ask(req, pass)
  if trouble then
    return nil, trouble
  end
  local request = client:request { url = url, method = "POST" }
  request:add_header("Content-Type", "application/x-www-form-urlencoded")
  if key then
    request:add_header("X-API-Key", key)
  end
  request:set_payload(question(req, pass))
  return read_answer(request:submit())
end

-- The second value of a failure is a string, because 2.3 turns nil, and 2.4 a
-- table, into a temporary failure. Dovecot logs it for an internal failure only.
local function outcome(verdict, tail, lookup)
  if verdict == "granted" then
    local list = fields(tail)
    if list then
      return dovecot.auth.PASSDB_RESULT_OK, list
    end
    tail = "policyserver's answer is malformed: is this its address?"
  elseif verdict == "denied" and lookup and tail == "\tunknown" then
    return dovecot.auth.PASSDB_RESULT_USER_UNKNOWN, ""
  elseif verdict == "denied" then
    return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, ""
  elseif verdict == "next" then
    return dovecot.auth.PASSDB_RESULT_NEXT, ""
  elseif verdict == "unavailable" then
    tail = "policyserver cannot check this now; its own log says why"
  end
  return dovecot.auth.PASSDB_RESULT_INTERNAL_FAILURE, tail
end

---------------------------------------------------------------- Dovecot calls

-- Dovecot 2.3 caches what a Lua passdb says, under the user name alone, as soon as
-- auth_cache_size is set (passdb_lua_preinit in src/auth/passdb-lua.c): a revoked
-- app password would go on working, on every service, and a cached "nopassword"
-- would let any password in. A script cannot forbid that, but it chooses what is
-- cached as the password: something that nothing matches, and whose unknown scheme
-- Dovecot writes to the log with every login that it then refuses.
local uncacheable = "{POSTERN-NEEDS-auth_cache_size=0}x"

-- The service of Postern's own questions about main passwords, which policyserver
-- passes on when Postern can prove that it asks. Nobody's guessing is slowed down by
-- a delay of its answer: a field does without on 2.3, on 2.4 the configuration does
-- (see *-main-password.conf), and the string means nothing.
local private = "postern-main"

function auth_password_verify(req, pass)
  local result, value = outcome(ask(req, pass))
  if result == dovecot.auth.PASSDB_RESULT_OK and door == "lua-2.3" then
    value.password = uncacheable
  elseif result == dovecot.auth.PASSDB_RESULT_NEXT and (req.protocol or req.service) == private then
    value = "nodelay=yes"
  end
  return result, value
end

-- For LMTP, doveadm and proxies. Dovecot wants a password from a lookup; "{CRYPT}!"
-- matches nothing, should anything ever compare with it.
function auth_passdb_lookup(req)
  local verdict, tail = ask(req, nil)
  local result, value = outcome(verdict, tail, true)
  if result == dovecot.auth.PASSDB_RESULT_OK then
    value.password = "{CRYPT}!"
  end
  return result, value
end
