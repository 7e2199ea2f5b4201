package session

import "postern/internal/account"

// Device is the body of a trusted device's record: a browser that its user trusts. Its
// cookie names the record; without the record, in the same epoch, the cookie is nothing.
type Device struct {
	Epoch int64  `cbor:"1,keyasint,omitempty"` // of the account when it was trusted
	Via   string `cbor:"2,keyasint,omitempty"` // credential that was proved then, "totp:ID"; it ends with that
}

// DecodeDevice reads the body of a trusted device's record. Errors wrap account.ErrDamaged.
func DecodeDevice(body []byte) (Device, error) {
	var d Device
	err := account.Decode(body, &d)
	return d, err
}
