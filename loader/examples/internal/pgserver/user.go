//go:build unix

package pgserver

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// unprivileged returns whom the server runs as when this program is root's: postgres, or
// nobody where there is none. ok is false when this program is not.
func unprivileged() (uid, gid int, ok bool) {
	if os.Geteuid() != 0 {
		return 0, 0, false
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.Atoi(u.Uid)
		gid, gerr := strconv.Atoi(u.Gid)
		if uerr == nil && gerr == nil {
			return uid, gid, true
		}
	}
	return 0, 0, false
}

func attributes() *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{}
	if uid, gid, ok := unprivileged(); ok {
		a.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	dieWithParent(a)
	return a
}
