package pipe

import (
	"bufio"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/memherd/memherd/client/item"
	"github.com/memherd/memherd/client/memproto"
)

// rig is a connection to a scripted peer, for use inside a synctest bubble.
type rig struct {
	t     *testing.T
	c     *Conn
	peer  net.Conn
	r     *bufio.Reader
	calls Pool
	wg    sync.WaitGroup

	mu   sync.Mutex // guards died
	died []error
}

// deaths returns what OnDead was told.
func (g *rig) deaths() []error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.died
}

const rigTimeout = 250 * time.Millisecond

func newRig(t *testing.T) *rig {
	g := &rig{t: t}
	var ours net.Conn
	ours, g.peer = net.Pipe()
	g.r = bufio.NewReader(g.peer)
	g.c = New(ours, Config{
		Timeout: rigTimeout, Calls: &g.calls,
		Go: func(f func()) bool { g.wg.Go(f); return true },
		OnDead: func(_ *Conn, cause error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.died = append(g.died, cause)
		},
	})
	return g
}

// close ends the connection and waits for what it started.
func (g *rig) close() {
	g.c.Kill(item.ErrClosed)
	g.peer.Close()
	g.wg.Wait()
	require.Zero(g.t, g.c.Pending())
	require.Len(g.t, g.deaths(), 1, "OnDead runs once")
}

// request reads one request at the peer: its line, and its data block if it has one.
func (g *rig) request() (memproto.Request, error) {
	line, err := g.r.ReadBytes('\n')
	if err != nil {
		return memproto.Request{}, err
	}
	var r memproto.Request
	if _, err := memproto.DecodeRequest(line, nil, &r); err != nil {
		return r, err
	}
	if r.BodyLen >= 0 {
		if _, err := g.r.Discard(r.BodyLen + 2); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (g *rig) call(r memproto.Request) *Call {
	k := g.calls.New()
	k.Req = r
	if k.Req.Key == nil {
		k.Req.Key = []byte("key")
	}
	return k
}

func get() memproto.Request {
	return memproto.Request{Cmd: memproto.CmdMetaGet, Flags: memproto.FlagLv | memproto.FlagLf}
}

// do starts a call and waits for it.
func (g *rig) do(ctx context.Context, k *Call) (done bool) {
	if err := g.c.Start(ctx, k); err != nil {
		k.Err, k.Sent = err, item.NotSent
		return true
	}
	return g.c.Wait(ctx, k)
}
