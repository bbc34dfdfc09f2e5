package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"canopy/authz"
	"canopy/directory"
	ent "canopy/ent/generated"
	"canopy/ent/generated/contact"
	"canopy/ent/generated/session"
	"canopy/ent/generated/user"
	"canopy/relay"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"
)

// Subscribers: how many are measured, how many one user may have, and how often all are told of a change.
const (
	ofOneUser  = 50
	timesTold  = 5
	openAtOnce = 16
)

// collectSoon keeps garbage from being counted as the memory of subscribers, of which the servers would let different
// amounts lie.
const collectSoon = "GOGC=20"

const listening = `subscription { inboxChanged(box: TEAMMATES) { change contactId contact { id name } } }`

// hearing opens so many subscriptions to an inbox and tells all of them of a change, on Canopy and on the server that is
// written by hand, which tells every connection of whatever it is told.
func (s measuring) hearing(ctx context.Context, d *dataset) (rows []row, err error) {
	if d.postgres() {
		return nil, nil
	}
	for _, transport := range []string{"WebSocket", "event stream"} {
		for _, n := range []int{1000, 5000} {
			found, err := s.hear(ctx, d, transport, n)
			if err != nil {
				return rows, fmt.Errorf("%d over %s: %w", n, transport, err)
			}
			rows = append(rows, found...)
		}
	}
	return rows, nil
}

func (s measuring) hear(ctx context.Context, d *dataset, transport string, n int) (rows []row, err error) {
	tokens, err := d.listeners(ctx, n/ofOneUser)
	if err != nil {
		return nil, err
	}
	change, err := d.change(ctx)
	if err != nil {
		return nil, err
	}
	ctx, hangUp := context.WithCancel(ctx)
	defer hangUp()
	servers, err := s.start(ctx, d, []string{collectSoon}, "Canopy", "a server by hand")
	defer func() {
		for _, p := range servers {
			err = errors.Join(err, p.stop())
		}
	}()
	if err != nil {
		return nil, err
	}
	audiences := make([]*audience, len(servers))
	for i, p := range servers {
		audiences[i] = &audience{process: p, transport: transport, change: change, heard: make(chan error, n)}
		if err := audiences[i].gather(ctx, tokens, n); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
	}
	times := make([][]time.Duration, len(servers))
	for range timesTold {
		for i, a := range audiences {
			took, err := a.tell(ctx)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", a.process.name, err)
			}
			times[i] = append(times[i], took)
		}
	}
	real, floor := audiences[0], audiences[1]
	size := strconv.Itoa(n)
	goroutines, err := real.goroutines(ctx)
	if err != nil {
		return nil, err
	}
	return []row{
		{figure: "memory of a subscriber, " + transport, layer: "server", size: size, real: kilobytes(real.each), floor: kilobytes(floor.each),
			found: float64(real.each) / float64(floor.each)},
		{figure: "goroutines of a subscriber, " + transport, layer: "server", size: size, note: fmt.Sprintf("%.1f", goroutines/float64(n))},
		{figure: "until all have heard, " + transport, layer: "server", size: size, real: short(median(times[0])), floor: short(median(times[1])),
			found: float64(median(times[0])) / float64(median(times[1]))},
	}, nil
}

func kilobytes(bytes int) string { return fmt.Sprintf("%.1f kB", float64(bytes)/1000) }

// listeners returns sessions of so many users who see all of the account's contacts.
func (d *dataset) listeners(ctx context.Context, n int) (tokens []string, err error) {
	root, err := d.root(ctx)
	if err != nil {
		return nil, err
	}
	for i := range n {
		email := fmt.Sprintf("listener%d@bench.example", i)
		_, err := d.db.Read.User.Query().Where(user.EmailKey(email)).Only(authz.Trusted(ctx))
		if ent.IsNotFound(err) {
			err = d.hire(ctx, email, authz.RoleDashboardAdministrator, []int64{root.ID})
		}
		if err != nil {
			return nil, err
		}
		in, err := d.directory.LogIn(ctx, directory.LogIn{Account: slug, Email: email, Password: password, Kind: session.KindTOKEN})
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, in.Token)
	}
	return tokens, nil
}

// change is a mutation of a contact that all listeners see, as the owner.
func (d *dataset) change(ctx context.Context) (func(url string) (*http.Request, error), error) {
	in, err := d.directory.LogIn(ctx, directory.LogIn{Account: slug, Email: owner, Password: password, Kind: session.KindTOKEN})
	if err != nil {
		return nil, err
	}
	c, err := d.db.Read.Contact.Query().Where(contact.Box(3)).First(authz.Trusted(ctx))
	if err != nil {
		return nil, err
	}
	return func(url string) (*http.Request, error) {
		body, err := json.Marshal(map[string]string{"query": fmt.Sprintf(`mutation { updateContact(input: {contactId: %q, name: "Kim %d"}) { contact { id } } }`, relay.NewID(relay.KindContact, c.ID).String(), time.Now().UnixNano())})
		if err != nil {
			return nil, err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
		if err == nil {
			r.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + in.Token}}
		}
		return r, err
	}, nil
}

