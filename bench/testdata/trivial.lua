-- The floor of a Lua door: it asks a daemon that looks at nothing.
local client

function script_init()
  client = dovecot.http.client { request_timeout_msecs = 2000, max_attempts = 1 }
  return 0
end

function auth_password_verify(req, pass)
  local request = client:request { url = "@URL@", method = "POST" }
  request:set_payload("user=" .. req.user .. "&password=" .. pass)
  if request:submit():status() == 200 then
    return dovecot.auth.PASSDB_RESULT_OK, {}
  end
  return dovecot.auth.PASSDB_RESULT_PASSWORD_MISMATCH, ""
end
