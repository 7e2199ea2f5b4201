package desk

import (
	"context"
	"fmt"
	"time"

	"postern/internal/account"
	"postern/internal/effect"
	"postern/internal/factor"
)

// EnrolToken is what an administrator hands to an account's owner, who enrols with it,
// once. Only its hash is stored. The zero value means: none is needed.
type EnrolToken struct {
	Token account.Secret
	Until time.Time
}

func (d *Desk) tokenLife() time.Duration {
	if d.TokenLife > 0 {
		return d.TokenLife
	}
	return tokenLife
}

// neededToken makes a token if the account's policy asks for one, in place of any older one.
func (d *draft) neededToken(life time.Duration) EnrolToken {
	if !tokenNeeded(d.account) {
		return EnrolToken{}
	}
	token, hash := factor.NewEnrolToken()
	until := d.now.Add(life).Truncate(time.Second)
	d.setState(func(s *account.State) { s.EnrolHash, s.EnrolUntil = hash, until })
	return EnrolToken{token, until}
}

// NewEnrolToken makes a new token for an account that must enrol; the older one is
// void. An account whose factors and backup codes are all gone must enrol from now on.
// Errors: ErrNothing if it need not enrol, or policy asks for no token.
func (d *Desk) NewEnrolToken(ctx context.Context, who Actor, user string) (EnrolToken, error) {
	var token EnrolToken
	_, err := d.commit(ctx, order{who: who, user: user, action: effect.EnrolTokenMade}, func(dr *draft) error {
		if err := intact(dr.account); err != nil {
			return err
		}
		s := &dr.account.State
		stranded := s.Enrolled && countFactors(dr.account)+BackupLeft(dr.account) == 0
		switch {
		case !stranded && (s.Enrolled || !s.MustEnrol):
			return fmt.Errorf("%w: %s need not enrol anew; after the loss of all factors: posternctl user reset %s",
				ErrNothing, dr.account.Name, dr.account.Name)
		case !tokenNeeded(dr.account):
			return fmt.Errorf("%w: the policy of %s asks for no token (reset_needs_token)", ErrNothing, dr.account.Name)
		case stranded:
			dr.lastGone(false, d.tokenLife())
		}
		token = dr.neededToken(d.tokenLife())
		dr.event(effect.EnrolTokenMade, "", "until "+token.Until.UTC().Format(time.RFC3339))
		return nil
	})
	if err != nil {
		return EnrolToken{}, err
	}
	return token, nil
}
