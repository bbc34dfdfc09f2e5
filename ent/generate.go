// Package ent gathers Canopy's data layer: schema (written by hand), rule (who sees which row), migrations, and
// generated (all that Ent writes).
package ent

//go:generate go run entc.go
