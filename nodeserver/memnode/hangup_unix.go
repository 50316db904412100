//go:build unix

package main

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/memherd/memherd/nodeserver"
)

// rereadOnHangup reads the file of -Y again with each SIGHUP, as memcached does; without -Y
// the signal does nothing, where it would end the process. stop ends that.
func (o *options) rereadOnHangup(srv *nodeserver.Server, log *slog.Logger) (stop func()) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range hangup {
			if o.users == "" {
				continue
			}
			users, err := readUsers(o.users)
			if err == nil {
				err = srv.SetUsers(users)
			}
			if err != nil { // those of before stay in force
				log.Error("users not replaced", "err", err)
				continue
			}
			log.Info("users replaced", "users", len(users))
		}
	}()
	return func() {
		signal.Stop(hangup)
		close(hangup)
		<-done
	}
}
