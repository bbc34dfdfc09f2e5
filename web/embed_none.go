//go:build !ui

package web

import "io/fs"

// Playground returns the built page and its assets, or false if this binary was built without them.
func Playground() (fs.FS, bool) {
	return nil, false
}
