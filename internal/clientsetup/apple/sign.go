package apple

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/smallstep/pkcs7"
)

// Signer signs profiles by CMS (RFC 5652), so that devices show who made them.
type Signer struct {
	chain []*x509.Certificate // the first one is the signer's
	key   crypto.PrivateKey
}

// NewSigner reads PEM: the certificate with its chain, and its key.
func NewSigner(chain, key []byte) (*Signer, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, err
	}
	s := &Signer{key: pair.PrivateKey}
	for _, der := range pair.Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		s.chain = append(s.chain, c)
	}
	if len(s.chain) == 0 {
		return nil, errors.New("no certificate")
	}
	return s, nil
}

// Sign wraps a profile in a signature.
func (s *Signer) Sign(profile []byte) ([]byte, error) {
	d, err := pkcs7.NewSignedData(profile)
	if err != nil {
		return nil, err
	}
	d.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := d.AddSignerChain(s.chain[0], s.key, s.chain[1:], pkcs7.SignerInfoConfig{}); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return d.Finish()
}
