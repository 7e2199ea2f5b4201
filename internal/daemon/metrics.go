package daemon

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"postern/internal/effect"
)

// Metrics counts decisions. Labels come from closed sets only: no names, no
// addresses (ATTACKS 31).
type Metrics struct {
	registry      *prometheus.Registry
	events        *prometheus.CounterVec
	auditFailures prometheus.Counter
	degraded      prometheus.Gauge
	switchedOff   prometheus.Gauge
}

// NewMetrics returns the metrics that every daemon has.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postern_events_total", Help: "Decisions and changes.",
		}, []string{"action", "outcome", "reason", "service"}),
		degraded: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "postern_throttle_degraded", Help: "1 while Redis does not answer and this node counts alone.",
		}),
		switchedOff: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "postern_switched_off", Help: "1 while Postern is switched off (posternctl off): main passwords open mail for everybody.",
		}),
		auditFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "postern_audit_failures_total", Help: "Audit lines that could not be written.",
		}),
	}
	m.registry.MustRegister(m.events, m.auditFailures, m.degraded, m.switchedOff,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Histogram adds a daemon's own durations, in seconds, by one label.
func (m *Metrics) Histogram(name, help, label string, buckets ...float64) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{label})
	m.registry.MustRegister(h)
	return h
}

var services = map[string]bool{"imap": true, "pop3": true, "smtp": true, "sieve": true, "dav": true, "lmtp": true, "doveadm": true, "webmail": true}

// Record implements effect.Recorder.
func (m *Metrics) Record(e effect.Event) {
	service := string(e.Service)
	if !services[service] {
		service = "other" // a service name comes from outside: keep the label closed
	}
	m.events.WithLabelValues(string(e.Action), e.Outcome, e.Reason, service).Inc()
}

// Handler answers /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

func (m *Metrics) degrade(yes bool) {
	m.degraded.Set(map[bool]float64{true: 1}[yes])
}
