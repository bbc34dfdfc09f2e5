// Package web holds the pages that the server shows in a browser: the playground, and later the console.
//
// The pages are TypeScript under src, bundled from npm by Vite into dist. Only a build with the tag `ui` embeds that
// folder, so that the module builds, tests and installs with nothing but Go; package server then falls back to a page
// that loads GraphiQL from a public CDN. What that page needs from here is in the files that no build step touches:
// src/playground/plain and src/playground/tabs.
//
// This package serves nothing itself and knows neither HTTP nor GraphQL.
package web

import (
	"embed"
	"io/fs"
	"path"
	"strings"
)

//go:embed src/playground/plain src/playground/tabs
var sources embed.FS

// Plain returns the parts of the playground that a browser can use without the bundler.
func Plain() fs.FS {
	return sub(sources, "src/playground/plain")
}

// A Tab is one tab that the playground opens for who comes for the first time.
type Tab struct {
	Query     string `json:"query"`
	Variables string `json:"variables,omitempty"` // JSON, empty for none
}

// StarterTabs returns the tabs in the order in which they are shown.
func StarterTabs() []Tab {
	const folder = "src/playground/tabs"
	entries, err := sources.ReadDir(folder)
	if err != nil {
		panic(err) // the folder is part of the binary
	}
	var tabs []Tab
	for _, entry := range entries {
		stem, isQuery := strings.CutSuffix(entry.Name(), ".graphql")
		if !isQuery {
			continue
		}
		tabs = append(tabs, Tab{
			Query:     text(path.Join(folder, entry.Name())),
			Variables: text(path.Join(folder, stem+".json")),
		})
	}
	return tabs
}

// text returns an embedded file's content without a newline at its end, or "" if there is no such file.
func text(name string) string {
	content, err := sources.ReadFile(name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

func sub(files fs.FS, folder string) fs.FS {
	below, err := fs.Sub(files, folder)
	if err != nil {
		panic(err) // only a malformed folder name fails
	}
	return below
}
