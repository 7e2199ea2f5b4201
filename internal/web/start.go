package web

// Paths of the sign-in for programs that speak OpenID Connect: there our page asks for
// the password too.
const (
	PathStart        = "oidc/sign-in" // GET FieldToken in the query; POST FieldUser, FieldPassword
	PathStartPasskey = "oidc/passkey" // POST: with a passkey instead
)

// What can be wrong with name and password together. They belong to no single field:
// which of the two it was is not said.
const (
	UserEmpty      ProblemCode = "user_empty"
	LoginWrong     ProblemCode = "login_wrong"
	LoginApp       ProblemCode = "login_app"       // an app password, by its shape
	LoginThrottled ProblemCode = "login_throttled" // too many tries
)

// SignInStart asks for name and password.
type SignInStart struct {
	Common
	Name     string // as typed before, or as the program expects
	Passkeys bool   // offer to sign in with a passkey
	Admin    bool   // to the administration: PathAdminSignIn instead
}

func (*SignInStart) view() (string, string) { return "start", "start_title" }
