package pgserver

import "syscall"

// dieWithParent has the kernel stop the process when its parent ends.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }
