//go:build tools

// Package tools pins the code generators.
package tools

import (
	_ "entgo.io/ent/entc"
	_ "github.com/99designs/gqlgen"
)
