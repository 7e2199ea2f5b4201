package oidc

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/go-jose/go-jose/v4"
)

// signer signs ID tokens with the newest key and knows all.
type signer struct {
	jose jose.Signer
	keys jose.JSONWebKeySet // public halves
}

func newSigner(k Keys) (*signer, error) {
	all, err := k.SigningKeys(purposeSigning)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, errors.New("no key signs ID tokens")
	}
	s := &signer{}
	newest := jose.JSONWebKey{Key: all[0].Key, KeyID: all[0].ID.String(), Algorithm: string(jose.ES256), Use: "sig"}
	s.jose, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: newest}, (&jose.SignerOptions{}).WithType("JWT"))
	for _, key := range all {
		s.keys.Keys = append(s.keys.Keys, jose.JSONWebKey{Key: key.Key.Public(), KeyID: key.ID.String(), Algorithm: string(jose.ES256), Use: "sig"})
	}
	return s, err
}

func (s *signer) sign(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := s.jose.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// verify returns the payload of a token that one of our keys signed, by the one
// algorithm that they are for.
func (s *signer) verify(token string) ([]byte, error) {
	if len(token) > maxBody {
		return nil, errors.New("too long")
	}
	parsed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, err
	}
	for _, k := range s.keys.Key(parsed.Signatures[0].Header.KeyID) {
		if payload, err := parsed.Verify(k.Key); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("not signed by us")
}

// keys answers with the public keys. Clients fetch them again when they meet one that
// they do not know.
func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=300")
	reply(w, http.StatusOK, p.signer.keys)
}
