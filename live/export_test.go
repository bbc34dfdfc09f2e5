package live

import "context"

// Quiet keeps the hub from looking by itself: the test says when, by Look.
func Quiet(h *Hub) {
	h.feeds = map[int64]*feed{-1: {}}
	h.woken, h.stop = make(chan struct{}, 1), func() {}
}

// Look hands on what was published.
func (h *Hub) Look(ctx context.Context) error { return h.look(ctx) }

// Waiting is how many changes wait for the reader.
func (s *Stream) Waiting() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue)
}

const (
	MaxAhead   = maxAhead
	SweepEvery = sweepEvery
	Patience   = patience
)
