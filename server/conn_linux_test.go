package server

import (
	"context"
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestAClientThatIsGoneIsGivenUp looks at what the kernel was told of a connection.
func TestAClientThatIsGoneIsGivenUp(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	keepConn(context.Background(), c)
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	if err := raw.Control(func(fd uintptr) { got, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT) }); err != nil {
		t.Fatal(err)
	}
	if err != nil || got != int(goneAfter.Milliseconds()) {
		t.Errorf("the kernel gives up after %d ms (%v)", got, err)
	}
}
