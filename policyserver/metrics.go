package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"postern/internal/effect"
)

// metrics counts decisions. Labels come from closed sets only: no names, no
// addresses (ATTACKS 31).
type metrics struct {
	registry      *prometheus.Registry
	events        *prometheus.CounterVec
	duration      *prometheus.HistogramVec
	policy        *prometheus.HistogramVec
	auditFailures prometheus.Counter
	degraded      prometheus.Gauge
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postern_events_total", Help: "Decisions and changes.",
		}, []string{"action", "outcome", "reason", "service"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postern_verify_seconds", Help: "Duration of /verify.",
			Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2, 5},
		}, []string{"verdict"}),
		policy: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "postern_policy_seconds", Help: "Duration of auth-policy requests.",
			Buckets: []float64{.00005, .0001, .0002, .0005, .001, .002, .005, .01, .05, .1, .5, 2},
		}, []string{"command"}),
		degraded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "postern_throttle_degraded", Help: "1 while Redis does not answer and this node counts alone.",
		}),
		auditFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "postern_audit_failures_total", Help: "Audit lines that could not be written.",
		}),
	}
	m.registry.MustRegister(m.events, m.duration, m.policy, m.auditFailures, m.degraded,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

var services = map[string]bool{"imap": true, "pop3": true, "smtp": true, "sieve": true, "dav": true, "lmtp": true, "doveadm": true}

// Record implements effect.Recorder.
func (m *metrics) Record(e effect.Event) {
	service := string(e.Service)
	if !services[service] {
		service = "other" // a service name comes from outside: keep the label closed
	}
	m.events.WithLabelValues(string(e.Action), e.Outcome, e.Reason, service).Inc()
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
