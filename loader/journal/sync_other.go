//go:build !linux

package journal

import "os"

func syncData(f *os.File) error { return f.Sync() }

// nameless is not known here.
func nameless(*os.File) bool { return false }
