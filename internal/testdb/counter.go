package testdb

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"canopy/store"
)

// Counter hears of every statement of a database, for tests that bound how many a use takes.
type Counter struct {
	mu         sync.Mutex
	statements []string
	part       string
	then       func()
}

// Statements returns the counter of a database that this package opened.
func Statements(db *store.DB) *Counter { return db.Observer().(*Counter) }

// Statement takes part in store.Observer.
func (c *Counter) Statement(_ context.Context, query string, _ time.Duration, _ error) {
	c.mu.Lock()
	c.statements = append(c.statements, query)
	var then func()
	if c.then != nil && strings.Contains(query, c.part) {
		then, c.then = c.then, nil
	}
	c.mu.Unlock()
	if then != nil {
		then()
	}
}

// After lets something happen between the next statement that has the part in it and the one that follows. It may use
// the database itself, where that has more than one connection.
func (c *Counter) After(part string, then func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.part, c.then = part, then
}

// Reset forgets what was heard.
func (c *Counter) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.statements = nil
}

// Count returns the number of statements since the last Reset.
func (c *Counter) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.statements)
}

// List returns the statements since the last Reset, in the order in which they ended.
func (c *Counter) List() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.statements)
}
