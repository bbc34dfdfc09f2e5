package server_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

// An example of the README is a query with the answer that it promises: a block ```graphql and the next block ```json,
// in between perhaps a block ```json variables. The comment <!-- as: agent --> says who asks, from there on.
var fence = regexp.MustCompile("(?s)<!-- as: ([a-z ]+) -->|```(graphql|json variables|json)\n(.*?)```")

// TestReadmeExamples sends every query of the README to the demo data and compares the answers.
func TestReadmeExamples(t *testing.T) {
	const name = "../README.md"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	world, persona, query, variables, examples := newWorld(t), "", "", "", 0
	answered := fence.ReplaceAllFunc(text, func(block []byte) []byte {
		parts := fence.FindSubmatch(block)
		body := string(parts[3])
		switch string(parts[2]) {
		case "":
			persona = string(parts[1])
		case "graphql":
			query, variables = body, ""
		case "json variables":
			variables = body
		case "json":
			if query == "" {
				return block
			}
			asked := query
			got := world.ask(t, persona, asked, []byte(variables))
			examples++
			query = ""
			if *update {
				return []byte("```json\n" + string(got) + "```")
			}
			if strings.TrimSpace(body) != string(bytes.TrimSpace(got)) {
				t.Errorf("as %s:\n%s\ngot\n%s\nwant\n%s", persona, asked, got, body)
			}
		}
		return block
	})
	if examples < 5 {
		t.Errorf("the README has %d examples with answers; is its format still understood?", examples)
	}
	if *update {
		if err := os.WriteFile(name, answered, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
