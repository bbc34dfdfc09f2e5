package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// metrics counts what the server does, in a registry of its own.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inFlight prometheus.Gauge
	errors   *prometheus.CounterVec
	replica  *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "canopy_http_requests_total", Help: "Requests that were answered, by route and status.",
		}, []string{"route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "canopy_http_request_duration_seconds", Help: "How long answering took, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "canopy_http_requests_in_flight", Help: "Requests that are being answered.",
		}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "canopy_graphql_errors_total", Help: "Errors in GraphQL answers, by their code.",
		}, []string{"code"}),
		replica: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "canopy_replica_queries_total", Help: "Queries that the replica was fresh enough for, by whether it answered them (answered), " +
				"knew less of who asks than the primary (behind), or left them to the primary with an error (failed).",
		}, []string{"outcome"}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.inFlight, m.errors, m.replica, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

func (m *metrics) answered(route string, status int, took time.Duration) {
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	m.duration.WithLabelValues(route).Observe(took.Seconds())
}

// refused counts errors by their codes, which are the server's own and few.
func (m *metrics) refused(list gqlerror.List) {
	for _, err := range list {
		code, _ := err.Extensions["code"].(string)
		m.errors.WithLabelValues(code).Inc()
	}
}
