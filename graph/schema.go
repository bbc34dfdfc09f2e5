package graph

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// checkSchema returns an error for every field that does not say by exactly one directive who may ask for it, and for
// every place that cannot be found: the law is in the schema, and a server with a gap in it does not start.
func (r *resolver) checkSchema(schema *ast.Schema) error {
	var faults []error
	for _, def := range schema.Types {
		if def.BuiltIn || def.Kind != ast.Object && def.Kind != ast.Interface {
			continue
		}
		for _, field := range def.Fields {
			if strings.HasPrefix(field.Name, "__") {
				continue
			}
			if err := r.checkField(schema, def, field); err != nil {
				faults = append(faults, fmt.Errorf("%s.%s: %w", def.Name, field.Name, err))
			}
		}
	}
	return errors.Join(faults...)
}

func (r *resolver) checkField(schema *ast.Schema, def *ast.Definition, field *ast.FieldDefinition) error {
	var found []string
	for _, name := range []string{"public", "authenticated", "hasPermission"} {
		for range field.Directives.ForNames(name) {
			found = append(found, "@"+name)
		}
	}
	if len(found) != 1 {
		return fmt.Errorf("has %d access directives %v, not exactly one", len(found), found)
	}
	directive := field.Directives.ForName("hasPermission")
	if directive == nil {
		return nil
	}
	if field.Type.NonNull {
		return errors.New("needs a permission and cannot be null, so that a refusal would take its object along")
	}
	return r.checkPlaces(schema, def, field, directive)
}

// checkPlaces wants a directive to name places that exist.
func (r *resolver) checkPlaces(schema *ast.Schema, def *ast.Definition, field *ast.FieldDefinition, directive *ast.Directive) error {
	at := directive.Arguments.ForName("at")
	if !isRoot(def.Name) {
		if def.Name != "Group" && def.Name != "Account" || at != nil || directive.Arguments.ForName("anywhere") != nil {
			return errors.New("asks for a permission at something that is no place")
		}
		return nil
	}
	if at == nil {
		return nil
	}
	for _, child := range at.Value.Children {
		if err := r.checkPath(schema, field, child.Value.Raw); err != nil {
			return err
		}
	}
	return nil
}

// checkPath wants a path to lead to an argument of type ID that can be located.
func (r *resolver) checkPath(schema *ast.Schema, field *ast.FieldDefinition, path string) error {
	if path == atViewer {
		return nil
	}
	words := strings.Split(path, ".")
	arg := field.Arguments.ForName(words[0])
	if arg == nil {
		return fmt.Errorf("has no argument %q", path)
	}
	typ := arg.Type
	for _, word := range words[1:] {
		input := schema.Types[typ.Name()].Fields.ForName(word)
		if input == nil {
			return fmt.Errorf("has no argument %q", path)
		}
		typ = input.Type
	}
	if _, known := r.locators()[words[len(words)-1]]; !known || typ.Name() != "ID" {
		return fmt.Errorf("argument %q names no place", path)
	}
	return nil
}
