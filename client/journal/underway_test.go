package journal_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client"
)

// dawdler is a connection whose reader hears late that it is closed.
type dawdler struct {
	net.Conn
	goOn chan bool
}

func (d dawdler) Read(b []byte) (int, error) {
	n, err := d.Conn.Read(b)
	if err != nil {
		<-d.goOn
	}
	return n, err
}

// A call that is under way when the client is closed learns of that in its own time, be it that Close has returned. What it comes to owe, or a
// caller that has left, is in the journal when it returns.
func TestUnderWayWhenClosed(t *testing.T) {
	for name, left := range map[string]bool{"its own": false, "of one that has left": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				network, nodes := fleet(t)
				j := open(t, filepath.Join(t.TempDir(), "debt"))
				defer func() { require.NoError(t, j.Close()) }()
				goOn := make(chan bool)
				c, err := client.New(client.Config{Nodes: nodes[:1], Timeout: time.Hour, DebtJournal: j,
					DialContext: func(ctx context.Context, proto, addr string) (net.Conn, error) {
						nc, err := network.DialContext(ctx, proto, addr)
						return dawdler{nc, goOn}, err
					}})
				require.NoError(t, err)
				require.NoError(t, c.Ping(t.Context()))
				network.Partition("node0:1", true)
				ended := make(chan bool)
				go func() {
					defer close(ended)
					if left {
						_, err := c.Get(context.Background(), "other")
						require.ErrorIs(t, err, client.ErrClosed)
						return
					}
					out, err := c.Delete(context.Background(), "k")
					require.ErrorIs(t, err, client.ErrClosed)
					require.Equal(t, 1, out.Owed)
				}()
				synctest.Wait() // it reads
				if left {
					ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
					defer cancel()
					out, err := c.Delete(ctx, "k")
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.Equal(t, 1, out.Owed)
				}
				require.NoError(t, c.Close())
				close(goOn)
				<-ended
				owed, err := j.Load()
				require.NoError(t, err)
				require.Equal(t, map[string]int{"node0": 1}, on(t, owed))
			})
		})
	}
}
