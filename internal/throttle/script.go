package throttle

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

//go:embed script.lua
var scriptText string

// newScript is script.lua with the rules in front of it.
func newScript(r *rules) *redis.Script {
	var b strings.Builder
	for _, set := range []struct {
		name  string
		value float64
	}{
		{"max_score", maxScore}, {"slack", clockSlack},
		{"prefix_half", r.prefix.half}, {"account_half", r.account.half},
		{"pair_half", r.pairHalf}, {"site_half", r.site.half},
		{"account_refuse", r.account.refuse},
		{"good_for", float64(r.goodFor)}, {"good_tries", r.goodTries}, {"pair_slots", float64(len(pair{}.Seen))},
		{"bind_cap", float64(r.bindCap)}, {"bind_window", float64(r.bindWindow)},
		{"flight_time", flightTime}, {"guard_slots", slots},
	} {
		fmt.Fprintf(&b, "local %s = %v\n", set.name, set.value)
	}
	return redis.NewScript(b.String() + scriptText)
}
