package server_test

import (
	"context"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"canopy/demo"
	"canopy/desk"
	"canopy/directory"
	"canopy/ent/schema"
	"canopy/server"
)

// demoFile is the demo database, made once for all tests of the process.
var demoFile = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "canopy-scenarios")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "demo.db")
	db, _, err := demo.Open(context.Background(), demo.Options{File: name})
	if err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(name)
})

// newWorld serves a copy of the demo database as `canopy demo` does, an hour after its history ends and with fixed
// chance, so that every answer is the same each time.
func newWorld(t *testing.T) *world {
	t.Helper()
	made, err := demoFile()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "demo.db")
	if err := os.WriteFile(name, made, 0o600); err != nil {
		t.Fatal(err)
	}
	db, _, err := demo.Open(context.Background(), demo.Options{File: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	now := func() time.Time { return demo.Today().Add(time.Hour) }
	service := &desk.Service{DB: db, Now: now}
	s, err := server.New(server.Config{
		DB: db, Desk: service, Now: now, Introspection: true,
		Directory: &directory.Service{DB: db, Now: now, Rand: rand.NewChaCha8([32]byte{7}), MaxDepth: schema.MaxDepth, Handover: service},
	})
	if err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(s)
	t.Cleanup(listening.Close)
	return &world{url: listening.URL + "/graphql", tokens: map[string]string{}}
}
