package bulk

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func read(text string, kind Kind, format Format) (records []Record, err error) {
	for r, failed := range Read(strings.NewReader(text), kind, format) {
		if failed != nil {
			return records, failed
		}
		records = append(records, r)
	}
	return records, nil
}

func TestFilesOfAllSorts(t *testing.T) {
	for name, test := range map[string]struct {
		kind   Kind
		format Format
		text   string
		want   string // the records as JSON Lines, or ! and the column of a bad one
	}{
		"mark and line ends": {Contacts, CSV, "\xEF\xBB\xBFname,group\r\nBasil,North\r\n\r\nDill,/\r\n", `{"name":"Basil","group":["North"]}
{"name":"Dill","group":[]}
`},
		"quoted line ends": {Contacts, CSV, "group,name\nNorth,\"Basil\nDill\"\n", `{"name":"Basil\nDill","group":["North"]}
`},
		"escapes": {Groups, CSV, "path\nA\\/B/C\\\\\n", `{"path":["A/B","C\\"]}
`},
		"formulas": {Contacts, CSV, "name,phone,group\n'=1,'+5511912345678,'-x\n''=1,+551,/\n'x,,/\n", `{"name":"=1","phone":"+5511912345678","group":["-x"]}
{"name":"'=1","phone":"+551","group":[]}
{"name":"'x","group":[]}
`},
		"grants": {Users, CSV, "email,name,home,grants\na@b.example,A,/,AGENT; OWNER@/;X\\@Y@North/South|2031-01-02T03:04:05Z\n",
			`{"email":"a@b.example","name":"A","home":[],"grants":[{"role":"AGENT"},{"role":"OWNER","group":[]},{"role":"X@Y","group":["North","South"],"until":"2031-01-02T03:04:05Z"}]}
`},
		"short row":     {Contacts, CSV, "name,group\nBasil\nDill,/\n", "!\n{\"name\":\"Dill\",\"group\":[]}\n"},
		"no group":      {Contacts, CSV, "name,group\nBasil, \n", "!group\n"},
		"no number":     {Groups, CSV, "path,capacity\nA,many\n", "!capacity\n"},
		"unknown field": {Groups, JSONLines, "{\"path\":[\"A\"],\"size\":1}\n\n{\"path\":[\"B\"]} x\n{\"path\":[\"C\"]}", "!\n!\n{\"path\":[\"C\"]}\n"},
		"missing path":  {Users, JSONLines, "{\"email\":\"a\"}", "!home\n"},
		"long line":     {Groups, JSONLines, "{\"path\":[\"" + strings.Repeat("x", 3*MaxRow) + "\"]}\n{\"path\":[\"B\"]}", "!\n{\"path\":[\"B\"]}\n"},
	} {
		t.Run(name, func(t *testing.T) {
			records, err := read(test.text, test.kind, test.format)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			w, _ := newWriter(&b, test.kind, JSONLines)
			for _, r := range records {
				if r.Bad != nil {
					b.WriteString("!" + r.Bad.Field + "\n")
				} else if err := w.write(r); err != nil {
					t.Fatal(err)
				}
			}
			if b.String() != test.want {
				t.Errorf("reads\n%s\nnot\n%s", b.String(), test.want)
			}
		})
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "empty",
		"name,group,colour\n":   `"colour"`,
		"name,name,group\n":     "twice",
		"phone,group\n":         `"name" is missing`,
		"name,group\nA,/\nB\"x": "line 3",
		"name,group\nA,/\n\"B\nC\",/\n\"" + strings.Repeat("x\n", MaxRow): "line 5",
		"name,group\n" + strings.Repeat("x", 2*MaxRow):                    "line 2",
	} {
		if _, err := read(text, Contacts, CSV); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v does not say %s", text, err, want)
		}
	}
}

// TestRowsThatAreNoSuchObjects: what is wrong is said in words of JSON.
func TestRowsThatAreNoSuchObjects(t *testing.T) {
	for text, want := range map[string]string{
		`[]`:                            ": The row is not an object.",
		`{"path":["A"],"capacity":1.5}`: "capacity: The value cannot be a number 1.5.",
		`{"path":"A"}`:                  "path: The value cannot be a string.",
		`{"path":["A"],"colour":1}`:     `: The row is not such an object: unknown field "colour".`,
	} {
		records, err := read(text+"\n", Groups, JSONLines)
		if err != nil || len(records) != 1 || records[0].Bad == nil {
			t.Fatalf("%s is read as %v, %v", text, records, err)
		}
		if got := records[0].Bad.Field + ": " + records[0].Bad.Message; !strings.HasPrefix(got, want) || strings.Contains(got, "bulk.") {
			t.Errorf("%s is refused with %q; want %q", text, got, want)
		}
	}
}

// FuzzRecords reads anything, and wants what was read to come out as it went in.
func FuzzRecords(f *testing.F) {
	for _, text := range []string{
		"name,group\nBasil,/\n", "path,capacity\nA/B\\/C,-1\n'=1,\n", "email,name,home,grants\na,b,c,AGENT@/|2031-01-02T03:04:05Z;x\\;\n",
		`{"path":["A"],"sharedInbox":true}`, `{"name":"=x","group":[],"agent":"'@"}`, `{"email":"a","name":"b","home":["\\"],"grants":[{"role":"@","group":[""]}]}`,
		"\xEF\xBB\xBFname,group\r\n\"a\r\nb\",x", "name,group\n\"\"\"',\t\n",
	} {
		for kind := range byte(3) {
			f.Add(text, kind, true)
			f.Add(text, kind, false)
		}
	}
	f.Fuzz(func(t *testing.T, text string, which byte, asCSV bool) {
		kind, format := []Kind{Groups, Users, Contacts}[which%3], JSONLines
		if asCSV {
			format = CSV
		}
		records, _ := read(text, kind, format)
		for _, r := range records {
			if r.check(kind) != nil {
				continue
			}
			for _, out := range []Format{CSV, JSONLines} {
				once, again := rewrite(t, r, kind, out)
				if once != again && !strings.Contains(once, "\r") && utf8.ValidString(once) { // CSV has one kind of line end
					t.Fatalf("%s comes back as %s", once, again)
				}
			}
		}
	})
}

// rewrite writes a record, reads it, and writes it again.
func rewrite(t *testing.T, r Record, kind Kind, format Format) (once, again string) {
	write := func(r Record) string {
		var b bytes.Buffer
		w, err := newWriter(&b, kind, format)
		if err == nil {
			err = w.write(r)
		}
		if err == nil {
			err = w.flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	once = write(r)
	for got, err := range Read(strings.NewReader(once), kind, format) {
		if err != nil {
			return once, err.Error()
		}
		if got.Bad != nil { // what is needed may be missing from it
			return once, once
		}
		again = write(got)
	}
	return once, again
}
