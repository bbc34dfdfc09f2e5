package graph

import (
	"context"
	"errors"
	"strings"

	"canopy/bulk"
	"canopy/graph/model"
	"canopy/refusal"
	"canopy/relay"
)

// ImportRecords creates many groups, users or contacts at once.
func (r *mutationResolver) ImportRecords(ctx context.Context, input model.ImportRecordsInput) (*model.ImportRecordsPayload, error) {
	out := &model.ImportRecordsPayload{Rows: []*model.ImportedRow{}}
	s := &bulk.Service{DB: r.DB, Directory: r.Directory, Desk: r.Desk, Now: r.Now}
	sum, err := s.Import(ctx, bulk.Import{Kind: input.Kind, DryRun: input.DryRun, Reason: orEmpty(input.Reason), AtOnce: true,
		Done: func(row bulk.Row) error {
			out.Rows = append(out.Rows, importedRow(input.Kind, row))
			return nil
		}}, bulk.Read(strings.NewReader(input.Data), input.Kind, input.Format))
	if err != nil {
		return nil, ofInput(err)
	}
	out.Created, out.Existed, out.Refused = int(sum.Created), int(sum.Existed), int(sum.Refused)
	return out, nil
}

// ofInput blames the field of the input that the reader of records blames.
func ofInput(err error) error {
	var why *refusal.Refusal
	if errors.As(err, &why) && why.Field != "" && !strings.HasPrefix(why.Field, "input.") {
		return why.At("input." + why.Field)
	}
	return err
}

func importedRow(kind bulk.Kind, row bulk.Row) *model.ImportedRow {
	out := &model.ImportedRow{Line: row.Record.Line, Status: row.Status, SetupToken: orNil(row.SetupToken)}
	if row.ID != 0 {
		kinds := map[bulk.Kind]relay.Kind{bulk.Groups: relay.KindGroup, bulk.Users: relay.KindUser, bulk.Contacts: relay.KindContact}
		id := relay.NewID(kinds[kind], row.ID)
		out.ID = &id
	}
	out.Refusal = rowRefusal(row.Refusal)
	return out
}

// rowRefusal is why one of many was refused, nil when it was not.
func rowRefusal(why *refusal.Refusal) *model.RowRefusal {
	if why == nil {
		return nil
	}
	return &model.RowRefusal{Field: orNil(why.Field), Code: string(why.Code), Reason: orNil(string(why.Reason)),
		Permission: orNil(why.Permission), Where: orNil(why.Where), Remedy: orNil(why.Remedy), Message: why.Message}
}

func orNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
