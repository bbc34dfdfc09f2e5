package server

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
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

	streams       *prometheus.GaugeVec
	subscriptions prometheus.Gauge
	ended         *prometheus.CounterVec
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
		streams: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "canopy_streams_open", Help: "Streams that are open: WebSockets (socket) and Server-Sent Events (events).",
		}, []string{"transport"}),
		subscriptions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "canopy_subscriptions_open", Help: "Subscriptions that are being executed.",
		}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "canopy_streams_ended_total", Help: "Streams that have ended, by transport and by why: it was over (complete), the client " +
				"left (left) or did not read (slow), its session ended (session), it broke the protocol (protocol), there was no room (full), " +
				"this server stops (shutdown) or failed (failed).",
		}, []string{"transport", "why"}),
	}
	m.registry.MustRegister(m.requests, m.duration, m.inFlight, m.errors, m.replica, m.streams, m.subscriptions, m.ended, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// streaming counts a stream as long as it is open, until the returned function is called, and not among the requests.
func (m *metrics) streaming(transport string) (over func()) {
	m.streams.WithLabelValues(transport).Inc()
	m.inFlight.Dec()
	return func() {
		m.streams.WithLabelValues(transport).Dec()
		m.inFlight.Inc()
	}
}

// streamEnded counts why a stream ended; nil stands for one that was over.
func (m *metrics) streamEnded(transport string, cause error) {
	m.ended.WithLabelValues(transport, whyEnded(cause)).Inc()
}

func whyEnded(cause error) string {
	var told *closing
	switch {
	case cause == nil:
		return "complete"
	case errors.Is(cause, errSlow):
		return "slow"
	case errors.Is(cause, errGoingAway):
		return "shutdown"
	case !errors.As(cause, &told):
		return "left"
	}
	switch told.code {
	case closeUnauthorized, closeForbidden:
		return "session"
	case websocket.StatusTryAgainLater:
		return "full"
	case closeInternal:
		return "failed"
	}
	return "protocol"
}

func (m *metrics) answered(route string, status int, took time.Duration, streamed bool) {
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
	if !streamed {
		m.duration.WithLabelValues(route).Observe(took.Seconds())
	}
}

// refused counts errors by their codes, which are the server's own and few.
func (m *metrics) refused(list gqlerror.List) {
	for _, err := range list {
		code, _ := err.Extensions["code"].(string)
		m.errors.WithLabelValues(code).Inc()
	}
}
