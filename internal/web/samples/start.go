package samples

import "postern/internal/web"

// start is the page of programs that speak OpenID Connect.
func start() []Sample {
	nobody := func(c web.Common) web.Common { c.User = ""; return c }
	all := []Sample{
		{Name: "start", Page: &web.SignInStart{Common: nobody(common()), Passkeys: true}},
		{Name: "start-name", Page: &web.SignInStart{Common: nobody(common()), Name: "alice@example.test"}},
		{Name: "start-password", Page: &web.SignInStart{Common: nobody(with(web.PasswordEmpty)), Name: longUser, Passkeys: true}},
	}
	for _, code := range []web.ProblemCode{web.UserEmpty, web.LoginWrong, web.LoginApp, web.LoginThrottled} {
		all = append(all, Sample{Name: "start-" + string(code),
			Page: &web.SignInStart{Common: nobody(with(code)), Name: "alice@example.test", Passkeys: true}})
	}
	return all
}
