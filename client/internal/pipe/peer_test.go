package pipe

import (
	"bufio"
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
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
	reset *atomic.Bool // what the peer closes is reset instead

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

func newRig(t *testing.T) *rig { return newRigFor(t, false) }

// newClassicRig is newRig with a peer that takes classic commands only.
func newClassicRig(t *testing.T) *rig { return newRigFor(t, true) }

func newRigFor(t *testing.T, classic bool) *rig {
	ours, theirs := net.Pipe()
	reset := new(atomic.Bool)
	g := newRigOn(t, resettable{ours, reset}, theirs)
	g.reset = reset
	g.c.cfg.Classic = classic
	return g
}

// newRigOn is newRig on two ends of a connection that are there already.
func newRigOn(t *testing.T, ours, theirs net.Conn) *rig {
	g := &rig{t: t, peer: theirs, r: bufio.NewReader(theirs)}
	g.c = New(ours, Config{
		Timeout: rigTimeout, Calls: &g.calls,
		Go: func(f func()) bool { g.wg.Go(f); return true },
		OnDead: func(_ *Conn, cause error) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.died = append(g.died, cause)
		},
	})
	g.c.few = 0
	return g
}

// resettable is a connection on which the peer's close can look like a reset.
type resettable struct {
	net.Conn
	reset *atomic.Bool
}

func (c resettable) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if err == io.EOF && c.reset.Load() {
		err = syscall.ECONNRESET
	}
	return n, err
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

// replies has the peer read so many requests, and then send what stands here, piece by piece.
func (g *rig) replies(requests int, pieces []string) {
	g.wg.Go(func() {
		for range requests {
			if _, err := g.request(); err != nil {
				return
			}
		}
		for _, s := range pieces {
			if _, err := io.WriteString(g.peer, s); err != nil {
				return
			}
		}
	})
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
