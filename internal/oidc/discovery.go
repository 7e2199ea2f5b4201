package oidc

import "net/http"

// discovery answers with the provider's metadata (OpenID Connect Discovery 1.0,
// section 3; RFC 8414).
func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=300")
	reply(w, http.StatusOK, map[string]any{
		"issuer":                                p.o.Issuer,
		"authorization_endpoint":                p.o.Issuer + PathAuthorize,
		"token_endpoint":                        p.o.Issuer + PathToken,
		"userinfo_endpoint":                     p.o.Issuer + PathUserinfo,
		"jwks_uri":                              p.o.Issuer + PathKeys,
		"revocation_endpoint":                   p.o.Issuer + PathRevoke,
		"end_session_endpoint":                  p.o.Issuer + PathLogout,
		"scopes_supported":                      scopes,
		"response_types_supported":              []string{"code"},
		"response_modes_supported":              []string{"query"},
		"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"code_challenge_methods_supported":      []string{"S256"},
		"prompt_values_supported":               []string{"none", "login", "consent", "select_account"},
		"claims_supported":                      []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "amr", "sid", "email", "email_verified", "preferred_username"},

		"token_endpoint_auth_methods_supported":          authMethods,
		"revocation_endpoint_auth_methods_supported":     authMethods,
		"authorization_response_iss_parameter_supported": true,
		"claims_parameter_supported":                     false,
		"request_parameter_supported":                    false,
		"request_uri_parameter_supported":                false,
	})
}

var authMethods = []string{"client_secret_basic", "client_secret_post", "none"}
