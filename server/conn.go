package server

import (
	"context"
	"net"
	"net/http"
	"time"
)

const (
	// streamBuffer is how many bytes the kernel takes for a stream, at least, before its reader has. Left to itself it takes
	// megabytes, and a reader that has stalled is noticed only after these.
	streamBuffer = 64 << 10
	// goneAfter is for how long a client may leave unanswered what it was sent. Left to itself the kernel sends it again for
	// a quarter of an hour, to a client that is not there any more.
	goneAfter = 30 * time.Second
)

type connKey struct{}

// keepConn is for http.Server.ConnContext.
func keepConn(ctx context.Context, c net.Conn) context.Context {
	if tcp, is := c.(*net.TCPConn); is {
		_ = giveUpAfter(tcp, goneAfter) // without it the client is missed later
	}
	return context.WithValue(ctx, connKey{}, c)
}

// narrow lets little wait in the kernel for the reader of a stream.
func narrow(r *http.Request) {
	if tcp, is := r.Context().Value(connKey{}).(*net.TCPConn); is {
		_ = tcp.SetWriteBuffer(streamBuffer) // without it a slow reader is noticed later
	}
}
