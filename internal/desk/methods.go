package desk

import (
	"context"
	"errors"

	"postern/internal/factor"
)

// Method is a factor with what policies call it: plug-ins share a kind.
type Method struct {
	Factor
	Method string
}

// ListFactors lists the account's second factors of every kind. Unreadable ones are left
// out and reported in the error, beside the list.
func (d *Desk) ListFactors(ctx context.Context, user string) ([]Method, error) {
	a, err := d.read(ctx, user)
	if err != nil {
		return nil, err
	}
	list := []Method{}
	var errs []error
	for _, k := range factorKinds {
		records, err := a.Records(k)
		errs = append(errs, err)
		for i := range records {
			r := &records[i]
			name, err := factor.NameOf(r)
			errs = append(errs, err)
			list = append(list, Method{Factor: Factor{Ref: Ref{k, r.ID}, Name: r.Name, Created: r.Created, Used: r.Used}, Method: name})
		}
	}
	return list, errors.Join(errs...)
}