// audience is all who listen to one server.
type audience struct {
	process   *process
	transport string
	change    func(url string) (*http.Request, error)
	heard     chan error // one for each who has heard of a change, or can hear no more
	size      int
	each      int // bytes that the server takes for each
}

// gather opens the subscriptions, and says what the server takes for each.
func (a *audience) gather(ctx context.Context, tokens []string, n int) error {
	if err := a.open(ctx, tokens[0]); err != nil { // what the first one takes is not counted
		return err
	}
	if _, err := a.tell(ctx); err != nil {
		return err
	}
	before, err := resident(a.process.command.Process.Pid)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(openAtOnce)
	for i := 1; i < n; i++ {
		g.Go(func() error { return a.open(ctx, tokens[i/ofOneUser]) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	a.size = n
	after, err := resident(a.process.command.Process.Pid)
	a.each = (after - before) / (n - 1)
	return err
}

// open begins one subscription, waits for its first payload, and lets it listen from then on.
func (a *audience) open(ctx context.Context, token string) error {
	begin := a.events
	if a.transport == "WebSocket" {
		begin = a.socket
	}
	next, err := begin(ctx, token)
	if err != nil {
		return err
	}
	for {
		text, err := next()
		if err != nil {
			return err
		}
		if bytes.Contains(text, []byte("STARTED")) {
			break
		}
	}
	a.size = max(a.size, 1)
	go func() {
		for {
			text, err := next()
			if err == nil && !bytes.Contains(text, []byte("UPDATED")) {
				continue
			}
			select {
			case a.heard <- err:
			case <-ctx.Done():
			}
			if err != nil {
				return
			}
		}
	}()
	return nil
}

func (a *audience) socket(ctx context.Context, token string) (next func() ([]byte, error), err error) {
	conn, _, err := websocket.Dial(ctx, a.process.url, &websocket.DialOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.CloseNow() })
	for _, m := range []string{`{"type":"connection_init","payload":{"authorization":"Bearer ` + token + `"}}`, `{"id":"a","type":"subscribe","payload":{"query":"` + listening + `"}}`} {
		if err := conn.Write(ctx, websocket.MessageText, []byte(m)); err != nil {
			return nil, err
		}
	}
	return func() ([]byte, error) {
		_, data, err := conn.Read(ctx)
		return data, err
	}, nil
}

func (a *audience) events(ctx context.Context, token string) (next func() ([]byte, error), err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, a.process.url, strings.NewReader(`{"query":"`+listening+`"}`))
	if err != nil {
		return nil, err
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"text/event-stream"}, "Authorization": {"Bearer " + token}}
	answer, err := a.process.client.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("a stream of events is refused: %s", answer.Status), answer.Body.Close())
	}
	context.AfterFunc(ctx, func() { _ = answer.Body.Close() })
	lines := bufio.NewReader(answer.Body)
	return func() ([]byte, error) { return lines.ReadBytes('\n') }, nil
}

// tell changes something, and returns after how long all have heard of it.
func (a *audience) tell(ctx context.Context) (time.Duration, error) {
	r, err := a.change(a.process.url)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	answer, err := a.process.client.Do(r)
	if err != nil {
		return 0, err
	}
	body, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != http.StatusOK || bytes.Contains(body, []byte(`"errors"`)) {
		return 0, fmt.Errorf("%s: %.300s (%w)", answer.Status, body, err)
	}
	for range a.size {
		if err := <-a.heard; err != nil {
			return 0, err
		}
	}
	return time.Since(began), ctx.Err()
}

// goroutines are those that the server has, as its metrics say.
func (a *audience) goroutines(ctx context.Context) (float64, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.process.metrics, nil)
	if err != nil {
		return 0, err
	}
	answer, err := a.process.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if n, is := strings.CutPrefix(lines.Text(), "go_goroutines "); is {
			return strconv.ParseFloat(n, 64)
		}
	}
	return 0, errors.New("the metrics do not tell of goroutines")
}

// resident is the memory of a process, as Linux counts it.
func resident(pid int) (bytes int, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("memory is read from Linux's /proc: %w", err)
	}
	lines := strings.Split(string(status), "\n")
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "VmRSS:") })
	if i < 0 {
		return 0, errors.New("the process has no memory any more")
	}
	kib, err := strconv.Atoi(strings.Fields(lines[i])[1])
	return kib << 10, err
}
