package effect

import (
	"context"
	"slices"
	"time"

	"postern/internal/account"
)

// namesTime bounds the search for an account's names.
const namesTime = 5 * time.Second

// SpoolRecorder is a Recorder that puts an Ending into the spool for every event
// that ends sessions. Events are recorded after the commit, so nothing is ended
// that was not changed.
type SpoolRecorder struct {
	Spool *Spool
	// Names returns what the account's owner may log in by, besides the canonical
	// name. Without an answer that name alone must do.
	Names func(context.Context, account.ID) ([]string, error)
	// Hold is how long the daemon leaves a new Ending to whoever records it.
	Hold time.Duration
	// Taken is told of every Ending, stored or not; may be nil.
	Taken func(Ending)
	// Failed is told what went wrong: the change has been made all the same.
	Failed func(error)
}

// Record implements Recorder.
func (r *SpoolRecorder) Record(e Event) {
	end, ends := EndingOf(e)
	if !ends {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), namesTime)
	defer cancel()
	names, err := r.Names(ctx, end.Account)
	if err != nil {
		r.Failed(err)
	}
	end.Names = unique(append(end.Names, names...))
	if r.Hold > 0 {
		end.NotBefore = latest(end.NotBefore, end.Since.Add(r.Hold))
	}
	if err := r.Spool.Put(&end); err != nil {
		r.Failed(err)
	}
	if r.Taken != nil {
		r.Taken(end)
	}
}

// unique removes what occurred before, keeping the order.
func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
