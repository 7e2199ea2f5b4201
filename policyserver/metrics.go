package main

import (
	"github.com/prometheus/client_golang/prometheus"

	"postern/internal/daemon"
)

// times measures how long answers take.
type times struct {
	verify *prometheus.HistogramVec
	policy *prometheus.HistogramVec
}

func newTimes(m *daemon.Metrics) times {
	return times{
		verify: m.Histogram("postern_verify_seconds", "Duration of /verify.", "verdict",
			.0002, .0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5),
		policy: m.Histogram("postern_policy_seconds", "Duration of auth-policy requests.", "command",
			.00005, .0001, .0002, .0005, .001, .002, .005, .01, .05, .1, .5, 2),
	}
}
