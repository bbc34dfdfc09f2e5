package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"canopy/relay"
)

// handwritten answers one question, as somebody would who has time for one: the statements by hand, the answer
// appended, byte by byte what Canopy answers. It looks the session up and checks nothing else.
type handwritten struct{ session, inbox *sql.Stmt }

// serveHandwritten serves the file until it is killed, and prints its address.
func serveHandwritten(ctx context.Context, file string) error {
	db, err := openPlain(sqlite, file)
	if err != nil {
		return err
	}
	var h handwritten
	if h.session, err = db.PrepareContext(ctx, `SELECT u.account_id, u.id FROM sessions s JOIN users u ON u.id = s.user_id
		WHERE s.token_hash = $1 AND s.expires_at > $2 AND u.status = 'ACTIVE'`); err != nil {
		return err
	}
	if h.inbox, err = db.PrepareContext(ctx, `SELECT c.id, c.name, c.phone, c.email, c.last_activity_at, c.sort_key, g.id, g.name
		FROM scopes s CROSS JOIN contacts c ON c.id = s.contact_id CROSS JOIN groups g ON g.id = c.group_id
		WHERE s.scope_id = $1 AND s.box = 3 AND c.assigned_user_id <> $2
		ORDER BY s.sort_key DESC, s.contact_id DESC LIMIT $3`); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "http://%s/graphql\n", listener.Addr())
	return (&http.Server{Handler: &crowd{answers: h}, ReadHeaderTimeout: time.Second}).Serve(listener)
}

func (h handwritten) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var question struct{ Variables struct{ First int } }
	if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	answer, err := h.answer(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), question.Variables.First)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/graphql-response+json")
	_, _ = w.Write(answer)
}

func (h handwritten) answer(ctx context.Context, token string, first int) ([]byte, error) {
	sum := sha256.Sum256([]byte(token))
	var account, user int64
	if err := h.session.QueryRowContext(ctx, hex.EncodeToString(sum[:]), time.Now().UTC()).Scan(&account, &user); err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, 16<<10), `{"data":{"inbox":{"nodes":[`...)
	n := 0
	var last relay.Position
	err := each(ctx, h.inbox, func(rows *sql.Rows) error {
		var id, key, groupID int64
		var name, group string
		var phone, email *string
		var active time.Time
		if err := rows.Scan(&id, &name, &phone, &email, &active, &key, &groupID, &group); err != nil {
			return err
		}
		if n++; n > first {
			return nil
		}
		if n > 1 {
			out = append(out, ',')
		}
		out = append(append(out, `{"id":"`...), relay.NewID(relay.KindContact, id).String()...)
		out = strconv.AppendQuote(append(out, `","name":`...), name)
		out = appendOptional(append(out, `,"phone":`...), phone)
		out = appendOptional(append(out, `,"email":`...), email)
		out = active.AppendFormat(append(out, `,"masked":false,"lastActivityAt":"`...), "2006-01-02T15:04:05.000000Z")
		out = append(append(out, `","group":{"id":"`...), relay.NewID(relay.KindGroup, groupID).String()...)
		out = append(strconv.AppendQuote(append(out, `","name":`...), group), "}}"...)
		last = relay.Position{Order: 'd', Number: key, ID: id}
		return nil
	}, -account, user, first+1)
	out = strconv.AppendBool(append(out, `],"pageInfo":{"hasNextPage":`...), n > first)
	out = append(append(append(out, `,"endCursor":"`...), last.Cursor()...), `"}}}}`...)
	return out, err
}

func appendOptional(out []byte, text *string) []byte {
	if text == nil {
		return append(out, "null"...)
	}
	return strconv.AppendQuote(out, *text)
}
