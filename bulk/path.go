package bulk

import "strings"

// The characters that mean something in a cell, and that a backslash before them makes ordinary ones.
const special = `\/;@|`

// String writes the path as a cell: its names with a slash between them. The root is a slash alone.
func (p Path) String() string {
	if len(p) == 0 {
		return "/"
	}
	names := make([]string, len(p))
	for i, name := range p {
		names[i] = escape(name)
	}
	return strings.Join(names, "/")
}

// parsePath reads a path as String writes it.
func parsePath(cell string) Path {
	if cell == "/" {
		return Path{}
	}
	parts := split(cell, '/')
	for i, part := range parts {
		parts[i] = unescape(part)
	}
	return parts
}

func escape(text string) string {
	if !strings.ContainsAny(text, special) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if strings.ContainsRune(special, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func unescape(text string) string {
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			i++
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// split cuts the text at each separator that no backslash stands before, and leaves the backslashes.
func split(text string, separator byte) []string {
	var parts []string
	from := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case separator:
			parts = append(parts, text[from:i])
			from = i + 1
		}
	}
	return append(parts, text[from:])
}
