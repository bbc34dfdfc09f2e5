package server_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"canopy/demo"

	"github.com/rogpeppe/go-internal/txtar"
)

// The scenarios speak HTTP to a server over the demo data, as clients do. Their answers are kept beside the queries;
// `go test ./server -run Scenarios -update` writes them anew, for a reader to judge by the law.
var update = flag.Bool("update", false, "write the answers of the scenarios anew")

// personas are the people of the scenarios, by the part of their address before "@acacia.example".
var personas = map[string]string{
	"owner":         "owner",
	"administrator": "administrator",
	"supervisor":    "supervisor.north",
	"agent":         "agent",
	"station agent": "agent.station",
	"market agent":  "agent.market",
	"billing":       "billing",
	"developer":     "developer",
	"private":       "supervisor.private",
}

// TestScenariosOnePersonaEach sends each query of testdata/personas as several people: one file holds the query and
// the answer that each of them gets.
func TestScenariosOnePersonaEach(t *testing.T) {
	world := newWorld(t)
	for _, name := range files(t, "testdata/personas") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive := parse(t, name)
			query, variables := string(file(archive, "query.graphql")), file(archive, "variables.json")
			for i, f := range archive.Files {
				persona, isAnswer := strings.CutSuffix(f.Name, ".json")
				if !isAnswer || f.Name == "variables.json" {
					continue
				}
				got := world.ask(t, persona, query, variables)
				compare(t, name, archive, i, got)
			}
		})
	}
}

// TestScenariosStepByStep plays the stories of testdata/stories, each on a database of its own: a step "2 agent.graphql"
// is what the agent sends as the second, with "2.variables" if there are any, and "2.json" is the answer. A variable
// "{{1.inbox.nodes.0.id}}" stands for that part of the data of an earlier answer.
func TestScenariosStepByStep(t *testing.T) {
	for _, name := range files(t, "testdata/stories") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, world, answers := parse(t, name), newWorld(t), map[string]any{}
			for i, f := range archive.Files {
				step, isAnswer := strings.CutSuffix(f.Name, ".json")
				if !isAnswer {
					continue
				}
				persona, query := stepOf(t, archive, step)
				got := world.ask(t, persona, query, fill(t, file(archive, step+".variables"), answers))
				compare(t, name, archive, i, got)
				var answer struct{ Data any }
				if err := json.Unmarshal(got, &answer); err != nil {
					t.Fatal(err)
				}
				answers[step] = answer.Data
			}
		})
	}
}

func stepOf(t *testing.T, a *txtar.Archive, step string) (persona, query string) {
	t.Helper()
	for _, f := range a.Files {
		if number, rest, ok := strings.Cut(f.Name, " "); ok && number == step {
			return strings.TrimSuffix(rest, ".graphql"), string(f.Data)
		}
	}
	t.Fatalf("step %s has no query", step)
	return "", ""
}

var reference = regexp.MustCompile(`\{\{([^}]+)\}\}`)

// fill replaces references to earlier answers.
func fill(t *testing.T, variables []byte, answers map[string]any) []byte {
	t.Helper()
	return reference.ReplaceAllFunc(variables, func(found []byte) []byte {
		steps := strings.Split(string(found[2:len(found)-2]), ".")
		value := answers[steps[0]]
		for _, key := range steps[1:] {
			switch node := value.(type) {
			case map[string]any:
				value = node[key]
			case []any:
				index, err := strconv.Atoi(key)
				if err != nil || index >= len(node) {
					t.Fatalf("%s: there is no entry %s", found, key)
				}
				value = node[index]
			}
		}
		text, ok := value.(string)
		if !ok {
			t.Fatalf("%s is %v, not a text", found, value)
		}
		return []byte(text)
	})
}

// compare holds an answer against the one in the archive, or writes it there.
func compare(t *testing.T, name string, a *txtar.Archive, i int, got []byte) {
	t.Helper()
	if *update {
		a.Files[i].Data = got
		if err := os.WriteFile(name, txtar.Format(a), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want := a.Files[i].Data; !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", a.Files[i].Name, got, want)
	}
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no scenarios in %s: %v", dir, err)
	}
	return names
}

func parse(t *testing.T, name string) *txtar.Archive {
	t.Helper()
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

func file(a *txtar.Archive, name string) []byte {
	for _, f := range a.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// world is a server over the demo data, with a clock that stands still.
type world struct {
	url    string
	tokens map[string]string
}

// ask sends the query as the persona and returns the answer, indented.
func (w *world) ask(t *testing.T, persona, query string, variables []byte) []byte {
	t.Helper()
	body := map[string]any{"query": query}
	if len(variables) > 0 {
		body["variables"] = json.RawMessage(variables)
	}
	raw := w.post(t, w.token(t, persona), body)
	var indented bytes.Buffer
	if err := json.Indent(&indented, raw, "", "  "); err != nil {
		t.Fatalf("%s got no JSON: %s", persona, raw)
	}
	indented.WriteByte('\n')
	return indented.Bytes()
}

// token logs the persona in, once. "anonymous" has none.
func (w *world) token(t *testing.T, persona string) string {
	t.Helper()
	if persona == "anonymous" {
		return ""
	}
	if token, ok := w.tokens[persona]; ok {
		return token
	}
	token := w.logIn(t, persona)
	w.tokens[persona] = token
	return token
}

func (w *world) logIn(t *testing.T, persona string) string {
	t.Helper()
	address := "owner@birch.example"
	if persona != "stranger" {
		login, known := personas[persona]
		if !known {
			t.Fatalf("%q is not a persona", persona)
		}
		address = login + "@acacia.example"
	}
	raw := w.post(t, "", map[string]any{
		"query":     `mutation($input: LogInInput!) { logIn(input: $input) { token } }`,
		"variables": map[string]any{"input": map[string]any{"email": address, "password": demo.Password}},
	})
	var answer struct {
		Data struct{ LogIn struct{ Token string } }
	}
	if err := json.Unmarshal(raw, &answer); err != nil || answer.Data.LogIn.Token == "" {
		t.Fatalf("logging in as %s: %v %s", persona, err, raw)
	}
	return answer.Data.LogIn.Token
}

func (w *world) post(t *testing.T, token string, body any) []byte {
	t.Helper()
	encoded, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, w.url, bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Request-Id", "scenario")
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(response.Body); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK && response.StatusCode != http.StatusBadRequest {
		t.Fatalf("status %d: %s", response.StatusCode, raw.String())
	}
	return raw.Bytes()
}
