package bulk_test

import (
	"fmt"
	"iter"
	"os"
	"strconv"
	"testing"
	"time"

	"canopy/bulk"
	"canopy/internal/testdb"
	"canopy/store"
)

func TestPerf(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("PERF"))
	if n == 0 {
		t.Skip()
	}
	testdb.Each(t, func(t *testing.T, db *store.DB) {
		w := newWorld(t, db, "acacia")
		began := time.Now()
		var seq iter.Seq2[bulk.Record, error] = func(yield func(bulk.Record, error) bool) {
			for i := range n {
				p := bulk.Path{}
				for k := i + 1; k > 0; k /= 6 {
					p = append(bulk.Path{fmt.Sprint("g", k)}, p...)
				}
				if !yield(bulk.Record{Group: &bulk.Group{Path: p}}, nil) {
					return
				}
			}
		}
		sum, err := w.bulk.Import(w.as(w.owner), bulk.Import{Kind: bulk.Groups}, seq)
		t.Log(sum, err, time.Since(began))
		began = time.Now()
		seq = func(yield func(bulk.Record, error) bool) {
			for i := range n {
				p := bulk.Path{}
				for k := i + 1; k > 0; k /= 6 {
					p = append(bulk.Path{fmt.Sprint("g", k)}, p...)
				}
				if !yield(bulk.Record{Contact: &bulk.Contact{Name: "Basil Vinegar", Channel: "whatsapp", Address: fmt.Sprint(5511900000000 + i), Group: p}}, nil) {
					return
				}
			}
		}
		sum, err = w.bulk.Import(w.as(w.owner), bulk.Import{Kind: bulk.Contacts}, seq)
		t.Log(sum, err, time.Since(began))
	})
}
