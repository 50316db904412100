//go:build !unix

package stock

import (
	"errors"
	"fmt"
)

// Pause stops the process: not possible here.
func (s *Server) Pause() error { return fmt.Errorf("stopping a process: %w", errors.ErrUnsupported) }

// Resume ends Pause.
func (s *Server) Resume() error { return fmt.Errorf("resuming a process: %w", errors.ErrUnsupported) }
