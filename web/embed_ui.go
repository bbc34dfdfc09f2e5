//go:build ui

package web

import (
	"embed"
	"io/fs"
)

// The prefix all: because the bundler may begin a chunk's name with an underscore.
//
//go:embed all:dist
var dist embed.FS

// Playground returns the built page and its assets, or false if this binary was built without them.
func Playground() (fs.FS, bool) {
	return sub(dist, "dist"), true
}
