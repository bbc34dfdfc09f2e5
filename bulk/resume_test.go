package bulk_test

import (
	"errors"
	"fmt"
	"iter"
	"testing"

	"canopy/authz"
	"canopy/bulk"
	"canopy/refusal"
)

func someOf(n int) []bulk.Record {
	var records []bulk.Record
	for i := range n {
		records = append(records, bulk.Record{Contact: &bulk.Contact{Name: fmt.Sprint("Basil ", i), Group: bulk.Path{}}})
	}
	return records
}

func TestAnImportGoesOnBehindItsLastBatch(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		records, broken := someOf(500), errors.New("the line went dead")
		half := func(yield func(bulk.Record, error) bool) {
			for i, r := range records {
				if i == 333 {
					yield(bulk.Record{}, broken)
					return
				}
				if !yield(r, nil) {
					return
				}
			}
		}
		in := bulk.Import{Kind: bulk.Contacts, Fingerprint: "f"}
		sum, err := w.bulk.Import(w.as(w.owner), in, iter.Seq2[bulk.Record, error](half))
		if !errors.Is(err, broken) || sum.Created == 0 || sum.Created > 333 {
			t.Fatal(sum, err)
		}
		// Another user's import of the same file is their own.
		other := w.user("olaf", "Acacia", "OWNER")
		if sum, err := w.bulk.Import(w.as(other), in, stream()); sum.Resumed != 0 || err != nil {
			t.Error(sum, err)
		}
		next, err := w.bulk.Import(w.as(w.owner), in, stream(records...))
		if err != nil || next.Resumed != sum.Rows || next.Created != 500 || next.Rows != 500 {
			t.Error(next, err)
		}
		n, err := w.db.Read.Contact.Query().Count(authz.Trusted(t.Context()))
		if n != 500 || err != nil {
			t.Errorf("%d contacts, %v", n, err)
		}
		if _, err := w.bulk.Import(w.as(w.owner), in, stream(records...)); !isRefusal(err, refusal.AlreadyImported) {
			t.Errorf("a second time: %v", err)
		}
		in.Again = true
		if sum, err := w.bulk.Import(w.as(w.owner), in, stream(records...)); sum.Created != 500 || sum.Resumed != 0 || err != nil {
			t.Errorf("again: %v %v", sum, err)
		}
	})
}

// TestTwoRunsOfOneImport lets a second run overtake the first between two of its batches.
func TestTwoRunsOfOneImport(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		records := someOf(400)
		in := bulk.Import{Kind: bulk.Contacts, Fingerprint: "f"}
		slow, overtaken := in, false
		slow.Batch = func(bulk.Summary) {
			if overtaken {
				return
			}
			overtaken = true
			if _, err := w.bulk.Import(w.as(w.owner), in, stream(records...)); err != nil {
				t.Error(err)
			}
		}
		if _, err := w.bulk.Import(w.as(w.owner), slow, stream(records...)); err == nil {
			t.Error("the run that was overtaken did not notice")
		}
		n, err := w.db.Read.Contact.Query().Count(authz.Trusted(t.Context()))
		if n != 400 || err != nil {
			t.Errorf("%d contacts, %v", n, err)
		}
	})
}

func TestAtOnceIsBounded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		in := bulk.Import{Kind: bulk.Contacts, AtOnce: true}
		if _, err := w.bulk.Import(w.as(w.owner), in, stream(someOf(bulk.MaxAtOnce+1)...)); err == nil {
			t.Error("too many records were taken in at once")
		}
		if sum, err := w.bulk.Import(w.as(w.owner), in, stream(someOf(bulk.MaxAtOnce)...)); sum.Created != bulk.MaxAtOnce || err != nil {
			t.Error(sum, err)
		}
	})
}
