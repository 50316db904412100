//go:build !unix

package main

import (
	"log/slog"

	"github.com/memherd/memherd/nodeserver"
)

func (*options) rereadOnHangup(*nodeserver.Server, *slog.Logger) (stop func()) { return func() {} }
