//go:build unix

package stock

import "syscall"

// Pause stops the process (SIGSTOP): connections stay and nothing answers.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP, false) }

// Resume ends Pause.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT, false) }
