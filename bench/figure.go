package main

import (
	"context"
	"fmt"
)

// figure is one thing that is measured, with what is to be reached. A target of 0 is none: it is measured to be seen.
type figure struct {
	name, layer string
	sqlite      float64 // times the floor
	postgres    float64
	growth      float64 // of the time from the smallest to the largest size
	begin       func(ctx context.Context, d *dataset) (*bench, error)
}

// bench is a figure over one data set.
type bench struct {
	real, floor op
	end         func() error // puts back what was changed; nil for nothing to do
}

func (f figure) target(dialect string) float64 {
	if dialect == postgres {
		return f.postgres
	}
	return f.sqlite
}

// row is a line of the report.
type row struct {
	figure, layer, size string
	real, floor         string
	found, target       float64
	atLeast             bool   // the target is not to be fallen short of
	note                string // instead of numbers
}

// verdict compares what was found with the target.
func (r row) verdict() string {
	reached := r.found <= r.target
	if r.atLeast {
		reached = r.found >= r.target
	}
	switch {
	case r.target == 0:
		return ""
	case reached:
		return "met"
	}
	return fmt.Sprintf("**missed by %.0f %%**", 100*max(r.found/r.target-1, 1-r.found/r.target))
}
